package main

import (
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/fetcher"
	"github.com/chunkline/chunkline/internal/mapper"
)

// goText matches Go's own errors.
var goText = regexp.MustCompile(`strconv|parsing|time: |invalid (syntax|argument)`)

// wrongFlags has invalid values of each flag of run, except flags that accept any text.
var wrongFlags = map[string][]string{
	"input": {"nowhere"}, "format": {"xml"}, "force": {"perhaps"}, "exec": {"no-such-program"}, "transform": {"nothing"},
	"from-file": {"nowhere"}, "argjson": {"a"}, "arg": {"a"}, "end-timeout": {"5", "-1s"}, "accept-change": {"2"}, "redo": {"2"},
	"work": {"folder"}, "workers": {"-1", "1025", "many", "99999999999999999999"}, "job": {"a.b"}, "listen": {"nowhere"}, "listen-token": {"short"}, "http": {"nowhere"}, "json": {"2"},
	"log-level": {"loud"}, "timeout": {"5", "-1s"}, "retries": {"-1", "101", "x"}, "chunk-size": {"0", "10001", "x", "99999999999999999999"}, "chunk-bytes": {"0", "x"},
	"max-dead": {"-2", "x"}, "max-attempts": {"-1", "x"}, "keep-going": {"2"}, "rate": {"-1", "NaN", "x"}, "speculate": {"2"},
}

// TestWrongFlags: an error about a flag's value names the flag, in plain words, whether the
// flag's parser or a role's settings find it.
func TestWrongFlags(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in := write(t, filepath.Join(dir, "in"), "1\n")
	settings := map[string]bool{}
	for _, config := range []any{fetcher.Config{}, mapper.Config{}, app.Common{}} {
		for _, field := range reflect.VisibleFields(reflect.TypeOf(config)) {
			settings[field.Tag.Get("envconfig")] = true
		}
	}
	delete(settings, "") // of a field that is no setting
	names := regexp.MustCompile(`\b[A-Z]+(_[A-Z]+)*\b`)
	runCommand().Flags().VisitAll(func(f *pflag.Flag) {
		values := wrongFlags[f.Name]
		if len(values) == 0 && f.Name != "map" && f.Name != "output" {
			t.Errorf("the test has no wrong value for --%s", f.Name)
		}
		for _, value := range values {
			args := []string{"run", "-o", filepath.Join(dir, "out"), "--" + f.Name + "=" + value}
			if f.Name != "input" {
				args = append(args, "-i", in)
			}
			if f.Name != "transform" && f.Name != "exec" && f.Name != "from-file" {
				args = append(args, "-m", ".")
			}
			text := must(t, 2, args...).err.Error()
			if what := "--" + f.Name; !strings.Contains(text, what) && f.Name != "transform" && f.Name != "exec" {
				t.Errorf("--%s=%s: no %q in %q", f.Name, value, what, text)
			}
			for _, name := range names.FindAllString(text, -1) {
				if settings[name] {
					t.Errorf("--%s=%s: %q names a setting instead of the flag", f.Name, value, text)
				}
			}
			if goText.MatchString(text) {
				t.Errorf("--%s=%s: %q is an error text of Go", f.Name, value, text)
			}
		}
	})
}

// TestFlagOf: each setting with a flag of run maps to that flag.
func TestFlagOf(t *testing.T) {
	t.Parallel()
	c := runCommand()
	for setting, want := range map[string]string{
		"SOURCE": "--input", "HTTP_ADDR": "--http", "CHUNK_SIZE": "--chunk-size", "MAX_DEAD": "--max-dead", "LOG_FORMAT": "LOG_FORMAT", "TRANSFORM": "--transform",
	} {
		if got := flagOf(c, setting); got != want {
			t.Errorf("%s is %s, want %s", setting, got, want)
		}
	}
	if err := c.Flags().Set("map", "."); err != nil || flagOf(c, "TRANSFORM") != "--map" {
		t.Errorf("%v; TRANSFORM is %s, want --map", err, flagOf(c, "TRANSFORM"))
	}
}

// TestMisspelt: an unknown command, flag or argument is reported with a suggestion.
func TestMisspelt(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"runn":                        "did you mean 'chunkline run'?",
		"staus":                       "did you mean 'chunkline status'?",
		"dead lst":                    "did you mean 'chunkline dead list'?",
		"frobnicate":                  `there is no command "frobnicate"`,
		"run in.jsonl":                "inputs are given with -i, as in -i in.jsonl",
		"verify in.jsonl":             "inputs are given with -i",
		"redo out.jsonl":              "outputs are given with -o",
		"dead list out.jsonl":         "outputs are given with -o",
		"status more":                 "'chunkline status' takes none",
		"control rate":                "chunkline control rate OBJECTS",
		"control pause now":           "takes none",
		"run --chunksize 3":           "did you mean --chunk-size?",
		"run --chunk_size=3":          "did you mean --chunk-size?",
		"run --inptu x":               "did you mean --input?",
		"run --max-dea 3":             "did you mean --max-dead?",
		"run -workers 3":              "did you mean --workers?",
		"run --frobnicate":            "there is no flag --frobnicate; see",
		"run -q":                      "there is no flag -q",
		"run -i":                      "--input needs a value",
		"control rate 5x":             "a number of objects a second",
		"status --nats-url nowhere":   "--nats-url=",
		"generate users -n many":      "--count=\"many\": not a whole number",
		"dead retry -o out -j many":   "--workers=\"many\": not a whole number",
		"dead retry -o out --timeout": "--timeout needs a value",
	} {
		text := must(t, 2, strings.Fields(line)...).err.Error()
		wantWords(t, text, want)
		if goText.MatchString(text) {
			t.Errorf("%s: %q is an error text of Go", line, text)
		}
	}
}
