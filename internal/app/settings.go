package app

import (
	"errors"
	"fmt"
	"math"
	"os"
	"reflect"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/kelseyhightower/envconfig"

	"github.com/chunkline/chunkline/internal/spelling"
)

// Common are the settings that every role has.
type Common struct {
	Job       string `envconfig:"JOB" default:"default" desc:"name of the job, which is part of every subject: 1 to 64 of A-Z a-z 0-9 _ -"`
	LogLevel  string `envconfig:"LOG_LEVEL" default:"info" desc:"lowest level that is logged: debug, info, warn or error"`
	LogFormat string `envconfig:"LOG_FORMAT" default:"auto" desc:"json, console, or auto: console on a terminal, else json"`
	HTTPAddr  string `envconfig:"HTTP_ADDR" default:":3541" desc:"host:port of /healthz, /readyz, /metrics and /version, and of the fetcher's live page; empty: none"`
	HTTPHosts string `envconfig:"HTTP_HOSTS" desc:"host names that requests to HTTP_ADDR may use, separated by commas; IP addresses and localhost are always allowed; empty: any name, but none if HTTP_ADDR is a loopback address"`
}

// Load fills settings, pointers to structs with envconfig tags, from the environment. An error names the variable, its
// value and what it should be. A variable that looks like a misspelt setting is an error, too.
func Load(settings ...any) error {
	if err := checkMisspelt(os.Environ(), settings); err != nil {
		return err
	}
	for _, s := range settings {
		err := envconfig.Process("", s)
		var parse *envconfig.ParseError
		switch {
		case errors.As(err, &parse):
			return Usage("%s=%q: not %s", parse.KeyName, parse.Value, InWords(parse.TypeName))
		case err != nil:
			return Usage("read settings: %w", err)
		}
	}
	return nil
}

// InWords describes the values of a Go type, or of a type of flag.
func InWords(goType string) string {
	switch {
	case strings.HasSuffix(goType, "Duration"), goType == "duration":
		return `a duration such as "20s" or "5m"`
	case goType == "bool":
		return "true or false"
	case strings.HasPrefix(goType, "int"), strings.HasPrefix(goType, "uint"):
		return "a whole number in range"
	case strings.HasPrefix(goType, "float"):
		return "a number"
	}
	return "a " + goType
}

// IsRate reports whether f can be a limit of objects a second: 0, for none, or more. Infinity cannot, because JSON, in
// which the status and the orders travel, has no such number.
func IsRate(f float64) bool { return f >= 0 && f <= math.MaxFloat64 }

// usage returns the help of a role: every setting with its default and meaning.
func usage(program, purpose string, settings []any) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s %s\n\nSettings are environment variables. --version prints the build; --health asks the %s on HTTP_ADDR\n"+
		"of this machine or container whether it is ready.\n\n", program, purpose, program)
	tw := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "  VARIABLE\tDEFAULT\tMEANING")
	for _, s := range settings {
		for _, field := range reflect.VisibleFields(reflect.TypeOf(s).Elem()) {
			if !field.IsExported() {
				continue
			}
			value := field.Tag.Get("default")
			if value == "" {
				value = "-"
			}
			fmt.Fprintf(tw, "  %s\t%s\t%s\n", field.Tag.Get("envconfig"), value, field.Tag.Get("desc"))
		}
	}
	_ = tw.Flush() // a strings.Builder returns no errors
	fmt.Fprintf(&text, "\n%s\n", TracingHelp)
	fmt.Fprintf(&text, "\nExit codes: 0 every object is saved, 1 failed, 2 wrong settings, 3 a server or store cannot be reached,\n"+
		"4 done, with dead letters, 130 stopped before the job was done, 143 ended by a second signal.\n")
	return text.String()
}

// A SettingError is an error about one setting. It names the setting by its variable. A program in which the setting
// has another name, such as a flag, replaces the name with NameSetting.
type SettingError struct {
	Setting string // the variable
	Err     error  // the text after the name: "=0: use 1 or more"
}

func (e *SettingError) Error() string { return e.Setting + e.Err.Error() }
func (e *SettingError) Unwrap() error { return e.Err }

// Setting returns an error that begins with the name of a setting. The format is the text after the name.
func Setting(name, format string, args ...any) error {
	return &SettingError{Setting: name, Err: fmt.Errorf(format, args...)}
}

// WrongSetting is Setting for a wrong value; it gives the exit code of wrong usage.
func WrongSetting(name, format string, args ...any) error {
	return WithCode(ExitUsage, Setting(name, format, args...))
}

// NameSetting renames the setting that err is about, if there is one, to the name by which the user knows it.
func NameSetting(err error, name func(setting string) string) error {
	s, ok := errors.AsType[*SettingError](err)
	if !ok {
		return err
	}
	return &namedError{text: strings.Replace(err.Error(), s.Error(), name(s.Setting)+s.Err.Error(), 1), err: err}
}

// namedError is an error with its text replaced.
type namedError struct {
	text string
	err  error
}

func (e *namedError) Error() string { return e.text }
func (e *namedError) Unwrap() error { return e.err }

// namePrefix is a prefix that users may expect; chunkline's settings have none.
const namePrefix = "CHUNKLINE_"

// leastName is the length of the shortest setting whose misspellings are detected: RATE is one letter away from DATE.
const leastName = 5

// checkMisspelt finds an environment variable that is probably a misspelt setting: one letter added, missing, wrong or
// swapped, or with chunkline's name before it. Otherwise a misspelt TRANSFORM would be ignored.
func checkMisspelt(environ []string, settings []any) error {
	var known []string
	for _, s := range settings {
		for _, field := range reflect.VisibleFields(reflect.TypeOf(s).Elem()) {
			if name := field.Tag.Get("envconfig"); name != "" {
				known = append(known, name)
			}
		}
	}
	slices.Sort(environ) // so that the error is the same each time
	for _, variable := range environ {
		name, _, _ := strings.Cut(variable, "=")
		if slices.Contains(known, name) {
			continue
		}
		bare, prefixed := strings.CutPrefix(name, namePrefix)
		for _, setting := range known {
			if prefixed && setting == bare || len(setting) >= leastName && spelling.Distance(bare, setting) == 1 {
				return Usage("%s is not a setting: did you mean %s? See -h", name, setting)
			}
		}
	}
	return nil
}
