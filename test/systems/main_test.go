package main

import (
	"go/types"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCheck: what does not compile for an architecture is refused for it.
func TestCheck(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]map[string]string{ // the error by architecture
		"const Large int = 1 << 30":   nil,
		"const Large int = 1 << 40":   {"386": "(overflows)"},
		"const Large int64 = 1 << 40": nil,
		"func f() { unused := 1 }":    {"386": "declared and not used", "arm64": "declared and not used"},
		"import _ \"other\"":          {"386": "not in the list of packages", "arm64": "not in the list of packages"},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "a.go"), []byte("package a\n"+code+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, arch := range []string{"386", "arm64"} {
			_, err := source{ImportPath: "a", Dir: dir, GoFiles: []string{"a.go"}}.check(types.SizesFor("gc", arch), nil)
			if want := want[arch]; (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%s for %s: %v, want %q", code, arch, err, want)
			}
		}
	}
}
