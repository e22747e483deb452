package sink_test

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/sink/sinktest"
)

func TestOpenSpecs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, path := range []string{"plain", "with space", "a:b"} {
		path := filepath.Join(dir, path)
		for _, spec := range []string{path, "folder:" + path, "FOLDER:" + path, "file://" + strings.ReplaceAll(path, " ", "%20")} {
			s, err := sink.Open(spec, job, sink.FolderOptions{})
			if err != nil {
				t.Fatalf("open %q: %v", spec, err)
			}
			if _, err := os.Stat(filepath.Join(path, "log-00000")); err != nil {
				t.Fatalf("open %q made no log there: %v", spec, err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for spec, says := range map[string]string{
		"":                           "folder:PATH",
		"folder:":                    "folder:PATH",
		"redis://:secret@host/1":     "folder:PATH",
		"out:put":                    `"out"`,
		"file://host/path":           "file:///absolute/path",
		"file://me:secret@host/path": "file:///absolute/path",
		"file:relative":              "file:///absolute/path",
		"file:///path?sync=false":    "file:///absolute/path",
	} {
		s, err := sink.Open(spec, job, sink.FolderOptions{})
		if !errors.Is(err, sink.ErrSettings) || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "secret") {
			t.Errorf("open %q: %v, want ErrSettings with %s", spec, err, says)
		}
		if s != nil {
			t.Errorf("open %q gives a sink besides the error", spec)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	write := func(path string) string {
		path = filepath.Join(home, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("mine\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	file := write("file")
	foreign := filepath.Dir(write("foreign/thesis.tex"))
	old := filepath.Dir(write("old/index.db"))
	for name, c := range map[string]struct {
		dir, job string
		o        sink.FolderOptions
		err      error
	}{
		"a file":                {file, job, sink.FolderOptions{}, sink.ErrUnreachable},
		"below a file":          {filepath.Join(file, "sink"), job, sink.FolderOptions{}, sink.ErrUnreachable},
		"unwritable":            {"/proc/chunkline/sink", job, sink.FolderOptions{}, sink.ErrUnreachable},
		"no path":               {"", job, sink.FolderOptions{}, sink.ErrSettings},
		"foreign":               {foreign, job, sink.FolderOptions{}, sink.ErrNotSink},
		"no job":                {filepath.Join(home, "new"), "", sink.FolderOptions{}, sink.ErrSettings},
		"bad job":               {filepath.Join(home, "new"), "a.b", sink.FolderOptions{}, sink.ErrSettings},
		"part bytes":            {filepath.Join(home, "new"), job, sink.FolderOptions{PartBytes: -1}, sink.ErrSettings},
		"read, not there":       {filepath.Join(home, "new"), job, sink.FolderOptions{ReadOnly: true}, sink.ErrUnreachable},
		"read, empty":           {t.TempDir(), job, sink.FolderOptions{ReadOnly: true}, sink.ErrNotSink},
		"output in no folder":   {filepath.Join(home, "new"), job, sink.FolderOptions{Output: filepath.Join(home, "no", "out")}, sink.ErrSettings},
		"output to a device":    {filepath.Join(home, "new"), job, sink.FolderOptions{Output: "/dev/null"}, sink.ErrSettings},
		"output to a folder":    {filepath.Join(home, "new"), job, sink.FolderOptions{Output: home}, sink.ErrSettings},
		"output is the index":   {filepath.Join(home, "new"), job, sink.FolderOptions{Output: filepath.Join(home, "new", "log.index")}, sink.ErrSettings},
		"output is the log":     {filepath.Join(home, "new"), job, sink.FolderOptions{DeadFile: filepath.Join(home, "new", "log-00007")}, sink.ErrSettings},
		"of an older program":   {old, job, sink.FolderOptions{}, sink.ErrFormat},
		"of an older one, read": {old, job, sink.FolderOptions{ReadOnly: true}, sink.ErrFormat},
		"output twice":          {filepath.Join(home, "new"), job, sink.FolderOptions{Output: file, DeadFile: file}, sink.ErrSettings},
	} {
		f, err := sink.OpenFolder(c.dir, c.job, c.o)
		if !errors.Is(err, c.err) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %q in one line", name, err, c.err)
		}
		if f != nil {
			t.Errorf("%s: a folder besides the error", name)
		}
	}
	if _, err := os.Stat(filepath.Join(home, "new")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a refused folder was made (%v)", err)
	}
	if entries, err := os.ReadDir(foreign); err != nil || len(entries) != 1 {
		t.Errorf("the foreign folder holds %v now (%v)", entries, err)
	}
}

// TestOpenWhatIsAlmostEmpty: a mounted volume contains a folder of its own, and a crash may have left an unfinished log.
func TestOpenWhatIsAlmostEmpty(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, sub := range []string{"lost+found", ".snapshot"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "log-00000.new"), make([]byte, 9000), 0o600); err != nil {
		t.Fatal(err)
	}
	f := openClaimed(t, dir, sink.FolderOptions{})
	all := sinktest.Chain("", []int{1})
	commit(t, f, all...)
	closeIt(t, f)
	if _, err := os.Stat(filepath.Join(dir, "log-00000.new")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("log-00000.new is there (%v)", err)
	}
	want(t, openOn(t, sink.Disk{}, dir, sink.FolderOptions{}), all...)
}

// TestJobOfAnUnusedFolder: a wrong job name can be corrected before the first claim.
func TestJobOfAnUnusedFolder(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "sink")
	closeIt(t, openOn(t, sink.Disk{}, dir, sink.FolderOptions{}))
	f, err := sink.OpenFolder(dir, "renamed", sink.FolderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	claim(t, f)
	if f.Job() != "renamed" {
		t.Errorf("job is %s", f.Job())
	}
	closeIt(t, f)
	if _, err := sink.OpenFolder(dir, job, sink.FolderOptions{}); !errors.Is(err, sink.ErrOtherJob) || !strings.Contains(err.Error(), "renamed") {
		t.Errorf("open with the first name: %v, want ErrOtherJob naming the job", err)
	}
}

func TestReadOnly(t *testing.T) {
	t.Parallel()
	s := newStory()
	dir := s.filled(t)
	parts, err := filepath.Glob(filepath.Join(dir, "log-*"))
	if err != nil || len(parts) < 3 {
		t.Fatalf("%d parts, %v", len(parts), err)
	}
	edit(t, parts[len(parts)-1], func(b []byte) []byte { return append(b, "tail"...) })
	edit(t, parts[1], func(b []byte) []byte {
		i := bytes.Index(b, s.groups[0][1].Outputs)
		b[i] ^= 1
		return b
	})
	before := tree(t, dir)

	f, err := sink.OpenFolder(dir, "", sink.FolderOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	second := openOn(t, sink.Disk{}, dir, sink.FolderOptions{ReadOnly: true}) // readers do not exclude one another
	if _, err := sink.OpenFolder(dir, job, s.o); !errors.Is(err, sink.ErrLocked) {
		t.Errorf("open for writing beside readers: %v, want ErrLocked", err)
	}
	if f.Job() != job || f.Recovered() == 0 {
		t.Errorf("job %s, recovered %d, want the tail reported", f.Job(), f.Recovered())
	}
	_, claim := f.Claim(t.Context(), plan, "other")
	_, commit := f.Commit(t.Context(), s.all)
	_, finish := f.Finish(t.Context(), 7, 12)
	replace := sinktest.Replace(t, f, s.all[0])
	for what, err := range map[string]error{"claim": claim, "commit": commit, "finish": finish, "replace": replace} {
		if !errors.Is(err, sink.ErrReadOnly) {
			t.Errorf("%s: %v, want ErrReadOnly", what, err)
		}
	}
	// The damage is reported at its chunk, and only there.
	bad := 0
	for r, err := range f.Records(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Outputs(nil, r); errors.Is(err, sink.ErrDamaged) {
			bad++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if bad != 1 {
		t.Errorf("%d chunks are damaged, want 1", bad)
	}
	closeIt(t, f)
	closeIt(t, second)
	if after := tree(t, dir); after != before {
		t.Errorf("reading changed the folder from\n%s\nto\n%s", before, after)
	}
}

// tree describes the names, sizes and contents of a folder.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		b.WriteString(path + " " + string(content) + "\n")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestSecondSaverIsRefused: in this process and from another one, immediately; and the lock ends with its process.
func TestSecondSaverIsRefused(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "sink")
	if os.Getenv("CHUNKLINE_TEST_HOLD") != "" {
		holdFolder(t, os.Getenv("CHUNKLINE_TEST_HOLD"))
		return
	}
	child := exec.Command(os.Args[0], "-test.run=^TestSecondSaverIsRefused$")
	child.Env = append(os.Environ(), "CHUNKLINE_TEST_HOLD="+dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "held\n" {
		t.Fatalf("the other process printed %q, %v", line, err)
	}
	for _, o := range []sink.FolderOptions{{}, {ReadOnly: true}} {
		_, err := sink.OpenFolder(dir, job, o)
		if !errors.Is(err, sink.ErrLocked) || !strings.Contains(err.Error(), dir) {
			t.Errorf("open the folder of another process: %v, want ErrLocked", err)
		}
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // it was killed
	f := openClaimed(t, dir, sink.FolderOptions{})
	if _, err := sink.OpenFolder(dir, job, sink.FolderOptions{}); !errors.Is(err, sink.ErrLocked) {
		t.Errorf("open twice in one process: %v, want ErrLocked", err)
	}
	closeIt(t, f)
}

// holdFolder runs in the other process.
func holdFolder(t *testing.T, dir string) {
	t.Helper()
	f := openOn(t, sink.Disk{}, dir, sink.FolderOptions{})
	os.Stdout.WriteString("held\n")
	_, _ = os.Stdin.Read(make([]byte, 1)) // until it is killed
	closeIt(t, f)
}
