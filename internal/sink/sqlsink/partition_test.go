//go:build postgres

package sqlsink_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/chunkline/chunkline/internal/postgrestest"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/sink/sinktest"
)

// link is a network connection between the sink and a server, which can lose the answer to COMMIT.
type link struct {
	server   string
	listener net.Listener
	lose     atomic.Pointer[loss] // for the next COMMIT
	carrying sync.WaitGroup
}

// A loss is of one answer to COMMIT.
type loss struct {
	happened chan struct{} // closed when the server has committed and its answer is lost
	healed   chan struct{} // the connection is silent until this is closed, and then breaks
}

func newLoss() *loss { return &loss{make(chan struct{}), make(chan struct{})} }

func newLink(t *testing.T, server string) *link {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &link{server: server, listener: listener}
	l.carrying.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			l.carrying.Go(func() { l.carry(client) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		l.carrying.Wait() // the sink was closed before
	})
	return l
}

// carry carries bytes both ways until one side ends.
func (l *link) carry(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", l.server)
	if err != nil {
		return
	}
	var losing atomic.Pointer[loss]
	var back sync.WaitGroup
	defer back.Wait()
	defer server.Close()
	back.Go(func() {
		defer client.Close()
		answers := make([]byte, 1<<16)
		for {
			n, err := server.Read(answers)
			if err != nil {
				return
			}
			if lost := losing.Load(); lost != nil { // this is the answer to COMMIT
				close(lost.happened)
				<-lost.healed
				return
			}
			if _, err := client.Write(answers[:n]); err != nil {
				return
			}
		}
	})
	requests := make([]byte, 1<<16)
	for {
		n, err := client.Read(requests)
		if err != nil {
			return
		}
		if bytes.HasSuffix(requests[:n], []byte("commit\x00")) {
			losing.Store(l.lose.Swap(nil))
		}
		if _, err := io.Copy(server, bytes.NewReader(requests[:n])); err != nil {
			return
		}
	}
}

// The answer to COMMIT is lost, because the connection breaks or is silent: everything is there once, and the saver is
// told so.
func testPartition(t *testing.T, server *postgrestest.Server) {
	url := server.NewDatabase(t)
	server.Exec(t, url, makeObjects)
	l := newLink(t, server.Addr)
	s := openPostgres(t, strings.Replace(url, server.Addr, l.listener.Addr().String(), 1)+objectsTable, "job")
	if _, err := s.Claim(t.Context(), sinktest.Plan("a"), "f1"); err != nil {
		t.Fatal(err)
	}
	all := sinktest.Chain("x", []int{1, 2}, []int{1, 0}, []int{3, 1})

	breaks := newLoss()
	close(breaks.healed)
	l.lose.Store(breaks)
	if outcomes, err := s.Commit(t.Context(), all[:1]); err != nil || outcomes[0] != sink.Duplicate {
		t.Errorf("commit over a connection that breaks: %v, %v, want the piece that the first try committed", outcomes, err)
	}
	<-breaks.happened

	silent := newLoss()
	l.lose.Store(silent)
	ctx, giveUp := context.WithCancel(t.Context())
	go func() {
		<-silent.happened
		giveUp()
	}()
	if outcomes, err := s.Commit(ctx, all[1:2]); !errors.Is(err, sink.ErrUnreachable) || !strings.Contains(err.Error(), "the change may have been made") {
		t.Errorf("commit over a silent connection: %v, %v, want ErrUnreachable", outcomes, err)
	}
	close(silent.healed)
	outcomes, err := s.Commit(t.Context(), all[1:])
	if err != nil || outcomes[0] != sink.Duplicate || outcomes[1] != sink.Committed {
		t.Errorf("commit after the partition: %v, %v", outcomes, err)
	}
	wantObjectsOnce(t, s, url, all)
}

// Two jobs replace the same rows in opposite order. PostgreSQL ends one of two deadlocked transactions, and the sink
// repeats it.
func testDeadlocks(t *testing.T, server *postgrestest.Server) {
	url := server.NewDatabase(t)
	server.Exec(t, url, "CREATE TABLE people (id int PRIMARY KEY, job text)")
	const rows = 2000
	spec := url + "&deadlock_timeout=10ms&table=people&columns=id,job&key=id&mode=upsert"
	up, down := openTable(t, spec, "up"), openTable(t, spec, "down")
	before := strings.Count(server.Log(t), "deadlock detected")
	for strings.Count(server.Log(t), "deadlock detected") == before {
		var all sync.WaitGroup
		for _, w := range []*writer{up, down} {
			var objects []string
			for i := range rows {
				if w == down {
					i = rows - 1 - i
				}
				objects = append(objects, fmt.Sprintf(`{"id":%d,"job":%q}`, i, w.Job()))
			}
			r := w.result(objects...)
			w.chunk, w.ordinal = w.chunk+1, w.ordinal+rows
			all.Go(func() {
				if outcomes, err := w.Commit(t.Context(), []sink.Result{r}); err != nil || outcomes[0] != sink.Committed || r.DeadCount > 0 {
					t.Errorf("job %s: %v, %v", w.Job(), outcomes, err)
				}
			})
		}
		all.Wait()
		if t.Failed() {
			return
		}
	}
	for _, w := range []*writer{up, down} {
		if sum, err := w.Finish(t.Context(), uint64(w.chunk), w.ordinal); err != nil || sum.Outputs != w.ordinal {
			t.Errorf("job %s: %+v, %v, want %d outputs", w.Job(), sum, err, w.ordinal)
		}
	}
}
