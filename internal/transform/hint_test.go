package transform

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
)

// An error says why, where a person would not find it in a minute.
func TestExecErrorsNameTheCause(t *testing.T) {
	t.Parallel()
	// Under nohup children would ignore the signal, too; a signal that is caught is as usual for them.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	t.Cleanup(func() { signal.Stop(hangups) })
	for _, c := range []struct{ name, script, want string }{
		{"banner", `echo Loading model; while read -r l; do echo "$l"; done`, `the program answered "Loading model", which is not JSON; it is the first line of the process: does it print one when it starts?`},
		{"several lines of one value", `while read -r l; do echo "{"; echo "}"; done`, "does it print a value over several lines?"},
		{"several values", `while read -r l; do printf "1\n2\n"; done`, "more than one line; print one for each object: an array, which a second job unpacks with -m '.[]', or use a jq program (-m)"},
		{"wants a terminal", `read -r l; echo "cannot open /dev/tty" >&2; exit 1`, "it has no terminal"},
		{"ended by its terminal", `read -r l; kill -HUP $$`, "it has no terminal"},
		{"not found", `no-such-program-at-all`, "a shell exits with 127 if it does not find a program"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			out := mustRun(t, mustNew(t, "exec:sh -c '"+c.script+"'"), body(`1`), nil, Options{})
			wantFailed(t, out, 0, c.want)
		})
	}
}

// A program has no terminal that could stop or end it.
func TestExecHasNoTerminal(t *testing.T) {
	t.Parallel()
	wantLines(t, mustRun(t, newFake(t, false), wishes(wish{Do: "sid"}), nil, Options{}), "true")
}

// A script without a first line that names its interpreter.
func TestExecScriptWithoutInterpreter(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "map")
	if err := os.WriteFile(path, []byte("cat\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := Run(t.Context(), mustNew(t, fmt.Sprintf("exec:%q", []string{path})), body(`1`), nil, Options{})
	wantError(t, err, ErrBroken, "a script without #! in its first line: use sh FILE")
}

// A script that may not be executed.
func TestParseScriptWithoutPermission(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "map.py")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Parse("exec:" + path)
	wantError(t, err, ErrSettings, "make it executable (chmod +x), or start its interpreter: exec:python3 FILE")
}

// Objects with several answers cost no process each.
func TestExecSeveralAnswersKeepTheProcess(t *testing.T) {
	t.Parallel()
	p := newFake(t, false)
	out := mustRun(t, p, wishes(wish{ID: 0}, wish{ID: 1, Do: "two"}, wish{ID: 2, Do: "two"}, wish{ID: 3}), nil, Options{})
	wantLines(t, out, `{"id":0}`, `{"id":3}`)
	wantFailed(t, out, 1, "more than one line", 2, "more than one line")
	if p.failed > 0 {
		t.Errorf("%d processes were put away", p.failed)
	}
}
