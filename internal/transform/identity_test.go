package transform_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/internal/transform"
)

func identity(t *testing.T, setting string) string {
	t.Helper()
	spec, err := transform.Parse(setting)
	if err != nil {
		t.Fatal(err)
	}
	if got := spec.Identity(); len(got) <= transform.MaxIdentity {
		return got
	}
	t.Fatalf("identity of %d bytes: %q", len(spec.Identity()), spec.Identity())
	return ""
}

// TestIdentity: what a command names is part of its transform, and nothing else is.
func TestIdentity(t *testing.T) {
	t.Parallel()
	if got := identity(t, " jq:.a "); got != "jq:.a" {
		t.Errorf("identity of a short setting is %q", got)
	}
	long := "jq:" + strings.Repeat("ä", 150)
	if a, b := identity(t, "jq:\""+long+"\""), identity(t, "jq:\""+long+"x\""); a == b {
		t.Errorf("two long programs have the identity %q", a)
	}
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	script, config := file("v.sh", "#!/bin/sh\ncat\n"), file("config", "a")
	for _, setting := range []string{
		"exec:" + script, "exec:sh " + script, `exec:["sh","` + script + `"]`,
	} {
		file("v.sh", "#!/bin/sh\ncat\n")
		before := identity(t, setting)
		if again := identity(t, setting); again != before {
			t.Errorf("%s: identity is %q, then %q", setting, before, again)
		}
		file("v.sh", "#!/bin/sh\nsed s/a/b/\n")
		if after := identity(t, setting); after == before {
			t.Errorf("%s: another script has the identity %q as well", setting, after)
		}
	}
	before := identity(t, "exec:cat --config="+config)
	file("config", "b")
	if identity(t, "exec:cat --config="+config) == before {
		t.Error("a changed --config=FILE changes nothing")
	}
	if got := identity(t, "exec:cat -u"); got != "exec:cat -u" {
		t.Errorf("a command that names no file has the identity %q", got)
	}
}
