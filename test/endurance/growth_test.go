//go:build endurance && linux

package endurance

import (
	"fmt"
	"slices"
	"strings"
)

// Flat means: the median of the last third of the samples is at most growth times
// that of the second third, plus a slack for garbage that is not collected yet and
// for a few connections.
const (
	growth           = 1.25
	slackResident    = 8 << 20
	slackDescriptors = 4
	slackGoroutines  = 8
)

// column is one value that must not grow.
type column struct {
	name  string
	value func(sample) int
	slack int
	unit  int
}

var columns = []column{
	{"resident MiB", func(s sample) int { return s.resident }, slackResident, 1 << 20},
	{"descriptors", func(s sample) int { return s.descriptors }, slackDescriptors, 1},
	{"goroutines", func(s sample) int { return s.goroutines }, slackGoroutines, 1},
}

// leastSamples is the number of samples that a comparison of thirds needs.
const leastSamples = 15

// grown prints a table and returns the values that have grown. Mappers that were
// killed now and then count, too: each third has samples of several processes.
func (w *world) grown() (bad []string) {
	var text strings.Builder
	fmt.Fprintf(&text, "| process | samples |")
	for _, c := range columns {
		fmt.Fprintf(&text, " %s: 2nd third | last third | most |", c.name)
	}
	fmt.Fprintf(&text, "\n|---|--:|%s\n", strings.Repeat("--:|--:|--:|", len(columns)))
	for _, p := range w.watched {
		fmt.Fprintf(&text, "| %s | %d |", p.Label, len(p.samples))
		if len(p.samples) < leastSamples {
			bad = append(bad, fmt.Sprintf("%s: %d samples, want at least %d", p.Label, len(p.samples), leastSamples))
		}
		for _, c := range columns {
			values := make([]int, len(p.samples))
			for i, s := range p.samples {
				values[i] = c.value(s)
			}
			third := len(values) / 3
			before, after, most := median(values[third:2*third]), median(values[2*third:]), median(values)
			if len(values) > 0 {
				most = slices.Max(values)
			}
			if float64(after) > growth*float64(before)+float64(c.slack) {
				bad = append(bad, fmt.Sprintf("%s: %s grew from %d to %d", p.Label, c.name, before/c.unit, after/c.unit))
			}
			fmt.Fprintf(&text, " %d | %d | %d |", before/c.unit, after/c.unit, most/c.unit)
		}
		fmt.Fprintln(&text)
	}
	fmt.Println(text.String())
	return bad
}

func median(values []int) int {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
