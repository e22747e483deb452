package main

import (
	"strings"
	"testing"

	"github.com/chunkline/chunkline/internal/report"
)

// TestStatusNotices: notices of mappers are printed under their table, each text only
// once.
func TestStatusNotices(t *testing.T) {
	t.Parallel()
	var s report.Status
	for _, name := range []string{"m1", "m2", "m3"} {
		m := report.MapperStatus{Mapper: report.Mapper{Name: name}}
		if name != "m1" {
			m.Notice = "it does not flush"
		}
		s.Mappers = append(s.Mappers, m)
	}
	text := statusText(s)
	wantWords(t, text, "\n  m2: it does not flush\n")
	if n := strings.Count(text, "it does not flush"); n != 1 {
		t.Errorf("printed %d times, want once: %s", n, text)
	}
}
