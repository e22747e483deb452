package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCheck: what does not compile for a system is refused for it.
func TestCheck(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"go.mod":      "module example.com/a\n\ngo 1.26\n",
		"a.go":        "package a\n\nconst Large int = 1 << 40\n",
		"a_darwin.go": "package a\n\nfunc f() { unused := 1 }\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for system, want := range map[string]string{"linux/arm64": "", "linux/386": "overflows", "darwin/arm64": "declared and not used", "plan10/arm64": "unsupported GOOS"} {
		err := check(t.Context(), dir, system)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", system, err, want)
		}
	}
}
