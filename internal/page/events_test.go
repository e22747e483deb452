package page

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/report"
)

// one is a listener with one connection.
type one struct{ conns chan net.Conn }

func (o one) Accept() (net.Conn, error) {
	if conn, open := <-o.conns; open {
		return conn, nil
	}
	return nil, net.ErrClosed
}
func (o one) Close() error   { return nil }
func (o one) Addr() net.Addr { return &net.TCPAddr{} }

// TestEvents_last: the deadlines of the server, which are for answers that end, do not
// end the events of a viewer that reads.
func TestEvents_last(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		listener := one{make(chan net.Conn, 1)}
		listener.conns <- theirs
		server := &http.Server{Handler: serve(new(fakeJob), ""), ReadTimeout: 10 * time.Second, WriteTimeout: 20 * time.Second}
		done := make(chan error, 1)
		go func() { done <- server.Serve(listener) }()
		if _, err := io.WriteString(ours, "GET /api/events HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		begin, events := time.Now(), 0
		for lines := bufio.NewScanner(ours); events < 60 && lines.Scan(); {
			if strings.HasPrefix(lines.Text(), "event: status") {
				events++
			}
		}
		if took := time.Since(begin); events < 60 || took < 59*time.Second {
			t.Errorf("%d events within %s, want one a second", events, took)
		}
		_ = ours.Close()
		close(listener.conns)
		<-done
		_ = server.Close()
	})
}

// TestEvents_end: a viewer gets the state with which the job ends, at once, and then the
// end of the stream.
func TestEvents_end(t *testing.T) {
	t.Parallel()
	server, err := app.Listen(app.HTTP{Addr: "127.0.0.1:0", Log: zerolog.Nop()}, idle{})
	if err != nil {
		t.Fatal(err)
	}
	job := &endingJob{fakeJob: new(fakeJob)}
	Register(server, job, "", zerolog.Nop())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	response, err := http.Get("http://" + server.Addr() + "/api/events")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var states []report.JobState
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		text, ok := strings.CutPrefix(lines.Text(), "data: {\"job\"")
		if !ok {
			continue
		}
		var s report.Status
		if err := json.Unmarshal([]byte("{\"job\""+text), &s); err != nil {
			t.Fatal(err)
		}
		states = append(states, s.State)
		job.ended.Store(true)
		cancel()
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if len(states) < 2 || states[0] != report.StateRunning || states[len(states)-1] != report.StateDone {
		t.Errorf("got the states %v, want the last one to be that of the end", states)
	}
}

// endingJob is a job that runs until it has ended.
type endingJob struct {
	*fakeJob
	ended atomic.Bool
}

func (j *endingJob) Status() report.Status {
	s := j.fakeJob.Status()
	s.State = report.StateRunning
	if j.ended.Load() {
		s.State = report.StateDone
	}
	return s
}

// idle is a role that does nothing.
type idle struct{}

func (idle) Run(context.Context) error { return nil }
func (idle) Alive() error              { return nil }
func (idle) Ready() error              { return nil }
