package bus

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
)

// TestLink_saysOnce: each change is logged once, however often it is reported.
func TestLink_saysOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		l := newLink(zerolog.New(&log), "nats://***@host")
		refused := errors.New("connection refused")
		for _, step := range []func(){
			func() { l.down(refused) }, func() { l.down(refused) }, l.up, l.up,
			func() { l.down(refused) }, func() { l.down(refused) },
		} {
			<-time.After(5 * time.Second)
			step()
		}
		lines := []string{"no connection to NATS", "connected to NATS again after 15s", "no connection to NATS"}
		got := strings.Split(strings.TrimSpace(log.String()), "\n")
		if len(got) != len(lines) {
			t.Fatalf("got %d log lines:\n%s", len(got), log.String())
		}
		for i, want := range lines {
			if !strings.Contains(got[i], want) {
				t.Errorf("log line %s, want %s", got[i], want)
			}
		}
		l.shut(ErrClosed)
		l.shut(ErrDenied)
		if l.reason() != ErrClosed || l.live.Load() { //nolint:errorlint // the error itself, not one that wraps it
			t.Errorf("closed because of %v, want the first reason", l.reason())
		}
	})
}

// TestLink_connectedWhileClosing: a connection that comes up while its owner closes it
// counts as closed, and its end is not logged.
func TestLink_connectedWhileClosing(t *testing.T) {
	t.Parallel()
	l := newLink(zerolog.Nop(), "nats://host")
	l.shut(ErrClosed)
	l.up()
	if err := l.usable(); !errors.Is(err, ErrClosed) {
		t.Errorf("usable: %v, want %v", err, ErrClosed)
	}
	l.down(nil)
	select {
	case <-l.lost():
	default:
		t.Error("the channel for the loss of a closed connection is never closed")
	}
}
