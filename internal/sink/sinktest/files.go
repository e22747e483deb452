package sinktest

import (
	"errors"
	"os"

	"github.com/chunkline/chunkline/internal/sink"
)

// files are the tests of kinds that merge the result into files.
var files = map[string]func(*harness){
	"a deleted output is merged again": func(h *harness) {
		h.claim(Plan("a"), "f1")
		all := Chain("one", []int{1, -1}, []int{2})
		h.commit(all, sink.Committed, sink.Committed)
		sum := h.wantFinish(all...)
		for _, path := range []string{sum.Output, sum.DeadFile} {
			if err := os.Remove(path); err != nil {
				h.Fatal(err)
			}
			h.wantFinish(all...)
		}
	},
	"a changed output is left alone": func(h *harness) {
		h.claim(Plan("a"), "f1")
		all := Chain("one", []int{1, -1}, []int{2})
		h.commit(all, sink.Committed, sink.Committed)
		sum := h.wantFinish(all...)
		for _, path := range []string{sum.Output, sum.DeadFile} {
			same, err := os.ReadFile(path)
			if err != nil {
				h.Fatal(err)
			}
			same[0] ^= 1
			for _, text := range []string{string(same), "{}\n"} {
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					h.Fatal(err)
				}
				h.shut()
				if _, err := h.open(h.T, h.where, Job); !errors.Is(err, sink.ErrForeign) {
					h.Errorf("open with another text in %s: %v, want ErrForeign", path, err)
				}
				if is, err := os.ReadFile(path); err != nil || string(is) != text {
					h.Errorf("%s holds %q now (%v), and somebody wrote %q", path, is, err, text)
				}
			}
			if err := os.Remove(path); err != nil {
				h.Fatal(err)
			}
			h.reopen()
			h.wantFinish(all...)
		}
	},
}
