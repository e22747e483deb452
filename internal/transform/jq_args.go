package transform

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A JQArg is a value that a jq program has as $Name: a text, or a JSON value
// if JSON is set.
type JQArg struct {
	Name, Value string
	JSON        bool
}

const (
	// jqMemory is how much memory a program may have for an object, if the
	// setting does not say it, between jqMemoryLeast and jqMemoryMost.
	jqMemory      = 256 << 20
	jqMemoryLeast = 16 << 20
	jqMemoryMost  = 64 << 30

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

// jqSettings are what a setting says besides the program.
type jqSettings struct {
	names  []string // of the variables that the program has from the start, with their $
	values []any    // of those
	memory int      // bytes that the program may have for an object
}

var jqName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// splitJQ divides what follows "jq" in a spec into settings and program.
func splitJQ(rest string) (jqSettings, string, error) {
	settings, program, ok := strings.Cut(rest, ":")
	if !ok {
		return jqSettings{}, "", errors.New("the program is missing; use jq:PROGRAM, for example jq:{id: .uuid}")
	}
	query, ok := strings.CutPrefix(settings, "?")
	if !ok {
		return makeJQSettings(nil, jqMemory), program, nil
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
				return jqSettings{}, "", fmt.Errorf("jq has no setting %q; %s", key, use)
			}
			if value, err = decode([]byte(values[0])); err != nil {
				return jqSettings{}, "", fmt.Errorf("read JSON value of $%s: %w; give a text with --arg, or arg.%s", name, err, name)
			}
		}
		switch _, twice := named[name]; {
		case twice || len(values) > 1:
			return jqSettings{}, "", fmt.Errorf("the value $%s is given twice", name)
		case !jqName.MatchString(name):
			return jqSettings{}, "", fmt.Errorf("%q is not the name of a value; use letters, digits and _, and begin with no digit", name)
		case name == "ARGS" || name == "__loc__":
			return jqSettings{}, "", fmt.Errorf("the value $%s is jq's own; choose another name", name)
		}
		named[name] = value
	}
	return makeJQSettings(named, memory), program, nil
}

// parseMemory reads an amount of memory.
func parseMemory(values []string) (int, error) {
	number, unit := strings.CutSuffix(values[0], "MiB")
	shift := 20
	if !unit {
		number, unit = strings.CutSuffix(values[0], "GiB")
		shift = 30
	}
	n, err := strconv.ParseUint(number, 10, 16)
	bytes := int64(n) << shift
	if err != nil || !unit || len(values) > 1 || bytes < jqMemoryLeast || bytes > jqMemoryMost || bytes > math.MaxInt {
		return 0, fmt.Errorf("memory %q is not an amount of memory; use %dMiB to %dGiB, for example memory=1GiB",
			strings.Join(values, ", "), jqMemoryLeast>>20, jqMemoryMost>>30)
	}
	return int(bytes), nil
}

// makeJQSettings adds $ARGS, which jq always has.
func makeJQSettings(named map[string]any, memory int) jqSettings {
	if named == nil {
		named = map[string]any{}
	}
	v := jqSettings{memory: memory}
	for _, name := range slices.Sorted(maps.Keys(named)) {
		v.names = append(v.names, "$"+name)
		v.values = append(v.values, named[name])
	}
	v.names = append(v.names, "$ARGS")
	v.values = append(v.values, map[string]any{"named": named, "positional": []any{}})
	return v
}
