package bustest

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/wire"
)

// A Network is what Run tests: a server that is up.
type Network struct {
	// Connect makes a connection for a role. The suite closes it.
	Connect func(role bus.Role) bus.Transport
	// Away stops the server, and Back starts it again at the same address.
	Away, Back func()
}

const (
	job     = "suite"
	verb    = "work"
	patient = 5 * time.Minute // a test that waits longer than this fails
)

// Run runs the suite; setup makes a network for each test.
func Run(t *testing.T, setup func(t *testing.T) Network) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, s *suite)
	}{
		{"request and reply", testRequest},
		{"nobody there", testNobody},
		{"time out", testTimeOut},
		{"late reply", testLateReply},
		{"reply later, once", testReplyOnce},
		{"queue group", testQueueGroup},
		{"everyone without a queue", testEveryone},
		{"serial handlers", testSerial},
		{"publish order", testOrder},
		{"publish is no request", testPublish},
		{"stop waits", testStop},
		{"away and back", testAway},
		{"lost", testLost},
		{"closed", testClosed},
		{"sizes around max payload", testSizes},
		{"large object and result", testLarge},
		{"taker dies taking", testTakerDiesTaking},
		{"taker dies giving", testTakerDiesGiving},
		{"parts are serial too", testPartsSerial},
		{"memory is used again", testReuse},
		{"too large", testTooLarge},
		{"hidden service", testHidden},
		{"answers of other kinds", testOtherAnswers},
		{"hostile headers", testHostile},
		{"headers", testHeaders},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, &suite{t: t, net: setup(t)})
		})
	}
}

// suite is one test's network.
type suite struct {
	t   *testing.T
	net Network
}

// transport makes a connection and waits until it is up.
func (s *suite) transport(role bus.Role) bus.Transport {
	s.t.Helper()
	t := s.net.Connect(role)
	s.t.Cleanup(t.Close)
	if err := t.WaitOnline(s.patience()); err != nil {
		s.t.Fatalf("wait until online: %v", err)
	}
	return t
}

func (s *suite) bus(role bus.Role) *bus.Bus {
	s.t.Helper()
	return bus.New(s.transport(role), job)
}

// patience returns a context that ends only if the test hangs.
func (s *suite) patience() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patient)
	s.t.Cleanup(cancel)
	return ctx
}

// serve starts a service and returns when the server has its subscriptions.
func (s *suite) serve(b *bus.Bus, service bus.Service) (stop func(context.Context) error) {
	s.t.Helper()
	if service.Name == "" {
		service.Name, service.Version = "suite", "1.0.0"
	}
	stop, err := b.Serve(service)
	if err != nil {
		s.t.Fatalf("serve: %v", err)
	}
	s.t.Cleanup(func() { _ = stop(s.patience()) })
	if err := b.Flush(s.patience()); err != nil {
		s.t.Fatalf("flush: %v", err)
	}
	return stop
}

// endpoint is a service of one endpoint.
func endpoint(queue string, handle func(*bus.Request)) bus.Service {
	return bus.Service{Endpoints: []bus.Endpoint{{Verb: verb, Queue: queue, Handle: handle}}}
}

// answer replies and fails the test if that does not work.
func (s *suite) answer(r *bus.Request, m wire.Message) {
	if err := r.Reply(m); err != nil {
		s.t.Errorf("reply: %v", err)
	}
}

func (s *suite) wantError(what string, err, want error) {
	s.t.Helper()
	if !errors.Is(err, want) {
		s.t.Errorf("%s: error %v, want %v", what, err, want)
	}
}

func text(s string) wire.Message { return wire.Message{Body: []byte(s)} }

func testRequest(t *testing.T, s *suite) {
	server, client := s.bus(bus.RoleSaver), s.bus(bus.RoleMapper)
	if server.ID() == client.ID() {
		t.Errorf("two buses have the same ID %s", server.ID())
	}
	s.serve(server, endpoint("", func(r *bus.Request) {
		if r.Subject != "chunkline.suite.work" || r.Header["Chunkline-Test"] != "a b" {
			t.Errorf("got subject %s, header %v", r.Subject, r.Header)
		}
		s.answer(r, wire.Message{Header: wire.Header{"Chunkline-Test": "c"}, Body: append([]byte("re: "), r.Body...)})
	}))
	got, err := client.Request(s.patience(), verb, wire.Message{Header: wire.Header{"Chunkline-Test": "a b"}, Body: []byte("hello")})
	if err != nil || string(got.Body) != "re: hello" || got.Header["Chunkline-Test"] != "c" || got.Header["Chunkline-Protocol"] != wire.Protocol {
		t.Errorf("got %v %q, %v", got.Header, got.Body, err)
	}
	if stats := client.Stats(); stats.Out != 1 || stats.In != 1 || stats.OutBytes != 5 || stats.InBytes != 9 {
		t.Errorf("client counts %+v, want one message of 5 bytes out, one of 9 in", stats)
	}
}

func testNobody(_ *testing.T, s *suite) {
	_, err := s.bus(bus.RoleMapper).Request(s.patience(), verb, text("hello"))
	s.wantError("request", err, bus.ErrNobody)
	_, err = s.bus(bus.RoleMapper).Request(s.patience(), verb, wire.Message{Body: make([]byte, 3<<20)})
	s.wantError("request in parts", err, bus.ErrNobody)
}

func testTimeOut(_ *testing.T, s *suite) {
	heard := make(chan struct{}, 1)
	s.serve(s.bus(bus.RoleSaver), endpoint("", func(*bus.Request) { heard <- struct{}{} }))
	ctx, cancel := context.WithCancel(s.patience())
	go func() { <-heard; cancel() }()
	client := s.bus(bus.RoleMapper)
	_, err := client.Request(ctx, verb, text("hello"))
	s.wantError("request", err, context.Canceled)
	ctx, cancel = context.WithTimeout(s.patience(), time.Millisecond)
	defer cancel()
	_, err = client.Request(ctx, verb, text("hello"))
	s.wantError("request", err, context.DeadlineExceeded)
}

func testLateReply(t *testing.T, s *suite) {
	requests := make(chan *bus.Request, 2)
	server, client := s.bus(bus.RoleSaver), s.bus(bus.RoleMapper)
	s.serve(server, endpoint("", func(r *bus.Request) { requests <- r }))
	ctx, cancel := context.WithCancel(s.patience())
	var late *bus.Request
	go func() { late = <-requests; cancel() }()
	_, err := client.Request(ctx, verb, text("first"))
	s.wantError("request", err, context.Canceled)
	go func() {
		s.answer(late, text("late"))
		s.answer(<-requests, text("in time"))
	}()
	got, err := client.Request(s.patience(), verb, text("second"))
	if err != nil || string(got.Body) != "in time" {
		t.Errorf("got %q, %v", got.Body, err)
	}
}

func testReplyOnce(_ *testing.T, s *suite) {
	requests := make(chan *bus.Request, 1)
	s.serve(s.bus(bus.RoleSaver), endpoint("", func(r *bus.Request) { requests <- r }))
	second := make(chan error, 1)
	go func() {
		r := <-requests // long after the handler has returned
		s.answer(r, text("yes"))
		second <- r.Reply(text("no"))
	}()
	got, err := s.bus(bus.RoleMapper).Request(s.patience(), verb, text("hello"))
	if err != nil || string(got.Body) != "yes" {
		s.t.Errorf("got %q, %v", got.Body, err)
	}
	s.wantError("second reply", <-second, bus.ErrReplied)
}

func testQueueGroup(t *testing.T, s *suite) {
	const requests = 100
	var handled [3]atomic.Int64
	for i := range handled {
		s.serve(s.bus(bus.RoleSaver), endpoint("savers", func(r *bus.Request) {
			handled[i].Add(1)
			s.answer(r, text(string(r.Body)))
		}))
	}
	client := s.bus(bus.RoleMapper)
	for i := range requests {
		want := strconv.Itoa(i)
		if got, err := client.Request(s.patience(), verb, text(want)); err != nil || string(got.Body) != want {
			t.Fatalf("request %s: got %q, %v", want, got.Body, err)
		}
	}
	sum := int64(0)
	for i := range handled {
		n := handled[i].Load()
		if sum += n; n == 0 {
			t.Errorf("member %d of the group got nothing", i)
		}
	}
	if sum != requests {
		t.Errorf("%d requests were handled %d times", requests, sum)
	}
}

func testEveryone(t *testing.T, s *suite) {
	heard := make(chan string, 4)
	for _, name := range []string{"a", "b"} {
		s.serve(s.bus(bus.RoleFetcher), endpoint("", func(r *bus.Request) { heard <- name + string(r.Body) }))
	}
	if err := s.bus(bus.RoleMapper).Publish(verb, text("!")); err != nil {
		t.Fatal(err)
	}
	got := []string{<-heard, <-heard}
	slices.Sort(got)
	if want := []string{"a!", "b!"}; !slices.Equal(got, want) {
		t.Errorf("heard %q, want %q", got, want)
	}
}
