//go:build long

package corpus

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/test/proc"
)

// object is one object of an input and its expected result.
type object struct {
	text string // in the output, or in the dead letter
	dead string // part of the dead letter's reason; "": an output
	at   string // place in the reason, as "line 1, byte 0"; "": any, or an output
}

// input is a file.
type input struct {
	text    string
	objects []object
	flags   []string // additional ones of chunkline run
	size    int      // objects per chunk; 0: 100
	large   bool     // the limit in bytes ends chunks sooner
}

// job is a job that has ended.
type job struct {
	in, out string
	code    int
	report  struct {
		State                  string
		Objects, Outputs, Dead int
		Output                 string
		DeadFile               string `json:"dead_file"`
	}
}

// run runs a job over an existing file.
func run(t *testing.T, in string, flags ...string) job {
	t.Helper()
	j := job{in: in, out: filepath.Join(t.TempDir(), "out.jsonl")}
	args := append([]string{"run", "-i", in, "-o", j.out, "--json", "-j", "2"}, flags...)
	stdout, stderr, code := proc.Run(t, nil, "chunkline", args...)
	j.code = code
	if err := json.Unmarshal([]byte(stdout), &j.report); err != nil {
		t.Fatalf("exit %d, report %q: %v\n%s", code, stdout, err, stderr)
	}
	return j
}

// check runs the transform identity over an input and compares everything.
func (in input) check(t *testing.T) job {
	t.Helper()
	path := filepath.Join(t.TempDir(), "in")
	if err := os.WriteFile(path, []byte(in.text), 0o600); err != nil {
		t.Fatal(err)
	}
	if in.size == 0 {
		in.size = 100
	}
	j := run(t, path, append([]string{"-t", "identity", "--chunk-size", strconv.Itoa(in.size)}, in.flags...)...)
	if in.large {
		in.size = 0
	}
	j.want(t, in.objects, in.size)
	return j
}

// want compares output, dead letters, counts and exit code, and with a size that is
// not 0, the chunk of each dead letter.
func (j job) want(t *testing.T, objects []object, size int) {
	t.Helper()
	var output bytes.Buffer
	dead := make(map[int]object)
	for i, o := range objects {
		if o.dead != "" {
			dead[i] = o
			continue
		}
		output.WriteString(o.text + "\n")
	}
	r := j.report
	if r.State != "done" || r.Objects != len(objects) || r.Outputs != len(objects)-len(dead) || r.Dead != len(dead) {
		t.Errorf("report %+v, want %d objects, %d of them dead", r, len(objects), len(dead))
	}
	if want := map[bool]int{true: 0, false: 4}[len(dead) == 0]; j.code != want {
		t.Errorf("exit code %d, want %d", j.code, want)
	}
	got, err := os.ReadFile(j.out)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, output.Bytes()) {
		at := 0
		for at < min(len(got), output.Len()) && got[at] == output.Bytes()[at] {
			at++
		}
		t.Errorf("output of %d bytes, want %d; they differ from byte %d on: %.100q, want %.100q", len(got), output.Len(), at, got[at:], output.Bytes()[at:])
	}
	letters := readDead(t, strings.TrimSuffix(j.out, ".jsonl")+".dead.jsonl")
	if len(letters) != len(dead) {
		t.Errorf("%d dead letters, want %d", len(letters), len(dead))
	}
	last := -1
	for _, l := range letters {
		o, is := dead[l.Ordinal]
		switch {
		case !is || l.Ordinal <= last:
			t.Errorf("object %d is dead (after %d): %s", l.Ordinal, last, l.Error)
		case string(l.bytes(t)) != o.text:
			t.Errorf("object %d: the dead letter holds %.200q, want %.200q", l.Ordinal, l.bytes(t), o.text)
		case !strings.Contains(l.Error, o.dead) || o.at != "" && !strings.HasPrefix(l.Error, o.at+": "):
			t.Errorf("object %d %.100q is dead because of %q, want %q at %s", l.Ordinal, o.text, l.Error, o.dead, o.at)
		case size > 0 && l.Chunk != l.Ordinal/size:
			t.Errorf("object %d is in chunk %d, want %d", l.Ordinal, l.Chunk, l.Ordinal/size)
		}
		last = l.Ordinal
	}
}

// prove runs the checker and verify.
func (j job) prove(t *testing.T, objects []object) {
	t.Helper()
	var dead []string
	for i, o := range objects {
		if o.dead != "" {
			dead = append(dead, strconv.Itoa(i))
		}
	}
	stdout, stderr, code := proc.Run(t, nil, "checker", "-expect", "identity", "-source", j.in, "-output", j.out,
		"-dead", strings.TrimSuffix(j.out, ".jsonl")+".dead.jsonl", "-want-dead", strings.Join(dead, ","))
	if code != 0 {
		t.Errorf("checker: exit %d\n%s%s", code, stdout, stderr)
	}
	j.verify(t)
}

func (j job) verify(t *testing.T) {
	t.Helper()
	if stdout, stderr, code := proc.Run(t, nil, "chunkline", "verify", "-i", j.in, "-o", j.out); code != 0 {
		t.Errorf("verify: exit %d\n%s%s", code, stdout, stderr)
	}
}

// letter is a dead letter, read as the manual describes it.
type letter struct {
	Ordinal, Chunk, Attempts int
	Error                    string
	Object                   json.RawMessage
	Text, Base64             *string
}

func (l letter) bytes(t *testing.T) []byte {
	t.Helper()
	switch {
	case l.Text != nil:
		return []byte(*l.Text)
	case l.Base64 != nil:
		b, err := base64.StdEncoding.DecodeString(*l.Base64)
		if err != nil {
			t.Errorf("object %d: %v", l.Ordinal, err)
		}
		return b
	}
	return l.Object
}

func readDead(t *testing.T, path string) (letters []letter) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		var l letter
		if err := json.Unmarshal(line, &l); err != nil {
			t.Fatalf("dead letter %.200q: %v", line, err)
		}
		letters = append(letters, l)
	}
	return letters
}

// asLines returns an input of lines that each end with end.
func asLines(end string, lines ...line) input {
	var in input
	for i, l := range lines {
		o := object{text: l.text, dead: l.dead}
		if l.dead != "" {
			o.at = fmt.Sprintf("line %d, byte %d", i+1, len(in.text))
		}
		in.objects = append(in.objects, o)
		in.text += l.text + end
	}
	return in
}

// line is an object in a line of its own.
type line struct {
	text string
	dead string // as in object
}

func alive(texts ...string) (lines []line) {
	for _, text := range texts {
		lines = append(lines, line{text: text})
	}
	return lines
}

func dead(reason string, texts ...string) (lines []line) {
	for _, text := range texts {
		lines = append(lines, line{text, reason})
	}
	return lines
}
