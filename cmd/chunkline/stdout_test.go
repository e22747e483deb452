package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chunkline/chunkline/internal/app"
)

// echo is a service that answers with the number in an object, after wait has returned.
func echo(t *testing.T, wait func(n int)) (url string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			return // the job was stopped
		}
		n, err := strconv.Atoi(strings.Trim(string(text), "{\"n:}\n"))
		if err != nil {
			t.Errorf("asked for %q", text)
		}
		wait(n)
		_, _ = io.WriteString(w, strconv.Itoa(n))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// runTo runs a command with w as its standard output.
func runTo(ctx context.Context, w io.Writer, args ...string) result {
	var stderr strings.Builder
	c := command() //nolint:contextcheck // cobra hands the context to the command
	c.SetArgs(args)
	c.SetIn(strings.NewReader(""))
	c.SetOut(w)
	c.SetErr(&stderr)
	err := c.ExecuteContext(ctx)
	return result{"", stderr.String(), err, app.Code(err)}
}

// TestRunStdout: -o - writes exactly what would be in the output file, in its order, and nothing else, although later
// objects are done before earlier ones. The report is on standard error.
func TestRunStdout(t *testing.T) {
	t.Parallel()
	const n = 200
	dir := t.TempDir()
	objects, values := numbers(n)
	in, work := write(t, filepath.Join(dir, "in"), objects), filepath.Join(dir, "work")
	last, isAsked := context.WithCancel(t.Context()) // for the last object
	defer isAsked()
	url := echo(t, func(i int) {
		switch i {
		case 0:
			<-last.Done()
		case n - 1:
			isAsked()
		}
	})
	r := must(t, 0, "run", "-i", in, "-o", "-", "--work", work, "-t", url, "-j", "4", "--chunk-size", "7")
	if r.stdout != values {
		t.Errorf("stdout has %d bytes, want %d: %.200q", len(r.stdout), len(values), r.stdout)
	}
	wantWords(t, r.stderr, "job done\n", "objects in", "standard output")
	if _, err := os.Stat(filepath.Join(work, "output.jsonl")); err == nil {
		t.Error("the outputs are in a file, too")
	}
	wantWords(t, must(t, 0, "verify", "-o", work).stdout, strconv.Itoa(n)+" objects", " 0 problems")
}

// TestRunStdout_early: outputs are written while the job runs. A reader that takes none delays no object.
func TestRunStdout_early(t *testing.T) {
	t.Parallel()
	const n = 100
	objects, values := numbers(n)
	in := write(t, filepath.Join(t.TempDir(), "in"), objects)
	for name, slow := range map[string]bool{"while the job runs": false, "slow reader": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first := make(chan struct{})
			last, isAsked := context.WithCancel(t.Context()) // for the last object
			defer isAsked()
			work := filepath.Join(t.TempDir(), "work")
			url := echo(t, func(i int) {
				switch {
				case i < n-1:
				case slow:
					isAsked()
				default:
					<-first // the job cannot end before the first output was read
				}
			})
			out, stdout := io.Pipe()
			ended := make(chan result, 1)
			go func() {
				r := runTo(t.Context(), stdout, "run", "-i", in, "-o", "-", "--work", work, "-t", url, "--chunk-size", "5")
				_ = stdout.Close()
				ended <- r
			}()
			if slow {
				<-last.Done() // all objects are asked for, and no output was read
			}
			lines := bufio.NewReader(out)
			line, err := lines.ReadString('\n')
			close(first)
			rest, more := io.ReadAll(lines)
			if err := errors.Join(err, more); err != nil || line+string(rest) != values {
				t.Errorf("%v: read %q", err, line+string(rest))
			}
			r := <-ended
			r.want(t, 0)
		})
	}
}

// TestRunStdout_again: with the same work folder a second run writes all outputs again and maps nothing. dead retry puts
// new outputs in their places. A run with another input writes nothing.
func TestRunStdout_again(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	objects, values := numbers(40)
	in, work := write(t, filepath.Join(dir, "in"), objects), filepath.Join(dir, "work")
	var asked atomic.Int64
	url := echo(t, func(int) { asked.Add(1) })
	args := []string{"run", "-i", in, "-o", "-", "--work", work, "--chunk-size", "3", "-t"}
	for range 2 {
		if r := must(t, 0, append(args, url)...); r.stdout != values {
			t.Errorf("stdout %q, want %q", r.stdout, values)
		}
	}
	if asked.Load() != 40 {
		t.Errorf("mapped %d objects, want 40", asked.Load())
	}
	r := must(t, 1, "run", "-i", write(t, filepath.Join(dir, "other"), objects), "-o", "-", "--work", work, "--chunk-size", "3", "-t", url)
	wantWords(t, r.err.Error(), "another plan", "remove the folder "+work+" (40 objects are saved in it)", "another --work")
	if r.stdout != "" {
		t.Errorf("a run with another input writes %q", r.stdout)
	}

	args[6] = filepath.Join(dir, "with-dead-letters")
	r = must(t, 4, append(args, "jq:if .n == 7 then error else .n end")...)
	if want := strings.Replace(values, "\n7\n", "\n", 1); r.stdout != want {
		t.Errorf("stdout %q, want %q", r.stdout, want)
	}
	wantWords(t, r.stderr, "dead letters  1", filepath.Join(args[6], "dead.jsonl"))
	wantWords(t, must(t, 0, "dead", "list", "-o", args[6]).stdout, `"object":{"n":7}`)
	must(t, 0, "dead", "retry", "-o", args[6], "-m", ".n")
	wantWords(t, must(t, 0, "verify", "-o", args[6]).stdout, " 0 problems")
	if r := must(t, 0, append(args, "jq:.n")...); r.stdout != values {
		t.Errorf("after dead retry stdout is %q, want %q", r.stdout, values)
	}
}

// TestRunStdout_temporary: without --work the folder is temporary. It stays only if there are dead letters or the job is
// not done, and then the message says how to use it.
func TestRunStdout_temporary(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	folders := func(want int) (path string) {
		t.Helper()
		entries, err := os.ReadDir(temp)
		if err != nil || len(entries) != want {
			t.Fatalf("%v; there are %d temporary folders, want %d", err, len(entries), want)
		}
		if want == 0 {
			return ""
		}
		return filepath.Join(temp, entries[0].Name())
	}
	objects, values := numbers(1000)
	in := write(t, filepath.Join(t.TempDir(), "in"), objects)
	if r := must(t, 0, "run", "-i", in, "-o", "-", "-m", ".n"); r.stdout != values {
		t.Errorf("stdout has %d bytes, want %d", len(r.stdout), len(values))
	}
	must(t, 2, "run", "-i", "nowhere", "-o", "-", "-m", ".n")
	folders(0)

	r := must(t, 4, "run", "-i", in, "-o", "-", "-m", "if .n == 7 then error else .n end")
	work := folders(1)
	wantWords(t, r.stderr, work+" has the dead letters: 'chunkline dead list -o "+work+"'")
	wantWords(t, must(t, 0, "dead", "list", "-o", work).stdout, `"object":{"n":7}`)
	if err := os.RemoveAll(work); err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	args := []string{"run", "-i", in, "-o", "-", "--chunk-size", "10", "-t", echo(t, func(n int) {
		if n == 500 {
			cancel()
		}
	})}
	r = chunklineWith(ctx, strings.NewReader(""), args...)
	r.want(t, 130)
	if !strings.HasPrefix(values, r.stdout) {
		t.Errorf("a stopped job has written %q", r.stdout)
	}
	work = folders(1)
	wantWords(t, r.stderr, work+" has the finished work: add --work "+work+" to continue")
	if r = must(t, 0, append(args, "--work", work)...); r.stdout != values {
		t.Errorf("continued, stdout has %d bytes, want %d", len(r.stdout), len(values))
	}
}

// TestRunStdout_refuses: contradicting flags are refused by one error, and nothing is written.
func TestRunStdout_refuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in, others := write(t, filepath.Join(dir, "in"), "1\n"), t.TempDir()
	write(t, filepath.Join(others, "letter"), "mine\n")
	for _, c := range []struct{ args, want []string }{
		{[]string{"-o", "-", "--json"}, []string{"--json", "--output -"}},
		{[]string{"-o", "-", "--force"}, []string{"--force", "nothing is replaced"}},
		{[]string{"-o", filepath.Join(dir, "out"), "--work", filepath.Join(dir, "w")}, []string{"--work is for --output -", ".chunkline"}},
		{[]string{"-o", "-", "--work", filepath.Join(dir, "w.chunkline")}, []string{"--work=", ".chunkline"}},
		{[]string{"-o", "-", "--work", others}, []string{others, "other things"}},
	} {
		r := chunkline(t, append([]string{"run", "-i", in, "-t", "identity"}, c.args...)...)
		if r.code == 0 || r.stdout != "" {
			t.Errorf("%q: exit code %d, stdout %q", c.args, r.code, r.stdout)
			continue
		}
		wantWords(t, r.err.Error(), c.want...)
	}
	wantWords(t, must(t, 2, "dead", "list", "-o", "-").err.Error(), "--work")
}

// TestRunStdout_isAnInput: the file to which the shell redirects standard output is no input.
func TestRunStdout_isAnInput(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "in.jsonl"), "1\n2\n")
	path := filepath.Join(dir, "out.jsonl")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	work := filepath.Join(t.TempDir(), "work")
	wantWords(t, runTo(t.Context(), out, "run", "-i", path, "-o", "-", "--work", work, "-t", "identity").err.Error(), "the job itself writes this file")
	r := runTo(t.Context(), out, "run", "-i", filepath.Join(dir, "*.jsonl"), "-o", "-", "--work", work, "-t", "identity")
	r.want(t, 0)
	wantFile(t, path, "1\n2\n")
}
