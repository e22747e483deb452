package app

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
)

// TestTrouble: an hour of failures is two lines, and a moment is none.
func TestTrouble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		trouble := NewTrouble(zerolog.New(&out), zerolog.WarnLevel, Patience, "it went", "it is back")
		fail := func(d time.Duration) {
			for end := time.Now().Add(d); time.Now().Before(end); <-time.After(100 * time.Millisecond) {
				trouble.Note(errors.New("no responders"))
			}
		}
		fail(900 * time.Millisecond)
		trouble.Note(nil)
		fail(900 * time.Millisecond)
		if trouble.Lasts() || out.Len() > 0 {
			t.Errorf("logged %q within the patience, want nothing", out.String())
		}
		fail(time.Hour)
		if !trouble.Lasts() {
			t.Error("the outage of an hour is not reported as lasting")
		}
		trouble.Note(nil)
		trouble.Note(nil)
		want := `{"level":"warn","error":"no responders","message":"it went"}` + "\n" + `{"level":"info","after":"1h0m0.9s","message":"it is back"}` + "\n"
		if got := out.String(); got != want || trouble.Lasts() {
			t.Errorf("logged %s, want %s", got, want)
		}
	})
}

// TestTrouble_repeat: with Repeat the outage is logged again while it lasts, each time after twice as long.
func TestTrouble_repeat(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		trouble := NewTrouble(zerolog.New(&out), zerolog.WarnLevel, 0, "it went", "").Repeat(time.Minute)
		for range 479 {
			trouble.Note(errors.New("no responders"))
			<-time.After(time.Second)
		}
		want := `{"level":"warn","error":"no responders","message":"it went"}` + "\n" +
			`{"level":"warn","error":"no responders","after":"1m0s","message":"it went"}` + "\n" +
			`{"level":"warn","error":"no responders","after":"2m0s","message":"it went"}` + "\n" +
			`{"level":"warn","error":"no responders","after":"4m0s","message":"it went"}` + "\n"
		if got := out.String(); got != want {
			t.Errorf("logged %s, want %s", got, want)
		}
	})
}

// TestSampled: a flood is ten lines a minute.
func TestSampled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := Sampled(zerolog.New(&out))
		for range 3 * 60 {
			log.Warn().Msg("strange")
			<-time.After(time.Second)
		}
		if n := strings.Count(out.String(), "\n"); n < 30 || n > 40 {
			t.Errorf("%d lines in three minutes, want ten a minute", n)
		}
	})
}
