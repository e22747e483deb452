//go:build bench

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// sleep is a program for chunkline's transform exec: it waits for each object and
// returns it unchanged. It logs the time of each object's end to a file of its own, in
// nanoseconds since 1970.
func sleep(ctx context.Context, s settings) (err error) {
	log, err := os.CreateTemp(s.out, "worker-*.log")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		if err := pause(ctx, s.each); err != nil {
			return err
		}
		fmt.Fprintln(log, time.Now().UnixNano())
		if _, err := os.Stdout.Write(append(in.Bytes(), '\n')); err != nil {
			return err
		}
	}
	return in.Err()
}

// pause waits, at most until ctx ends.
func pause(ctx context.Context, wait time.Duration) error {
	if wait == 0 {
		return nil
	}
	select {
	case <-time.After(wait):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
