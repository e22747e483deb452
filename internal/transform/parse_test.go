package transform

import (
	"errors"
	"strings"
	"testing"
)

func TestParseAccepts(t *testing.T) {
	t.Parallel()
	for _, spec := range []string{
		"identity", " identity\n", "users", "users?duration=10s", "users?duration=0s", "http://h", "https://h/p?q=1#batch=10",
		"jq:.", "jq:{id: .uuid, name: (.fn + \" \" + .ln)}", "jq: .a ? // 1", "exec:cat", "exec: cat -u", `exec:cat '|' "&&"`, `exec:["cat", "|"]`, "exec:sh -c 'cat | cat; true'", "exec:env LANG=C cat", `exec:["cat"]`,
	} {
		s, err := Parse(spec)
		if err != nil {
			t.Errorf("Parse(%q): %v", spec, err)
			continue
		}
		if got, want := s.String(), strings.TrimSpace(spec); got != want {
			t.Errorf("String: %q, want %q", got, want)
		}
		if tr, err := s.New(); err != nil || tr == nil {
			t.Errorf("New(%q): %v, %v", spec, tr, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ spec, want string }{
		{"", "use identity, users, users?duration=10s, jq:PROGRAM, exec:PROGRAM ARG…, https://HOST/PATH"},
		{"yq:.", `unknown kind "yq"; use one of identity, users,`},
		{"Identity", `unknown kind "Identity"`},
		{"identity:", "identity takes no options"},
		{"identity?a=b", "identity takes no options"},
		{"users:10s", "use users or users?duration=10s"},
		{"users?delay=10s", `users has no option "delay"`},
		{"users?duration=10", `duration "10" is not a duration; use for example 10s`},
		{"users?duration=-1s", `duration "-1s" is not a duration`},
		{"users?duration=1s&duration=2s", "duration is given 2 times"},
		{"users?duration=%zz", "use users?duration=10s: "},
		{"jq", "the program is missing; use jq:PROGRAM"},
		{"jq:", "missing query"},
		{"jq:{a", "unexpected EOF at column 3"},
		{"jq:.é | }", `unexpected token "é" at column 2`},
		{"jq:.a |\n  .b | }", `unexpected token "}" at line 2, column 8`},
		{"jq:.a | foo(1)", "function not defined: foo/1"},
		{"jq:[inputs]", "input(s)/0 is not allowed"},
		{`jq:import "a" as a; .`, `cannot load module: "a"`},
		{"exec", "the program is missing; use exec:PROGRAM ARG…"},
		{"exec:", "the program is missing"},
		{"exec:[]", "the program is missing"},
		{`exec:""`, "the program is missing"},
		{`exec:["cat", 1]`, "not a JSON array of strings"},
		{"exec:cat 'a", "a quote ' is not closed"},
		{"exec:cat \\", "a backslash at the end"},
		{`exec:["cat", "a\u0000"]`, "has a zero byte"},
		{"exec:no-such-program -v", `the program "no-such-program" cannot be started: executable file not found in $PATH`},
		{"exec:cat | head", `"|" needs a shell, and none is started; use exec:sh -c '…'`},
		{"exec:cat >out.txt", `">out.txt" needs a shell`},
		{"exec:cat x; cat", `"x;" needs a shell`},
		{"exec:cat && cat", `"&&" needs a shell`},
		{"exec:LANG=C cat", `"LANG=C" sets a variable only in a shell, and none is started; use exec:env LANG=C PROGRAM`},
		{"exec:~/map", "only a shell expands ~ and $"},
		{"exec:$HOME/map", "only a shell expands ~ and $"},
		{"exec:cd /tmp", "it is a shell command"},
		{"exec:./no/such/file", `the program "./no/such/file" cannot be started`},
	} {
		_, err := Parse(c.spec)
		if !errors.Is(err, ErrSettings) {
			t.Errorf("Parse(%q): %v, want ErrSettings", c.spec, err)
			continue
		}
		if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("Parse(%q):\n%v\nwant one line with\n%s", c.spec, err, c.want)
		}
	}
}

func TestNewNeedsParse(t *testing.T) {
	t.Parallel()
	if _, err := (Spec{}).New(); !errors.Is(err, ErrSettings) {
		t.Errorf("New of the zero Spec: %v, want ErrSettings", err)
	}
}
