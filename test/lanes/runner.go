package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

const (
	computing = 1                // lanes that compute at a time: each uses all cores
	waiting   = 1                // lanes that wait at a time: two would miss each other's deadlines
	mostLines = 40               // of the output of a lane that failed
	testLines = 8                // of them, for each test that failed
	grace     = 10 * time.Second // between SIGTERM and SIGKILL for a lane that is interrupted
)

// lane is an entry of the table with the command of the chosen set and its result.
type lane struct {
	entry
	command string

	state   state
	began   time.Duration // after the start of the run
	took    time.Duration
	used    time.Duration // processor time of its processes, without containers
	problem error         // why it failed or did not run
}

type state int

const (
	notRun state = iota // it waits for the lanes that it needs, or for its turn
	running
	passed
	failed
)

func (s state) String() string { return [...]string{"not run", "running", "ok", "FAILED"}[s] }

// runner runs lanes. Only the goroutine that calls run changes the lanes.
type runner struct {
	dir   string // DIR/NAME.log is the output of a lane, DIR/NAME its TMPDIR
	lanes []lane
	out   io.Writer // the results, for people
	begin time.Time
	ended chan end
}

type end struct {
	index int
	used  time.Duration
	err   error
}

func newRunner(dir string, lanes []lane, out io.Writer) (*runner, error) {
	var err error
	if dir == "" {
		dir, err = os.MkdirTemp("", "chunkline-lanes-")
	} else {
		dir, err = filepath.Abs(dir)
	}
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err == nil {
		err = os.Chmod(dir, 0o755) // a test runs as another user, who needs access to its folder
	}
	if err != nil {
		return nil, fmt.Errorf("make folder for output: %w", err)
	}
	return &runner{dir: dir, lanes: lanes, out: out, ended: make(chan end, len(lanes))}, nil
}

// run runs all lanes and returns when the last one has ended. When ctx ends, run stops the
// running lanes and starts no others.
func (r *runner) run(ctx context.Context) {
	r.begin = time.Now()
	for {
		if ctx.Err() == nil {
			for i := r.next(); i >= 0; i = r.next() {
				r.start(ctx, i)
			}
		}
		if !slices.ContainsFunc(r.lanes, func(l lane) bool { return l.state == running }) {
			return
		}
		e := <-r.ended
		l := &r.lanes[e.index]
		l.took = time.Since(r.begin) - l.began
		l.state, l.used, l.problem = passed, e.used, e.err
		if e.err != nil {
			l.state = failed
		}
		r.report(l)
	}
}

// next returns the lane to start now, and -1 if none can start. It chooses the longest lane
// whose needs have passed and that may run beside the others.
func (r *runner) next() int {
	busy, alone, places := false, false, map[bool]int{false: computing, true: waiting} // by whether a lane waits
	for _, l := range r.lanes {
		if l.state == running {
			busy, alone = true, alone || l.alone
			places[l.waits]--
		}
	}
	best := -1
	for i, l := range r.lanes {
		switch {
		case l.state != notRun || alone || !r.needsMet(l):
		case l.alone:
			if busy {
				return -1 // the lanes after it wait
			}
			return i
		case places[l.waits] <= 0:
		case best < 0 || l.seconds > r.lanes[best].seconds:
			best = i
		}
	}
	return best
}

// needsMet reports whether the lanes that l needs have passed.
func (r *runner) needsMet(l lane) bool {
	return !slices.ContainsFunc(r.lanes, func(other lane) bool {
		return slices.Contains(l.after, other.name) && other.state != passed
	})
}

func (r *runner) log(l *lane) string { return filepath.Join(r.dir, l.name+".log") }

// start starts a lane, in a session of its own.
func (r *runner) start(ctx context.Context, i int) {
	l := &r.lanes[i]
	l.state, l.began = running, time.Since(r.begin)
	cmd, log, err := r.command(ctx, l)
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		r.ended <- end{index: i, err: err}
		return
	}
	go func() { // ends with the command, for which run waits
		err := cmd.Wait()
		if ctx.Err() != nil {
			err = errors.New("interrupted")
		}
		used := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		r.ended <- end{i, used, errors.Join(err, log.Close())}
	}()
}

// lowly runs its arguments at a lower priority. If the kernel groups processes by session
// (autogroup), nice only applies within a session, so the session gets a priority, too.
const lowly = `echo 10 2>/dev/null >/proc/self/autogroup || true; exec nice -n 10 "$@"`

func (r *runner) command(ctx context.Context, l *lane) (*exec.Cmd, *os.File, error) {
	log, err := os.Create(r.log(l))
	if err != nil {
		return nil, nil, fmt.Errorf("make log: %w", err)
	}
	tmp := filepath.Join(r.dir, l.name)
	if err := os.MkdirAll(tmp, 0o755); err != nil {
		return nil, nil, fmt.Errorf("make folder: %w", err)
	}
	argv := []string{"bash", "-euo", "pipefail", "-c", l.command}
	if !l.waits && !l.alone {
		argv = append([]string{"bash", "-c", lowly, "lane"}, argv...)
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	// With -trimpath, Go's build cache does not depend on where the checkout lies: a fresh clone compiles only what changed.
	flags := "-trimpath"
	if !l.vets {
		flags += " -vet=off"
	}
	if l.alone {
		flags += fmt.Sprintf(" -p=%d", runtime.NumCPU()+1) // some packages mostly wait: test one more at a time
	}
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp, "GOFLAGS="+strings.TrimSpace(os.Getenv("GOFLAGS")+" "+flags))
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // a group for signals, and for the kernel's autogroup
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = grace
	return cmd, log, nil
}

// useHugePages lets the kernel give every process pages of 2 MiB, as Debian's kernels do by default, and returns a
// function that restores the setting. In some virtual machines the first access to a page takes tens of microseconds,
// and the lanes start thousands of processes. Without the setting, or without root, the lanes only take longer.
func useHugePages() (restore func()) {
	const setting = "/sys/kernel/mm/transparent_hugepage/enabled" // as in: always [madvise] never
	text, err := os.ReadFile(setting)
	_, rest, _ := strings.Cut(string(text), "[")
	before, _, known := strings.Cut(rest, "]")
	if err != nil || !known || os.WriteFile(setting, []byte("always"), 0o644) != nil {
		return func() {}
	}
	return func() { _ = os.WriteFile(setting, []byte(before), 0o644) } // what could be set can be restored
}

// report prints the result of a lane.
func (r *runner) report(l *lane) {
	fmt.Fprintf(r.out, "%5.0f s  %-6s %s (%.0f s)\n", time.Since(r.begin).Seconds(), l.state, l.name, l.took.Seconds())
}

// explain prints, for each failed lane, the reason and the command that repeats it.
func (r *runner) explain() {
	for i := range r.lanes {
		l := &r.lanes[i]
		if l.state != failed {
			continue
		}
		text, err := os.ReadFile(r.log(l))
		if err != nil {
			text = []byte(err.Error())
		}
		lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
		fmt.Fprintf(r.out, "\n%s failed: %v. Of %d lines of output:\n", l.name, l.problem, len(lines))
		for _, line := range excerpt(lines) {
			fmt.Fprintln(r.out, "    "+line)
		}
		fmt.Fprintf(r.out, "To repeat it:\n    %s\n", l.command)
	}
}

// A failed test in the output of go test, and in the summary of gotestsum.
var failedTest = regexp.MustCompile(`^ *(--- FAIL: |=== FAIL: )`)

// excerpt chooses at most mostLines lines: the first lines of each test that
// failed, because what a test prints last is often a long list of states. If
// no test failed, it chooses the last lines.
func excerpt(lines []string) (chosen []string) {
	left := 0
	for _, line := range lines {
		if failedTest.MatchString(line) {
			left = testLines
		}
		if left > 0 && len(chosen) < mostLines {
			chosen = append(chosen, line)
			left--
		}
	}
	if len(chosen) == 0 {
		return lines[max(0, len(lines)-mostLines):]
	}
	return chosen
}

// table returns the times of the lanes, in the order of their start, and the total.
func (r *runner) table() string {
	lanes := slices.Clone(r.lanes)
	slices.SortStableFunc(lanes, func(a, b lane) int {
		if a.state == notRun || b.state == notRun {
			return int(b.state) - int(a.state)
		}
		return int(a.began - b.began)
	})
	var text strings.Builder
	var used time.Duration
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "lane\tresult\tbegan (s)\ttook (s)\tcpu (s)\twhat it shows")
	for _, l := range lanes {
		fmt.Fprintf(w, "%s\t%s\t%.0f\t%.0f\t%.0f\t%s\n", l.name, l.state, l.began.Seconds(), l.took.Seconds(), l.used.Seconds(), l.about)
		used += l.used
	}
	fmt.Fprintf(w, "all of them\t\t0\t%.0f\t%.0f\t\n", time.Since(r.begin).Seconds(), used.Seconds())
	_ = w.Flush() // into memory
	return text.String()
}

// failed returns the names of the lanes that did not pass.
func (r *runner) failed() (names []string) {
	for _, l := range r.lanes {
		if l.state != passed {
			names = append(names, l.name)
		}
	}
	return names
}
