package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestHelpSaysKeyOrder: the help of commands with -m has the rule on the order of keys,
// with its example, before any flag. The example is correct.
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

// setting returns the transform that the flags of run make of args.
func setting(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var f transformFlags
	run := &cobra.Command{Use: "run", RunE: func(*cobra.Command, []string) error { return nil }, SilenceErrors: true, SilenceUsage: true}
	f.add(run)
	run.Flags().BoolP("quiet", "q", false, "")
	root := &cobra.Command{Use: "chunkline"}
	root.AddCommand(run)
	root.SetArgs(joinPairs(root, append([]string{"run"}, args...)))
	if err := root.Execute(); err != nil {
		return "", err
	}
	spec, err := f.spec()
	return spec.String(), err
}

// TestTransformFlags: all flags about a program are part of the setting, which results
// carry, and which tells whether a job continues with the same transform.
func TestTransformFlags(t *testing.T) {
	t.Parallel()
	file := write(t, t.TempDir()+"/p.jq", "# counts\n.n +\n  1 # one more\n")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-m", "."}, "jq:."},
		{[]string{"-m."}, "jq:."},
		{[]string{"--map=."}, "jq:."},
		{[]string{"-f", file}, "jq:# counts\n.n +\n  1 # one more"},
		{[]string{"--from-file", file}, "jq:# counts\n.n +\n  1 # one more"},
		{[]string{"-m", "$a", "--arg", "a", "x"}, "jq?arg.a=x:$a"},
		{[]string{"--arg", "a", "x", "-m", "$a"}, "jq?arg.a=x:$a"},
		{[]string{"--arg", "a", "-m", "-m", "$a"}, "jq?arg.a=-m:$a"},
		{[]string{"--arg", "a", "--", "-m", "$a"}, "jq?arg.a=--:$a"},
		{[]string{"--arg", "a", "", "-m", "$a"}, "jq?arg.a=:$a"},
		{[]string{"--arg", "a", "b=c", "-m", "$a"}, "jq?arg.a=b%3Dc:$a"},
		{[]string{"--arg=a=b=c", "-m", "$a"}, "jq?arg.a=b%3Dc:$a"},
		{[]string{"--arg", "a=x", "-m", "$a"}, "jq?arg.a=x:$a"},
		{[]string{"--arg", "b", "1", "-qm", "$a + $b", "--argjson", "a", `"x"`}, "jq?arg.b=1&argjson.a=%22x%22:$a + $b"},
		{[]string{"-f", file, "--argjson", "n", `{"a": 1}`}, "jq?argjson.n=%7B%22a%22%3A+1%7D:# counts\n.n +\n  1 # one more"},
		{[]string{"-t", "jq?arg.a=x:$a"}, "jq?arg.a=x:$a"},
		{[]string{"--exec", "cat --arg a b"}, "exec:cat --arg a b"},
	} {
		if got, err := setting(t, c.args...); got != c.want || err != nil {
			t.Errorf("%q: %q, %v; want %q", c.args, got, err, c.want)
		}
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "one of --map, --from-file, --exec and --transform"},
		{[]string{"-m", ".", "-f", file}, "one of --map, --from-file, --exec and --transform"},
		{[]string{"-m", ".a", "-m", ".b"}, `"-m, --map" flag: it is given twice, first as ".a": join programs with |`},
		{[]string{"-m", "", "--map", ".b"}, `it is given twice, first as ""`},
		{[]string{"-f", file, "-f", file}, `"-f, --from-file" flag: it is given twice`},
		{[]string{"--exec", "cat", "--exec", "cat"}, `"--exec" flag: it is given twice`},
		{[]string{"-t", "users", "-t", "users"}, `"-t, --transform" flag: it is given twice`},
		{[]string{"-m", ""}, "missing query"},
		{[]string{"-f", file + "x"}, "read jq program (--from-file): open "},
		{[]string{"-m", "$a", "--arg", "a"}, `the value is missing: use NAME VALUE`},
		{[]string{"-m", "$a", "--arg", "a", "1", "--argjson", "a", "1"}, "the value $a is given twice"},
		{[]string{"-m", "$a", "--arg", "a", "1", "--arg", "a", "1"}, "the value $a is given twice"},
		{[]string{"-m", ".", "--argjson", "a", "{"}, "read JSON value of $a"},
		{[]string{"-m", ".", "--arg", "a-b", "1"}, `"a-b" is not a valid name`},
		{[]string{"--exec", "cat", "--arg", "a", "1"}, "use them with --map or --from-file"},
		{[]string{"-t", "jq:.", "--arg", "a", "1"}, "use them with --map or --from-file"},
		{[]string{"-m", "$ENV.HOME"}, "$ENV and env are not allowed"},
	} {
		if got, err := setting(t, c.args...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %q, %v; want the error %q", c.args, got, err, c.want)
		}
	}
}

// TestRunWithArgs: other argument values are another transform, with which a job does not
// continue. The order of arguments does not matter. dead retry accepts them, too.
func TestRunWithArgs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in, out := write(t, dir+"/in", "1\n2\n"), dir+"/out"
	program := write(t, dir+"/p.jq", "if . == 2 and $fail then error(\"no\") else [$tag, .] end\n")
	run := func(code int, args ...string) result {
		return must(t, code, append([]string{"run", "-i", in, "-o", out, "-f", program}, args...)...)
	}
	run(4, "--arg", "tag", "x", "--argjson", "fail", "true")
	wantFile(t, out, "[\"x\",1]\n")
	run(4, "--argjson", "fail", "true", "--arg", "tag", "x")
	if r := run(2, "--arg", "tag", "y", "--argjson", "fail", "true"); !strings.Contains(r.err.Error(), "begun with the transform jq?arg.tag=x&argjson.fail=true:if") {
		t.Errorf("another value: %v", r.err)
	}
	must(t, 0, "dead", "retry", "-o", out, "-f", program, "--arg", "tag", "z", "--argjson", "fail", "false")
	wantFile(t, out, "[\"x\",1]\n[\"z\",2]\n")
	must(t, 2, "dead", "retry", "-o", out, "-m", ".", "-m", ".")
}

// TestRunBudget: an object that would use up all memory or all stack of run becomes a dead
// letter that names the budget, and the job goes on to its end.
func TestRunBudget(t *testing.T) {
	t.Parallel()
	var objects, want strings.Builder
	for id := range 250 {
		if id != 157 {
			fmt.Fprintf(&want, "%d\n", id)
		}
		fmt.Fprintf(&objects, "{\"id\":%d}\n", id)
	}
	for _, program := range []string{`[range(2000000000)] | length`, `def f: [f]; f`} {
		dir := t.TempDir()
		in, out := write(t, dir+"/in.jsonl", objects.String()), dir+"/out.jsonl"
		must(t, 4, "run", "-i", in, "-o", out, "-t", "jq?memory=16MiB:if .id == 157 then "+program+" else .id end")
		wantFile(t, out, want.String())
		if dead := must(t, 0, "dead", "list", "-o", out).stdout; !strings.Contains(dead, `"ordinal":157`) || !strings.Contains(dead, "16 MiB of memory") {
			t.Errorf("%s: dead letters: %s", program, dead)
		}
	}
}
