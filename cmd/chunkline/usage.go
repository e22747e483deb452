package main

import (
	"errors"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/spelling"
)

// flagOf returns the flag of c that stands for a setting of the roles, or the setting itself if c has none.
func flagOf(c *cobra.Command, setting string) string {
	name := strings.ReplaceAll(strings.ToLower(setting), "_", "-")
	switch setting {
	case "HTTP_ADDR":
		name = "http"
	case "SOURCE":
		name = "input"
	case "TRANSFORM":
		for _, way := range []string{"map", "from-file", "exec"} {
			if c.Flags().Changed(way) {
				name = way
			}
		}
	}
	if c.Flags().Lookup(name) == nil {
		return setting
	}
	return "--" + name
}

// flagError describes an error in a flag in plain words instead of pflag's, which are Go's.
func flagError(c *cobra.Command, err error) error {
	see := "see '" + c.CommandPath() + " --help'"
	if wrong, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		flag := wrong.GetFlag()
		number, isNumber := errors.AsType[*strconv.NumError](wrong.Unwrap())
		switch {
		case isNumber && errors.Is(number, strconv.ErrRange):
			return app.Usage("--%s=%q: the number is too large; %s", flag.Name, wrong.GetValue(), see)
		case isNumber, flag.Value.Type() == "duration":
			return app.Usage("--%s=%q: not %s; %s", flag.Name, wrong.GetValue(), app.InWords(flag.Value.Type()), see)
		}
		return app.Usage("--%s=%q: %w; %s", flag.Name, wrong.GetValue(), wrong.Unwrap(), see)
	}
	if none, ok := errors.AsType[*pflag.ValueRequiredError](err); ok {
		_, usage := pflag.UnquoteUsage(none.GetFlag())
		return app.Usage("--%s needs a value: %s; %s", none.GetFlag().Name, usage, see)
	}
	if none, ok := errors.AsType[*pflag.NotExistError](err); ok {
		return noFlag(c, none)
	}
	return app.Usage("%w; %s", err, see)
}

// noFlag returns the error for an unknown flag, with a suggestion.
func noFlag(c *cobra.Command, none *pflag.NotExistError) error {
	see := "see '" + c.CommandPath() + " --help'"
	name := none.GetSpecifiedName()
	if letters := none.GetSpecifiedShortnames(); letters != "" {
		if meant := spelling.Nearest(letters, flagNames(c)); meant != "" && len(letters) > 2 { // -output
			return app.Usage("there is no flag -%s: did you mean --%s? %s", letters, meant, see)
		}
		return app.Usage("there is no flag -%s; %s", name, see)
	}
	if meant := spelling.Nearest(name, flagNames(c)); meant != "" {
		return app.Usage("there is no flag --%s: did you mean --%s? %s", name, meant, see)
	}
	return app.Usage("there is no flag --%s; %s", name, see)
}

func flagNames(c *cobra.Command) []string {
	var names []string
	c.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	return names
}

// argsError returns the error for wrong arguments of c.
func argsError(c *cobra.Command, args []string) error {
	see := "see '" + c.CommandPath() + " --help'"
	switch {
	case c.HasSubCommands() && len(args) > 0:
		var names []string
		for _, sub := range c.Commands() {
			names = append(names, sub.Name())
		}
		if meant := spelling.Nearest(args[0], names); meant != "" {
			return app.Usage("there is no command %q: did you mean '%s %s'? %s", args[0], c.CommandPath(), meant, see)
		}
		return app.Usage("there is no command %q; %s", args[0], see)
	case strings.Contains(c.Use, " ") && c.Flags().Lookup("output") == nil: // the command takes arguments
		return app.Usage("%d arguments were given: use %s; %s", len(args), c.UseLine(), see)
	}
	for _, flag := range []string{"input", "output"} {
		if f := c.Flags().Lookup(flag); f != nil {
			return app.Usage("unexpected argument %q: %ss are given with -%s, as in -%s %s; %s", args[0], flag, f.Shorthand, f.Shorthand, args[0], see)
		}
	}
	return app.Usage("unexpected argument %q: '%s' takes none; %s", args[0], c.CommandPath(), see)
}
