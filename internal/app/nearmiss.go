package app

import (
	"reflect"
	"slices"
	"strings"
)

// ourPrefix is what people put before our settings, which have none.
const ourPrefix = "CHUNKLINE_"

// leastName is the length of the shortest setting of which misspellings are
// looked for: RATE is one letter away from DATE.
const leastName = 5

// checkMisspelt finds a variable of the environment that was meant to be a
// setting: one letter more, less, other or swapped, or with our name before it.
// Without it a misspelt TRANSFORM would be a job without one.
func checkMisspelt(environ []string, settings []any) error {
	var known []string
	for _, s := range settings {
		for _, field := range reflect.VisibleFields(reflect.TypeOf(s).Elem()) {
			if name := field.Tag.Get("envconfig"); name != "" {
				known = append(known, name)
			}
		}
	}
	slices.Sort(environ) // the same error each time
	for _, variable := range environ {
		name, _, _ := strings.Cut(variable, "=")
		if slices.Contains(known, name) {
			continue
		}
		bare, prefixed := strings.CutPrefix(name, ourPrefix)
		for _, setting := range known {
			if prefixed && setting == bare || len(setting) >= leastName && oneEditAway(bare, setting) {
				return Usage("%s is no setting: did you mean %s? See -h", name, setting)
			}
		}
	}
	return nil
}

// oneEditAway says whether one letter more, less, other, or two neighbours
// swapped, make b of a.
func oneEditAway(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	same := 0
	for same < len(a) && a[same] == b[same] {
		same++
	}
	switch restA, restB := a[same:], b[same:]; {
	case len(restB) == 0: // the same word
		return false
	case len(restA) < len(restB):
		return len(restB) == len(restA)+1 && restB[1:] == restA
	case restA[1:] == restB[1:]:
		return true
	default:
		return len(restA) > 1 && restA[0] == restB[1] && restA[1] == restB[0] && restA[2:] == restB[2:]
	}
}
