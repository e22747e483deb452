package bustest

import (
	"maps"
	"strconv"
	"testing"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/wire"
)

const subject = "chunkline." + job + "." + verb

// raw serves a subject without a bus, with answers that no bus would send.
func (s *suite) raw(t bus.Transport, subject string, handle func(bus.Delivery)) {
	s.t.Helper()
	stop, err := t.Listen(bus.Listener{
		Name: "raw", Version: "1.0.0", Hidden: true, Topics: []bus.Topic{{Name: "raw", Subject: subject, Handle: handle}},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { stop(s.patience()) })
	if err := t.Flush(s.patience()); err != nil {
		s.t.Fatal(err)
	}
}

func testOtherAnswers(_ *testing.T, s *suite) {
	server, client := s.transport(bus.RoleSaver), s.bus(bus.RoleMapper)
	var answer wire.Message // written before each request, read by its handler
	s.raw(server, subject, func(d bus.Delivery) {
		if err := d.Reply(answer); err != nil {
			s.t.Errorf("reply: %v", err)
		}
	})
	first := wire.Header{
		"Chunkline-Protocol": wire.Protocol, "Chunkline-Part": "first", "Chunkline-Part-Id": "X", "Chunkline-Part-At": "Y",
		"Chunkline-Part-Total": "1000", "Chunkline-Part-Size": "500", "Chunkline-Part-Sum": "00000000",
	}
	but := func(changes ...string) wire.Header {
		h := maps.Clone(first)
		for i := 0; i < len(changes); i += 2 {
			h[changes[i]] = changes[i+1]
		}
		return h
	}
	for _, test := range []struct {
		what   string
		header wire.Header
		want   error
	}{
		{"no headers", nil, wire.ErrMalformed},
		{"no protocol", wire.Header{"Chunkline-Status": "committed"}, wire.ErrMalformed},
		{"newer protocol", wire.Header{"Chunkline-Protocol": "3", "Chunkline-Status": "committed"}, wire.ErrVersion},
		{"micro error", wire.Header{"Nats-Service-Error": "boom", "Nats-Service-Error-Code": "500"}, bus.ErrService},
		{"micro error in disguise", wire.Header{"Chunkline-Protocol": wire.Protocol, "Chunkline-Status": "committed", "Nats-Service-Error-Code": "500"}, bus.ErrService},
		{"busy", wire.Header{"Nats-Service-Error": "full", "Nats-Service-Error-Code": "429"}, bus.ErrBusy},
		{"nobody at the parts", first, bus.ErrNobody},
		{"continue without being asked", wire.Header{"Chunkline-Protocol": wire.Protocol, "Chunkline-Part": "continue", "Chunkline-Part-Id": "X", "Chunkline-Part-At": "Y"}, wire.ErrMalformed},
		{"unknown kind of part", but("Chunkline-Part", "middle"), wire.ErrMalformed},
		{"parts elsewhere", but("Chunkline-Part-At", "Y.control"), wire.ErrMalformed},
		{"parts everywhere", but("Chunkline-Part-At", ">"), wire.ErrMalformed},
		{"huge total", but("Chunkline-Part-Total", strconv.Itoa(wire.MaxMessage+1)), bus.ErrTooLarge},
		{"total beyond numbers", but("Chunkline-Part-Total", "99999999999999999999"), wire.ErrMalformed},
		{"negative total", but("Chunkline-Part-Total", "-5"), wire.ErrMalformed},
		{"no size", but("Chunkline-Part-Size", "0"), wire.ErrMalformed},
		{"total in the first part", but("Chunkline-Part-Total", "3"), wire.ErrMalformed},
	} {
		answer = wire.Message{Header: test.header, Body: []byte("abc")}
		_, err := client.Request(s.patience(), verb, text("x"))
		s.wantError(test.what, err, test.want)
	}
}

func testHostile(t *testing.T, s *suite) {
	server, client := s.transport(bus.RoleSaver), s.transport(bus.RoleMapper)
	at := make(chan string, 1)
	b := bus.New(server, job)
	s.serve(b, endpoint("", func(r *bus.Request) { s.answer(r, text("fine")) }))
	part := func(kind string, more ...string) wire.Header {
		h := wire.Header{"Chunkline-Protocol": wire.Protocol, "Chunkline-Part": kind, "Chunkline-Part-Id": "X"}
		for i := 0; i < len(more); i += 2 {
			h[more[i]] = more[i+1]
		}
		return h
	}
	send := func(subject string, h wire.Header, body int) wire.Message {
		t.Helper()
		got, err := client.Request(s.patience(), subject, wire.Message{Header: h, Body: pattern(body)})
		if err != nil {
			t.Errorf("%v: %v", h, err)
		}
		return got
	}
	refused := func(subject string, h wire.Header, body int, code string) {
		t.Helper()
		if got := send(subject, h, body); got.Header["Nats-Service-Error-Code"] != code {
			t.Errorf("%v: got %v, want code %s", h, got.Header, code)
		}
	}
	total, size, sum := "Chunkline-Part-Total", "Chunkline-Part-Size", "Chunkline-Part-Sum"
	refused(subject, part("first"), 3, "400")
	refused(subject, part("put", "Chunkline-Part-Offset", "0"), 3, "400")
	refused(subject, part("first", total, "3", size, "500", sum, "00000000"), 3, "400")
	refused(subject, part("first", total, "1000", size, "1", sum, "00000000"), 3, "400")
	refused(subject, part("first", total, "1000", size, "500", sum, "zz"), 3, "400")
	refused(subject, part("first", total, "4611686018427387904", size, "500", sum, "00000000"), 3, "413")

	got := send(subject, part("first", total, "1000", size, "500", sum, "12345678"), 100)
	at <- "chunkline." + job + ".part." + got.Header["Chunkline-Part-At"]
	parts := <-at
	refused(parts, part("first", total, "1000", size, "500", sum, "00000000"), 3, "400")
	refused(parts, part("put", "Chunkline-Part-Offset", "100"), 3, "400")
	refused(parts, part("put", "Chunkline-Part-Offset", "101"), 500, "400")
	refused(parts, part("put", "Chunkline-Part-Offset", "-1"), 500, "400")
	refused(parts, part("put", "Chunkline-Part-Offset", "1100"), 500, "400")
	refused(parts, part("get", "Chunkline-Part-Offset", "100"), 0, "404")
	refused(parts, part("put", "Chunkline-Part-Id", "other", "Chunkline-Part-Offset", "100"), 500, "404")
	refused(parts, wire.Header{}, 0, "400")
	refused(parts, wire.Header{"Chunkline-Protocol": "1", "Chunkline-Part": "get", "Chunkline-Part-Id": "X", "Chunkline-Part-Offset": "1"}, 0, "400")
	if got := send(parts, part("put", "Chunkline-Part-Offset", "100"), 500); got.Header["Chunkline-Part"] != "have" {
		t.Errorf("part was answered %v", got.Header)
	}
	if got := send(parts, part("put", "Chunkline-Part-Offset", "100"), 500); got.Header["Chunkline-Part"] != "have" {
		t.Errorf("doubled part was answered %v", got.Header)
	}
	refused(parts, part("put", "Chunkline-Part-Offset", "600"), 400, "422") // the sum is wrong
	if got := send(subject, wire.Header{"Chunkline-Protocol": wire.Protocol}, 3); string(got.Body) != "fine" {
		t.Errorf("after all that: got %v %q", got.Header, got.Body)
	}
}
