package bus_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/bus/natsserver"
	"github.com/chunkline/chunkline/internal/wire"
)

// BenchmarkRequest measures one requester at a time over TCP on this machine:
// messages of one chunk of small objects, and large ones in parts.
func BenchmarkRequest(b *testing.B) {
	for _, size := range []int{100, 20 << 10, 512 << 10, 8 << 20, 100 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			server, err := natsserver.Start(natsserver.Options{Listen: "127.0.0.1:0", Log: zerolog.Nop()})
			if err != nil {
				b.Fatal(err)
			}
			defer server.Shutdown()
			connect := func(role bus.Role) *bus.Bus {
				c, err := bus.Connect(bus.Config{URL: server.URL()}, bus.Options{Job: "bench", Role: role, Log: zerolog.Nop()})
				if err != nil {
					b.Fatal(err)
				}
				return c
			}
			saver, mapper := connect(bus.RoleSaver), connect(bus.RoleMapper)
			defer saver.Close()
			defer mapper.Close()
			handle := func(r *bus.Request) { _ = r.Reply(wire.Message{}) }
			_, err = saver.Serve(bus.Service{Name: "saver", Version: "1.0.0", Endpoints: []bus.Endpoint{{Verb: wire.VerbSave, Handle: handle}}})
			if err != nil {
				b.Fatal(err)
			}
			if err := saver.Flush(context.Background()); err != nil {
				b.Fatal(err)
			}
			m := wire.Message{Body: make([]byte, size)}
			b.SetBytes(int64(size))
			for b.Loop() {
				if _, err := mapper.Request(context.Background(), wire.VerbSave, m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
