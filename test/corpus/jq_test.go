//go:build long

package corpus

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// mapped is a program, an object and the expected output lines.
type mapped struct {
	program, in string
	out         []string
	dead        string // part of the dead letter's reason
}

// TestJQ: for unusual values the transform jq returns what jq -c prints, except for the
// documented differences: keys are sorted, a number that is only moved keeps its digits,
// a lone surrogate becomes U+FFFD, and the last of equal keys counts.
func TestJQ(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("7", 400)
	cases := []mapped{
		{".", `{"z":1, "a" : [ ] }`, []string{`{"a":[],"z":1}`}, ""},
		{".", `{"a":1,"a":2}`, []string{`{"a":2}`}, ""},
		{".", `{"a":1,"A":2}`, []string{`{"A":2,"a":1}`}, ""},
		{".", `{"__proto__":{"x":1},"":0}`, []string{`{"":0,"__proto__":{"x":1}}`}, ""},
		{".", `9007199254740993`, []string{`9007199254740993`}, ""},
		{".", long, []string{long}, ""},
		{". + 1", `9007199254740993`, []string{`9007199254740994`}, ""},
		{".", `1e400`, []string{`1e400`}, ""},
		{".[0]", `[1e400]`, []string{`1e400`}, ""},
		{". * 1", `1e400`, []string{`1.7976931348623157e+308`}, ""},
		{".", `-0`, []string{`-0`}, ""},
		{".", `0.10`, []string{`0.10`}, ""},
		{". + 0", `0.10`, []string{`0.1`}, ""},
		{".", `"\ud800"`, []string{"\"\ufffd\""}, ""},
		{".", `"\ud83d\ude00"`, []string{`"😀"`}, ""},
		{".", "\"\u2028\"", []string{"\"\u2028\""}, ""},
		{".", `"\u0000"`, []string{`"\u0000"`}, ""},
		{"length", `"\u0000é😀"`, []string{`3`}, ""},
		{".", `"</script>&"`, []string{`"</script>&"`}, ""},
		{"empty", `1`, nil, ""},
		{".,.", `{"a":1}`, []string{`{"a":1}`, `{"a":1}`}, ""},
		{"., error(\"no\")", `1`, nil, "no"},
		{".a", `1`, nil, "expected an object"},
		{".", nested("[", "]", 10_000), []string{nested("[", "]", 10_000)}, ""},
		{"[.]", nested("[", "]", 10_000), nil, "nested"},
		{"reduce range(20000) as $i (0; [.])", `1`, nil, "nested"},
		{"[range(100) as $i | .]", text(1000, "x"), []string{"[" + strings.TrimSuffix(strings.Repeat(text(1000, "x")+",", 100), ",") + "]"}, ""},
		{"[range(70) as $i | .]", text(1<<20, "x"), nil, "67108864"},
	}
	byProgram := map[string][]mapped{} // one job each, because starting processes takes most of the time
	for _, c := range cases {
		byProgram[c.program] = append(byProgram[c.program], c)
	}
	for program, cases := range byProgram {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			source := good // so that the input is never taken for an array
			for _, c := range cases {
				source += c.in + "\n" + good
			}
			in := filepath.Join(t.TempDir(), "in")
			if err := os.WriteFile(in, []byte(source), 0o600); err != nil {
				t.Fatal(err)
			}
			j := run(t, in, "-m", `if . == "good" then . else (`+program+`) end`)
			j.wantMapped(t, cases)
			j.verify(t)
		})
	}
}

// good is the line before and after each case, which must not be affected.
const good = "\"good\"\n"

// wantMapped checks the results of all cases and of the good objects between them.
func (j job) wantMapped(t *testing.T, cases []mapped) {
	t.Helper()
	want, outputs, dead := good, 1, map[int]mapped{} // dead by ordinal
	for i, c := range cases {
		for _, line := range c.out {
			want += line + "\n"
		}
		want += good
		outputs += len(c.out) + 1
		if c.dead != "" {
			dead[2*i+1] = c
		}
	}
	got, err := os.ReadFile(j.out)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("output %.300q, want %.300q", got, want)
	}
	letters := readDead(t, strings.TrimSuffix(j.out, ".jsonl")+".dead.jsonl")
	for _, l := range letters {
		c, is := dead[l.Ordinal]
		if !is || string(l.bytes(t)) != c.in || !strings.Contains(l.Error, c.dead) || l.Attempts < 1 {
			t.Errorf("dead letter of %d, %d attempts: %s; want %q", l.Ordinal, l.Attempts, l.Error, c.dead)
		}
	}
	code := 0
	if len(dead) > 0 {
		code = 4
	}
	if len(letters) != len(dead) || j.code != code {
		t.Errorf("exit %d, %d dead letters, want %d and %d", j.code, len(letters), code, len(dead))
	}
	if r := j.report; r.Objects != 2*len(cases)+1 || r.Outputs != outputs || r.Dead != len(dead) {
		t.Errorf("report %+v", r)
	}
}

// TestHundredfold: outputs a hundred times as large as their chunk, far larger than a
// message, are complete.
func TestHundredfold(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in := filepath.Join(dir, "in")
	var source, want strings.Builder
	for i := range 300 {
		object := fmt.Sprintf(`{"n":%d,"s":%s}`, i, text(1000, "y"))
		source.WriteString(object + "\n")
		want.WriteString(strings.Repeat(object+"\n", 100))
	}
	if err := os.WriteFile(in, []byte(source.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	j := run(t, in, "-m", "range(100) as $i | .")
	got, err := os.ReadFile(j.out)
	if err != nil || string(got) != want.String() {
		t.Errorf("output of %d bytes (%v), want %d", len(got), err, want.Len())
	}
	if j.code != 0 || j.report.Objects != 300 || j.report.Outputs != 30_000 {
		t.Errorf("exit %d, report %+v", j.code, j.report)
	}
	j.verify(t)
}
