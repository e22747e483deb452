package e2e

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/test/proc"
)

// delivered is a collector with the spans that it has received.
type delivered struct {
	mu    sync.Mutex
	spans map[string]*otlp.Span // guarded by mu; by ID
	from  map[string]string     // guarded by mu; service.name by ID
}

func (d *delivered) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var request collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(body, &request)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, resource := range request.ResourceSpans {
		service := ""
		for _, a := range resource.Resource.Attributes {
			if a.Key == "service.name" {
				service = a.Value.GetStringValue()
			}
		}
		for _, scope := range resource.ScopeSpans {
			for _, s := range scope.Spans {
				id := hex.EncodeToString(s.SpanId)
				d.spans[id], d.from[id] = s, service
			}
		}
	}
}

func number(s *otlp.Span, name string) int64 {
	for _, a := range s.Attributes {
		if a.Key == "chunkline."+name {
			return a.Value.GetIntValue()
		}
	}
	return -1
}

// way returns the names of a span and its ancestors, the root first.
func (d *delivered) way(s *otlp.Span) string {
	id := hex.EncodeToString(s.SpanId)
	own := strings.TrimPrefix(d.from[id], "chunkline-") + " " + s.Name
	if s.Name == "wait" {
		own += fmt.Sprint(" ", number(s, "attempt"))
	}
	parent := d.spans[hex.EncodeToString(s.ParentSpanId)]
	switch {
	case len(s.ParentSpanId) == 0:
		return own
	case parent == nil || string(parent.TraceId) != string(s.TraceId):
		return "lost > " + own
	}
	return d.way(parent) + " > " + own
}

// TestTraces: the three roles deliver one trace for each chunk, even if its mapper is
// killed, and send the rest of their spans when they end.
func TestTraces(t *testing.T) {
	t.Parallel()
	got := &delivered{spans: map[string]*otlp.Span{}, from: map[string]string{}}
	server := httptest.NewServer(got)
	defer server.Close()
	const chunks = 20
	j := newJob(t, chunks) // chunks of one object, which are never cut
	j.Env = append(j.Env, "OTEL_EXPORTER_OTLP_ENDPOINT="+server.URL)
	saver := j.Saver()
	fetcher := j.Fetcher("ON_DONE=stay", "SPECULATE=false", "CHUNK_SIZE=1", proc.HTTP())
	fetcher.Await("fetcher serves")
	killed := j.Mapper("killed", "users?duration=1h", "WORKERS=2")
	fetcher.AwaitStatus("work in flight", func(s report.Status) bool { return s.Chunks.InFlight == 2 })
	killed.Kill()
	other := j.Mapper("other", "users", "WORKERS=2")
	s := fetcher.AwaitStatus("the end of the job", func(s report.Status) bool { return s.State == report.StateDone })
	proc.End(t, other, fetcher, saver)
	j.Verify("")

	got.mu.Lock()
	defer got.mu.Unlock()
	const first, second = "fetcher fetch > fetcher wait 1", "fetcher fetch > fetcher wait 2"
	ways, traces := map[int64][]string{}, map[string]int64{}
	for _, s := range got.spans {
		id := number(s, "chunk")
		ways[id] = append(ways[id], got.way(s))
		if other, known := traces[string(s.TraceId)]; known && other != id {
			t.Errorf("chunks %d and %d share a trace", id, other)
		}
		traces[string(s.TraceId)] = id
	}
	if len(traces) != chunks || len(ways) != chunks {
		t.Errorf("%d traces of %d chunks, want %d", len(traces), len(ways), chunks)
	}
	if s.Chunks.Redelivered != 2 || fetcher.FellSilent() > 1 {
		t.Logf("%d chunks were handed out again, 2 of them because a mapper was killed; %d mappers fell silent", s.Chunks.Redelivered, fetcher.FellSilent())
		if fetcher.FellSilent() == 0 {
			t.Error("got more redeliveries, want none")
		}
		for id, got := range ways {
			for _, want := range []string{"fetcher fetch", " > saver commit"} {
				if !slices.ContainsFunc(got, func(way string) bool { return strings.HasPrefix(way, "fetcher fetch") && strings.HasSuffix(way, want) }) {
					t.Errorf("chunk %d has\n\t%s\nwithout one that ends with %s", id, strings.Join(got, "\n\t"), want)
				}
			}
		}
		return
	}
	for id, got := range ways {
		wait, want := first, []string{"fetcher fetch", first}
		if id < 2 { // the killed mapper held them
			wait = second
			want = append(want, second)
		}
		want = append(want, wait+" > mapper map", wait+" > mapper map > mapper save", wait+" > mapper map > mapper save > saver commit")
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("chunk %d has\n\t%s\nwant\n\t%s", id, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
		}
	}
}
