package app

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// stopGrace is how long a role that is stopped while it opens a resource has to close it.
const stopGrace = time.Second

// A Startup is a role before it runs: it opens its source or sink and connects. Until the role runs, the Startup is the
// Probe of the HTTP server. It reports that the role is alive, and what it is waiting for.
type Startup struct {
	server *Server // may be nil
	doing  atomic.Pointer[string]
	ready  chan struct{} // closed when the role runs
}

// Doing records the next step, such as "opening the sink".
func (s *Startup) Doing(what string) { s.doing.Store(&what) }

// Alive returns nil: a role that is starting is alive, even if it takes long to open a resource.
func (s *Startup) Alive() error { return nil }

// Ready returns an error with the current step.
func (s *Startup) Ready() error { return errors.New("starting: " + *s.doing.Load()) }

// Run runs the role, for which the HTTP server answers from now on. If extra is not nil, it adds handlers to the
// server. Run is called once.
func (s *Startup) Run(ctx context.Context, role Role, extra func(*Server)) error {
	close(s.ready)
	if s.server != nil {
		if extra != nil {
			extra(s.server)
		}
		s.server.setProbe(role)
	}
	return role.Run(ctx)
}

// Serve serves HTTP, if there is an address, and calls open. open opens the resources of a role, calls [Startup.Run]
// and closes them. Serve returns when open does. If ctx ends while open waits for a resource, Serve returns without it.
func Serve(ctx context.Context, at HTTP, open func(ctx context.Context, s *Startup) error) error {
	s := &Startup{ready: make(chan struct{})}
	s.Doing("reading the settings")
	if at.Addr == "" {
		return s.await(ctx, open)
	}
	var err error
	if s.server, err = Listen(at, s); err != nil {
		return err
	}
	serving, stop := context.WithCancel(context.WithoutCancel(ctx)) // probes answer while the role drains
	defer stop()
	roleCtx, stopRole := context.WithCancel(ctx)
	defer stopRole()
	group := new(errgroup.Group)
	group.Go(func() error { defer stop(); return s.await(roleCtx, open) })
	group.Go(func() error { defer stopRole(); return s.server.Run(serving) })
	return group.Wait()
}

// await calls open. If ctx ends while open still waits for a resource, await abandons it: a disk or a pipe that hangs
// cannot be interrupted, and the process ends.
func (s *Startup) await(ctx context.Context, open func(ctx context.Context, s *Startup) error) error {
	done := make(chan error, 1)
	go func() { done <- open(ctx, s) }()
	over := make(chan struct{})
	defer context.AfterFunc(ctx, func() { time.AfterFunc(stopGrace, func() { close(over) }) })()
	select {
	case err := <-done:
		return err
	case <-s.ready: // the role itself ends with ctx
		return <-done
	case <-over:
		return WithCode(ExitInterrupted, fmt.Errorf("stopped while %s", *s.doing.Load()))
	}
}

// RunRole runs a role that needs no resources, and the HTTP server beside it if there is an address. It returns when
// role does.
func RunRole(ctx context.Context, at HTTP, role Role, extra func(*Server)) error {
	return Serve(ctx, at, func(ctx context.Context, s *Startup) error { return s.Run(ctx, role, extra) })
}
