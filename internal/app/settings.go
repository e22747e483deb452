package app

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"text/tabwriter"

	"github.com/kelseyhightower/envconfig"
)

// Common is the settings that every role has.
type Common struct {
	Job       string `envconfig:"JOB" default:"default" desc:"name of the job, part of every subject: 1 to 64 of A-Z a-z 0-9 _ -"`
	LogLevel  string `envconfig:"LOG_LEVEL" default:"info" desc:"least level that is logged: debug, info, warn or error"`
	LogFormat string `envconfig:"LOG_FORMAT" default:"auto" desc:"json, console, or auto: console on a terminal, else json"`
	HTTPAddr  string `envconfig:"HTTP_ADDR" default:":3541" desc:"host:port of /healthz, /readyz, /metrics and /version, and of the fetcher's live page; empty: none"`
	HTTPHosts string `envconfig:"HTTP_HOSTS" desc:"names that a request to HTTP_ADDR may be for, beside addresses and localhost, with commas between them; empty: all, but none where HTTP_ADDR is of this machine alone"`
}

// Load fills settings, pointers to structs with envconfig tags, from the
// environment. An error names the variable, its value and what it should be. A
// variable that looks like a misspelt setting is one, too.
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

// InWords says what a Go type, or a type of flag, expects of a setting.
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

// usage lists every setting of a role with its default and meaning.
func usage(program, purpose string, settings []any) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s %s\n\nIts settings are environment variables. --version says which build it is; --health asks the %s that runs on\n"+
		"HTTP_ADDR of this machine or container whether it is ready.\n\n", program, purpose, program)
	tw := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "  VARIABLE\tDEFAULT\tMEANING")
	for _, s := range settings {
		for _, field := range reflect.VisibleFields(reflect.TypeOf(s).Elem()) {
			value := field.Tag.Get("default")
			if value == "" {
				value = "-"
			}
			fmt.Fprintf(tw, "  %s\t%s\t%s\n", field.Tag.Get("envconfig"), value, field.Tag.Get("desc"))
		}
	}
	_ = tw.Flush() // a strings.Builder takes everything
	fmt.Fprintf(&text, "\n%s\n", TracingHelp)
	fmt.Fprintf(&text, "\nExit codes: 0 every object saved, 1 failed, 2 wrong settings, 3 a server or store cannot be reached,\n"+
		"4 finished with dead letters, 130 stopped before the job was done, 143 ended by a second signal.\n")
	return text.String()
}
