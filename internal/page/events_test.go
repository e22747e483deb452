package page

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
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
