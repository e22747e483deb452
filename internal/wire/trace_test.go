package wire

import (
	"strings"
	"testing"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/report"
)

// TestTrace: the place in a trace travels with a chunk and its result; what
// cannot travel, or is too long, is not there, and never an error.
func TestTrace(t *testing.T) {
	t.Parallel()
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for name, test := range map[string]struct{ sent, want Trace }{
		"none":          {},
		"parent":        {Trace{Parent: parent}, Trace{Parent: parent}},
		"both":          {Trace{parent, "v=x"}, Trace{parent, "v=x"}},
		"state alone":   {Trace{State: "v=x"}, Trace{}},
		"two lines":     {Trace{parent + "\r\nEvil: x", "v=x"}, Trace{}},
		"strange state": {Trace{parent, "v=\x00"}, Trace{Parent: parent}},
		"long":          {Trace{strings.Repeat("0", 200), "v=x"}, Trace{}},
		"long state":    {Trace{parent, strings.Repeat("v", 600)}, Trace{Parent: parent}},
	} {
		c := chunk.Chunk{Count: 1, Body: []byte("1\n")}
		token := strings.Repeat("0", 2*tokenSize)
		plan := chunk.PlanID(strings.Repeat("0", 32))
		work := Work{Status: WorkChunk, Plan: plan, Chunk: c, Digest: c.Digest(), Attempt: 1, Token: token, Trace: test.sent}.Encode()
		save := Save{
			Plan: plan, Objects: 1, Attempt: 1, Digest: c.Digest(), Token: token, Mapper: report.Mapper{ID: "m"}, Counts: []int{1}, Outputs: c.Body, Trace: test.sent,
		}.Encode()
		for _, m := range []Message{work, save} {
			if err := m.Header.check(); err != nil {
				t.Errorf("%s: cannot be sent: %v", name, err)
			}
			if _, has := m.Header[keyTraceParent]; has != (test.want.Parent != "") {
				t.Errorf("%s: sends %q", name, m.Header)
			}
		}
		w, err := DecodeWork(work)
		if err != nil || w.Trace != test.want {
			t.Errorf("%s: a chunk comes with %q, %v; want %q", name, w.Trace, err, test.want)
		}
		s, err := DecodeSave(save)
		if err != nil || s.Trace != test.want {
			t.Errorf("%s: a result comes with %q, %v; want %q", name, s.Trace, err, test.want)
		}
	}
	// What others send is as little trusted.
	m := Work{Status: WorkChunk, Plan: chunk.PlanID(strings.Repeat("0", 32)), Attempt: 1, Token: strings.Repeat("0", 2*tokenSize)}
	m.Chunk = chunk.Chunk{Count: 1, Body: []byte("1\n")}
	m.Digest = m.Chunk.Digest()
	encoded := m.Encode()
	encoded.Header[keyTraceParent] = strings.Repeat("x", 1000)
	if w, err := DecodeWork(encoded); err != nil || w.Trace != (Trace{}) {
		t.Errorf("took %q, %v", w.Trace, err)
	}
}

// TestTraceFree: a job without traces pays nothing for their headers.
func TestTraceFree(t *testing.T) {
	write, read := writing(), reading(Header{KeyProtocol: Protocol})
	var none Trace
	allocs := 1.0
	for range 10 { // what else this process does is counted, too, but not each time
		allocs = min(allocs, testing.AllocsPerRun(100, func() { none.fields(write); none.fields(read) }))
	}
	if allocs != 0 {
		t.Errorf("%g allocations for no trace, want 0", allocs)
	}
}
