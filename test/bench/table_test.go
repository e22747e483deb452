//go:build bench

package bench

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// used returns what processes that have ended used: wall and CPU seconds, and the
// peak memory in MiB of the largest process of each part.
func used(took time.Duration, parts []part) figures {
	f := figures{wall: took.Seconds()}
	for _, p := range parts {
		state := p.State()
		f[cpu] += (state.UserTime() + state.SystemTime()).Seconds()
		if usage, ok := state.SysUsage().(*syscall.Rusage); ok {
			f[p.plays] = max(f[p.plays], peakMiB(usage))
		}
	}
	return f
}

func peakMiB(usage *syscall.Rusage) float64 {
	unit := 1024.0 // Linux counts KiB
	if runtime.GOOS == "darwin" {
		unit = 1
	}
	return float64(usage.Maxrss) * unit / (1 << 20)
}

// table gathers the runs of all rows.
type table struct {
	rows []row
	runs map[string][]figures // by row
}

func newTable(chosen []row) *table {
	fmt.Printf("%d users, %s, %d CPUs\n\n", *objects, runtime.Version(), runtime.GOMAXPROCS(0))
	return &table{rows: chosen, runs: map[string][]figures{}}
}

// add records a run and prints it, so that the spread is visible.
func (r *table) add(run int, of row, f figures) {
	r.runs[of.name] = append(r.runs[of.name], f)
	fmt.Printf("run %d  %-14s %7.2f s %7.2f CPU s\n", run+1, of.name, f[wall], f[cpu])
}

// print prints two tables: the median of each figure, and each ratio with its aim.
func (r *table) print() {
	parts := []string{partReader, partMapper, partWriter, partServer}
	fmt.Printf("\nMedians of %d:\n\n", *runs)
	line("row", "what", wall, cpu, "peak MiB: "+strings.Join(parts, ", "))
	line("---", "---", "---", "---", "---")
	for _, row := range r.rows {
		var peaks []string
		for _, p := range parts {
			peaks = append(peaks, r.median(row.name, p, "%.0f"))
		}
		line(row.name, row.about, r.median(row.name, wall, "%.2f"), r.median(row.name, cpu, "%.1f"), strings.Join(peaks, ", "))
	}
	fmt.Println()
	line("row", "figure", "median", "least to most", "aim")
	line("---", "---", "---", "---", "---")
	for _, row := range r.rows {
		for _, a := range row.aims {
			r.printAim(row, a)
		}
	}
}

// printAim prints a figure with its aim, or the ratio of the figures of two rows in the
// same run.
func (r *table) printAim(of row, a aim) {
	var all []float64
	for i, f := range r.runs[of.name] {
		figure := f[a.figure]
		if a.of != "" {
			base, has := r.runs[a.of][i][a.figure]
			if !has {
				continue // jq is not installed
			}
			figure /= base
		}
		all = append(all, figure)
	}
	if len(all) == 0 {
		return
	}
	name, bound := a.figure, "at most"
	if a.of != "" {
		name += " ÷ " + a.of
	}
	if a.least {
		bound = "at least"
	}
	line(of.name, name, fmt.Sprintf("%.2f", median(all)), fmt.Sprintf("%.2f to %.2f", slices.Min(all), slices.Max(all)), fmt.Sprintf("%s %v", bound, a.want))
}

func line(cells ...string) { fmt.Println("| " + strings.Join(cells, " | ") + " |") }

// median formats the median of a figure of a row, or a dash if the row has none.
func (r *table) median(row, figure, format string) string {
	var all []float64
	for _, f := range r.runs[row] {
		if value, has := f[figure]; has {
			all = append(all, value)
		}
	}
	if len(all) == 0 {
		return "–"
	}
	return fmt.Sprintf(format, median(all))
}

// median returns the median; of an even number of figures, the mean of the middle two.
func median(figures []float64) float64 {
	sorted := slices.Sorted(slices.Values(figures))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
