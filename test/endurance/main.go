//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// settings is one invocation.
type settings struct {
	objects int
	rate    int
	mappers int
	longest time.Duration
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := start(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "endurance:", err)
		os.Exit(1)
	}
}

func start(ctx context.Context) (err error) {
	var s settings
	flag.IntVar(&s.objects, "n", 200_000, "users in the input, 100,000 or more")
	flag.IntVar(&s.rate, "rate", 8000, "objects handed out a second; 0: no limit")
	flag.IntVar(&s.mappers, "mappers", 6, "mappers, 3 or more; every other one is killed now and then")
	flag.DurationVar(&s.longest, "longest", 30*time.Minute, "after which the job counts as hanging")
	flag.Parse()
	if flag.NArg() > 0 || s.objects < 100_000 || s.rate < 0 || s.mappers < 3 {
		return errors.New("use -n 100000 or more, -rate 0 or more, -mappers 3 or more, and no arguments; -h lists the flags")
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.longest, errors.New("the job does not end"))
	defer cancel()
	dir, err := os.MkdirTemp("", "chunkline-endurance-")
	if err != nil {
		return fmt.Errorf("make temporary folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	w := &world{settings: s, dir: dir}
	defer w.killAll()
	return w.run(ctx)
}

// run is the whole thing: the input, the job with its faults, the judgement.
func (w *world) run(ctx context.Context) error {
	if err := w.build(ctx); err != nil {
		return err
	}
	source := filepath.Join(w.dir, "users.jsonl")
	dead, err := w.writeSource(ctx, source)
	if err != nil {
		return err
	}
	out := filepath.Join(w.dir, "out")
	if err := w.startAll(source, out); err != nil {
		return err
	}
	fmt.Printf("%d objects in %d chunks, RATE=%d, %d mappers\n", w.objects, w.chunks(), w.rate, w.mappers)
	begin := time.Now()
	last, err := w.watch(ctx)
	if err != nil {
		return err
	}
	took := time.Since(begin)
	code, err := w.stopFetcher(ctx)
	if err != nil {
		return err
	}
	w.killAll()
	fmt.Printf("the job took %s, exit code %d\n\n%s\n", took.Round(time.Second), code, w.faults(last, len(dead)))
	bad := w.judge()
	if code != exitDead || last.Objects.Dead != uint64(len(dead)) || last.Objects.Saved != uint64(w.objects) {
		bad = append(bad, fmt.Sprintf("exit code %d, %d saved, %d dead; want %d, %d, %d",
			code, last.Objects.Saved, last.Objects.Dead, exitDead, w.objects, len(dead)))
	}
	if err := w.verify(ctx, source, out, dead); err != nil {
		bad = append(bad, err.Error())
	}
	if len(bad) > 0 {
		return errors.New(strings.Join(bad, "\n"))
	}
	fmt.Println("flat, complete, every object once: passed")
	return nil
}
