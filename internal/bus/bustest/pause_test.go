package bustest_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chunkline/chunkline/internal/bus/bustest"
	"github.com/chunkline/chunkline/internal/wire"
)

// Packets from and to a paused connection arrive at its end, in order, those
// that were delayed too; a crash loses them.
func TestPause(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		end  func(*bustest.Memory, *bustest.Conn)
		want []string
	}{
		"resumed": {func(n *bustest.Memory, _ *bustest.Conn) { n.Resume("a") }, []string{"0", "1", "late", "2"}},
		"crashed": {func(_ *bustest.Memory, c *bustest.Conn) { c.Crash() }, []string{"0"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := bustest.NewMemory(bustest.Options{})
				n.SetHook(func(p bustest.Packet) bustest.Fate {
					if string(p.Body) == "late" {
						return bustest.Fate{Delay: time.Second}
					}
					return bustest.Fate{}
				})
				a, b := n.Connect("a"), n.Connect("b")
				heard := listen(t, b, "")
				say := func(text string) {
					t.Helper()
					if err := a.Publish("s", wire.Message{Body: []byte(text)}); err != nil {
						t.Fatal(err)
					}
				}
				say("0")
				say("late")
				synctest.Wait()
				n.Pause("a")
				say("1")
				<-time.After(2 * time.Second)
				say("2")
				synctest.Wait()
				if got := heard(); !slices.Equal(got, []string{"0"}) {
					t.Errorf("while paused: heard %q", got)
				}
				test.end(n, a)
				synctest.Wait()
				if got := heard(); !slices.Equal(got, test.want) {
					t.Errorf("heard %q, want %q", got, test.want)
				}
				b.Close()
				a.Close()
			})
		})
	}
}

// The answer to a paused connection waits too, and the hook learns what it
// answers.
func TestPausedAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := bustest.NewMemory(bustest.Options{})
		a, b := n.Connect("a"), n.Connect("b")
		defer a.Close()
		defer b.Close()
		listen(t, b, "")
		answers := 0
		n.SetHook(func(p bustest.Packet) bustest.Fate {
			if p.Reply && (string(p.Question.Body) != "q" || string(p.Body) != "re q") {
				t.Errorf("answer %q to %q", p.Body, p.Question.Body)
			}
			if p.Reply {
				if answers++; answers == 1 {
					n.Pause("a")
				}
			}
			return bustest.Fate{}
		})
		time.AfterFunc(2*time.Second, func() { n.Resume("a") })
		begin := time.Now()
		for _, wait := range []time.Duration{time.Second, 2 * time.Second} {
			ctx, cancel := context.WithTimeout(t.Context(), wait)
			_, err := a.Request(ctx, "s", wire.Message{Body: []byte("q")})
			cancel()
			if took := time.Since(begin); wait == time.Second && (!errors.Is(err, context.DeadlineExceeded) || took != time.Second) {
				t.Errorf("answered with %v after %s while paused", err, took)
			} else if wait > time.Second && (err != nil || took != 2*time.Second) {
				t.Errorf("answered with %v after %s, want after the pause", err, took)
			}
		}
	})
}
