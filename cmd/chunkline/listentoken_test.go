package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/test/loopback"
)

// TestListenToken: on an address other than loopback, clients need the token, which the
// job keeps after a restart.
func TestListenToken(t *testing.T) {
	dir := t.TempDir()
	objects, values := numbers(250)
	in, out := write(t, filepath.Join(dir, "in"), objects), filepath.Join(dir, "out")
	_, port, _ := strings.Cut(loopback.Address(), ":")
	url := "nats://127.0.0.1:" + port
	begin := func() (stop func(), ended chan result) {
		ctx, cancel := context.WithCancel(t.Context())
		ended = make(chan result, 1)
		go func() {
			ended <- chunklineWith(ctx, strings.NewReader(""), "run", "-i", in, "-o", out, "-m", ".n", "-j", "0", "--listen", "0.0.0.0:"+port)
		}()
		return cancel, ended
	}
	ask := func(token string) result {
		t.Setenv("NATS_TOKEN", token)
		return chunkline(t, "status", "--job", "run", "--nats-url", url)
	}
	path := filepath.Join(workFolder(out), tokenFile)

	stop, ended := begin()
	eventually(t, "a token", func() bool { _, err := os.Stat(path); return err == nil })
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the token has mode %o", info.Mode().Perm())
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	token := strings.TrimSpace(string(content))
	eventually(t, "status", func() bool { return ask(token).code == 0 })
	for _, wrong := range []string{"", token + "x"} {
		r := ask(wrong)
		r.want(t, 3)
		wantWords(t, r.err.Error(), "NATS_TOKEN")
	}
	stop()
	r := <-ended
	r.want(t, 130)
	wantWords(t, r.stderr, "NATS_TOKEN="+token+" JOB=run")

	stop, ended = begin()
	defer stop()
	eventually(t, "status with the same token", func() bool { return ask(token).code == 0 })
	left := join(t, bus.Config{URL: url, Token: token})
	r = <-ended
	r.want(t, 0)
	left()
	wantFile(t, out, values)
}

// TestListenToken_kept: an address other than loopback gets a token, which is kept: a
// generated one, or the user's.
func TestListenToken_kept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	get := func(address, chosen string) string {
		token, err := listenToken(dir, address, chosen)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	for _, local := range []string{"", "127.0.0.1:4222", "[::1]:4222", "localhost:4222"} {
		if token := get(local, ""); token != "" {
			t.Errorf("%q: got a token, want none", local)
		}
	}
	first := get("0.0.0.0:4222", "")
	if !isToken(first) {
		t.Fatalf("token %q", first)
	}
	for _, elsewhere := range []string{":4222", "[::]:4222", "10.0.0.1:4222", "somewhere:4222"} {
		if token := get(elsewhere, ""); token != first {
			t.Errorf("%s: got a new token, want the kept one", elsewhere)
		}
	}
	chosen := "a-token_that-was-chosen"
	if get("127.0.0.1:4222", chosen) != chosen || get(":4222", "") != chosen {
		t.Error("the chosen token is not used, or not kept")
	}
	write(t, filepath.Join(dir, tokenFile), "torn")
	if token := get(":4222", ""); !isToken(token) || token == chosen {
		t.Errorf("token %q after a damaged one", token)
	}
}

// TestJoinCommand: the printed command can be pasted into a shell.
func TestJoinCommand(t *testing.T) {
	t.Parallel()
	for want, got := range map[string]string{
		"NATS_URL=nats://HOST:PORT JOB=run mapper":                                    joinCommand("run", "", "jq:."),
		"NATS_URL=nats://HOST:PORT NATS_TOKEN=T JOB=run mapper":                       joinCommand("run", "T", "jq:."),
		`NATS_URL=nats://HOST:PORT JOB=run TRANSFORM='exec:it'\''s' mapper`:           joinCommand("run", "", "exec:it's"),
		"NATS_URL=nats://HOST:PORT JOB=run TRANSFORM='https://h/?a&b#batch=9' mapper": joinCommand("run", "", "https://h/?a&b#batch=9"),
	} {
		if got != want {
			t.Errorf("command %s, want %s", got, want)
		}
	}
}
