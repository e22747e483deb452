package app

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// stopGrace is how long a role that is told to stop while it opens something
// may take to close it again.
const stopGrace = time.Second

// A Startup is a role before it runs: it opens its sink or source and connects.
// Meanwhile the HTTP server answers that the role is alive, and why it is not ready.
type Startup struct {
	server *Server // nil: none
	doing  atomic.Pointer[string]
	ready  chan struct{} // closed when the role runs
}

// Doing notes what the role does next, such as "opening the sink".
func (s *Startup) Doing(what string) { s.doing.Store(&what) }

// Alive says that a role that starts is alive: what it opens may take long.
func (s *Startup) Alive() error { return nil }

// Ready says what the role still does.
func (s *Startup) Ready() error { return errors.New("starting: " + *s.doing.Load()) }

// Run runs the role, for which the HTTP server answers from now on. Extra, if it
// is not nil, adds handlers to the server. It is called once.
func (s *Startup) Run(ctx context.Context, role Role, extra func(*Server)) error {
	close(s.ready)
	if s.server != nil {
		if extra != nil {
			extra(s.server)
		}
		s.server.take(role)
	}
	return role.Run(ctx)
}

// Serve serves HTTP, if there is an address, and calls open, which opens what a
// role needs, calls [Startup.Run] and closes it again. It returns when open does.
// When ctx ends while open waits for something, it returns without it.
func Serve(ctx context.Context, at HTTP, open func(ctx context.Context, s *Startup) error) error {
	s := &Startup{ready: make(chan struct{})}
	s.Doing("reading the settings")
	if at.Addr == "" {
		return s.await(ctx, open)
	}
	var err error
	if s.server, err = Listen(at, &starting{s}); err != nil {
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

// starting is a Startup as a Role.
type starting struct{ *Startup }

// Run is never called: the role itself runs.
func (*starting) Run(context.Context) error { return nil }

// await calls open, and leaves it alone when ctx has ended and it still opens
// something: a disk or a pipe that hangs cannot be interrupted, and the process ends.
func (s *Startup) await(ctx context.Context, open func(ctx context.Context, s *Startup) error) error {
	done := make(chan error, 1)
	go func() { done <- open(ctx, s) }()
	select {
	case err := <-done:
		return err
	case <-s.ready: // the role heeds ctx
		return <-done
	case <-ctx.Done():
	}
	grace := time.NewTimer(stopGrace)
	defer grace.Stop()
	select {
	case err := <-done:
		return err
	case <-s.ready:
		return <-done
	case <-grace.C:
		return WithCode(ExitInterrupted, fmt.Errorf("stopped while %s", *s.doing.Load()))
	}
}

// RunRole runs a role that needs nothing opened, and beside it the HTTP server
// when it has an address. It returns when role does.
func RunRole(ctx context.Context, at HTTP, role Role, extra func(*Server)) error {
	return Serve(ctx, at, func(ctx context.Context, s *Startup) error { return s.Run(ctx, role, extra) })
}
