package main

import (
	"strings"
	"testing"
)

// TestHelpSaysKeyOrder: who asks for help about -m meets the rule on the order
// of keys, with its example, before any flag. The example is true.
func TestHelpSaysKeyOrder(t *testing.T) {
	t.Parallel()
	for _, c := range [][]string{{"run", "-h"}, {"dead", "retry", "-h"}} {
		help := must(t, 0, c...).stdout
		rule, flags := strings.Index(help, "in the order of their keys"), strings.Index(help, "Flags:")
		if rule < 0 || rule > flags || !strings.Contains(help, `{"b":2,"a":1} | [.[]] | @csv is "1,2"`) {
			t.Errorf("%v does not say it before its flags:\n%s", c, help)
		}
	}
	dir := t.TempDir()
	in, out := write(t, dir+"/k.jsonl", `{"b":2,"a":1}`+"\n"), dir+"/k.out"
	must(t, 0, "run", "-i", in, "-o", out, "-m", "[.[]] | @csv")
	wantFile(t, out, "\"1,2\"\n")
	must(t, 0, "run", "-i", in, "-o", out+"2", "-m", "[.b, .a] | @csv")
	wantFile(t, out+"2", "\"2,1\"\n")
}
