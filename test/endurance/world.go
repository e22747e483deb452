//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/source"
	"github.com/chunkline/chunkline/test/loopback"
)

const (
	chunkSize = 100
	exitDead  = 4 // of a job that has dead letters
	seed      = 1 // of the users
)

// world is the processes of a job and what was seen of them.
type world struct {
	settings
	dir       string
	processes []*process // that run, in the order of their start
	watched   []*process // all of them, also when they have ended
	nats      *process
	saver     *process
	fetcher   *process
	mortal    []*process // mappers that are killed now and then
	kills     int
	drains    int
	restarts  map[string]int
}

func (w *world) chunks() int { return (w.objects + chunkSize - 1) / chunkSize }

// process is a program that is started again when it was killed.
type process struct {
	label string
	path  string
	args  []string
	env   []string
	http  string // host:port; "": it has no metrics
	log   string

	cmd     *exec.Cmd
	exited  chan struct{}
	samples []sample
}

func (p *process) start() error {
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	defer log.Close()
	p.cmd = exec.Command(p.path, p.args...)
	p.cmd.Env = append(os.Environ(), p.env...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.label, err)
	}
	exited, cmd := make(chan struct{}), p.cmd
	p.exited = exited
	go func() { // ends with the process, which killAll kills
		defer close(exited)
		_ = cmd.Wait()
	}()
	return nil
}

func (p *process) ended() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// again ends the process with a signal and starts it anew.
func (p *process) again(ctx context.Context, s syscall.Signal) error {
	_ = p.cmd.Process.Signal(s) // it may have ended
	select {
	case <-p.exited:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return p.start()
}

func (w *world) killAll() {
	for _, p := range w.processes {
		_ = p.cmd.Process.Kill() // it may have ended
		<-p.exited
	}
	w.processes = nil
}

// build builds what runs.
func (w *world) build(ctx context.Context) error {
	for _, target := range []string{"./cmd/...", "./test/checker", "github.com/nats-io/nats-server/v2"} {
		build := exec.CommandContext(ctx, "go", "build", "-o", w.path("")+string(filepath.Separator), target)
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", target, err, out)
		}
	}
	return nil
}

func (w *world) path(program string) string { return filepath.Join(w.dir, "bin", program) }

// deadEvery is how many chunks there are for each with an object that cannot
// be mapped: 0.8 %.
const deadEvery = 125

// writeSource writes the users, some of them spoiled: valid JSON that the
// transform refuses. It returns the ordinals of those.
func (w *world) writeSource(ctx context.Context, path string) (dead []string, err error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("write source: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	out := bufio.NewWriterSize(file, 1<<20)
	s := &spoiler{out: out}
	if err := source.WriteUsers(ctx, s, w.objects, seed); err != nil {
		return nil, err
	}
	return s.dead, out.Flush()
}

// spoiler spoils one object in the middle of every deadEvery-th chunk.
type spoiler struct {
	out     *bufio.Writer
	ordinal int
	begun   bool // in the middle of a line
	dead    []string
}

// Write takes any piece of the lines.
func (s *spoiler) Write(text []byte) (int, error) {
	for _, b := range text {
		spoil := s.ordinal/chunkSize%deadEvery == 5 && s.ordinal%chunkSize == 57
		if spoil && !s.begun {
			s.dead = append(s.dead, strconv.Itoa(s.ordinal))
			fmt.Fprintf(s.out, `{"uuid":"spoiled","number":%d}`, s.ordinal)
		}
		s.begun = true
		if !spoil || b == '\n' {
			_ = s.out.WriteByte(b) // Flush tells
		}
		if b == '\n' {
			s.ordinal, s.begun = s.ordinal+1, false
		}
	}
	return len(text), nil
}

// add starts one more process.
func (w *world) add(label, program string, http bool, args []string, env ...string) (*process, error) {
	p := &process{label: label, path: w.path(program), args: args, log: filepath.Join(w.dir, label+".log")}
	p.env = slices.Concat(env, []string{"JOB=endurance", "LOG_FORMAT=json", "NO_COLOR=1"})
	if http {
		p.http = loopback.Address()
	}
	p.env = append(p.env, "HTTP_ADDR="+p.http)
	if err := p.start(); err != nil {
		return nil, err
	}
	w.processes = append(w.processes, p)
	w.watched = append(w.watched, p)
	return p, nil
}

func (w *world) startAll(source, out string) error {
	address := loopback.Address()
	host, port, _ := strings.Cut(address, ":")
	var err error
	if w.nats, err = w.add("nats-server", "nats-server", false, []string{"-a", host, "-p", port}); err != nil {
		return err
	}
	url := "NATS_URL=nats://" + address
	if w.saver, err = w.add("saver", "saver", true, nil, url, "SINK="+out); err != nil {
		return err
	}
	if w.fetcher, err = w.add("fetcher", "fetcher", true, nil, url, "SOURCE="+source, "ON_DONE=stay", "RATE="+strconv.Itoa(w.rate)); err != nil {
		return err
	}
	for i := range w.mappers {
		label := fmt.Sprintf("mapper-%d", i)
		m, err := w.add(label, "mapper", true, nil, url, "TRANSFORM=users?duration=50ms", "WORKERS=4", "MAPPER_NAME="+label)
		if err != nil {
			return err
		}
		if i%2 == 1 {
			w.mortal = append(w.mortal, m)
		}
	}
	return nil
}

// faults says what was done to the job, and what came of it.
func (w *world) faults(s bus.Status, dead int) string {
	chunks := w.chunks()
	share := float64(dead+int(s.Chunks.Redelivered)+int(s.Chunks.Duplicates)) / float64(chunks) * 100
	return fmt.Sprintf(`what went wrong
  objects that cannot be mapped          %d
  mappers killed                         %d
  mappers told to stop                   %d
  saver killed, nats-server killed       %d, %d
  chunks redelivered, saved twice        %d, %d
  backups, and those that were first     %d, %d
  chunks with a fault, at most           %.2f %% of %d
`, dead, w.kills, w.drains, w.restarts["saver"], w.restarts["nats-server"], s.Chunks.Redelivered, s.Chunks.Duplicates,
		s.Chunks.Backups, s.Chunks.BackupWins, share, chunks)
}

// stopFetcher tells the fetcher to end and returns its exit code.
func (w *world) stopFetcher(ctx context.Context) (int, error) {
	if err := w.fetcher.cmd.Process.Signal(os.Interrupt); err != nil {
		return 0, fmt.Errorf("stop fetcher: %w", err)
	}
	select {
	case <-w.fetcher.exited:
		return w.fetcher.cmd.ProcessState.ExitCode(), nil
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

// verify runs our own verify, and the checker, over the result.
func (w *world) verify(ctx context.Context, source, out string, dead []string) error {
	for _, argv := range [][]string{
		{w.path("chunkline"), "verify", "-o", out},
		{
			w.path("checker"), "-source", source, "-output", filepath.Join(out, "output.jsonl"), "-dead", filepath.Join(out, "dead.jsonl"),
			"-want-dead", strings.Join(dead, ","),
		},
	} {
		begin := time.Now()
		text, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s: %w\n%s", filepath.Base(argv[0]), err, text)
		}
		fmt.Printf("%s passed after %s\n", filepath.Base(argv[0]), time.Since(begin).Round(time.Second))
	}
	return nil
}
