package wire

import (
	"strings"
	"testing"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/report"
)

// TestTrace: the place in a trace travels with a chunk and its result. An invalid or too long one is dropped, and is
// never an error.
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
		work := Work{Status: WorkGrant, Plan: plan, Grant: []Granted{{Chunk: c, Of: 1, Digest: c.Digest(), Attempt: 1, Token: token, Trace: test.sent}}}.Encode()
		save := Save{Plan: plan, Mapper: report.Mapper{ID: "m"}, Results: []Result{{
			Objects: 1, Of: 1, Attempt: 1, Digest: c.Digest(), Token: token, Counts: []int{1}, Outputs: c.Body, Trace: test.sent,
		}}}.Encode()
		for _, m := range []Message{work, save} {
			if has := strings.Contains(string(m.Body), "traceparent"); has != (test.want.Parent != "") {
				t.Errorf("%s: sends %q", name, m.Body)
			}
		}
		w, err := DecodeWork(work)
		if err != nil || w.Grant[0].Trace != test.want {
			t.Errorf("%s: a piece comes with %+v, %v; want %q", name, w.Grant, err, test.want)
		}
		s, err := DecodeSave(save)
		if err != nil || s.Results[0].Trace != test.want {
			t.Errorf("%s: a result comes with %+v, %v; want %q", name, s.Results, err, test.want)
		}
		// Received values are checked in the same way.
		line := pieceLine{TraceParent: test.sent.Parent, TraceState: test.sent.State}
		if got := line.trace(); got != test.want {
			t.Errorf("%s: took %q, want %q", name, got, test.want)
		}
	}
}
