package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRun: the same objects have the same outputs, whatever the kind of input.
func TestRun(t *testing.T) {
	t.Parallel()
	objects, values := numbers(250)
	array := "[" + strings.ReplaceAll(strings.TrimSpace(objects), "\n", ",\n") + "]"
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := z.Write([]byte(objects)); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	first, _ := numbers(120)
	second := strings.TrimPrefix(objects, first)
	for name, c := range map[string]struct {
		files map[string]string
		stdin string
		args  []string // %DIR% is the folder
		want  string
	}{
		"jq":          {files: map[string]string{"in": objects}, args: []string{"-i", "%DIR%/in", "-m", ".n"}, want: values},
		"exec":        {files: map[string]string{"in": objects}, args: []string{"-i", "%DIR%/in", "--exec", `sed -u 's/[^0-9]//g'`}, want: values},
		"transform":   {files: map[string]string{"in": objects}, args: []string{"-i", "%DIR%/in", "-t", "identity"}, want: objects},
		"array":       {files: map[string]string{"in": array}, args: []string{"-i", "%DIR%/in", "-m", ".n"}, want: values},
		"gzip":        {files: map[string]string{"in": zipped.String()}, args: []string{"-i", "%DIR%/in", "-m", ".n"}, want: values},
		"stdin":       {stdin: objects, args: []string{"-m", ".n"}, want: values},
		"gzip, stdin": {stdin: zipped.String(), args: []string{"-i", "-", "-m", ".n"}, want: values},
		"inputs": {
			files: map[string]string{"b": first, "a": second}, args: []string{"-i", "%DIR%/b", "-i", "%DIR%/a", "-m", ".n"}, want: values,
		},
		"glob":  {files: map[string]string{"1.in": first, "2.in": second}, args: []string{"-i", "%DIR%/*.in", "-m", ".n"}, want: values},
		"comma": {files: map[string]string{"a,b 50%.in": first, "c,?": second}, args: []string{"-i", "%DIR%/a,b 50%.in", "-i", "%DIR%/c,?", "-m", ".n"}, want: values},
		"comma and glob": {
			files: map[string]string{"a,1": first, "a,2": second, "a,10": "no"}, args: []string{"-i", "%DIR%/a,?", "-m", ".n"}, want: values,
		},
		"several outputs, and none": {
			files: map[string]string{"in": objects}, args: []string{"-i", "%DIR%/in", "-m", "select(.n < 2) | .n, [.n]"}, want: "0\n[0]\n1\n[1]\n",
		},
		"no objects":        {args: []string{"-m", "."}},
		"small chunks, -j8": {stdin: objects, args: []string{"-m", ".n", "--chunk-size", "1", "-j", "8"}, want: values},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for name, text := range c.files {
				write(t, filepath.Join(dir, name), text)
			}
			out := filepath.Join(dir, "result.jsonl")
			args := []string{"run", "-o", out}
			for _, arg := range c.args {
				args = append(args, strings.ReplaceAll(arg, "%DIR%", dir))
			}
			r := chunklineWith(t.Context(), strings.NewReader(c.stdin), args...)
			r.want(t, 0)
			wantFile(t, out, c.want)
			wantWords(t, r.stderr, "job done\n", "objects in", "dead letters  0", "objects a second", out)
			if r.stdout != "" {
				t.Errorf("stdout: %q", r.stdout)
			}
			verify := []string{"verify", "-o", out}
			if c.files == nil { // the job read standard input
				verify = append(verify, "-i", "-")
			}
			r = chunklineWith(t.Context(), strings.NewReader(c.stdin), verify...)
			r.want(t, 0)
			wantWords(t, r.stdout, " 0 problems")
		})
	}
}

// TestRunJSON: with --json stdout has the complete report and nothing else.
func TestRunJSON(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	objects, _ := numbers(250)
	in, out := write(t, filepath.Join(dir, "in"), objects+"oops\n"), filepath.Join(dir, "out.jsonl")
	r := must(t, 4, "run", "-i", in, "-o", out, "-m", "if .n < 3 then error(\"small\") else .n, .n end", "--json")
	got := r.report(t)
	if got.Seconds <= 0 || got.Rate <= 0 {
		t.Errorf("time %g s, rate %g", got.Seconds, got.Rate)
	}
	got.Seconds, got.Rate = 0, 0
	want := jobReport{
		State: "done", Progress: 1, Objects: 251, Outputs: 494, Dead: 4, Chunks: 3, Output: out, DeadFile: filepath.Join(dir, "out.dead.jsonl"),
	}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	// A job that takes a second also prints progress.
	if r.err.Error() != "finished with dead letters" || strings.Contains(r.stderr, "job done") {
		t.Errorf("%v, stderr %q", r.err, r.stderr)
	}
	again := must(t, 4, "run", "-i", in, "-o", out, "-m", "if .n < 3 then error(\"small\") else .n, .n end", "--json").report(t)
	if again.Resumed != 251 || again.Objects != 251 || again.Rate != 0 {
		t.Errorf("run again: %+v", again)
	}
}

// interrupter is a stdin that ends the context after its text, and then blocks.
type interrupter struct {
	text io.Reader
	stop context.CancelFunc
	end  <-chan struct{}
}

func (i *interrupter) Read(p []byte) (int, error) {
	if n, err := i.text.Read(p); err == nil {
		return n, nil
	}
	i.stop()
	<-i.end
	return 0, io.EOF
}

// TestInterrupted: a stopped job reports its progress and how to continue, and the same
// command continues it.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "out.jsonl")
	objects, values := numbers(1000)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	args := []string{"run", "-o", out, "-m", ".n", "--chunk-size", "10", "--json"}
	r := chunklineWith(ctx, &interrupter{strings.NewReader(objects[:len(objects)/2]), cancel, t.Context().Done()}, args...)
	r.want(t, 130)
	wantWords(t, r.err.Error(), "stopped before the job was done", "start it again")
	wantWords(t, r.stderr, "stopping: chunks in work get 3s")
	stopped := r.report(t)
	if stopped.State != "stopped" || stopped.Output != "" || stopped.Progress >= 1 {
		t.Errorf("report %+v", stopped)
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("there is an output already")
	}
	r = chunklineWith(t.Context(), strings.NewReader(objects), args...)
	r.want(t, 0)
	wantFile(t, out, values)
	if got := r.report(t); got.Resumed < stopped.Objects || got.Objects != 1000 {
		t.Errorf("went on with %+v after %+v", got, stopped)
	}
}

// TestOtherTransform: outputs of two transforms are not mixed.
func TestOtherTransform(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in, out := write(t, filepath.Join(dir, "in"), "1\n"), filepath.Join(dir, "out")
	must(t, 0, "run", "-i", in, "-o", out, "-m", ".")
	must(t, 0, "run", "-i", in, "-o", out, "-t", " jq:.") // the same
	r := must(t, 2, "run", "-i", in, "-o", out, "-m", ".+1")
	wantWords(t, r.err.Error(), "begun with the transform jq:.,", "--accept-change", "--redo")
	r = must(t, 1, "run", "-i", in, "-o", out, "-m", ".", "--job", "other")
	wantWords(t, r.err.Error(), "other")
	wantFile(t, out, "1\n")
}

func TestRunRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in, out := write(t, filepath.Join(dir, "in"), "1\n"), filepath.Join(dir, "out")
	base := []string{"run", "-i", in, "-o", out, "-m", "."}
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"-j", "-1"}, []string{"--workers=-1", "--listen"}},
		{[]string{"-j", "1025"}, []string{"--workers=1025", "1024"}},
		{[]string{"--timeout", "-3s"}, []string{"--timeout=-3s"}},
		{[]string{"--end-timeout", "-1s"}, []string{"--end-timeout=-1s"}},
		{[]string{"--chunk-size", "0"}, []string{"--chunk-size=0", "10000"}},
		{[]string{"--rate", "NaN"}, []string{"--rate=NaN"}},
		{[]string{"--rate", "inf"}, []string{"--rate=+Inf", "use 0 (no limit)"}},
		{[]string{"--log-level", "loud"}, []string{"--log-level", "loud"}},
		{[]string{"--http", "nowhere"}, []string{"nowhere", "host:port"}},
		{[]string{"--listen", "nowhere"}, []string{"nowhere", "host:port"}},
		{[]string{"--listen-token", "sixteen-letters-or-more"}, []string{"--listen-token is for --listen"}},
		{[]string{"--listen", "127.0.0.1:0", "--listen-token", "short"}, []string{"--listen-token", "16 to 128"}},
		{[]string{"-i", filepath.Join(dir, "a,b")}, []string{"a%2Cb", "no such file"}},
		{[]string{"-o", filepath.Join(dir, "no", "x.jsonl")}, []string{"there is no folder " + filepath.Join(dir, "no") + " for the file x.jsonl: make the folder first"}},
		{[]string{"more"}, []string{"more", "chunkline run --help"}},
		{[]string{"-t", "identity"}, []string{"one of --map, --from-file, --exec and --transform"}},
	} {
		r := must(t, 2, append(base, c.args...)...)
		wantWords(t, r.err.Error(), c.want...)
		if strings.Contains(r.err.Error(), "\n") || r.stderr != "" {
			t.Errorf("%q: more than one line: %v, %s", c.args, r.err, r.stderr)
		}
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("there is an output")
	}
}

// TestMaxDead: a job with too many dead letters fails.
func TestMaxDead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in := write(t, filepath.Join(dir, "in"), "1\n2\n3\n")
	r := must(t, 1, "run", "-i", in, "-o", filepath.Join(dir, "out"), "-m", "error", "--max-dead", "2")
	wantWords(t, r.err.Error(), "--max-dead=2", "3")
}

// TestRunLogFormat: the log of a job is text for people, unless LOG_FORMAT is json.
func TestRunLogFormat(t *testing.T) {
	for format, json := range map[string]bool{"": false, "json": true} {
		t.Setenv("LOG_FORMAT", format)
		dir := t.TempDir()
		in := write(t, filepath.Join(dir, "in"), "{}\n")
		r := must(t, 0, "run", "-i", in, "-o", filepath.Join(dir, "out"), "-m", ".", "-j", "1", "--log-level", "info")
		if got := strings.Contains(r.stderr, `"message":"job done"`); got != json {
			t.Errorf("LOG_FORMAT=%q: JSON %t\n%s", format, got, r.stderr)
		}
	}
	t.Setenv("LOG_FORMAT", "xml")
	wantWords(t, must(t, 2, "run", "-i", "x", "-o", filepath.Join(t.TempDir(), "out"), "-m", ".").err.Error(), "LOG_FORMAT")
}
