package metrics

import (
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// A Label is a dimension of a metric.
type Label struct {
	Name   string
	Values []string // all possible values; nil for versions
}

// Version is the label of the mapper's version.
var Version = Label{Name: "version"}

// OneOf returns a label with a closed set of values.
func OneOf(name string, values ...string) Label { return Label{Name: name, Values: values} }

// A Doc describes a metric for docs/metrics.md.
type Doc struct {
	Name   string
	Type   string // counter, gauge or histogram
	Labels []Label
	Help   string
}

// Unit returns the unit of the metric, which is the end of its name.
func (d Doc) Unit() string {
	name := strings.TrimSuffix(d.Name, "_total")
	if strings.HasSuffix(name, "_dead_letters") {
		return "dead letters"
	}
	words := strings.Split(name, "_")
	switch unit := words[len(words)-1]; unit {
	case "info", "up", "full", "done": // yes or no
		return "1"
	default:
		return unit
	}
}

// A Set is the metrics of one role, and a prometheus.Collector of them.
type Set struct {
	docs       []Doc
	descs      []*prometheus.Desc
	collectors []prometheus.Collector
	gather     func(Emit)
}

// Emit passes the current value of a metric that was declared as a Const.
type Emit func(d *Const, value float64, labels ...string)

// A Const is a metric whose value is kept elsewhere and read when Prometheus asks.
type Const struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

// Gather sets the function that emits the values of all Consts.
func (s *Set) Gather(gather func(Emit)) { s.gather = gather }

func (s *Set) note(kind, name, help string, labels []Label) []string {
	s.docs = append(s.docs, Doc{Name: name, Type: kind, Labels: labels, Help: help})
	names := make([]string, len(labels))
	for i, l := range labels {
		names[i] = l.Name
	}
	return names
}

// Gauge declares a gauge whose value Gather's function emits.
func (s *Set) Gauge(name, help string, labels ...Label) *Const {
	return s.constant("gauge", prometheus.GaugeValue, name, help, labels)
}

// Count declares a counter whose value Gather's function emits.
func (s *Set) Count(name, help string, labels ...Label) *Const {
	return s.constant("counter", prometheus.CounterValue, name, help, labels)
}

func (s *Set) constant(kind string, value prometheus.ValueType, name, help string, labels []Label) *Const {
	desc := prometheus.NewDesc(name, help, s.note(kind, name, help, labels), nil)
	s.descs = append(s.descs, desc)
	return &Const{desc: desc, kind: value}
}

// Counter declares a counter.
func (s *Set) Counter(name, help string) prometheus.Counter {
	s.note("counter", name, help, nil)
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	s.collectors = append(s.collectors, c)
	return c
}

// CounterVec declares a counter with one label whose values are not known in advance.
func (s *Set) CounterVec(name, help string, label Label) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, s.note("counter", name, help, []Label{label}))
	s.collectors = append(s.collectors, c)
	return c
}

// Counters are the counters of one metric by the value of its label.
type Counters map[string]prometheus.Counter

// Counters declares a counter with one label. All its values exist from the start, at 0, so that an alert on an
// increase sees the first one, too, and counting is one atomic addition.
func (s *Set) Counters(name, help string, label Label) Counters {
	vec := s.CounterVec(name, help, label)
	counters := make(Counters, len(label.Values))
	for _, value := range label.Values {
		counters[value] = vec.WithLabelValues(value)
	}
	return counters
}

// Histogram declares a histogram: a native one for servers that support it, and one with the given buckets for others.
func (s *Set) Histogram(name, help string, buckets []float64) prometheus.Histogram {
	s.note("histogram", name, help, nil)
	h := prometheus.NewHistogram(options(name, help, buckets))
	s.collectors = append(s.collectors, h)
	return h
}

// HistogramVec is Histogram with one label.
func (s *Set) HistogramVec(name, help string, buckets []float64, label Label) *prometheus.HistogramVec {
	h := prometheus.NewHistogramVec(options(name, help, buckets), s.note("histogram", name, help, []Label{label}))
	for _, value := range label.Values {
		h.WithLabelValues(value)
	}
	s.collectors = append(s.collectors, h)
	return h
}

func options(name, help string, buckets []float64) prometheus.HistogramOpts {
	return prometheus.HistogramOpts{
		Name: name, Help: help, Buckets: buckets,
		NativeHistogramBucketFactor:    1.1, // each bucket is at most 10 % wider than the one below
		NativeHistogramMaxBucketNumber: 160, // beyond that, buckets are merged
	}
}

// Docs returns the descriptions of all declared metrics.
func (s *Set) Docs() []Doc { return s.docs }

// Describe implements prometheus.Collector.
func (s *Set) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range s.descs {
		ch <- d
	}
	for _, c := range s.collectors {
		c.Describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (s *Set) Collect(ch chan<- prometheus.Metric) {
	if s.gather != nil {
		s.gather(func(d *Const, value float64, labels ...string) {
			ch <- prometheus.MustNewConstMetric(d.desc, d.kind, value, labels...)
		})
	}
	for _, c := range s.collectors {
		c.Collect(ch)
	}
}

const (
	maxVersions = 20 // a rollout has two; a client that sends random ones must not fill a Prometheus
	maxLength   = 64 // bytes of a version

	// Other stands for every version beyond the first maxVersions.
	Other = "other"
)

// Versions bounds the values of a version label: the first maxVersions versions keep their names. The zero value is
// ready.
type Versions struct {
	mu    sync.Mutex
	known map[string]struct{} // guarded by mu
}

// Label returns the label value of a version. Versions that differ only after their first maxLength bytes share one.
func (v *Versions) Label(version string) string {
	version = strings.ToValidUTF8(version[:min(len(version), maxLength)], "") // Prometheus' client panics on invalid UTF-8
	if version == "" {
		version = "unknown"
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, known := v.known[version]; known {
		return version
	}
	if len(v.known) >= maxVersions {
		return Other
	}
	if v.known == nil {
		v.known = map[string]struct{}{}
	}
	v.known[version] = struct{}{}
	return version
}
