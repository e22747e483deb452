package bus_test

import (
	"flag"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/chunkline/chunkline/internal/bus/natsserver"
)

func TestMain(m *testing.M) {
	if os.Getenv(childServer) != "" {
		serveAsChild()
		return
	}
	for name, value := range shippedEnv {
		if err := os.Setenv(name, value); err != nil {
			panic(err)
		}
	}
	if err := flag.Set("test.parallel", "8"); err != nil { // most tests wait for the network
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// childServer is set in a child process that is to be a NATS server.
const childServer = "CHUNKLINE_TEST_NATS_SERVER"

// serveAsChild runs a server until stdin is closed.
func serveAsChild() {
	server, err := natsserver.Start(natsserver.Options{Listen: "127.0.0.1:0", Log: zerolog.Nop()})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	fmt.Println(server.URL())
	_, _ = io.Copy(io.Discard, os.Stdin)
	server.Shutdown()
}
