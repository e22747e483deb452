package mapper_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chunkline/chunkline/internal/mapper"
	"github.com/chunkline/chunkline/internal/wire"
)

// hello sends a hello to all mappers.
func (b *bench) hello(epoch uint64) { b.publish(wire.Hello{Plan: plan.ID(), Epoch: epoch}.Encode()) }

func (b *bench) publish(m wire.Message) {
	b.t.Helper()
	if err := b.peer.Publish(wire.VerbHello, m); err != nil {
		b.t.Fatal(err)
	}
	synctest.Wait()
}

// soon takes the requests of so many workers, which must be there within 50 ms.
func (b *bench) soon(workers int) (last wire.Next) {
	b.t.Helper()
	begin := time.Now()
	for range workers {
		_, last = b.next()
	}
	if took := time.Since(begin); took > 50*time.Millisecond {
		b.t.Fatalf("%d workers have asked after %s, want at most 50ms", workers, took)
	}
	return last
}

// quiet fails the test if a worker asks within d.
func (b *bench) quiet(d time.Duration, why string) {
	b.t.Helper()
	pass(d)
	if n := len(b.nexts); n > 0 {
		b.t.Fatalf("%d requests after %s", n, why)
	}
}

// answer answers all workers that have asked.
func (b *bench) answer(workers int, w wire.Work) {
	b.t.Helper()
	w.Plan = plan.ID()
	for range workers {
		r, _ := b.next()
		reply(b.t, r, w.Encode())
	}
}

// A mapper whose pauses are the longest asks as soon as a fetcher says hello, or its
// own connection is back.
func TestHello(t *testing.T) {
	for name, test := range map[string]struct{ away, back func(*bench) }{
		"fetcher":    {func(b *bench) { b.stop() }, func(b *bench) { b.stop = b.serve(); b.hello(1) }},
		"connection": {func(b *bench) { b.conn.Disconnect() }, func(b *bench) { b.conn.Reconnect() }},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, mapper.Config{Transform: "users", Workers: 3}, func(_ *testing.T, b *bench) {
				for range 5 { // that all workers ask by themselves just then happens once in a thousand
					test.away(b)
					pass(time.Minute)
					for len(b.nexts) > 0 {
						<-b.nexts
					}
					test.back(b)
					b.soon(3)
				}
			})
		})
	}
}

// A worker whose last answer was a refusal, or that the job is done, asks again at a hello.
func TestHello_pauses(t *testing.T) {
	for _, status := range []wire.WorkStatus{wire.WorkDone, wire.WorkRefused} {
		t.Run(string(status), func(t *testing.T) {
			run(t, mapper.Config{Transform: "users", Workers: 1}, func(_ *testing.T, b *bench) {
				for range 10 { // the pauses become the longest
					b.answer(1, wire.Work{Status: status, Epoch: 3})
				}
				b.quiet(500*time.Millisecond, "an answer")
				b.hello(4)
				b.soon(1)
			})
		})
	}
}

// A request waits at a fetcher that has died. The hello of the next one ends the wait,
// and tells that one at once what the mapper holds. A hello of the same fetcher does not:
// it still has the request.
func TestHello_restarted(t *testing.T) {
	run(t, mapper.Config{Transform: "users?duration=1h", Workers: 2}, func(t *testing.T, b *bench) {
		r, _ := b.next()
		reply(t, r, work(7).Encode())
		_, open := b.next()
		b.hello(3)
		b.quiet(time.Second, "a hello of the fetcher that has the request")
		b.heard()
		b.hello(4)
		if beats := b.heard(); len(beats) == 0 || !slices.Equal(beats[0].Held, whole(7)) {
			t.Errorf("beats at the hello: %+v, want one that lists chunk 7", beats)
		}
		if n := b.soon(1); n.Epoch != 3 || slices.Contains(n.Asking, open.Seq) {
			t.Errorf("asks with %+v, want epoch 3, of which it has work, and request %d closed", n, open.Seq)
		}
	})
}

// A hello of an older fetcher than the one that has answered is nothing, unless that
// was long ago: then the sink was begun anew.
func TestHello_oldEpoch(t *testing.T) {
	run(t, mapper.Config{Transform: "users", Workers: 1}, func(_ *testing.T, b *bench) {
		b.answer(1, wire.Work{Status: wire.WorkDone, Epoch: 3})
		b.hello(2)
		b.quiet(time.Second, "a hello from an older epoch")
		b.hello(3)
		b.soon(1)
		pass(12 * time.Second) // no answer
		for len(b.nexts) > 0 {
			<-b.nexts
		}
		b.answer(1, wire.Work{Status: wire.WorkDone, Epoch: 1})
		b.hello(1)
		b.soon(1)
	})
}

// Hellos of any content and number cause at most one request a second. A
// true one in the flood is followed a second later.
func TestHello_flood(t *testing.T) {
	const seconds = 10
	run(t, mapper.Config{Transform: "users", Workers: 1}, func(t *testing.T, b *bench) {
		b.answer(1, wire.Work{Status: wire.WorkNone, Epoch: 3})
		b.next()
		asked := 0
		for i := range 1000 * seconds {
			b.hello(uint64(10 + i)) // each ends the wait, if it is followed
			b.publish(wire.Message{Body: []byte(fmt.Sprint(i))})
			pass(time.Millisecond)
			for len(b.nexts) > 0 {
				<-b.nexts
				asked++
			}
		}
		if asked < 1 || asked > seconds+1 {
			t.Errorf("%d requests within %d s, want at most one a second", asked, seconds)
		}
		b.answer(1, wire.Work{Status: wire.WorkDone, Epoch: 3})
		b.hello(4)
		if _, n := b.next(); n.Seq == 0 {
			t.Error("no request after the flood")
		}
		b.cancel()
		<-b.done
		if n := strings.Count(b.log.String(), "could not read a hello"); n == 0 || n > 20 {
			t.Errorf("%d log lines about malformed hellos, want some, but no flood", n)
		}
	})
}
