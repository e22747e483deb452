package app

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestLoggerFormats(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		format, role string
		json         bool
	}{{"json", "mapper", true}, {"auto", "", true}, {"console", "mapper", false}} {
		var out bytes.Buffer
		log, err := NewLogger(&out, Common{Job: "j", LogLevel: "warn", LogFormat: c.format}, c.role)
		if err != nil {
			t.Fatal(err)
		}
		log.Info().Msg("quiet")
		log.Warn().Int("n", 1).Msg("loud")
		text := out.String()
		if strings.Count(text, "\n") != 1 || strings.Contains(text, "quiet") || strings.Contains(text, "\x1b") {
			t.Errorf("%s: %q, want one line without colours", c.format, text)
		}
		var line map[string]any
		err = json.Unmarshal(out.Bytes(), &line)
		if (err == nil) != c.json {
			t.Errorf("%s: %q", c.format, text)
		}
		if _, has := line["role"]; c.json && (line["job"] != "j" || line["version"] != Version() || line["level"] != "warn" || line["message"] != "loud" ||
			line["n"] != 1.0 || line["time"] == nil || has != (c.role != "")) {
			t.Errorf("%s: %v", c.format, line)
		}
		if !c.json && !inOrder(text, []string{"WRN", "loud", "n=1", "role=mapper"}) {
			t.Errorf("%s: %q", c.format, text)
		}
	}
}

func TestLoggerErrors(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]Common{
		`LOG_LEVEL="loud": use debug`: {LogLevel: "loud", LogFormat: "json"},
		`LOG_LEVEL="": use debug`:     {LogFormat: "json"},
		`LOG_FORMAT="xml": use json`:  {LogLevel: "info", LogFormat: "xml"},
	} {
		if _, err := NewLogger(new(bytes.Buffer), c, ""); err == nil || !strings.HasPrefix(err.Error(), want) || Code(err) != ExitUsage {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestPulse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var p Pulse
		time.Sleep(time.Hour) //nolint:forbidigo // fake time
		if err := p.Check(); err != nil {
			t.Errorf("a loop that has not begun: %v", err)
		}
		p.Beat()
		time.Sleep(maxSilence) //nolint:forbidigo // fake time
		if err := p.Check(); err != nil {
			t.Errorf("after %s: %v", maxSilence, err)
		}
		time.Sleep(time.Second) //nolint:forbidigo // fake time
		if err := p.Check(); err == nil || err.Error() != "loop has stood still for 31s" {
			t.Errorf("after 31 s: %v", err)
		}
		p.Beat()
		if err := p.Check(); err != nil {
			t.Errorf("the loop runs again: %v", err)
		}
	})
}

type closer struct{ err error }

func (c closer) Close() error { return c.err }

func TestClose(t *testing.T) {
	t.Parallel()
	for _, err := range []error{nil, ErrDeadLetters} {
		var out bytes.Buffer
		log, e := NewLogger(&out, Common{LogLevel: "info", LogFormat: "json"}, "")
		if e != nil {
			t.Fatal(e)
		}
		Close(log, "sink", closer{err})
		if got := out.String(); (err == nil) != (got == "") || err != nil && !inOrder(got, []string{"error", err.Error(), "close sink"}) {
			t.Errorf("%v: logged %q", err, got)
		}
	}
}
