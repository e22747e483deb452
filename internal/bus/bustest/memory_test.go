package bustest_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/bus/bustest"
	"github.com/chunkline/chunkline/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// listen collects what arrives at a subject.
func listen(t *testing.T, c *bustest.Conn, queue string) (heardSoFar func() []string) {
	t.Helper()
	var mu sync.Mutex
	var heard []string
	stop, err := c.Listen(bus.Listener{Topics: []bus.Topic{
		{Subject: "s", Queue: queue, Handle: func(d bus.Delivery) {
			mu.Lock()
			heard = append(heard, string(d.Body))
			mu.Unlock()
			if d.Reply != nil {
				_ = d.Reply(wire.Message{Body: append([]byte("re "), d.Body...)})
			}
		}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(context.Background()) })
	return func() []string { mu.Lock(); defer mu.Unlock(); return slices.Clone(heard) }
}

// TestFate: one publisher sends 1, 2, 3; the hook decides what becomes of 2.
func TestFate(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fate  bustest.Fate
		now   []string
		later []string // after a second
	}{
		"none":    {bustest.Fate{}, []string{"1", "2", "3"}, nil},
		"drop":    {bustest.Fate{Drop: true}, []string{"1", "3"}, nil},
		"copies":  {bustest.Fate{Copies: 2}, []string{"1", "2", "2", "2", "3"}, nil},
		"delay":   {bustest.Fate{Delay: time.Second}, []string{"1", "3"}, []string{"2"}},
		"reorder": {bustest.Fate{Reorder: true}, []string{"1", "3", "2"}, nil},
		"corrupt": {bustest.Fate{Corrupt: true}, []string{"1", "6", "3"}, nil}, // '2' with one bit changed
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := bustest.NewMemory(bustest.Options{})
				from, to := n.Connect("from"), n.Connect("to")
				heard := listen(t, to, "")
				n.SetHook(func(p bustest.Packet) bustest.Fate {
					if p.From != "from" || p.To != "to" || p.Subject != "s" || p.Reply {
						t.Errorf("packet %+v", p)
					}
					if string(p.Body) == "2" {
						return test.fate
					}
					return bustest.Fate{}
				})
				for _, body := range []string{"1", "2", "3"} {
					if err := from.Publish("s", wire.Message{Body: []byte(body)}); err != nil {
						t.Fatal(err)
					}
				}
				synctest.Wait()
				if !slices.Equal(heard(), test.now) {
					t.Errorf("heard %q, want %q", heard(), test.now)
				}
				<-time.After(time.Second)
				synctest.Wait()
				if want := slices.Concat(test.now, test.later); !slices.Equal(heard(), want) {
					t.Errorf("a second later: heard %q, want %q", heard(), want)
				}
			})
		})
	}
}

// TestFate_reply: answers have a fate, too; a late one is dropped.
func TestFate_reply(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := bustest.NewMemory(bustest.Options{})
		from, to := n.Connect("from"), n.Connect("to")
		listen(t, to, "")
		n.SetHook(func(p bustest.Packet) bustest.Fate {
			if p.Reply {
				return bustest.Fate{Delay: time.Minute}
			}
			return bustest.Fate{}
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := from.Request(ctx, "s", wire.Message{Body: []byte("1")}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want %v", err, context.DeadlineExceeded)
		}
		got, err := from.Request(t.Context(), "s", wire.Message{Body: []byte("2")})
		if err != nil || string(got.Body) != "re 2" {
			t.Errorf("got %q, %v", got.Body, err)
		}
	})
}

func TestCorrupt_withoutBody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := bustest.NewMemory(bustest.Options{})
		n.SetHook(func(bustest.Packet) bustest.Fate { return bustest.Fate{Corrupt: true} })
		header := wire.Header{"Chunkline-Protocol": wire.Protocol}
		var got wire.Header
		stop, err := n.Connect("to").Listen(bus.Listener{Topics: []bus.Topic{
			{Subject: "s", Handle: func(d bus.Delivery) { got = d.Header }},
		}})
		if err != nil {
			t.Fatal(err)
		}
		defer stop(t.Context())
		if err := n.Connect("from").Publish("s", wire.Message{Header: header}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got == nil || got["Chunkline-Protocol"] == wire.Protocol || header["Chunkline-Protocol"] != wire.Protocol {
			t.Errorf("arrived as %v, sent %v", got, header)
		}
	})
}

// TestCrash: what a crashed connection had received is not handled, and its
// part of a queue group is taken by the others.
func TestCrash(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := bustest.NewMemory(bustest.Options{})
		from, dead, alive := n.Connect("from"), n.Connect("dead"), n.Connect("alive")
		entered, leave := make(chan struct{}), make(chan struct{})
		handled := 0
		_, err := dead.Listen(bus.Listener{Topics: []bus.Topic{{Subject: "s", Queue: "q", Handle: func(bus.Delivery) {
			handled++
			entered <- struct{}{}
			<-leave
		}}}})
		if err != nil {
			t.Fatal(err)
		}
		publish := func(body string) {
			t.Helper()
			if err := from.Publish("s", wire.Message{Body: []byte(body)}); err != nil {
				t.Fatal(err)
			}
		}
		publish("1")
		<-entered
		publish("2") // waits behind 1
		dead.Crash()
		close(leave)
		heard := listen(t, alive, "q")
		publish("3")
		synctest.Wait()
		if handled != 1 || !slices.Equal(heard(), []string{"3"}) {
			t.Errorf("the crashed connection handled %d, the live one heard %q, want 1 and 3", handled, heard())
		}
		if err := dead.Publish("s", wire.Message{}); !errors.Is(err, bus.ErrClosed) {
			t.Errorf("publish on the crashed connection: error %v, want %v", err, bus.ErrClosed)
		}
		dead.Reconnect() // the dead do not come back
		if dead.Online() {
			t.Error("a crashed connection is online again")
		}
	})
}

// TestDisconnect: messages to a broken connection are lost, not kept.
func TestDisconnect(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := bustest.NewMemory(bustest.Options{})
		from, to := n.Connect("from"), n.Connect("to")
		heard := listen(t, to, "")
		to.Disconnect()
		if _, err := from.Request(t.Context(), "s", wire.Message{Body: []byte("1")}); !errors.Is(err, bus.ErrNobody) {
			t.Errorf("error %v, want %v", err, bus.ErrNobody)
		}
		to.Reconnect()
		if _, err := from.Request(t.Context(), "s", wire.Message{Body: []byte("2")}); err != nil {
			t.Error(err)
		}
		if !slices.Equal(heard(), []string{"2"}) {
			t.Errorf("heard %q, want 2", heard())
		}
	})
}

func TestMaxPayload(t *testing.T) {
	t.Parallel()
	c := bustest.NewMemory(bustest.Options{MaxPayload: 100}).Connect("c")
	if err := c.Publish("s", wire.Message{Body: make([]byte, 100)}); err != nil {
		t.Error(err)
	}
	if err := c.Publish("s", wire.Message{Body: make([]byte, 101)}); !errors.Is(err, bus.ErrTooLarge) {
		t.Errorf("error %v, want %v", err, bus.ErrTooLarge)
	}
}
