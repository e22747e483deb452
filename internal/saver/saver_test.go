package saver_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/bus/bustest"
	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/saver"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/wire"
	"github.com/chunkline/chunkline/test/sim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const job = "saver"

var plan = chunk.Plan{Source: "a", Size: 2, Bytes: 100, Format: chunk.FormatVersion}

// bench is a saver under test, whose peers the test plays.
type bench struct {
	t      *testing.T
	net    *bustest.Memory
	sink   *sim.Sink
	saver  *saver.Saver
	peer   *bus.Bus // fetcher and mappers
	cancel context.CancelFunc
	crash  func() // closes its connection
	done   chan error
	gate   chan struct{} // delays commits; see gated

	mu        sync.Mutex
	confirmed [][]chunk.ID // guarded by mu; the chunks of each confirmation
	silent    int          // guarded by mu; confirmations to leave without an answer
	from      string       // guarded by mu; the mapper that sends the results
}

// gated makes each commit wait for the test.
func gated(b *bench) error { <-b.gate; return nil }

// run runs a saver in a bubble, whose sink is claimed if claimed is true.
func run(t *testing.T, claimed bool, onCommit func(*bench) error, test func(t *testing.T, b *bench)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &bench{t: t, net: bustest.NewMemory(bustest.Options{}), sink: sim.NewSink(), from: "m1", done: make(chan error, 1), gate: make(chan struct{})}
		if onCommit != nil {
			b.sink.OnCommit = func([]sink.Result) error { return onCommit(b) }
		}
		if claimed {
			if _, err := b.sink.Claim(t.Context(), plan, "f1"); err != nil {
				t.Fatal(err)
			}
		}
		own, peer := b.net.Connect("saver"), b.net.Connect("peer")
		defer own.Close()
		defer peer.Close()
		b.peer, b.crash = bus.New(peer, job), own.Crash
		b.saver = saver.New(bus.New(own, job), b.sink, zerolog.Nop())
		ctx, cancel := context.WithCancel(t.Context())
		b.cancel = cancel
		go func() { b.done <- b.saver.Run(ctx); close(b.done) }()
		defer func() { cancel(); <-b.done }()
		stop, err := b.peer.Serve(bus.Service{Name: "fetcher", Version: "1.0.0", Endpoints: []bus.Endpoint{
			{Verb: wire.VerbSaved, Handle: b.hearSaved},
		}})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = stop(t.Context()) }()
		synctest.Wait()
		test(t, b)
	})
}

func (b *bench) hearSaved(r *bus.Request) {
	saved, err := wire.DecodeSaved(b.sink.Key(), r.Message)
	if err != nil {
		b.t.Errorf("confirmation: %v", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var ids []chunk.ID
	for _, c := range saved.Pieces {
		ids = append(ids, c.ID)
		if want := result(c.ID); c.Digest != want.Digest || c.Mapper != b.from {
			b.t.Errorf("confirmed %+v, want digest %s and mapper %s", c, want.Digest, b.from)
		}
	}
	b.confirmed = append(b.confirmed, ids)
	if b.silent > 0 {
		b.silent--
		return
	}
	if err := r.Reply(wire.SavedAnswer{Plan: saved.Plan}.Encode()); err != nil {
		b.t.Errorf("answer a confirmation: %v", err)
	}
}

// wantConfirmed compares the chunks of the confirmations so far.
func (b *bench) wantConfirmed(want ...[]chunk.ID) {
	b.t.Helper()
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.EqualFunc(b.confirmed, want, slices.Equal) {
		b.t.Errorf("confirmed %v, want %v", b.confirmed, want)
	}
}

// message is a message with one result.
type message struct {
	wire.Save
	wire.Result
}

func (m message) Encode() wire.Message {
	m.Results = []wire.Result{m.Result}
	return m.Save.Encode()
}

// result returns a good result of a chunk.
func result(id chunk.ID) message {
	body := fmt.Appendf(nil, "{\"a\":%d}\n{\"b\":%d}\n", id, id)
	return sign(message{
		Save: wire.Save{Plan: plan.ID(), Epoch: 1, Mapper: report.Mapper{ID: "m1", Name: "m", Version: "v"}},
		Result: wire.Result{
			Chunk: id, First: 2 * uint64(id), Objects: 2, Of: 2, Attempt: 1, Digest: chunk.Sum(body), Counts: []int{1, 1}, Outputs: body,
		},
	})
}

// cut reduces a result of a whole chunk to the objects from <= index < to.
func (m *message) cut(from, to int) {
	lines := bytes.SplitAfter(m.Outputs, []byte{'\n'})
	m.From, m.First, m.Objects = from, m.First+uint64(from), to-from
	m.Counts, m.Outputs = m.Counts[from:to], bytes.Join(lines[from:to], nil)
}

// together returns one message with the results of several.
func together(messages ...message) wire.Message {
	save := messages[0].Save
	for _, m := range messages {
		save.Results = append(save.Results, m.Result)
	}
	return save.Encode()
}

// wantEach sends results in one message and compares the status of each.
func (b *bench) wantEach(m wire.Message, want ...wire.SaveStatus) {
	b.t.Helper()
	if a := <-b.send(m); !slices.Equal(a.Statuses, want) {
		b.t.Errorf("results were answered %+v, want %v", a, want)
	}
}

// sign gives a result its correct token.
func sign(m message) message { return signIn(m, 0) }

// signIn is sign for a lease in a term of the mapper's version.
func signIn(m message, term uint64) message {
	unbound := sim.NewSink()
	grant, _ := unbound.Claim(context.Background(), plan, "f1") // every sim.Sink has the same key
	m.Token = wire.Lease{Plan: m.Plan, Piece: m.Piece(), Of: m.Of, First: m.First, Digest: m.Digest, Term: term}.Token(grant.Key)
	return m
}

// send sends a result, and returns a channel of its answer.
func (b *bench) send(m wire.Message) <-chan wire.SaveAnswer {
	answer := make(chan wire.SaveAnswer, 1)
	go func() {
		defer close(answer)
		ctx, cancel := context.WithTimeout(b.t.Context(), time.Minute)
		defer cancel()
		reply, err := b.peer.Request(ctx, wire.VerbSave, m)
		if err != nil {
			return
		}
		if a, err := wire.DecodeSaveAnswer(reply); err == nil {
			answer <- a
		}
	}()
	return answer
}

// want sends a result and compares the answer.
func (b *bench) want(s message, want wire.SaveStatus) {
	b.t.Helper()
	if a := <-b.send(s.Encode()); a.Of(0) != want || (want == wire.SaveRefused || want == wire.SaveBusy) && a.Reason == "" {
		b.t.Errorf("result of chunk %d was answered %+v, want %s", s.Chunk, a, want)
	}
}

func (b *bench) wantCommits(want ...[]chunk.ID) {
	b.t.Helper()
	if got := b.sink.Groups(); !slices.EqualFunc(got, want, slices.Equal) {
		b.t.Errorf("committed %v, want %v", got, want)
	}
}

func TestSave(t *testing.T) {
	run(t, true, nil, func(t *testing.T, b *bench) {
		b.want(result(0), wire.SaveCommitted)
		b.wantConfirmed([]chunk.ID{0})
		b.want(result(1), wire.SaveCommitted)
		b.wantConfirmed([]chunk.ID{0}, []chunk.ID{1})
		b.want(result(0), wire.SaveDuplicate) // and confirmed again: the first confirmation may be lost
		b.wantConfirmed([]chunk.ID{0}, []chunk.ID{1}, []chunk.ID{0})
		other := result(1)
		other.Attempt, other.Epoch, other.Mapper.ID = 7, 9, "m2" // of any mapper, however late
		b.mu.Lock()
		b.from = "m2"
		b.mu.Unlock()
		b.want(other, wire.SaveDuplicate)
		b.wantConfirmed([]chunk.ID{0}, []chunk.ID{1}, []chunk.ID{0}, []chunk.ID{1})
		got, _ := b.sink.Result(0)
		if string(got.Outputs) != string(result(0).Outputs) || got.First != 0 || got.Mapper != "m" || got.Version != "v" {
			t.Errorf("sink holds %+v", got)
		}
	})
}

func TestRefused(t *testing.T) {
	spoil := map[string]func(*message){
		"no token":       func(s *message) { s.Token = "00000000000000000000000000000000" },
		"other chunk":    func(s *message) { s.Chunk++ },
		"other ordinals": func(s *message) { s.First++ },
		"other digest":   func(s *message) { s.Digest[0]++ },
		"other count": func(s *message) {
			s.Objects, s.Of, s.Counts = 3, 3, []int{1, 1, 0}
		},
		"first object only": func(s *message) { s.cut(0, 1) },
		"larger chunk":      func(s *message) { s.Of = 3 },
		"other plan":        func(s *message) { s.Plan = chunk.Plan{Source: "b"}.ID(); *s = sign(*s) },
	}
	for name, change := range spoil {
		t.Run(name, func(t *testing.T) {
			run(t, true, nil, func(_ *testing.T, b *bench) {
				s := result(4)
				change(&s)
				b.want(s, wire.SaveRefused)
				b.wantCommits()
				b.wantConfirmed()
			})
		})
	}
	t.Run("unclaimed sink", func(t *testing.T) {
		run(t, false, nil, func(_ *testing.T, b *bench) { b.want(result(0), wire.SaveRefused) })
	})
	t.Run("conflict", func(t *testing.T) {
		run(t, true, nil, func(_ *testing.T, b *bench) {
			b.want(result(0), wire.SaveCommitted)
			s := result(0)
			s.Digest[3]++
			b.want(sign(s), wire.SaveRefused)
			b.wantConfirmed([]chunk.ID{0}) // no confirmation of the refused result
		})
	})
	t.Run("malformed", func(t *testing.T) {
		run(t, true, nil, func(t *testing.T, b *bench) {
			m := result(0).Encode()
			delete(m.Header, "Chunkline-Mapper")
			if a := <-b.send(m); a.Of(0) != wire.SaveRefused {
				t.Errorf("answered %+v, want refused", a)
			}
		})
	})
}

// TestRefused_letters: dead letters that a database could not store would end the saver. They are refused.
func TestRefused_letters(t *testing.T) {
	letter := func(ordinal uint64) string {
		return string(chunk.DeadLetter{Ordinal: ordinal, Chunk: 4, Error: "x", Object: []byte("1")}.Append(nil))
	}
	for name, test := range map[string]struct {
		letters []string
		counts  []int
	}{
		"no JSON":             {[]string{"x\n"}, []int{0, 1}},
		"no ordinal":          {[]string{"{}\n"}, []int{0, 1}},
		"no UTF-8":            {[]string{strings.Replace(letter(8), "x", "\xff", 1)}, []int{0, 1}},
		"of the piece before": {[]string{letter(7)}, []int{0, 1}},
		"of the piece behind": {[]string{letter(10)}, []int{0, 1}},
		"with an output":      {[]string{letter(9)}, []int{0, 1}},
		"twice":               {[]string{letter(8), letter(8)}, []int{0, 0}},
		"not in order":        {[]string{letter(9), letter(8)}, []int{0, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, true, nil, func(_ *testing.T, b *bench) {
				s := result(4)
				s.Counts, s.Dead, s.DeadCount, s.Outputs = test.counts, []byte(strings.Join(test.letters, "")), len(test.letters), nil
				if test.counts[1] == 1 {
					s.Outputs = []byte("{}\n")
				}
				b.want(s, wire.SaveRefused)
				b.wantCommits()
				b.wantConfirmed()
			})
		})
	}
}

// TestCorrupt: a result that was damaged on the way is answered busy, so that it is sent again.
func TestCorrupt(t *testing.T) {
	run(t, true, nil, func(t *testing.T, b *bench) {
		m := result(0).Encode()
		m.Body = slices.Clone(m.Body)
		m.Body[3] ^= 1
		if a := <-b.send(m); a.Of(0) != wire.SaveBusy {
			t.Errorf("answered %+v, want busy", a)
		}
		b.wantCommits()
		b.want(result(0), wire.SaveCommitted)
	})
}

// TestGroupCommit: results that arrive during a commit form the next group.
func TestGroupCommit(t *testing.T) {
	run(t, true, gated, func(t *testing.T, b *bench) {
		first := b.send(result(0).Encode())
		synctest.Wait()
		var rest []<-chan wire.SaveAnswer
		for _, id := range []chunk.ID{3, 1, 2, 1} {
			rest = append(rest, b.send(result(id).Encode()))
			synctest.Wait()
		}
		select {
		case a := <-first:
			t.Fatalf("answered %+v before the commit has returned", a)
		default:
		}
		b.gate <- struct{}{}
		if a := <-first; a.Of(0) != wire.SaveCommitted {
			t.Errorf("first was answered %+v", a)
		}
		b.wantConfirmed([]chunk.ID{0})
		b.gate <- struct{}{}
		for i, answer := range rest {
			want := wire.SaveCommitted
			if i == 3 {
				want = wire.SaveDuplicate
			}
			if a := <-answer; a.Of(0) != want {
				t.Errorf("result %d of the group was answered %+v, want %s", i, a, want)
			}
		}
		b.wantCommits([]chunk.ID{0}, []chunk.ID{3, 1, 2, 1})
		b.wantConfirmed([]chunk.ID{0}, []chunk.ID{1, 2, 3})
	})
}

// TestSeveral: the results of a message are committed together, and each has its own status. A refused result
// does not affect the others.
func TestSeveral(t *testing.T) {
	run(t, true, nil, func(t *testing.T, b *bench) {
		forged := result(1)
		forged.Token = result(2).Token
		b.wantEach(together(result(0), forged, result(2)), wire.SaveCommitted, wire.SaveRefused, wire.SaveCommitted)
		b.wantCommits([]chunk.ID{0, 2})
		b.wantConfirmed([]chunk.ID{0, 2})
		b.wantEach(together(forged, result(0), result(3)), wire.SaveRefused, wire.SaveDuplicate, wire.SaveCommitted)
		b.wantConfirmed([]chunk.ID{0, 2}, []chunk.ID{0, 3})
		b.wantEach(together(forged, forged), wire.SaveRefused, wire.SaveRefused)
		b.wantCommits([]chunk.ID{0, 2}, []chunk.ID{0, 3}) // none of those reached the sink
		if _, there := b.sink.Result(1); there {
			t.Error("the sink holds a refused result")
		}
	})
}

// TestOverlap: a late result of another cut of a chunk is refused as a whole if some of its objects are saved,
// and a duplicate if all are.
func TestOverlap(t *testing.T) {
	run(t, true, nil, func(t *testing.T, b *bench) {
		first, second := result(4), result(4)
		first.cut(0, 1)
		second.cut(1, 2)
		b.wantEach(together(sign(first), result(5)), wire.SaveCommitted, wire.SaveCommitted)
		b.wantConfirmed([]chunk.ID{4, 5})
		b.wantEach(together(result(4), result(6)), wire.SaveRefused, wire.SaveCommitted)
		b.wantConfirmed([]chunk.ID{4, 5}, []chunk.ID{6})
		if got := b.sink.Pieces(4); len(got) != 1 || got[0].From != 0 || got[0].Objects != 1 || string(got[0].Outputs) != string(first.Outputs) {
			t.Errorf("the sink holds %+v of chunk 4, want its first object", got)
		}
		b.want(sign(second), wire.SaveCommitted)
		b.wantConfirmed([]chunk.ID{4, 5}, []chunk.ID{6}, []chunk.ID{4})
		b.want(result(4), wire.SaveDuplicate)
		if got, complete := b.sink.Result(4); !complete || string(got.Outputs) != string(result(4).Outputs) {
			t.Errorf("the sink holds %+v of chunk 4", got)
		}
		b.wantConfirmed([]chunk.ID{4, 5}, []chunk.ID{6}, []chunk.ID{4}, []chunk.ID{4})
	})
}

// TestSeveral_busy: with a full sink all valid results of a message are answered busy, and invalid ones are refused
// at once. When the message is sent again, results that were saved meanwhile are duplicates.
func TestSeveral_busy(t *testing.T) {
	full := true
	run(t, true, func(*bench) error {
		if full {
			return sink.ErrFull
		}
		return nil
	}, func(_ *testing.T, b *bench) {
		forged := result(9)
		forged.Digest[0]++
		m := together(result(0), forged, result(1))
		b.wantEach(m, wire.SaveBusy, wire.SaveRefused, wire.SaveBusy)
		b.wantConfirmed()
		full = false
		b.want(result(1), wire.SaveCommitted)
		b.wantConfirmed([]chunk.ID{1})
		b.wantEach(m, wire.SaveCommitted, wire.SaveRefused, wire.SaveDuplicate)
		b.wantConfirmed([]chunk.ID{1}, []chunk.ID{0, 1})
	})
}
