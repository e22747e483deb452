package proc

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/test/loopback"
)

// Job is one job in real processes: a nats-server and the roles that a test starts. Its
// methods start them with settings that fit together. A test may change the fields before
// that.
type Job struct {
	T       *testing.T
	Name    string                      // JOB
	Dir     string                      // where the processes work, and their logs lie
	URL     string                      // NATS_URL
	Source  string                      // SOURCE of each fetcher
	Objects int                         // in Source
	Out     string                      // SINK of each saver
	Env     []string                    // more settings of every role
	Prefix  func(label string) []string // the command that runs a process, such as ip netns exec NAME; nil: none
}

// NewJob prepares a job in a temporary folder; nothing runs yet.
func NewJob(t *testing.T, name string) *Job {
	t.Helper()
	dir := t.TempDir()
	return &Job{T: t, Name: name, Dir: dir, Out: filepath.Join(dir, "out"), Env: []string{"LOG_FORMAT=json"}}
}

// Users makes n users the source.
func (j *Job) Users(n int) {
	j.T.Helper()
	j.Source, j.Objects = Users(j.T, j.Dir, n), n
}

// NATS starts a nats-server on loopback for the job.
func (j *Job) NATS(args ...string) *Process {
	j.T.Helper()
	address := loopback.Address()
	j.URL = "nats://" + address
	return j.Server("nats-server", address, args...)
}

// Server starts a nats-server at an address, as one of several or later than
// the roles; URL is the test's to set.
func (j *Job) Server(label, address string, args ...string) *Process {
	j.T.Helper()
	host, port, _ := strings.Cut(address, ":")
	return j.run(Spec{Label: label, Program: "nats-server", Args: append([]string{"-a", host, "-p", port}, args...)})
}

// Start starts a program of the job under a label, with settings beside those
// of all roles. It serves no HTTP unless they say so.
func (j *Job) Start(label, program string, env ...string) *Process {
	j.T.Helper()
	return j.run(Spec{Label: label, Program: program, Env: slices.Concat([]string{"NATS_URL=" + j.URL, "JOB=" + j.Name, "HTTP_ADDR="}, j.Env, env)})
}

func (j *Job) run(s Spec) *Process {
	j.T.Helper()
	s.Dir = j.Dir
	if j.Prefix != nil {
		s.Prefix = j.Prefix(s.Label)
	}
	return Start(j.T, s)
}

// Saver starts a saver.
func (j *Job) Saver(env ...string) *Process {
	j.T.Helper()
	return j.Start("saver", "saver", append([]string{"SINK=" + j.Out}, env...)...)
}

// Fetcher starts a fetcher.
func (j *Job) Fetcher(env ...string) *Process {
	j.T.Helper()
	return j.NextFetcher("fetcher", env...)
}

// NextFetcher starts a fetcher beside, or after, the first one.
func (j *Job) NextFetcher(label string, env ...string) *Process {
	j.T.Helper()
	return j.Start(label, "fetcher", append([]string{"SOURCE=" + j.Source}, env...)...)
}

// Mapper starts a mapper, whose name is its label.
func (j *Job) Mapper(label, transform string, env ...string) *Process {
	j.T.Helper()
	return j.Start(label, "mapper", append([]string{"TRANSFORM=" + transform, "MAPPER_NAME=" + label}, env...)...)
}

// Status returns the output of chunkline status.
func (j *Job) Status() report.Status {
	j.T.Helper()
	var s report.Status
	if err := json.Unmarshal([]byte(j.operate("status", "--json")), &s); err != nil {
		j.T.Fatal(err)
	}
	return s
}

// Control gives the job an order by chunkline control, such as rate 0.
func (j *Job) Control(order ...string) {
	j.T.Helper()
	j.operate("control", order...)
}

// unreachable is app.ExitUnreachable. Tests of that package use this one, which thus
// cannot import it.
const unreachable = 3

// operate runs an operator's command and returns its output. The command waits 5 s for the
// fetcher; if that is not enough on an overloaded machine, operate runs it again.
func (j *Job) operate(command string, args ...string) (stdout string) {
	j.T.Helper()
	args = slices.Concat([]string{command}, args, []string{"--job", j.Name, "--nats-url", j.URL})
	Eventually(j.T, "an answer to chunkline "+command, func() bool {
		out, stderr, code := Run(j.T, nil, "chunkline", args...)
		if code != 0 && code != unreachable {
			j.T.Fatalf("chunkline %s: exit %d: %s", command, code, stderr)
		}
		stdout = out
		return code == 0
	})
	return stdout
}

// Output is the file of the outputs of a job that is done.
func (j *Job) Output() string { return filepath.Join(j.Out, "output.jsonl") }

// Letters is the file of its dead letters.
func (j *Job) Letters() string { return filepath.Join(j.Out, "dead.jsonl") }

// Verify compares the result of a job with its source, with the checker, which shares no
// code with the product, and with chunkline verify. No saver may run. dead lists the
// ordinals of the dead letters, as in 3,57; "any" does not check them.
func (j *Job) Verify(dead string) {
	j.T.Helper()
	Check(j.T, j.Source, j.Output(), j.Letters(), dead)
	stdout, stderr, code := Run(j.T, nil, "chunkline", "verify", "-o", j.Out, "--json")
	var report struct{ Objects, Outputs, Dead int }
	if err := json.Unmarshal([]byte(stdout), &report); code != 0 || err != nil {
		j.T.Fatalf("verify: exit %d, %v\n%s%s", code, err, stdout, stderr)
	}
	letters := len(strings.FieldsFunc(dead, func(r rune) bool { return r == ',' }))
	if dead == "any" {
		letters = report.Dead
	}
	if report.Objects != j.Objects || report.Dead != letters || report.Outputs != j.Objects-letters {
		j.T.Errorf("verify counted %+v, want %d objects, dead letters: %q", report, j.Objects, dead)
	}
}
