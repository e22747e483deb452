package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	startTimeout = 30 * time.Second // for a process to say that it is ready
	stopTimeout  = 30 * time.Second // for a process to end after an interrupt
)

// processes are the children of one run. Whoever makes it must call kill.
type processes struct {
	env    []string
	all    []*process
	failed chan error // the first child that ended by itself and not well
}

func newProcesses() *processes {
	ps := &processes{failed: make(chan error, 1)}
	for _, entry := range os.Environ() { // no setting of a role comes from outside; GOMAXPROCS and GOGC may
		name, _, _ := strings.Cut(entry, "=")
		if name == "PATH" || name == "HOME" || name == "TMPDIR" || strings.HasPrefix(name, "GO") {
			ps.env = append(ps.env, entry)
		}
	}
	return ps
}

// process is one child and what it printed.
type process struct {
	label  string
	cmd    *exec.Cmd
	exited chan struct{} // closed when it was waited for
	err    error         // set before exited is closed

	mu      sync.Mutex
	printed bytes.Buffer  // guarded by mu
	more    chan struct{} // guarded by mu; closed when something was printed
}

// start starts a child. Its label is how the report calls its kind.
func (ps *processes) start(label, program string, args, env []string) (*process, error) {
	p := &process{label: label, exited: make(chan struct{}), more: make(chan struct{})}
	p.cmd = exec.Command(program, args...)
	p.cmd.Env = slices.Concat(ps.env, env)
	p.cmd.Stdout, p.cmd.Stderr = p, p
	p.cmd.WaitDelay = time.Second
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", label, err)
	}
	ps.all = append(ps.all, p)
	go func() { // ends with the child, which stop or kill ends and waits for
		defer close(p.exited)
		if err := p.cmd.Wait(); err != nil {
			p.err = fmt.Errorf("%s: %w; it printed:\n%s", label, err, p.tail())
			select {
			case ps.failed <- p.err:
			default:
			}
		}
	}()
	return p, nil
}

// Write takes what the child prints.
func (p *process) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.more)
	p.more = make(chan struct{})
	return p.printed.Write(text)
}

func (p *process) tail() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	text := p.printed.Bytes()
	return string(text[max(0, len(text)-2000):])
}

// find returns the first group of what has been printed, and else a channel
// that is closed when there is more.
func (p *process) find(pattern *regexp.Regexp) (string, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if match := pattern.FindSubmatch(p.printed.Bytes()); match != nil {
		return string(match[1]), nil
	}
	return "", p.more
}

// await waits until p has printed pattern and returns its first group.
func (ps *processes) await(ctx context.Context, p *process, pattern string) (string, error) {
	expression := regexp.MustCompile(pattern)
	timeout := time.NewTimer(startTimeout)
	defer timeout.Stop()
	for {
		text, more := p.find(expression)
		if more == nil {
			return text, nil
		}
		select {
		case <-more:
		case err := <-ps.failed:
			return "", err
		case <-timeout.C:
			return "", fmt.Errorf("%s did not print %q within %s; it printed:\n%s", p.label, pattern, startTimeout, p.tail())
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// wait waits until p has ended well, or any child has not.
func (ps *processes) wait(ctx context.Context, p *process) error {
	select {
	case <-p.exited:
		return p.err
	case err := <-ps.failed:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// stop interrupts what still runs, the last started first and the first, the
// nats-server, when all others are gone.
func (ps *processes) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	others := ps.all[1:]
	for i := range others {
		_ = others[len(others)-1-i].cmd.Process.Signal(os.Interrupt) // it may have ended
	}
	for _, p := range others {
		if err := ps.wait(ctx, p); err != nil {
			return fmt.Errorf("stop %s: %w", p.label, err)
		}
	}
	_ = ps.all[0].cmd.Process.Signal(os.Interrupt)
	if err := ps.wait(ctx, ps.all[0]); err != nil {
		return fmt.Errorf("stop %s: %w", ps.all[0].label, err)
	}
	return nil
}

// kill ends what still runs and waits until it is gone.
func (ps *processes) kill() error {
	var errs []error
	for _, p := range ps.all {
		if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			errs = append(errs, fmt.Errorf("kill %s: %w", p.label, err))
			continue
		}
		<-p.exited
	}
	return errors.Join(errs...)
}
