package bustest

import (
	"bytes"
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/wire"
)

// pattern returns n bytes that differ if two parts are swapped: its period is a prime, which divides no size of a part.
func pattern(n int) []byte {
	period := make([]byte, 65521)
	for i := range period {
		period[i] = byte(i * i >> 3)
	}
	return bytes.Repeat(period, n/len(period)+1)[:n:n]
}

// sized serves answers of the length that the request's header asks for.
func (s *suite) sized(b *bus.Bus) {
	s.serve(b, endpoint("savers", func(r *bus.Request) {
		if want, _ := strconv.Atoi(r.Header["Chunkline-Sent"]); !bytes.Equal(r.Body, pattern(want)) {
			s.t.Errorf("request of %d bytes arrived as %d others", want, len(r.Body))
		}
		size, _ := strconv.Atoi(r.Header["Chunkline-Want"])
		s.answer(r, wire.Message{Header: wire.Header{"Chunkline-Got": r.Header["Chunkline-Sent"]}, Body: pattern(size)})
	}))
}

// exchange sends a request of send bytes and asks for an answer of want bytes.
func (s *suite) exchange(b *bus.Bus, send, want int) {
	s.t.Helper()
	header := wire.Header{"Chunkline-Sent": strconv.Itoa(send), "Chunkline-Want": strconv.Itoa(want)}
	got, err := b.Request(s.patience(), verb, wire.Message{Header: header, Body: pattern(send)})
	switch {
	case err != nil:
		s.t.Errorf("send %d bytes, want %d: %v", send, want, err)
	case !bytes.Equal(got.Body, pattern(want)):
		s.t.Errorf("send %d bytes, want %d: got %d others", send, want, len(got.Body))
	case got.Header["Chunkline-Got"] != strconv.Itoa(send) || len(got.Header) != 2:
		s.t.Errorf("send %d bytes, want %d: got header %v", send, want, got.Header)
	}
}

func testSizes(_ *testing.T, s *suite) {
	server, client := s.transport(bus.RoleSaver), s.bus(bus.RoleMapper)
	s.sized(bus.New(server, job))
	limit := server.MaxPayload()
	// The headers take a part of the largest request and answer that fit into one message.
	digits := strconv.Itoa(limit)
	request := wire.Message{Header: wire.Header{"Chunkline-Protocol": wire.Protocol, "Chunkline-Sent": digits, "Chunkline-Want": "10"}}
	answer := wire.Message{Header: wire.Header{"Chunkline-Protocol": wire.Protocol, "Chunkline-Got": "10"}}
	for _, size := range []int{-limit, 1 - limit, -limit / 2, -2, -1, 0, 1, 2, 40, 80, 120, limit / 2, limit - 1, limit, limit + 1, 2*limit + 7} {
		s.exchange(client, max(0, limit-request.Size()+size), 10)
		s.exchange(client, 10, max(0, limit-answer.Size()+size))
	}
	s.exchange(client, 2*limit, 2*limit)
}

func testLarge(_ *testing.T, s *suite) {
	s.sized(s.bus(bus.RoleSaver))
	client := s.bus(bus.RoleMapper)
	s.exchange(client, 10, 8<<20) // a large object; larger ones differ only in the number of parts
	s.exchange(client, 8<<20, 0)  // a result
	var mappers sync.WaitGroup
	for range 3 {
		b := s.bus(bus.RoleMapper)
		mappers.Go(func() { s.exchange(b, 4<<20, 4<<20) })
	}
	mappers.Wait()
}

// tapped is a transport that reports the messages that arrive for a topic.
type tapped struct {
	bus.Transport
	topic string
	tap   func(bus.Delivery)
}

func (t *tapped) Listen(l bus.Listener) (func(context.Context), error) {
	for i, topic := range l.Topics {
		if topic.Name == t.topic {
			l.Topics[i].Handle = func(d bus.Delivery) { t.tap(d); topic.Handle(d) }
		}
	}
	return t.Transport.Listen(l)
}

func testTakerDiesTaking(_ *testing.T, s *suite) { s.takerDies(8<<20, 10) }
func testTakerDiesGiving(_ *testing.T, s *suite) { s.takerDies(10, 8<<20) }

// takerDies closes the responder's connection in the middle of a message in parts, and asks again.
func (s *suite) takerDies(send, want int) {
	dying := s.transport(bus.RoleSaver)
	var parts atomic.Int64
	tap := &tapped{Transport: dying, topic: "part"}
	tap.tap = func(bus.Delivery) {
		if parts.Add(1) == 5 {
			go dying.Close() // which may wait for this handler
			<-dying.Closed()
		}
	}
	s.sized(bus.New(tap, job))
	client := s.bus(bus.RoleMapper)
	header := wire.Header{"Chunkline-Sent": strconv.Itoa(send), "Chunkline-Want": strconv.Itoa(want)}
	_, err := client.Request(s.patience(), verb, wire.Message{Header: header, Body: pattern(send)})
	s.wantError("request to a taker that dies", err, bus.ErrNobody)
	s.sized(s.bus(bus.RoleSaver)) // another one gets the whole message
	s.exchange(client, send, want)
}

// testPartsSerial: while a single message is being handled, a complete message in parts waits.
func testPartsSerial(t *testing.T, s *suite) {
	begun, last := make(chan struct{}), make(chan struct{}) // of the parts that come
	entered, large := make(chan struct{}), make(chan struct{})
	var parts atomic.Int64
	tap := &tapped{Transport: s.transport(bus.RoleSaver), topic: "part"}
	tap.tap = func(bus.Delivery) {
		switch parts.Add(1) {
		case 1:
			close(begun)
			<-entered
		case 3: // 2 MiB are a first part and three more of 512 KiB
			close(last)
		}
	}
	s.serve(bus.New(tap, job), endpoint("", func(r *bus.Request) {
		if len(r.Body) == 1 {
			close(entered)
			<-last
			select {
			case <-large:
				t.Error("two handlers at a time")
			case <-time.After(50 * time.Millisecond): // a wrong call would come within this time
			}
		} else {
			close(large)
		}
		s.answer(r, text(strconv.Itoa(len(r.Body))))
	}))
	var clients sync.WaitGroup
	request := func(size int) {
		client := s.bus(bus.RoleMapper)
		clients.Go(func() {
			got, err := client.Request(s.patience(), verb, wire.Message{Body: pattern(size)})
			if err != nil || string(got.Body) != strconv.Itoa(size) {
				t.Errorf("request of %d bytes: got %q, %v", size, got.Body, err)
			}
		})
	}
	request(2 << 20)
	<-begun
	request(1)
	clients.Wait()
}

func testTooLarge(_ *testing.T, s *suite) {
	huge := make([]byte, wire.MaxMessage+1) // never touched, so it costs no memory
	replied := make(chan error, 1)
	s.serve(s.bus(bus.RoleSaver), endpoint("", func(r *bus.Request) { replied <- r.Reply(wire.Message{Body: huge}) }))
	client := s.bus(bus.RoleMapper)
	_, err := client.Request(s.patience(), verb, text("x"))
	s.wantError("request with a huge answer", err, bus.ErrTooLarge)
	s.wantError("huge reply", <-replied, bus.ErrTooLarge)
	_, err = client.Request(s.patience(), verb, wire.Message{Body: huge})
	s.wantError("huge request", err, bus.ErrTooLarge)
	header := wire.Header{"Chunkline-Test": string(bytes.Repeat([]byte{'x'}, 2<<20))}
	_, err = client.Request(s.patience(), verb, wire.Message{Header: header})
	s.wantError("request with a huge header", err, bus.ErrTooLarge)
}

func testHidden(t *testing.T, s *suite) {
	replied := make(chan error, 1)
	service := endpoint("", func(r *bus.Request) { replied <- r.Reply(wire.Message{Body: make([]byte, 2<<20)}) })
	service.Hidden, service.Name = true, "hidden"
	s.serve(s.bus(bus.RoleMapper), service)
	client := s.bus(bus.RoleFetcher)
	_, err := client.Request(s.patience(), verb, wire.Message{Body: make([]byte, 2<<20)})
	s.wantError("large request to a hidden service", err, bus.ErrTooLarge)
	_, err = client.Request(s.patience(), verb, text("x"))
	s.wantError("large answer of a hidden service", err, bus.ErrTooLarge)
	if err := <-replied; err == nil {
		t.Error("a large reply of a hidden service succeeded")
	}
}

// testReuse: once a message is sent, its sender may use the memory of the body again. Answers that the bus keeps are an
// exception, which ReplyFrom reports.
func testReuse(t *testing.T, s *suite) {
	server, client := s.bus(bus.RoleSaver), s.bus(bus.RoleMapper)
	requests, free := make(chan *bus.Request, 10), make(chan bool, 10)
	answer := []byte("answer 1")
	s.serve(server, endpoint("", func(r *bus.Request) {
		requests <- r
		if r.Header["Chunkline-Large"] != "" {
			answer = bytes.Repeat(answer, server.MaxPayload()/len(answer)+1)
		}
		may, err := r.ReplyFrom(wire.Message{Body: answer})
		if err != nil {
			t.Errorf("reply: %v", err)
		}
		if may {
			copy(answer, "answer 2")
		}
		free <- may
	}))
	ask := func(header wire.Header, body []byte) (request, got []byte) {
		m, err := client.Request(s.patience(), verb, wire.Message{Header: header, Body: body})
		if err != nil {
			t.Fatalf("request: %v", err)
		}
		copy(body, "request 2")
		return (<-requests).Body, m.Body
	}
	if request, got := ask(nil, []byte("request 1")); string(request) != "request 1" || string(got) != "answer 1" || !<-free {
		t.Errorf("got request %q, answer %q, and want those that were sent, in memory that is free", request, got)
	}
	copy(answer, "answer 3")
	large := bytes.Repeat([]byte("request 1"), server.MaxPayload()/9+1)
	if request, got := ask(nil, large); !bytes.HasPrefix(request, []byte("request 1")) || string(got) != "answer 3" || <-free {
		t.Errorf("a request in parts: got %.9q, answer %q; want those that were sent, and that the answer is kept", request, got)
	}
	if _, got := ask(wire.Header{"Chunkline-Large": "1"}, nil); !bytes.HasPrefix(got, []byte("answer 3")) || <-free {
		t.Errorf("an answer in parts: got %.9q, want the one that was sent, and that it is kept", got)
	}
	published := []byte("publish 1")
	if err := client.Publish(verb, wire.Message{Body: published}); err != nil {
		t.Errorf("publish: %v", err)
	}
	copy(published, "publish 2")
	if r := <-requests; string(r.Body) != "publish 1" {
		t.Errorf("got publish %q, want the one that was sent", r.Body)
	}
}
