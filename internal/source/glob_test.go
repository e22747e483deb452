package source

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Not parallel: it changes the working directory.
func TestGlob(t *testing.T) {
	folder := write(t,
		"a.json", "", "b.json", "", ".h.json", "", "x/a.json", "", "x/y/a.json", "", "x/y/z/a.json", "", "x/y/z/b.txt", "", "x/.git/a.json", "",
		".cache/a.json", "", "x/y/.h.json", "", "odd*/a.json", "", "x/d.json/a.json", "", "other/a.json", "")
	for link, to := range map[string]string{"x/y/up": "..", "link": "other", "loop": "loop", "gone": "nowhere", "x/l.json": "../a.json"} {
		if err := os.Symlink(to, filepath.Join(folder, link)); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(folder)
	for pattern, want := range map[string]string{
		"*.json":          "a.json b.json",
		"?h.json":         "",
		"[.]h.json":       "",
		".*.json":         ".h.json",
		`\.*.json`:        ".h.json",
		"*/a.json":        "link/a.json odd*/a.json other/a.json x/a.json",
		"*/*":             "link/a.json odd*/a.json other/a.json x/a.json x/l.json",
		".*/*.json":       ".cache/a.json",
		"**/a.json":       "a.json odd*/a.json other/a.json x/a.json x/d.json/a.json x/y/a.json x/y/z/a.json",
		"x/**/a.json":     "x/a.json x/d.json/a.json x/y/a.json x/y/z/a.json",
		"x/**/y/**/*.txt": "x/y/z/b.txt",
		"x/**/**/b.*":     "x/y/z/b.txt",
		"x/y/**":          "x/y/a.json x/y/z/a.json x/y/z/b.txt",
		"x/**/.h.json":    "x/y/.h.json",
		"x/.git/**":       "x/.git/a.json",
		"x/**/*.json":     "x/a.json x/d.json/a.json x/l.json x/y/a.json x/y/z/a.json",
		"x/*/../a.*":      "x/a.json",
		"./x//*.json":     "x/a.json x/l.json",
		"link/*":          "link/a.json",
		"loop/*":          "",
		"loop*":           "loop",
		"gone/*":          "",
		"*/gone":          "",
		"a.json/*":        "",
		"*/":              "",
		`odd\*/*`:         "odd*/a.json",
		"../*/a.json":     filepath.Join("..", filepath.Base(folder), "a.json"),
	} {
		got, err := glob(pattern)
		if text := strings.Join(got, " "); err != nil || text != want {
			t.Errorf("%s: %q, %v, want %q", pattern, text, err, want)
		}
		got, err = glob(folder + "/" + pattern)
		for i := range got {
			got[i] = strings.TrimPrefix(got[i], folder+"/")
		}
		if text := strings.Join(got, " "); !strings.HasPrefix(pattern, "..") && (err != nil || text != want) {
			t.Errorf("%s, absolute: %q, %v, want %q", pattern, text, err, want)
		}
	}
	if _, err := glob("x/[a"); !errors.Is(err, filepath.ErrBadPattern) {
		t.Errorf("x/[a: %v, want %v", err, filepath.ErrBadPattern)
	}
}

// A folder that cannot be read is an error, because matches in it would be missing.
func TestGlob_unreadableFolder(t *testing.T) {
	t.Parallel()
	folder := write(t, "a.json", "1\n", "x/a.json", "1\n")
	closed := filepath.Join(folder, "x")
	if err := os.Chmod(closed, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(closed, 0o700) })
	if _, err := os.ReadDir(closed); err == nil {
		t.Skip("this user may read everything")
	}
	for _, pattern := range []string{"/**/*.json", "/*/*.json"} {
		if s, err := Open(Options{Size: 100, Bytes: 100}, folder+pattern); !errors.Is(err, ErrSettings) || !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), closed) {
			t.Errorf("%s: %v, %v, want an error that names %s", pattern, s, err, closed)
		}
	}
}
