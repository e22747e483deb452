package corpus

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// mapped is an object, a program, and the lines that must come out.
type mapped struct {
	program, in string
	out         []string
	dead        string // what the reason must say
}

// TestJQ: what jq makes of values at the edges is what jq -c prints, but for
// what the transform's manual says: keys are sorted, a number that is only moved
// keeps its digits, a lone surrogate becomes U+FFFD, of equal keys the last stays.
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
	for i, c := range cases {
		t.Run(fmt.Sprintf("%d %s %.20s", i, c.program, c.in), func(t *testing.T) {
			t.Parallel()
			in := filepath.Join(t.TempDir(), "in")
			// Between good objects, and never an array by itself.
			if err := os.WriteFile(in, []byte("\"first\"\n"+c.in+"\n\"last\"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			j := run(t, in, "-m", `if . == "first" or . == "last" then . else (`+c.program+`) end`)
			j.wantMapped(t, c)
			j.verify(t)
		})
	}
}

func (j job) wantMapped(t *testing.T, c mapped) {
	t.Helper()
	got, err := os.ReadFile(j.out)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Join(append(append([]string{`"first"`}, c.out...), `"last"`), "\n") + "\n"
	if string(got) != want {
		t.Errorf("output %.300q, want %.300q", got, want)
	}
	letters := readDead(t, strings.TrimSuffix(j.out, ".jsonl")+".dead.jsonl")
	switch {
	case c.dead == "":
		if len(letters) > 0 || j.code != 0 {
			t.Errorf("exit %d, dead letters %.300v", j.code, letters)
		}
	case len(letters) != 1 || j.code != 4:
		t.Errorf("exit %d, %d dead letters, want 4 and 1", j.code, len(letters))
	case letters[0].Ordinal != 1 || string(letters[0].bytes(t)) != c.in || !strings.Contains(letters[0].Error, c.dead) || letters[0].Attempts < 1:
		t.Errorf("dead letter of %d, %d attempts: %s; want %q", letters[0].Ordinal, letters[0].Attempts, letters[0].Error, c.dead)
	}
	if r := j.report; r.Objects != 3 || r.Outputs != len(c.out)+2 || r.Dead != len(letters) {
		t.Errorf("report %+v", r)
	}
}

// TestHundredfold: chunks whose outputs are a hundred times what came in, far
// beyond a message, are there whole.
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
