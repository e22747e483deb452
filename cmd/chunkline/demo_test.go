package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestGenerate(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "users")
	r := must(t, 0, "generate", "users", "-n", "20")
	if got := strings.Count(r.stdout, "\n"); got != 20 || r.stderr != "" {
		t.Errorf("%d users, %q", got, r.stderr)
	}
	wantWords(t, r.stdout, `{"uuid":"`, `"fn":"`, `"ln":"`, `"friends":`)
	if got := must(t, 0, "generate", "users", "-n", "20", "-o", file); got.stdout != "" {
		t.Errorf("stdout %q", got.stdout)
	}
	wantFile(t, file, r.stdout)
	if other := must(t, 0, "generate", "users", "-n", "20", "--seed", "2"); other.stdout == r.stdout {
		t.Error("another seed gives the same users")
	}
	wantWords(t, must(t, 2, "generate", "users", "-n", "-1").err.Error(), "--count=-1")
	wantWords(t, must(t, 2, "generate").err.Error(), "name a command")
	must(t, 1, "generate", "users", "-n", "1", "-o", filepath.Join(file, "no"))
}

// TestGenerateForeign: generate and the demo replace files of users, but others only with --force.
func TestGenerateForeign(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "users.jsonl")
	for _, command := range [][]string{{"generate", "users", "-n", "3", "-o", file}, {"demo", "-n", "3", "--dir", dir}} {
		write(t, file, "{\"mine\":1}\n")
		wantWords(t, must(t, 1, command...).err.Error(), file, "--force")
		wantFile(t, file, "{\"mine\":1}\n")
		must(t, 0, append(command, "--force")...)
		must(t, 0, command...)
		write(t, file, "")
		must(t, 0, command...)
	}
}

// TestDemo: the demo prints its page and result, continues with more users, and with
// fewer says what to do.
func TestDemo(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new", "folder")
	r := must(t, 0, "demo", "-n", "500", "--dir", dir)
	wantWords(t, r.stderr, "watch it at http://127.0.0.1:")
	wantWords(t, r.stderr, "generated 500 users", "5 mappers", "job done", "check the result: chunkline verify -o "+filepath.Join(dir, "named.jsonl"))
	named, err := os.ReadFile(filepath.Join(dir, "named.jsonl"))
	if err != nil || strings.Count(string(named), "\n") != 500 || !strings.HasPrefix(string(named), `{"id":"`) {
		t.Errorf("result %.100q, %v", named, err)
	}
	must(t, 0, "verify", "-o", filepath.Join(dir, "named.jsonl"))
	wantWords(t, must(t, 0, "demo", "-n", "600", "--dir", dir).stderr, "500 of them were done before")
	wantWords(t, must(t, 1, "demo", "-n", "100", "--dir", dir).err.Error(), "begun with more users", dir)
	wantWords(t, must(t, 2, "demo", "-n", "-1", "--dir", dir).err.Error(), "--users=-1")
}

// TestHelp: every command has a help text.
func TestHelp(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"Run a whole job":       {},
		"may be repeated":       {"run"},
		"start it again":        {"demo"},
		"name a command":        nil,
		"cuts the source again": {"verify"},
		"exit code 4":           {"dead", "retry"},
		"input order":           {"dead", "list"},
		"name of the job":       {"status"},
		"objects per second":    {"control", "rate"},
		"same seed":             {"generate", "users"},
	} {
		if args == nil {
			wantWords(t, must(t, 2).err.Error(), want)
			continue
		}
		r := must(t, 0, append(args, "--help")...)
		wantWords(t, strings.ToLower(r.stdout), strings.ToLower(want), "usage:")
	}
}
