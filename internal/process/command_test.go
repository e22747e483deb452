package process

import (
	"slices"
	"strings"
	"testing"
)

func TestSplitCommand(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		command string
		want    []string
	}{
		{"python3 map.py", []string{"python3", "map.py"}},
		{" \ta  b\n c ", []string{"a", "b", "c"}},
		{`a 'b c' "d e"`, []string{"a", "b c", "d e"}},
		{`a ''  ""`, []string{"a", "", ""}},
		{`a 'b'"c"d`, []string{"a", "bcd"}},
		{`a '\"' "\"" "\\" "\n"`, []string{"a", `\"`, `"`, `\`, `\n`}},
		{`a\ b c\\d \'`, []string{"a b", `c\d`, "'"}},
		{`a "it's" '"'`, []string{"a", "it's", `"`}},
		{`sh -c 'echo $HOME | cat > *'`, []string{"sh", "-c", "echo $HOME | cat > *"}},
		{`a $HOME * | b`, []string{"a", "$HOME", "*", "|", "b"}},
		{`["a b", "", "c\"d"]`, []string{"a b", "", `c"d`}},
	} {
		got, _, err := split(strings.TrimSpace(c.command))
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("split(%q): %q, %v; want %q", c.command, got, err, c.want)
		}
	}
}

func TestEnv(t *testing.T) {
	t.Parallel()
	got := Env([]string{"PATH=/bin", "NATS_URL=x", "NATS_PASSWORD=y", "TRANSFORM_TOKEN=z", "TRANSFORM_HEADERS=z", "SOURCE_TOKEN=z", "SOURCE_HEADERS=z", "CONTROL_TOKEN=z", "RESULT_TOKEN=z", "TRANSFORM=x", "SINK=postgres://u:p@h", "SINKHOLE=1", "NATSY=2", "HOME=/"})
	if want := []string{"PATH=/bin", "TRANSFORM=x", "SINKHOLE=1", "NATSY=2", "HOME=/", "PYTHONUNBUFFERED=1"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
