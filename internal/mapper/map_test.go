package mapper_test

import (
	"context"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/bus/bustest"
	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/mapper"
	"github.com/chunkline/chunkline/internal/wire"
)

// oneAnswer plays a service on connections in memory that gives the same answer to
// every request, and closes the connection.
func oneAnswer(answer string) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go func() {
			head := make([]byte, 64<<10)
			for n := 0; !strings.HasSuffix(strings.TrimSpace(string(head[:n])), "}"); { // the end of the object
				k, err := theirs.Read(head[n:])
				if err != nil {
					break
				}
				n += k
			}
			_, _ = io.WriteString(theirs, answer)
			_ = theirs.Close()
		}()
		return ours, nil
	}
}

const busy = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 60\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

// A chunk whose objects wait to be tried again is held and listed in every heartbeat.
// A mapper that is stopped gives it back within STOP_TIMEOUT.
func TestRetries_whileStopping(t *testing.T) {
	var m *mapper.Mapper
	cfg := mapper.Config{Transform: "http://service/", Workers: 1, Retries: 3, StopTimeout: 5 * time.Second, Version: "v1"}
	runRigged(t, cfg, func(made *mapper.Mapper) { m = made; made.Dial(oneAnswer(busy)) }, func(t *testing.T, b *bench) {
		r, _ := b.next()
		reply(t, r, work(7).Encode())
		for range 40 {
			b.wantHeld(7)
		}
		begin := time.Now()
		b.cancel()
		<-b.done
		if took := time.Since(begin); took != 5*time.Second {
			t.Errorf("stopped after %v, want 5s", took)
		}
		beats := b.heard()
		if last := beats[len(beats)-1]; !last.Goodbye || len(last.Held) > 0 {
			t.Errorf("the last heartbeat is %+v, want a goodbye with nothing held", last)
		}
		if len(b.saves) > 0 {
			t.Error("a result was sent")
		}
		if got := counted(t, m, "chunkline_mapper_retries_total", "http"); got != 2 {
			t.Errorf("%g retries are counted, want one of each object", got)
		}
	})
}

// counted returns the value of a counter with a label of the given value.
func counted(t *testing.T, m *mapper.Mapper, name, label string) float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(m)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			if family.GetName() == name && metric.GetLabel()[0].GetValue() == label {
				return metric.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("there is no %s of %s", name, label)
	return 0
}

// An object that fails for good becomes a dead letter with the number of tries. No secret is
// in the dead letter, in the heartbeats or in the log.
func TestRetries_deadLetter(t *testing.T) {
	const canary = "canary-0123456789"
	refusal := "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 24\r\nConnection: close\r\n\r\nbad token " + canary[:13] + "\n"
	cfg := mapper.Config{Transform: "http://service/", Workers: 1, Retries: 2, Token: canary[:13], Headers: "X-Key: " + canary, Version: "v1"}
	var b *bench
	runRigged(t, cfg, func(made *mapper.Mapper) { made.Dial(oneAnswer(refusal)) }, func(t *testing.T, running *bench) {
		b = running
		r, next := b.next()
		reply(t, r, work(7).Encode())
		r, save := b.save()
		var errs []string
		for _, line := range chunk.Objects(save.Dead) {
			letter, err := chunk.ParseDeadLetter(line)
			if err != nil {
				t.Fatal(err)
			}
			errs = append(errs, letter.Error)
		}
		want := "tried 3 times: the service answers 500 Internal Server Error: bad token …"
		if !slices.Equal(errs, []string{want, want}) {
			t.Errorf("dead letters %q, want two of %q", errs, want)
		}
		if next.Mapper.Transform != "http://service/" {
			t.Errorf("the mapper's transform is %q", next.Mapper.Transform)
		}
		pass(2 * time.Second) // the next heartbeat is sent
		retries := uint64(0)
		for _, beat := range b.heard() {
			retries = max(retries, beat.Retries)
			if m := beat.Encode(); strings.Contains(string(m.Body), "canary") {
				t.Errorf("a heartbeat has a secret: %q", m.Body)
			}
		}
		if retries != 4 {
			t.Errorf("heartbeats have %d retries, want 4", retries)
		}
		reply(t, r, wire.SaveAnswer{Statuses: []wire.SaveStatus{wire.SaveCommitted}}.Encode())
	})
	if log := b.log.String(); strings.Contains(log, "canary") || strings.Count(log, "object will be tried again") != 4 {
		t.Errorf("want 4 retries in the log, and no secret:\n%s", log)
	}
}

// Wrong settings of a service are named and not shown.
func TestRetries_settings(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cfg  mapper.Config
		want string
	}{
		"retries": {mapper.Config{Retries: 101}, "RETRIES=101: use 0 (none) to 100"},
		"token":   {mapper.Config{Token: "canary x"}, "TRANSFORM_TOKEN (not shown): it has blanks"},
		"headers": {mapper.Config{Headers: "canary"}, "TRANSFORM_HEADERS (not shown): line 1 is not a header"},
	} {
		if err := c.cfg.Validate(); err == nil || !strings.HasPrefix(err.Error(), c.want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	b := bus.New(bustest.NewMemory(bustest.Options{}).Connect("mapper"), job)
	defer b.Close()
	if _, err := mapper.New(mapper.Config{Transform: "http://u:canary@h/"}, b, zerolog.Nop()); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("New: %v", err)
	}
}
