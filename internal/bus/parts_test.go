package bus_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/bus/bustest"
	"github.com/chunkline/chunkline/internal/wire"
)

const (
	partJob  = "parts"
	partVerb = "chunkline.parts.save"
)

// held bounds what a bus holds, where a test moves it. The usual bound of 256 MiB is tried by
// TestParts_boundedFetching. There is no room for two of most bytes.
const (
	held = 16 << 20
	most = held / 4 * 3
)

// echo serves requests with their own body, and counts them by body length.
func echo(t *testing.T, b *bus.Bus) (calls func(size int) int, stop func()) {
	t.Helper()
	var mu sync.Mutex
	count := map[int]int{}
	end, err := b.Serve(bus.Service{Name: "echo", Version: "1.0.0", Endpoints: []bus.Endpoint{
		{Verb: wire.VerbSave, Queue: "saver", Handle: func(r *bus.Request) {
			mu.Lock()
			count[len(r.Body)]++
			mu.Unlock()
			_ = r.Reply(wire.Message{Body: r.Body})
		}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return func(size int) int { mu.Lock(); defer mu.Unlock(); return count[size] },
		func() { _ = end(context.Background()); b.Close() }
}

// TestParts_faults: a message in parts arrives despite lost, repeated, late and reordered
// parts. A damaged one is an error and never a wrong answer.
func TestParts_faults(t *testing.T) {
	t.Parallel()
	lossy := bustest.Rates{Drop: 0.03, Duplicate: 0.1, Delay: 0.2, Reorder: 0.1, MaxDelay: 500 * time.Millisecond}
	damaging := lossy
	damaging.Corrupt = 0.01
	for name, rates := range map[string]bustest.Rates{"lossy": lossy, "damaging": damaging} {
		for seed := range uint64(5) {
			t.Run(fmt.Sprintf("%s/%d", name, seed), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					n := bustest.NewMemory(bustest.Options{MaxPayload: 4096, Seed: seed})
					n.SetHook(bustest.Random(seed, rates))
					_, stop := echo(t, bus.New(n.Connect("saver"), partJob))
					defer stop()
					var clients sync.WaitGroup
					for i := range 3 {
						b := bus.New(n.Connect("mapper"), partJob)
						defer b.Close()
						clients.Go(func() { faulty(t, b, rand.New(rand.NewPCG(seed, uint64(i))), rates.Corrupt > 0) })
					}
					clients.Wait()
				})
			})
		}
	}
}

func faulty(t *testing.T, b *bus.Bus, dice *rand.Rand, damage bool) {
	for range 10 {
		body := make([]byte, 8000+dice.IntN(100_000))
		for i := range body {
			body[i] = byte(dice.Uint32())
		}
		for try := 0; ; try++ {
			ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
			got, err := b.Request(ctx, wire.VerbSave, wire.Message{Body: body})
			cancel()
			if err == nil && bytes.Equal(got.Body, body) {
				break
			}
			if err == nil {
				t.Fatalf("sent %d bytes, got %d other bytes back", len(body), len(got.Body))
			}
			if !damage || try == 50 {
				t.Fatalf("request of %d bytes: %v", len(body), err)
			}
		}
	}
}

// TestParts_answeredAgain: a last part whose answer was lost is sent again,
// and gets the same answer; the request is handled once.
func TestParts_answeredAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := bustest.NewMemory(bustest.Options{MaxPayload: 4096})
		calls, stop := echo(t, bus.New(n.Connect("saver"), partJob))
		defer stop()
		lost := 0
		n.SetHook(func(p bustest.Packet) bustest.Fate {
			if p.Reply && p.Header["Chunkline-Part"] == "first" && lost < 2 {
				lost++
				return bustest.Fate{Drop: true}
			}
			return bustest.Fate{}
		})
		b := bus.New(n.Connect("mapper"), partJob)
		defer b.Close()
		body := bytes.Repeat([]byte("0123456789"), 1000)
		got, err := b.Request(t.Context(), wire.VerbSave, wire.Message{Body: body})
		if err != nil || !bytes.Equal(got.Body, body) {
			t.Errorf("got %d bytes, %v", len(got.Body), err)
		}
		if handled := calls(len(body)); handled != 1 || lost != 2 {
			t.Errorf("handled %d times after %d lost answers, want 1 after 2", handled, lost)
		}
	})
}

// TestParts_lostTogether: a transfer survives that a part is lost several times
// in a row. The part is sent again before the taker drops the transfer as idle.
func TestParts_lostTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := bustest.NewMemory(bustest.Options{MaxPayload: 4096})
		_, stop := echo(t, bus.New(n.Connect("saver"), partJob))
		defer stop()
		lost := 0
		n.SetHook(func(p bustest.Packet) bustest.Fate {
			if p.Header["Chunkline-Part"] == "put" && lost < 4 {
				lost++
				return bustest.Fate{Drop: true}
			}
			return bustest.Fate{}
		})
		b := bus.New(n.Connect("mapper"), partJob)
		defer b.Close()
		body := bytes.Repeat([]byte("0123456789"), 600) // one part beside the first
		got, err := b.Request(t.Context(), wire.VerbSave, wire.Message{Body: body})
		if err != nil || !bytes.Equal(got.Body, body) {
			t.Errorf("got %d bytes, %v", len(got.Body), err)
		}
	})
}

// begun is the first part of a request, or of an answer, of so many bytes.
func begun(id string, total int) wire.Message {
	return wire.Message{Body: make([]byte, 100), Header: wire.Header{
		"Chunkline-Protocol": wire.Protocol, "Chunkline-Part": "first", "Chunkline-Part-Id": id, "Chunkline-Part-At": "X",
		"Chunkline-Part-Total": strconv.Itoa(total), "Chunkline-Part-Size": "1000000", "Chunkline-Part-Sum": "00000000",
	}}
}

func code(t *testing.T, c bus.Transport, subject string, m wire.Message) string {
	t.Helper()
	got, err := c.Request(t.Context(), subject, m)
	if err != nil {
		t.Fatal(err)
	}
	if kind := got.Header["Chunkline-Part"]; kind != "" {
		return kind
	}
	return got.Header["Nats-Service-Error-Code"]
}

// TestParts_boundedIn: requests in assembly are bounded, and dropped when
// no request touches them.
func TestParts_boundedIn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := bustest.NewMemory(bustest.Options{MaxPayload: 2 << 20})
		_, stop := echo(t, bus.Holding(n.Connect("saver"), partJob, held))
		defer stop()
		c := n.Connect("mapper")
		defer c.Close()
		start := begun("A", most)
		got, err := c.Request(t.Context(), partVerb, start)
		if err != nil {
			t.Fatal(err)
		}
		parts := "chunkline.parts.part." + got.Header["Chunkline-Part-At"]
		put := func(i int) wire.Message {
			return wire.Message{Body: make([]byte, 1_000_000), Header: wire.Header{
				"Chunkline-Protocol": wire.Protocol, "Chunkline-Part": "put", "Chunkline-Part-Id": "A",
				"Chunkline-Part-Offset": strconv.Itoa(100 + i*1_000_000),
			}}
		}
		want := func(what, got, want string) {
			t.Helper()
			if got != want {
				t.Errorf("%s: %s, want %s", what, got, want)
			}
		}
		for i := range 4 { // 80 s, but never 30 s of silence
			<-time.After(20 * time.Second)
			want("part", code(t, c, parts, put(i)), "have")
		}
		want("another", code(t, c, partVerb, begun("B", most)), "429")
		want("doubled first part", code(t, c, partVerb, start), "continue")
		<-time.After(29 * time.Second)
		want("part after 29 s", code(t, c, parts, put(4)), "have")
		<-time.After(31 * time.Second)
		want("part after 31 s", code(t, c, parts, put(5)), "404")
		want("another", code(t, c, partVerb, begun("B", most)), "continue")
		release := wire.Message{Header: wire.Header{"Chunkline-Protocol": wire.Protocol, "Chunkline-Part": "release", "Chunkline-Part-Id": "B"}}
		if err := c.Publish(parts, release); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		want("one above the bound, alone", code(t, c, partVerb, begun("C", 4*held)), "continue")
	})
}

// TestParts_boundedOut: answers that wait to be fetched are bounded, and
// dropped when no requester fetches them.
func TestParts_boundedOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := bustest.NewMemory(bustest.Options{})
		server := bus.Holding(n.Connect("fetcher"), partJob, held)
		defer server.Close()
		replied := make(chan error, 1)
		large := make([]byte, most)
		stop, err := server.Serve(bus.Service{Name: "fetcher", Version: "1.0.0", Endpoints: []bus.Endpoint{
			{Verb: wire.VerbSave, Handle: func(r *bus.Request) { replied <- r.Reply(wire.Message{Body: large}) }},
		}})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = stop(context.Background()) }()
		c := n.Connect("mapper")
		defer c.Close()
		ask := func(wantCode string, wantErr error) {
			t.Helper()
			if got := code(t, c, partVerb, wire.Message{Header: wire.Header{"Chunkline-Protocol": wire.Protocol}}); got != wantCode {
				t.Errorf("answer %s, want %s", got, wantCode)
			}
			if err := <-replied; !errors.Is(err, wantErr) {
				t.Errorf("reply: error %v, want %v", err, wantErr)
			}
		}
		ask("first", nil)
		ask("429", bus.ErrBusy)
		<-time.After(31 * time.Second)
		ask("first", nil)
	})
}

// TestParts_boundedFetching: answers that are being fetched are bounded, too.
func TestParts_boundedFetching(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := bustest.NewMemory(bustest.Options{})
		server := n.Connect("fetcher")
		defer server.Close()
		fetching := make(chan struct{}, 100)
		_, err := server.Listen(bus.Listener{Topics: []bus.Topic{
			{Subject: partVerb, Handle: func(d bus.Delivery) { _ = d.Reply(begun("A", 200<<20)) }},
			{Subject: "chunkline.parts.part.X", Handle: func(bus.Delivery) { fetching <- struct{}{} }},
		}})
		if err != nil {
			t.Fatal(err)
		}
		b := bus.New(n.Connect("mapper"), partJob)
		defer b.Close()
		ctx, cancel := context.WithCancel(t.Context())
		first := make(chan error, 1)
		go func() {
			_, err := b.Request(ctx, wire.VerbSave, wire.Message{})
			first <- err
		}()
		<-fetching
		if _, err := b.Request(t.Context(), wire.VerbSave, wire.Message{}); !errors.Is(err, bus.ErrBusy) {
			t.Errorf("second: error %v, want %v", err, bus.ErrBusy)
		}
		cancel()
		if err := <-first; !errors.Is(err, context.Canceled) {
			t.Errorf("first: error %v, want %v", err, context.Canceled)
		}
	})
}

// TestParts_released: the requester releases a finished transfer, so that its memory is
// free for the next one at once.
func TestParts_released(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := bustest.NewMemory(bustest.Options{})
		_, stop := echo(t, bus.Holding(n.Connect("saver"), partJob, held))
		defer stop()
		b := bus.Holding(n.Connect("mapper"), partJob, held)
		defer b.Close()
		large := wire.Message{Body: make([]byte, most)}
		ctx, cancel := context.WithCancel(t.Context())
		var given string // the transfer that is given up; none of its parts arrives afterwards
		var parts int
		n.SetHook(func(p bustest.Packet) bustest.Fate {
			id := p.Header["Chunkline-Part-Id"]
			if p.Header["Chunkline-Part"] != "put" || given != "" && id != given {
				return bustest.Fate{}
			}
			given = id
			if parts++; parts < 10 {
				return bustest.Fate{}
			}
			cancel()
			return bustest.Fate{Drop: true}
		})
		if _, err := b.Request(ctx, wire.VerbSave, large); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled request: error %v, want %v", err, context.Canceled)
		}
		for range 2 { // each has as much in assembly, then as much to be fetched
			synctest.Wait()
			got, err := b.Request(t.Context(), wire.VerbSave, large)
			if err != nil || len(got.Body) != len(large.Body) {
				t.Errorf("got %d bytes, %v", len(got.Body), err)
			}
		}
	})
}

// largeAnswer serves requests for work with an answer of so many bytes, and returns a client for it.
func largeAnswer(t *testing.T, n *bustest.Memory, size int) (client *bus.Bus, taker *bustest.Conn) {
	t.Helper()
	taker = n.Connect("fetcher")
	body := make([]byte, size)
	_, err := bus.New(taker, partJob).Serve(bus.Service{Name: "fetcher", Version: "1.0.0", Endpoints: []bus.Endpoint{
		{Verb: wire.VerbNext, Handle: func(r *bus.Request) { _ = r.Reply(wire.Message{Body: body}) }},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return bus.New(n.Connect("mapper"), partJob), taker
}

// isPart reports whether a packet is a part that a requester has fetched.
func isPart(p bustest.Packet) bool { return p.Header["Chunkline-Part"] == wire.PartPart }

// TestAwait: the parts of an answer may take longer than the answer may take to begin. Without
// a beginning, or without further parts, the wait ends.
func TestAwait(t *testing.T) {
	t.Parallel()
	const wait = 6 * time.Second
	for name, test := range map[string]struct {
		fate  func(p bustest.Packet, parts int) bustest.Fate
		kills bool // the taker dies with the tenth part
		want  error
		least time.Duration
		most  time.Duration
	}{
		"slow link": {
			fate: func(p bustest.Packet, _ int) bustest.Fate {
				if isPart(p) {
					return bustest.Fate{Delay: 2 * time.Second}
				}
				return bustest.Fate{}
			},
			least: 3 * wait, most: 4 * wait,
		},
		"no answer": {
			fate: func(p bustest.Packet, _ int) bustest.Fate { return bustest.Fate{Drop: p.Reply} },
			want: context.DeadlineExceeded, least: wait, most: wait,
		},
		"taker freezes": {
			fate: func(_ bustest.Packet, parts int) bustest.Fate { return bustest.Fate{Drop: parts > 10} },
			want: context.DeadlineExceeded, least: 30 * time.Second, most: 30 * time.Second,
		},
		"taker dies": {kills: true, want: bus.ErrNobody},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := bustest.NewMemory(bustest.Options{})
				client, taker := largeAnswer(t, n, 20<<20) // 40 parts, four at a time
				defer taker.Close()
				defer client.Close()
				parts := 0
				n.SetHook(func(p bustest.Packet) bustest.Fate {
					if isPart(p) {
						parts++
					}
					if test.kills {
						if parts == 10 {
							taker.Crash()
						}
						return bustest.Fate{Drop: parts >= 10}
					}
					return test.fate(p, parts)
				})
				begin := time.Now()
				got, err := client.Await(t.Context(), wait, wire.VerbNext, wire.Message{})
				took := time.Since(begin)
				if !errors.Is(err, test.want) || test.want == nil && (err != nil || len(got.Body) != 20<<20) {
					t.Errorf("got %d bytes, %v; want %v", len(got.Body), err, test.want)
				}
				if took < test.least || test.most > 0 && took > test.most {
					t.Errorf("it took %s, want %s to %s", took, test.least, test.most)
				}
			})
		})
	}
}

// TestAwait_shared: however many answers a process fetches at a time, a slow link carries each part once.
func TestAwait_shared(t *testing.T) {
	t.Parallel()
	const (
		answers   = 8
		size      = 4 << 20
		perSecond = 4 << 20 // bytes that the link carries
	)
	synctest.Test(t, func(t *testing.T) {
		n := bustest.NewMemory(bustest.Options{})
		client, taker := largeAnswer(t, n, size)
		defer taker.Close()
		defer client.Close()
		carried := 0
		var free time.Time // when the link has carried all parts so far
		n.SetHook(func(p bustest.Packet) bustest.Fate {
			if !isPart(p) {
				return bustest.Fate{}
			}
			carried += len(p.Body)
			if now := time.Now(); free.Before(now) {
				free = now
			}
			free = free.Add(time.Duration(len(p.Body)) * time.Second / perSecond)
			return bustest.Fate{Delay: time.Until(free)}
		})
		var workers sync.WaitGroup
		for range answers {
			workers.Go(func() {
				got, err := client.Await(t.Context(), 6*time.Second, wire.VerbNext, wire.Message{})
				if err != nil || len(got.Body) != size {
					t.Errorf("got %d bytes, %v", len(got.Body), err)
				}
			})
		}
		workers.Wait()
		if carried > answers*size {
			t.Errorf("the link carried %d bytes for answers of %d", carried, answers*size)
		}
	})
}
