package app

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

type settings struct {
	Count   int           `envconfig:"APP_TEST_COUNT" default:"7" desc:"how many"`
	Size    uint16        `envconfig:"APP_TEST_SIZE" default:"1" desc:"bytes"`
	Wait    time.Duration `envconfig:"APP_TEST_WAIT" default:"5s" desc:"how long"`
	Share   float64       `envconfig:"APP_TEST_SHARE" default:"0.5" desc:"of all"`
	Really  bool          `envconfig:"APP_TEST_REALLY" default:"true" desc:"or not"`
	Address string        `envconfig:"APP_TEST_ADDRESS" default:":1" desc:"empty: none"`
	Secret  string        `envconfig:"APP_TEST_SECRET" desc:"empty: none"`
}

// set sets variables until the test ends, and no others of the test's own.
func set(t *testing.T, values map[string]string) {
	t.Helper()
	for name, value := range values {
		t.Setenv(name, value)
	}
}

func TestLoad(t *testing.T) {
	var s settings
	if err := Load(&s); err != nil {
		t.Fatal(err)
	}
	if want := (settings{7, 1, 5 * time.Second, 0.5, true, ":1", ""}); s != want {
		t.Errorf("defaults: %+v, want %+v", s, want)
	}
	set(t, map[string]string{
		"APP_TEST_COUNT": "-3", "APP_TEST_SIZE": "65535", "APP_TEST_WAIT": "250ms", "APP_TEST_SHARE": "1e-3",
		"APP_TEST_REALLY": "false", "APP_TEST_ADDRESS": "", "APP_TEST_SECRET": "x",
	})
	if err := Load(new(Common), &s); err != nil {
		t.Fatal(err)
	}
	if want := (settings{-3, 65535, 250 * time.Millisecond, 0.001, false, "", "x"}); s != want {
		t.Errorf("set: %+v, want %+v (a variable that is set but empty has no default)", s, want)
	}
}

// TestLoadErrors: one line that names variable, value and what would be right.
func TestLoadErrors(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"APP_TEST_COUNT", "many", `APP_TEST_COUNT="many": not a whole number in range`},
		{"APP_TEST_COUNT", "", `APP_TEST_COUNT="": not a whole number in range`},
		{"APP_TEST_SIZE", "65536", `APP_TEST_SIZE="65536": not a whole number in range`},
		{"APP_TEST_WAIT", "20", `APP_TEST_WAIT="20": not a duration such as "20s" or "5m"`},
		{"APP_TEST_SHARE", "half", `APP_TEST_SHARE="half": not a number`},
		{"APP_TEST_REALLY", "perhaps", `APP_TEST_REALLY="perhaps": not true or false`},
	} {
		t.Run(c.name+"="+c.value, func(t *testing.T) {
			t.Setenv(c.name, c.value)
			err := Load(new(settings))
			if err == nil || err.Error() != c.want || Code(err) != ExitUsage {
				t.Errorf("got %v (exit code %d), want %s", err, Code(err), c.want)
			}
		})
	}
}

// TestUsage: the help lists every variable with default and meaning, on one line.
func TestUsage(t *testing.T) {
	t.Parallel()
	text := usage("roler", "rolls.", []any{new(Common), new(settings), new(struct{ derived bool })})
	for _, want := range [][]string{
		{"roler rolls."},
		{"JOB", "default", "name of the job"}, {"LOG_LEVEL", "info", "debug, info, warn or error"},
		{"LOG_FORMAT", "auto", "json, console"}, {"HTTP_ADDR", ":3541", "host:port"},
		{"APP_TEST_COUNT", "7", "how many"}, {"APP_TEST_WAIT", "5s", "how long"}, {"APP_TEST_SECRET", "-", "empty: none"},
		{"Exit codes", "0 every object is saved", "2 wrong settings"}, {"4 done, with dead letters", "130", "143"},
	} {
		found := false
		for line := range strings.Lines(text) {
			found = found || inOrder(line, want)
		}
		if !found {
			t.Errorf("no line with %q in\n%s", want, text)
		}
	}
	if regexp.MustCompile(`(?m)^ +- +$`).MatchString(text) {
		t.Errorf("a row without a variable in\n%s", text)
	}
}

// inOrder says whether words are in line, one behind the other.
func inOrder(line string, words []string) bool {
	for _, word := range words {
		_, rest, found := strings.Cut(line, word)
		if !found {
			return false
		}
		line = rest
	}
	return true
}

func TestVersion(t *testing.T) {
	t.Parallel()
	if Version() == "" {
		t.Error("no version")
	}
	host, err := os.Hostname()
	if err == nil && Hostname() != host {
		t.Errorf("host name %q, want %q", Hostname(), host)
	}
}
