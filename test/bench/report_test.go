//go:build bench

package bench

import (
	"fmt"
	"runtime"
	"slices"
	"syscall"
	"time"
)

// measured is the figures of one run of one side. CPU and peak are by label.
type measured struct {
	rate  float64            // objects a second
	total float64            // CPU seconds of all processes
	cpu   map[string]float64 // CPU seconds of all processes of the label
	peak  map[string]float64 // MiB of the largest process of the label
}

// newMeasured reads the figures of processes that have ended.
func newMeasured(took time.Duration, all []part) measured {
	m := measured{rate: float64(*objects) / took.Seconds(), cpu: map[string]float64{}, peak: map[string]float64{}}
	for _, p := range all {
		state := p.State()
		used := (state.UserTime() + state.SystemTime()).Seconds()
		m.total += used
		m.cpu[p.plays] += used
		if usage, ok := state.SysUsage().(*syscall.Rusage); ok {
			m.peak[p.plays] = max(m.peak[p.plays], peakMiB(usage))
		}
	}
	return m
}

func peakMiB(usage *syscall.Rusage) float64 {
	unit := 1024.0 // Linux counts KiB
	if runtime.GOOS == "darwin" {
		unit = 1
	}
	return float64(usage.Maxrss) * unit / (1 << 20)
}

// report gathers the runs of both sides.
type report struct {
	runs map[string][]measured // by side
}

func newReport() *report {
	fmt.Printf("%d users, %d mappers, %s, GOMAXPROCS %d\n\n", *objects, *mappers, runtime.Version(), runtime.GOMAXPROCS(0))
	return &report{runs: map[string][]measured{}}
}

// add notes a run and shows it, so that the spread can be seen.
func (r *report) add(run int, s side, m measured) {
	r.runs[s.name] = append(r.runs[s.name], m)
	fmt.Printf("run %d  %-10s %10.0f objects/s %8.2f CPU s\n", run+1, s.name, m.rate, m.total)
}

// print shows medians, and how many times the bare figure ours is.
func (r *report) print() {
	row := func(name string, digits int, figure func(measured) float64) {
		ours, bare := r.figures(chunklineSide, figure), r.figures(bareSide, figure)
		ratios := make([]float64, len(ours))
		for i := range ours {
			ratios[i] = ours[i] / bare[i]
		}
		fmt.Printf("%-36s %12.*f %12.*f %10.2f\n", name, digits, median(ours), digits, median(bare), median(ratios))
	}
	fmt.Printf("\n%-36s %12s %12s %10s\n", fmt.Sprintf("median of %d", *runs), chunklineSide.name, bareSide.name, "ratio")
	row("objects/s", 0, func(m measured) float64 { return m.rate })
	row("CPU s, all processes", 2, func(m measured) float64 { return m.total })
	labels := []string{labelReader, labelMapper, labelWriter, labelServer}
	for _, label := range labels {
		row("CPU s, "+count(label, *mappers), 2, func(m measured) float64 { return m.cpu[label] })
	}
	for _, label := range labels {
		row("peak MiB, "+label, 1, func(m measured) float64 { return m.peak[label] })
	}
}

// count names a label with the number of its processes.
func count(label string, mappers int) string {
	if label != labelMapper {
		return label
	}
	return fmt.Sprintf("%d × %s", mappers, label)
}

func (r *report) figures(s side, figure func(measured) float64) []float64 {
	var all []float64
	for _, m := range r.runs[s.name] {
		all = append(all, figure(m))
	}
	return all
}

// median of an even number of figures is the mean of the middle two.
func median(figures []float64) float64 {
	sorted := slices.Sorted(slices.Values(figures))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
