package bustest

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/wire"
)

func testSerial(t *testing.T, s *suite) {
	const messages = 200
	var inside atomic.Int64
	var handled sync.WaitGroup
	handled.Add(messages)
	s.serve(s.bus(bus.RoleFetcher), endpoint("", func(*bus.Request) {
		if n := inside.Add(1); n != 1 {
			t.Errorf("%d handlers at a time", n)
		}
		inside.Add(-1)
		handled.Done()
	}))
	for range 4 {
		client := s.bus(bus.RoleMapper)
		go func() {
			for range messages / 4 {
				if err := client.Publish(verb, text("x")); err != nil {
					t.Errorf("publish: %v", err)
				}
			}
		}()
	}
	handled.Wait()
}

func testOrder(t *testing.T, s *suite) {
	const messages = 1000
	heard := make(chan string, messages)
	s.serve(s.bus(bus.RoleFetcher), endpoint("", func(r *bus.Request) { heard <- string(r.Body) }))
	client := s.bus(bus.RoleMapper)
	for i := range messages {
		if err := client.Publish(verb, text(strconv.Itoa(i))); err != nil {
			t.Fatal(err)
		}
	}
	for i := range messages {
		if got, want := <-heard, strconv.Itoa(i); got != want {
			t.Fatalf("heard %s, want %s", got, want)
		}
	}
}

func testPublish(t *testing.T, s *suite) {
	replied := make(chan error, 2)
	s.serve(s.bus(bus.RoleFetcher), endpoint("", func(r *bus.Request) { replied <- r.Reply(text("to nobody")) }))
	client := s.bus(bus.RoleMapper)
	if err := client.Publish("nobody-serves-this", text("x")); err != nil {
		t.Errorf("publish to nobody: %v", err)
	}
	if err := client.Publish(verb, text("x")); err != nil {
		t.Errorf("publish: %v", err)
	}
	if err := <-replied; err != nil {
		t.Errorf("reply to a publish: %v", err)
	}
	s.wantError("large publish", client.Publish(verb, wire.Message{Body: make([]byte, 2<<20)}), bus.ErrTooLarge)
}

func testStop(t *testing.T, s *suite) {
	server, client := s.bus(bus.RoleSaver), s.bus(bus.RoleMapper)
	entered, leave := make(chan struct{}), make(chan struct{})
	var handled atomic.Int64
	stop := s.serve(server, endpoint("", func(r *bus.Request) {
		entered <- struct{}{}
		<-leave
		handled.Add(1)
		s.answer(r, text("done"))
	}))
	answered := make(chan error, 1)
	go func() {
		_, err := client.Request(s.patience(), verb, text("x"))
		answered <- err
	}()
	<-entered
	short, cancel := context.WithTimeout(s.patience(), 20*time.Millisecond)
	defer cancel()
	if err := stop(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("stop while a handler runs: error %v, want %v", err, context.DeadlineExceeded)
	}
	close(leave)
	if err := stop(s.patience()); err != nil {
		t.Errorf("stop: %v", err)
	}
	if got := handled.Load(); got != 1 {
		t.Errorf("%d handlers have returned after stop, want 1", got)
	}
	if err := <-answered; err != nil {
		t.Errorf("request that ran during stop: %v", err)
	}
	if err := client.Flush(s.patience()); err != nil {
		t.Error(err)
	}
	_, err := client.Request(s.patience(), verb, text("x"))
	s.wantError("request after stop", err, bus.ErrNobody)
}

func testAway(t *testing.T, s *suite) {
	server, client := s.bus(bus.RoleSaver), s.bus(bus.RoleMapper)
	requests := make(chan *bus.Request, 1)
	s.serve(server, endpoint("", func(r *bus.Request) { requests <- r }))
	early := make(chan error, 1)
	go func() {
		_, err := client.Request(s.patience(), verb, text("x"))
		early <- err
	}()
	r := <-requests
	s.net.Away()
	s.wantError("request that waited when the server went away", <-early, bus.ErrOffline)
	if client.Online() {
		t.Error("online without a server")
	}
	_, err := client.Request(s.patience(), verb, text("x"))
	s.wantError("request while away", err, bus.ErrOffline)
	s.wantError("publish while away", client.Publish(verb, text("x")), bus.ErrOffline)
	s.wantError("flush while away", client.Flush(s.patience()), bus.ErrOffline)
	for server.Online() { // the server may notice it a little later
		_ = server.Flush(s.patience())
	}
	s.wantError("reply while away", r.Reply(text("x")), bus.ErrOffline)
	short, cancel := context.WithTimeout(s.patience(), time.Millisecond)
	defer cancel()
	s.wantError("wait while away", client.WaitOnline(short), context.DeadlineExceeded)

	s.net.Back()
	for _, b := range []*bus.Bus{server, client} {
		if err := b.WaitOnline(s.patience()); err != nil {
			t.Fatalf("wait until online: %v", err)
		}
		if err := b.Flush(s.patience()); err != nil {
			t.Fatalf("flush: %v", err)
		}
	}
	go func() { s.answer(<-requests, text("again")) }()
	if got, err := client.Request(s.patience(), verb, text("x")); err != nil || string(got.Body) != "again" {
		t.Errorf("request when back: got %q, %v", got.Body, err)
	}
	if n := client.Stats().Reconnects; n != 1 {
		t.Errorf("counted %d reconnects, want 1", n)
	}
}

// testLost: the channel that Lost returns is closed when that connection breaks, and stays closed.
func testLost(t *testing.T, s *suite) {
	client := s.transport(bus.RoleMapper)
	for range 2 {
		lost := client.Lost()
		select {
		case <-lost:
			t.Fatal("lost while the connection is up")
		default:
		}
		s.net.Away()
		<-lost
		<-client.Lost() // closed already
		s.net.Back()
		if err := client.WaitOnline(s.patience()); err != nil {
			t.Fatal(err)
		}
		<-lost
	}
	client.Close()
	<-client.Lost()
}

func testClosed(t *testing.T, s *suite) {
	client := s.bus(bus.RoleMapper)
	if err := client.Err(); err != nil {
		t.Errorf("open bus has error %v", err)
	}
	server := s.bus(bus.RoleSaver)
	heard := make(chan struct{})
	s.serve(server, endpoint("", func(*bus.Request) { close(heard) }))
	waiting := make(chan error, 1)
	go func() {
		_, err := client.Request(s.patience(), verb, text("x"))
		waiting <- err
	}()
	<-heard
	client.Close()
	client.Close() // a second Close does no harm
	s.wantError("request that waited", <-waiting, bus.ErrClosed)
	<-client.Closed()
	s.wantError("Err", client.Err(), bus.ErrClosed)
	_, err := client.Request(s.patience(), verb, text("x"))
	s.wantError("request", err, bus.ErrClosed)
	s.wantError("publish", client.Publish(verb, text("x")), bus.ErrClosed)
	s.wantError("flush", client.Flush(s.patience()), bus.ErrClosed)
	s.wantError("wait", client.WaitOnline(s.patience()), bus.ErrClosed)
	_, err = client.Serve(endpoint("", func(*bus.Request) {}))
	s.wantError("serve", err, bus.ErrClosed)
	if client.Online() {
		t.Error("closed bus is online")
	}
}

func testHeaders(t *testing.T, s *suite) {
	server, client := s.bus(bus.RoleSaver), s.bus(bus.RoleMapper)
	long := strings.Repeat("1-5,9,", 20000)
	s.serve(server, endpoint("", func(r *bus.Request) { s.answer(r, r.Message) }))
	for _, value := range []string{"", "x", "a  b: c\"", `"caf\u00e9"`, long} {
		got, err := client.Request(s.patience(), verb, wire.Message{Header: wire.Header{"Chunkline-Test": value}})
		if err != nil || got.Header["Chunkline-Test"] != value {
			t.Errorf("header %.40q came back as %.40q, %v", value, got.Header["Chunkline-Test"], err)
		}
	}
	for _, h := range []wire.Header{
		{"Chunkline-Test": "a\r\nChunkline-Status: ok"}, {"Chunkline-Test": "a\nb"}, {"Chunkline-Test": "é"},
		{"Chunkline-Test": " a"}, {"Chunkline-Test": "\x00"}, {"": "a"}, {"Chunkline Test": "a"}, {"A:b": "c"}, {"A\r\nB": "c"},
	} {
		_, err := client.Request(s.patience(), verb, wire.Message{Header: h})
		s.wantError("request with such headers", err, wire.ErrMalformed)
		s.wantError("publish with such headers", client.Publish(verb, wire.Message{Header: h}), wire.ErrMalformed)
	}
	for _, bad := range []string{"", ".", "a.", "a b", "a.*", ">", "a\r\nPUB x 0"} {
		_, err := client.Request(s.patience(), bad, text("x"))
		s.wantError("request of such a verb", err, wire.ErrMalformed)
		_, err = client.Serve(bus.Service{Name: "x", Version: "1.0.0", Endpoints: []bus.Endpoint{{Verb: bad}}})
		s.wantError("serve such a verb", err, wire.ErrMalformed)
	}
}
