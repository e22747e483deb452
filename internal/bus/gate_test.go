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
			t.Fatal("an open gate lets nobody in")
		}
		soon, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := g.close(soon); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("close while one is inside: %v, want that time is up", err)
		}
		if g.run(func() { t.Error("ran behind a gate that is closed") }) {
			t.Error("a closed gate lets in")
		}
		if err := g.close(t.Context()); err != nil || !done {
			t.Errorf("close: %v, and the one inside is done: %v", err, done)
		}
	})
}
