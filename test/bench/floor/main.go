//go:build bench

// Floor does the work of chunkline's jobs with as little code as possible, and shares
// none with chunkline: "floor ROLE [flags]". See package bench.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/chunkline/chunkline/test/bench/corenats"
)

// settings are the flags of all roles.
type settings struct {
	url    string
	in     string
	out    string
	window int
	late   bool
	each   time.Duration
	mapped bool
}

// roles are what a process can do.
var roles = map[string]func(context.Context, settings) error{
	"publish": func(ctx context.Context, s settings) error {
		return corenats.Run(ctx, s.url, corenats.Publish(s.in, s.window))
	},
	"forward": func(ctx context.Context, s settings) error {
		return corenats.Run(ctx, s.url, corenats.Forward(s.mapLine()))
	},
	"receive": func(ctx context.Context, s settings) error {
		return corenats.Run(ctx, s.url, corenats.Receiver{Path: s.out, Late: s.late}.Run)
	},
	"stream-publish": func(ctx context.Context, s settings) error { return corenats.Run(ctx, s.url, streamPublish(s.in)) },
	"stream-forward": func(ctx context.Context, s settings) error {
		return corenats.Run(ctx, s.url, streamForward(s.mapLine(), s.each))
	},
	"stream-receive": func(ctx context.Context, s settings) error { return corenats.Run(ctx, s.url, streamReceive(s.out)) },
	"plain":          plain,
	"sleep":          sleep,
}

func (s settings) mapLine() corenats.MapLine {
	if s.mapped {
		return mapUser
	}
	return corenats.Identity
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "floor:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 || roles[args[0]] == nil {
		return errors.New("use floor ROLE [flags]")
	}
	var s settings
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.StringVar(&s.url, "url", "", "of the nats-server")
	flags.StringVar(&s.in, "in", "", "file of users (publish, plain)")
	flags.StringVar(&s.out, "out", "", "file for the results (receive, plain), or folder for logs (sleep)")
	flags.IntVar(&s.window, "window", 64, "chunks under way (publish)")
	flags.BoolVar(&s.late, "late", false, "sync once, at the end (receive)")
	flags.BoolVar(&s.mapped, "map", true, "map users; else forward them as they are (forward)")
	flags.DurationVar(&s.each, "each", 0, "time to wait for an object (sleep), or for a chunk (stream-forward)")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	return roles[args[0]](ctx, s)
}
