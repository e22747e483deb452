package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/test/loopback"
	"github.com/chunkline/chunkline/test/proc"
)

// TestErrors: a user's mistake is reported in one line that names it, with the exit
// code of its kind.
func TestErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	source := proc.Users(t, dir, 250)
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("not a folder\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "out.jsonl")
	nowhere := "nats://" + loopback.Address()
	for _, c := range []struct {
		name string
		env  []string
		args []string
		code int
		want []string
	}{
		{"no command", nil, nil, 2, []string{"name a command"}},
		{"unknown command", nil, []string{"fly"}, 2, []string{"fly"}},
		{"unknown flag", nil, []string{"run", "--fly"}, 2, []string{"--fly", "--help"}},
		{"no output", nil, []string{"run", "-i", source, "-m", "."}, 2, []string{"--output"}},
		{"no transform", nil, []string{"run", "-i", source, "-o", out}, 2, []string{"--map", "--exec"}},
		{"two transforms", nil, []string{"run", "-i", source, "-o", out, "-m", ".", "-t", "users"}, 2, []string{"one of"}},
		{"bad jq", nil, []string{"run", "-i", source, "-o", out, "-m", "{id: .uuid"}, 2, []string{"{id: .uuid", "jq"}},
		{"no such program", nil, []string{"run", "-i", source, "-o", out, "--exec", "no-such-program"}, 2, []string{"no-such-program"}},
		{"no such source", nil, []string{"run", "-i", "nowhere.jsonl", "-o", out, "-m", "."}, 2, []string{"nowhere.jsonl", "no such file"}},
		{"source is a folder", nil, []string{"run", "-i", dir, "-o", out, "-m", "."}, 2, []string{dir}},
		{"output in no folder", nil, []string{"run", "-i", source, "-o", filepath.Join(dir, "no", "out"), "-m", "."}, 2, []string{"there is no folder " + filepath.Join(dir, "no"), "make the folder first"}},
		{"bad job", nil, []string{"run", "-i", source, "-o", out, "-m", ".", "--job", "a.b"}, 2, []string{"a.b"}},
		{"bad workers", nil, []string{"run", "-i", source, "-o", out, "-m", ".", "-j", "0"}, 2, []string{"--workers=0"}},
		{"bad chunk size", nil, []string{"run", "-i", source, "-o", out, "-m", ".", "--chunk-size", "0"}, 2, []string{"0"}},
		{"bad listen", nil, []string{"run", "-i", source, "-o", out, "-m", ".", "--listen", "4222"}, 2, []string{"4222", "host:port"}},
		{"no nats", nil, []string{"status", "--nats-url", nowhere}, 3, []string{nowhere}},
		{"bad nats url", nil, []string{"status", "--nats-url", "http://x"}, 2, []string{"--nats-url", "http://x"}},
		{"secret stays secret", nil, []string{"status", "--nats-url", "nats://joe:canary@" + strings.TrimPrefix(nowhere, "nats://")}, 3, []string{"nats"}},
		{"bad nkey file", []string{"NATS_NKEY=" + filepath.Join(dir, "nokey")}, []string{"status"}, 2, []string{"NATS_NKEY", "nokey"}},
		{"verify nothing", nil, []string{"verify", "-o", filepath.Join(dir, "nothing")}, 2, []string{"nothing"}},
		{"bad rate", nil, []string{"control", "rate", "-1"}, 2, []string{"-1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			stdout, stderr, code := proc.Run(t, c.env, "chunkline", c.args...)
			checkError(t, stderr, code, c.code, c.want)
			if strings.Contains(stdout+stderr, "canary") {
				t.Errorf("a password was printed: %s%s", stdout, stderr)
			}
		})
	}
	for _, c := range []struct {
		name, program string
		env           []string
		code          int
		want          []string
	}{
		{"fetcher: bad number", "fetcher", []string{"CHUNK_SIZE=many"}, 2, []string{`CHUNK_SIZE="many"`, "number"}},
		{"fetcher: out of range", "fetcher", []string{"SOURCE=" + source, "CHUNK_SIZE=0"}, 2, []string{"CHUNK_SIZE"}},
		{"fetcher: source not set", "fetcher", nil, 2, []string{"SOURCE is not set", "stdin"}},
		{"fetcher: no source", "fetcher", []string{"SOURCE=gone.jsonl"}, 2, []string{"SOURCE", "gone.jsonl"}},
		{"fetcher: a command without a spool", "fetcher", []string{"SOURCE=cmd:cat"}, 2, []string{"SOURCE", "must be written down", "set SPOOL to a folder"}},
		{"fetcher: spool", "fetcher", []string{"SOURCE=cmd:cat", "SPOOL=gone"}, 2, []string{`SPOOL="gone"`, "not a folder"}},
		{"fetcher: on done", "fetcher", []string{"SOURCE=" + source, "ON_DONE=dance"}, 2, []string{"ON_DONE", "dance", "stay or exit"}},
		{"fetcher: bad url", "fetcher", []string{"SOURCE=" + source, "NATS_URL=nats://"}, 2, []string{"NATS_URL"}},
		{"fetcher: bad job", "fetcher", []string{"JOB=a b"}, 2, []string{"JOB", "a b"}},
		{"fetcher: http address", "fetcher", []string{"SOURCE=" + source, "HTTP_ADDR=nowhere"}, 2, []string{"HTTP_ADDR", "nowhere"}},
		{"fetcher: http before the source", "fetcher", []string{"SOURCE=gone.jsonl", "HTTP_ADDR=nowhere"}, 2, []string{"HTTP_ADDR"}},
		{"mapper: http before nats", "mapper", []string{"NATS_URL=nats://", "HTTP_ADDR=nowhere"}, 2, []string{"HTTP_ADDR"}},
		{"saver: http before the sink", "saver", []string{"SINK=" + file, "HTTP_ADDR=nowhere"}, 2, []string{"HTTP_ADDR"}},
		{"mapper: bad duration", "mapper", []string{"TIMEOUT=long"}, 2, []string{`TIMEOUT="long"`, "5m"}},
		{"mapper: bad jq", "mapper", []string{"TRANSFORM=jq:{"}, 2, []string{"TRANSFORM", "jq:{"}},
		{"mapper: unknown transform", "mapper", []string{"TRANSFORM=magic:x"}, 2, []string{"TRANSFORM", "magic", "identity"}},
		{"mapper: workers", "mapper", []string{"WORKERS=-1"}, 2, []string{"WORKERS=-1"}},
		{"mapper: unknown drill", "mapper", []string{"DRILL=v9"}, 2, []string{`DRILL="v9": use v1 to v5, or leave it empty`}},
		{"mapper: drill v4 dies", "mapper", []string{"DRILL=v4"}, 1, []string{"mapper: drill v4 dies 20 s after it started", "this is a drill"}},
		{"mapper: log level", "mapper", []string{"LOG_LEVEL=loud"}, 2, []string{"LOG_LEVEL", "loud", "debug"}},
		{"saver: sink is a file", "saver", []string{"SINK=" + file}, 3, []string{file}},
		{"saver: unknown sink", "saver", []string{"SINK=magic:x"}, 2, []string{"SINK", "magic"}},
		{"saver: foreign folder", "saver", []string{"SINK=" + dir}, 1, []string{dir}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := proc.Start(t, proc.Spec{
				Dir: t.TempDir(), Label: "program", Program: c.program,
				Env: append([]string{"HTTP_ADDR=", "LOG_FORMAT=json", "NATS_URL=" + nowhere}, c.env...),
			})
			code := p.Exit()
			checkError(t, p.Tail(), code, c.code, c.want)
		})
	}
}

// checkError expects the exit code, and one error line with all words.
func checkError(t *testing.T, stderr string, code, wantCode int, words []string) {
	t.Helper()
	if code != wantCode {
		t.Errorf("exit code %d, want %d: %s", code, wantCode, stderr)
	}
	var lines []string
	for line := range strings.Lines(stderr) {
		if !strings.HasPrefix(line, "{") { // not a log line
			lines = append(lines, line)
		}
	}
	if len(lines) != 1 {
		t.Errorf("%d lines of error, want 1:\n%s", len(lines), stderr)
	}
	for _, word := range words {
		if !strings.Contains(stderr, word) {
			t.Errorf("error does not mention %q: %s", word, stderr)
		}
	}
}
