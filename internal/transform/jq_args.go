package transform

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// A JQArg is a value that a jq program has as $Name: a text, or a JSON value
// if JSON is set.
type JQArg struct {
	Name, Value string
	JSON        bool
}

const (
	textPrefix = "arg."
	jsonPrefix = "argjson."
)

// JQSpec returns the setting of a jq program with values: jq:PROGRAM, or
// jq?arg.NAME=TEXT&argjson.NAME=JSON:PROGRAM, where names and values are
// written as in the query of a URL. The same values in another order are the
// same setting. Parse judges it, but for names that are given twice.
func JQSpec(program string, args []JQArg) (string, error) {
	if len(args) == 0 {
		return "jq:" + program, nil
	}
	query := url.Values{}
	seen := map[string]bool{}
	for _, arg := range args {
		if seen[arg.Name] {
			return "", fmt.Errorf("%w: the value $%s is given twice", ErrSettings, arg.Name)
		}
		seen[arg.Name] = true
		prefix := textPrefix
		if arg.JSON {
			prefix = jsonPrefix
		}
		query.Set(prefix+arg.Name, arg.Value)
	}
	return "jq?" + query.Encode() + ":" + program, nil
}

// jqValues are the variables of a program, besides those that it makes.
type jqValues struct {
	names  []string // with their $
	values []any
}

var jqName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// splitJQ divides what follows "jq" in a setting into values and program.
func splitJQ(rest string) (jqValues, string, error) {
	settings, program, ok := strings.Cut(rest, ":")
	if !ok {
		return jqValues{}, "", errors.New("the program is missing; use jq:PROGRAM, for example jq:{id: .uuid}")
	}
	query, ok := strings.CutPrefix(settings, "?")
	if !ok {
		return makeJQValues(nil), program, nil
	}
	const use = "use jq?arg.NAME=TEXT&argjson.NAME=JSON:PROGRAM, with : in a value as %3A"
	all, err := url.ParseQuery(query)
	if err != nil {
		return jqValues{}, "", fmt.Errorf("%s: %w", use, err)
	}
	named := map[string]any{}
	for key, values := range all {
		var value any = values[0]
		name, isText := strings.CutPrefix(key, textPrefix)
		if !isText {
			if name, ok = strings.CutPrefix(key, jsonPrefix); !ok {
				return jqValues{}, "", fmt.Errorf("jq has no setting %q; %s", key, use)
			}
			if value, err = decode([]byte(values[0])); err != nil {
				return jqValues{}, "", fmt.Errorf("read JSON value of $%s: %w; give a text with --arg, or arg.%s", name, err, name)
			}
		}
		switch _, twice := named[name]; {
		case twice || len(values) > 1:
			return jqValues{}, "", fmt.Errorf("the value $%s is given twice", name)
		case !jqName.MatchString(name):
			return jqValues{}, "", fmt.Errorf("%q is not the name of a value; use letters, digits and _, and begin with no digit", name)
		case name == "ARGS" || name == "__loc__":
			return jqValues{}, "", fmt.Errorf("the value $%s is jq's own; choose another name", name)
		}
		named[name] = value
	}
	return makeJQValues(named), program, nil
}

// makeJQValues adds $ARGS, which jq always has.
func makeJQValues(named map[string]any) jqValues {
	if named == nil {
		named = map[string]any{}
	}
	var v jqValues
	for _, name := range slices.Sorted(maps.Keys(named)) {
		v.names = append(v.names, "$"+name)
		v.values = append(v.values, named[name])
	}
	v.names = append(v.names, "$ARGS")
	v.values = append(v.values, map[string]any{"named": named, "positional": []any{}})
	return v
}
