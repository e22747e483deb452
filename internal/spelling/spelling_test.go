package spelling

import "testing"

func TestHint(t *testing.T) {
	t.Parallel()
	settings := []string{"table", "columns", "key", "mode"}
	for word, want := range map[string]string{
		"colums": ": did you mean columns? ", "Columns": ": did you mean columns? ", "tabel": ": did you mean table? ", "keys": ": did you mean key? ",
		"col": ": did you mean columns? ", "x": "; ", "sslmode": "; ", "format": "; ",
	} {
		if got := Hint(word, settings); got != want {
			t.Errorf("%s: %q, want %q", word, got, want)
		}
	}
	if got := Hint("x", []string{"map", "job"}); got != "; " {
		t.Errorf("x: %q", got)
	}
}

func TestDistance(t *testing.T) {
	t.Parallel()
	for pair, want := range map[[2]string]int{{"", "abc"}: 3, {"abc", ""}: 3, {"abc", "abc"}: 0, {"abc", "acb"}: 1, {"abc", "abd"}: 1, {"kitten", "sitting"}: 3} {
		if got := Distance(pair[0], pair[1]); got != want {
			t.Errorf("%q: %d, want %d", pair, got, want)
		}
	}
}
