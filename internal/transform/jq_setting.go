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

// A JQArg is a value that a jq program has as $Name: a text, or a JSON value if JSON is set.
type JQArg struct {
	Name, Value string
	JSON        bool
}

const (
	textPrefix = "arg."
	jsonPrefix = "argjson."
)

// JQSpec returns the setting of a jq program with values: jq:PROGRAM, or jq?arg.NAME=TEXT&argjson.NAME=JSON:PROGRAM,
// with names and values encoded as in the query of a URL. The order of the values does not change the setting. JQSpec
// refuses a name that is given twice; Parse checks everything else.
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

// jqSettings are the parts of a setting other than the program.
type jqSettings struct {
	names  []string // names of the program's variables, with their $
	values []any    // their values
	memory int      // memory budget in bytes
}

var jqName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// splitJQ splits the part of a setting after "jq" into options and program.
func splitJQ(rest string) (jqSettings, string, error) {
	settings, program, ok := strings.Cut(rest, ":")
	if !ok {
		return jqSettings{}, "", errors.New("the program is missing; use jq:PROGRAM, for example jq:{id: .uuid}")
	}
	query, ok := strings.CutPrefix(settings, "?")
	if !ok {
		return makeJQSettings(map[string]any{}, jqMemory), program, nil
	}
	const use = "use jq?memory=1GiB&arg.NAME=TEXT&argjson.NAME=JSON:PROGRAM, with : in a value as %3A"
	all, err := url.ParseQuery(query)
	if err != nil {
		return jqSettings{}, "", fmt.Errorf("%s: %w", use, err)
	}
	named := map[string]any{}
	memory := jqMemory
	for key, values := range all {
		if key == "memory" {
			if memory, err = parseMemory(values); err != nil {
				return jqSettings{}, "", err
			}
			continue
		}
		var value any = values[0]
		name, isText := strings.CutPrefix(key, textPrefix)
		if !isText {
			if name, ok = strings.CutPrefix(key, jsonPrefix); !ok {
				return jqSettings{}, "", fmt.Errorf("jq has no option %q; %s", key, use)
			}
			if value, err = decode([]byte(values[0])); err != nil {
				return jqSettings{}, "", fmt.Errorf("read JSON value of $%s: %w; give a text with --arg, or arg.%s", name, err, name)
			}
		}
		switch _, twice := named[name]; {
		case twice || len(values) > 1:
			return jqSettings{}, "", fmt.Errorf("the value $%s is given twice", name)
		case !jqName.MatchString(name):
			return jqSettings{}, "", fmt.Errorf("%q is not a valid name; use letters, digits and _, and do not begin with a digit", name)
		case name == "ARGS" || name == "__loc__":
			return jqSettings{}, "", fmt.Errorf("$%s is reserved by jq; choose another name", name)
		}
		named[name] = value
	}
	return makeJQSettings(named, memory), program, nil
}

// makeJQSettings adds $ARGS, which jq always defines.
func makeJQSettings(named map[string]any, memory int) jqSettings {
	v := jqSettings{memory: memory}
	for _, name := range slices.Sorted(maps.Keys(named)) {
		v.names = append(v.names, "$"+name)
		v.values = append(v.values, named[name])
	}
	v.names = append(v.names, "$ARGS")
	v.values = append(v.values, map[string]any{"named": named, "positional": []any{}})
	return v
}
