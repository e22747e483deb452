package bus

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestGate: close waits until all have left, and after it no one can enter.
func TestGate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		done := false
		inside := func() { <-time.After(time.Minute); done = true }
		if !g.run(inside) {
			t.Fatal("an open gate does not run the function")
		}
		soon, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := g.close(soon); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("close while a function runs: %v, want that the time is up", err)
		}
		if g.run(func() { t.Error("a closed gate ran the function") }) {
			t.Error("a closed gate reports that it ran the function")
		}
		if err := g.close(t.Context()); err != nil || !done {
			t.Errorf("close: %v, and the function is done: %v", err, done)
		}
	})
}
