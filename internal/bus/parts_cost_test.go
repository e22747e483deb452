package bus_test

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/bus/bustest"
	"github.com/chunkline/chunkline/internal/wire"
)

// TestParts_boundedBookkeeping: a transfer counts with all that it makes the
// taker keep. Tiny bodies with long headers, and answers that were not released,
// fill the budget too.
func TestParts_boundedBookkeeping(t *testing.T) {
	t.Parallel()
	const fit = held >> 20 // so often 1 MiB is the bound
	synctest.Test(t, func(t *testing.T) {
		n := bustest.NewMemory(bustest.Options{MaxPayload: 2 << 20})
		_, stop := echo(t, bus.Holding(n.Connect("saver"), partJob, held))
		defer stop()
		c := n.Connect("mapper")
		defer c.Close()
		long := begun("", 1000)
		long.Header["X-Long"] = strings.Repeat("x", 1<<20)
		for i := range fit - 1 {
			long.Header["Chunkline-Part-Id"] = fmt.Sprint("A", i)
			if got := code(t, c, partVerb, long); got != "continue" {
				t.Fatalf("%d times a header of 1 MiB: %s, want continue", i+1, got)
			}
		}
		long.Header["Chunkline-Part-Id"] = "last"
		if got := code(t, c, partVerb, long); got != "429" {
			t.Errorf("%d times a header of 1 MiB: %s, want 429", fit, got)
		}
		<-time.After(31 * time.Second) // no request has touched them
		body := make([]byte, 1<<20)
		put := func(i int) string {
			whole := begun(fmt.Sprint("B", i), len(body)+100)
			whole.Header["Max-Payload"] = strconv.Itoa(2 << 20)
			whole.Header["Chunkline-Part-Size"] = strconv.Itoa(len(body))
			whole.Header["Chunkline-Part-Sum"] = fmt.Sprintf("%08x", wire.Checksum(append(bytes.Clone(whole.Body), body...)))
			got, err := c.Request(t.Context(), partVerb, whole)
			if err != nil {
				t.Fatal(err)
			}
			if got.Header["Chunkline-Part"] != "continue" {
				return got.Header["Nats-Service-Error-Code"]
			}
			return code(t, c, "chunkline.parts.part."+got.Header["Chunkline-Part-At"], wire.Message{Body: body, Header: wire.Header{
				"Chunkline-Protocol": wire.Protocol, "Chunkline-Part": "put", "Chunkline-Part-Id": fmt.Sprint("B", i), "Chunkline-Part-Offset": "100",
			}})
		}
		for i := range fit - 2 { // each leaves an answer of 1 MiB behind
			if got := put(i); got != "" {
				t.Fatalf("answer %d is %q, want the body", i, got)
			}
		}
		busy := ""
		for i := fit - 2; i <= fit; i++ {
			busy += put(i)
		}
		if !strings.Contains(busy, "429") {
			t.Errorf("%d answers of 1 MiB are kept, want at most %d", fit+1, fit)
		}
	})
}
