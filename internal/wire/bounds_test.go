package wire_test

import (
	"bytes"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/wire"
)

const somePlan = chunk.PlanID("00112233445566778899aabbccddeeff")

func someBeat() wire.Beat {
	return wire.Beat{Mapper: report.Mapper{ID: "M1"}, Holding: wire.Holding{Seq: 7}}
}

func someSave() wire.Save {
	return wire.Save{Plan: somePlan, Mapper: report.Mapper{ID: "M1"}, Results: []wire.Result{{
		Chunk: 3, First: 300, Objects: 3, Of: 3, Attempt: 1, Token: string(somePlan),
		Counts: []int{1, 0, 2}, Outputs: []byte("a\nb\nc\n"), Dead: []byte("d\n"), DeadCount: 1,
	}}}
}

func someWork() wire.Work {
	g := wire.Granted{Of: 3, From: 1, Attempt: 1, Token: string(somePlan)}
	g.Chunk = chunk.Chunk{ID: 3, First: 301, Count: 2, Body: []byte("1\n2\n")}
	g.Digest = g.Chunk.Digest()
	return wire.Work{Status: wire.WorkGrant, Plan: somePlan, Grant: []wire.Granted{g}}
}

// respell replaces text in a message's body, and updates its checksum.
func respell(m wire.Message, from, to string) wire.Message {
	body := bytes.Replace(m.Body, []byte(from), []byte(to), 1)
	m.Header = m.Header.With(wire.Header{"Chunkline-Sum": wire.SumText(body)})
	m.Body = body
	return m
}

func TestHeld(t *testing.T) {
	t.Parallel()
	const key = "Chunkline-Held"
	whole := func(ids ...chunk.ID) (set []chunk.Piece) {
		for _, id := range ids {
			set = append(set, chunk.Piece{Chunk: id, To: 100})
		}
		return set
	}
	for _, test := range []struct {
		held []chunk.Piece
		text string
	}{
		{whole(5), "5:0-99"},
		{whole(0, 1, 2, 3, 9, 11, 12), "0-3:0-99,9:0-99,11-12:0-99"},
		{whole(12, 0, 3, 2, 1, 9, 11, 9), "0-3:0-99,9:0-99,11-12:0-99"},
		{append(whole(1, 2), chunk.Piece{Chunk: 3, To: 50}, chunk.Piece{Chunk: 3, From: 50, To: 51}), "1-2:0-99,3:0-49,3:50-50"},
	} {
		beat := someBeat()
		beat.Held = test.held
		m := beat.Encode()
		if got := m.Header[key]; got != test.text {
			t.Errorf("%v is written %q, want %q", test.held, got, test.text)
		}
		got, err := wire.DecodeBeat(m)
		want := slices.Compact(slices.SortedFunc(slices.Values(test.held), chunk.Piece.Compare))
		if err != nil || !slices.Equal(got.Held, want) {
			t.Errorf("%q is read %v, %v, want %v", test.text, got.Held, err, want)
		}
	}
	for _, text := range []string{
		"", ",", "1", "1:", "1:0", "1:0-", ":0-9", "1:0-9,", "-1:0-9", "1-:0-9", "2-1:0-9", "1:9-0", "1:0-9,1:0-9", "3:0-9,2:0-9", "1-5:0-9,5:0-9",
		"1:5-9,1:0-4", "a:0-9", "1 :0-9", "0x1:0-9", "+1:0-9", "1--2:0-9", "1-2-3:0-9", "1:0-9-10", "1:0-9:1", "1:0-10000",
		"0-65536:0-9", "0-18446744073709551615:0-9", "4611686018427387905:0-9",
	} {
		m := someBeat().Encode()
		m.Header[key] = text
		if got, err := wire.DecodeBeat(m); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%q is read %v, %v, want %v", text, got.Held, err, wire.ErrMalformed)
		}
	}
}

// TestAsking: the sequence numbers of open requests are written as ranges.
func TestAsking(t *testing.T) {
	t.Parallel()
	beat := someBeat()
	beat.Asking = []uint64{0, 1, 2, 3, 9, 11, 12}
	m := beat.Encode()
	if got := m.Header["Chunkline-Asking"]; got != "0-3,9,11-12" {
		t.Errorf("written %q", got)
	}
	for _, text := range []string{
		"", ",", "1,", "-1", "1-", "2-1", "1,1", "3,2", "1-5,5", "a", "1 ", "0x1", "+1", "1_0", "1--2", "1-2-3",
		"0-65536", "0-18446744073709551615", "4611686018427387905", "99999999999999999999",
	} {
		m.Header["Chunkline-Asking"] = text
		if got, err := wire.DecodeBeat(m); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%q is read %v, %v, want %v", text, got.Asking, err, wire.ErrMalformed)
		}
	}
}

func TestSave_counts(t *testing.T) {
	t.Parallel()
	for text, counts := range map[string][]int{
		"1x3": {1, 1, 1}, "1,0,2": {1, 0, 2}, "0x3": {0, 0, 0}, "1x2,7": {1, 1, 7},
	} {
		save := someSave()
		r := &save.Results[0]
		r.Counts, r.Outputs, r.Dead, r.DeadCount = counts, nil, nil, 0
		for _, n := range counts {
			r.Outputs = append(r.Outputs, bytes.Repeat([]byte("x\n"), n)...)
		}
		m := save.Encode()
		if !bytes.Contains(m.Body, []byte(`"counts":"`+text+`"`)) {
			t.Errorf("%v is written %q, want %q", counts, m.Body, text)
		}
		if got, err := wire.DecodeSave(m); err != nil || !slices.Equal(got.Results[0].Counts, counts) {
			t.Errorf("%q is read %v, %v, want %v", text, got.Results, err, counts)
		}
	}
	for _, text := range []string{
		"", "1", "1x2", "1x4", "1x18446744073709551615", "1x", "x3", "1x3,", "-1,0,4", "1x3,0x0,", "1073741825,0,0", "1,0,2,1",
	} {
		if got, err := wire.DecodeSave(respell(someSave().Encode(), `"1,0,2"`, `"`+text+`"`)); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%q is read %v, %v, want %v", text, got.Results, err, wire.ErrMalformed)
		}
	}
}

func TestSave_corrupt(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(wire.Message) wire.Message{
		"bit in outputs": func(m wire.Message) wire.Message {
			m.Body = bytes.Replace(m.Body, []byte("}\na\n"), []byte("}\nA\n"), 1)
			return m
		},
		"bit in dead letters":  func(m wire.Message) wire.Message { m.Body[len(m.Body)-2] ^= 1; return m },
		"end cut off":          func(m wire.Message) wire.Message { m.Body = m.Body[:len(m.Body)-1]; return m },
		"end missing":          func(m wire.Message) wire.Message { return respell(m, "d\n", "") },
		"too few outputs":      func(m wire.Message) wire.Message { return respell(m, `"1,0,2"`, `"1,0,3"`) },
		"too few dead letters": func(m wire.Message) wire.Message { return respell(m, `"dead":1`, `"dead":0`) },
		"border moved":         func(m wire.Message) wire.Message { return respell(m, `"bytes":6`, `"bytes":4`) },
		"border in a line":     func(m wire.Message) wire.Message { return respell(m, `"bytes":6`, `"bytes":5`) },
		"border outside":       func(m wire.Message) wire.Message { return respell(m, `"bytes":6`, `"bytes":99`) },
		"no body":              func(m wire.Message) wire.Message { m.Body = nil; return m },
	} {
		if _, err := wire.DecodeSave(spoil(someSave().Encode())); !errors.Is(err, wire.ErrCorrupt) {
			t.Errorf("%s: error %v, want %v", name, err, wire.ErrCorrupt)
		}
	}
}

// TestSave_contradiction: an object has outputs or a dead letter, so there are no more dead letters than objects without
// outputs. Otherwise a mapper with a token could crash a saver with such a result.
func TestSave_contradiction(t *testing.T) {
	t.Parallel()
	s := someSave()
	r := &s.Results[0]
	for range r.Objects {
		r.Dead = append(r.Dead, "{}\n"...)
		r.DeadCount++
	}
	if _, err := wire.DecodeSave(s.Encode()); !errors.Is(err, wire.ErrMalformed) {
		t.Errorf("%d dead letters of %d objects: error %v, want %v", r.DeadCount, r.Objects, err, wire.ErrMalformed)
	}
}

// TestSave_many: a message has at least one result and at most MaxPieces.
func TestSave_many(t *testing.T) {
	t.Parallel()
	s := someSave()
	s.Results = slices.Repeat(s.Results, wire.MaxPieces)
	if got, err := wire.DecodeSave(s.Encode()); err != nil || len(got.Results) != wire.MaxPieces {
		t.Errorf("%d results, %v", len(got.Results), err)
	}
	s.Results = append(s.Results, s.Results[0])
	if _, err := wire.DecodeSave(s.Encode()); !errors.Is(err, wire.ErrMalformed) {
		t.Errorf("one more: error %v, want %v", err, wire.ErrMalformed)
	}
	w := someWork()
	w.Grant = slices.Repeat(w.Grant, wire.MaxPieces+1)
	if _, err := wire.DecodeWork(w.Encode()); !errors.Is(err, wire.ErrMalformed) {
		t.Errorf("a grant of one more: error %v, want %v", err, wire.ErrMalformed)
	}
}

func TestWork_corrupt(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*wire.Granted){
		"too few objects": func(g *wire.Granted) { g.Chunk.Count, g.Of = 3, 4 },
		"no line break":   func(g *wire.Granted) { g.Chunk.Body = []byte("1\n2") },
	} {
		w := someWork()
		change(&w.Grant[0])
		if _, err := wire.DecodeWork(w.Encode()); !errors.Is(err, wire.ErrCorrupt) {
			t.Errorf("%s: error %v, want %v", name, err, wire.ErrCorrupt)
		}
	}
	for name, flaws := range map[string][]chunk.Flaw{
		"flaw behind": {{Index: 3}}, "flaw before": {{Index: 0}}, "flaws unordered": {{Index: 2}, {Index: 1}}, "flaw twice": {{Index: 1}, {Index: 1}},
	} {
		w := someWork()
		w.Grant[0].Skip = flaws
		if _, err := wire.DecodeWork(w.Encode()); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%s: error %v, want %v", name, err, wire.ErrMalformed)
		}
	}
}

// TestPieceLine: a description that contradicts itself or exceeds the bounds is refused.
func TestPieceLine(t *testing.T) {
	t.Parallel()
	for _, change := range [][2]string{
		{`"chunk":3`, `"chunk":4611686018427387905`}, {`"chunk":3`, `"chunk":-3`}, {`"chunk":3`, `"chunk":"3"`}, {`"from":1`, `"from":2`}, {`"from":1`, `"from":-1`},
		{`"objects":2`, `"objects":0`}, {`"objects":2`, `"objects":3`}, {`"of":3`, `"of":2`}, {`"of":3`, `"of":10001`}, {`"first":301`, `"first":0`},
		{`"attempt":1`, `"attempt":-1`}, {`"digest":"`, `"digest":"0`}, {`"token":"`, `"token":"0`}, {`"token"`, `"tokem"`}, {`{"chunk"`, `["chunk"`}, {"}\n", "}{}\n"},
	} {
		if _, err := wire.DecodeWork(respell(someWork().Encode(), change[0], change[1])); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%s: error %v, want %v", change[1], err, wire.ErrMalformed)
		}
	}
}

// TestWork_everyObjectFlawed: reasons are truncated and travel in the body, so the headers always stay small.
func TestWork_everyObjectFlawed(t *testing.T) {
	t.Parallel()
	w := someWork()
	g := &w.Grant[0]
	g.From, g.Of, g.Chunk.Count = 0, chunk.MaxSize, chunk.MaxSize
	g.Chunk.Body = bytes.Repeat([]byte("{\n"), chunk.MaxSize)
	g.Digest = g.Chunk.Digest()
	for i := range chunk.MaxSize {
		g.Chunk.Bad = append(g.Chunk.Bad, chunk.Flaw{Index: i, Reason: strings.Repeat("ä\n", 500)})
	}
	m := w.Encode()
	if size := m.Size() - len(m.Body); size > 1000 {
		t.Errorf("headers of %d bytes", size)
	}
	got, err := wire.DecodeWork(m)
	if err != nil || len(got.Grant[0].Chunk.Bad) != chunk.MaxSize || got.Grant[0].Chunk.Bad[9999].Reason != strings.Repeat("ä\n", 100) {
		t.Fatalf("got %d pieces, %v", len(got.Grant), err)
	}
	g.Chunk.Bad, got.Grant[0].Chunk.Bad = nil, nil
	if !reflect.DeepEqual(got, w) {
		t.Errorf("got %+v", got)
	}
}

func TestDecode_headers(t *testing.T) {
	t.Parallel()
	next := wire.Next{Plan: somePlan, Mapper: report.Mapper{ID: "M1", Name: "pod"}, Holding: wire.Holding{Seq: 7}, Wait: time.Second}.Encode()
	decodeNext := func(m wire.Message) error { _, err := wire.DecodeNext(m); return err }
	work := someWork().Encode()
	decodeWork := func(m wire.Message) error { _, err := wire.DecodeWork(m); return err }
	for _, test := range []struct {
		key, value string // value "-": the header is removed
		message    wire.Message
		decode     func(wire.Message) error
		want       error
	}{
		{"Chunkline-Protocol", "2", next, decodeNext, nil},
		{"Chunkline-Protocol", "-", next, decodeNext, wire.ErrMalformed},
		{"Chunkline-Protocol", "1", next, decodeNext, wire.ErrVersion},
		{"Chunkline-Protocol", "2.0", next, decodeNext, wire.ErrVersion},
		{"Chunkline-Plan", "-", next, decodeNext, nil}, // a mapper's first request
		{"Chunkline-Plan", "abc", next, decodeNext, wire.ErrMalformed},
		{"Chunkline-Mapper", "-", next, decodeNext, wire.ErrMalformed},
		{"Chunkline-Mapper", "a.>", next, decodeNext, wire.ErrMalformed}, // the name becomes part of a subject
		{"Chunkline-Mapper", strings.Repeat("M", 65), next, decodeNext, wire.ErrMalformed},
		{"Chunkline-Mapper-Name", strings.Repeat("M", 257), next, decodeNext, wire.ErrMalformed},
		{"Chunkline-Mapper-Name", `"half`, next, decodeNext, wire.ErrMalformed},
		{"Chunkline-Mapper-Name", `"a\u0000"`, next, decodeNext, wire.ErrMalformed}, // no database stores it
		{"Chunkline-Mapper-Name", "é", next, decodeNext, wire.ErrMalformed},
		{"Chunkline-Seq", "-", next, decodeNext, wire.ErrMalformed},
		{"Chunkline-Seq", "1e3", next, decodeNext, wire.ErrMalformed},
		{"Chunkline-Wait-Ms", "3600001", next, decodeNext, wire.ErrMalformed},
		{"Chunkline-Plan", "-", work, decodeWork, wire.ErrMalformed},
		{"Chunkline-Status", "-", work, decodeWork, wire.ErrMalformed},
		{"Chunkline-Status", "GRANT", work, decodeWork, wire.ErrMalformed},
		{"Chunkline-Sum", "-", work, decodeWork, wire.ErrMalformed},
		{"Chunkline-Sum", "00000000", work, decodeWork, wire.ErrCorrupt},
	} {
		m := wire.Message{Header: maps.Clone(test.message.Header), Body: test.message.Body}
		if m.Header[test.key] = test.value; test.value == "-" {
			delete(m.Header, test.key)
		}
		if err := test.decode(m); !errors.Is(err, test.want) {
			t.Errorf("%s: %.40s: error %v, want %v", test.key, test.value, err, test.want)
		}
	}
}

// TestControl_fields: an order has all the fields of its action, and no others.
func TestControl_fields(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"action":"rate","rate":0}`:                     "",
		`{"action":"rate","rate":10}`:                    "",
		`{"action":"share","version":"v2","share":0}`:    "",
		`{"action":"shadow","share":0}`:                  "",
		`{"action":"shadow","version":"v2","share":0.5}`: "",
		`{"action":"allow","version":"v2"}`:              "",
		`{"action":"hurry"}`:                             "", // the fetcher decides which actions exist
		`{"action":"rate","rat":10}`:                     `unknown field "rat"`,
		`{"action":"rate","rate":10,"rat":1}`:            `unknown field "rat"`,
		`{"action":"rate"}`:                              `rate has no "rate"`,
		`{"action":"rate","rate":null}`:                  `rate has no "rate"`,
		`{"action":"rate","rate":"10"}`:                  `string`,
		`{"action":"rate","rate":10,"share":0}`:          `rate takes no "share"`,
		`{"action":"share","version":"v2"}`:              `share has no "share"`,
		`{"action":"share","share":0.5}`:                 `share has no "version"`,
		`{"action":"shadow","version":"v2"}`:             `shadow has no "share"`,
		`{"action":"allow"}`:                             `allow has no "version"`,
		`{"action":"allow","version":"v2","share":1}`:    `allow takes no "share"`,
		`{"action":"pause","rate":0}`:                    `pause takes no "rate"`,
		`{"action":"pause","for":"1h"}`:                  `unknown field "for"`,
		`{"rate":10}`:                                    `no "action"`,
		`{}`:                                             `no "action"`,
		`["pause"]`:                                      `array`,
		`{"action":"pause"} {"action":"cancel"}`:         `after top-level value`,
	} {
		got, err := wire.DecodeControl(wire.Message{Header: wire.Header{"Chunkline-Protocol": wire.Protocol}, Body: []byte(body)})
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", body, err)
		case want != "" && (!errors.Is(err, wire.ErrMalformed) || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: read as %+v, %v; want an error with %q", body, got, err, want)
		case want == "":
			if again, err := wire.DecodeControl(got.Encode()); err != nil || again != got {
				t.Errorf("%s: read as %+v, and once more as %+v, %v", body, got, again, err)
			}
		}
	}
}

// TestControl_typed: a message that a person types with the nats program is accepted.
func TestControl_typed(t *testing.T) {
	t.Parallel()
	m := wire.Message{Header: wire.Header{"Chunkline-Protocol": "2"}, Body: []byte(`{"action":"pause"}`)}
	if got, err := wire.DecodeControl(m); err != nil || got.Action != wire.ControlPause {
		t.Errorf("got %+v, %v", got, err)
	}
	m.Header["Chunkline-Sum"] = "00000000"
	if _, err := wire.DecodeControl(m); !errors.Is(err, wire.ErrCorrupt) {
		t.Errorf("with a wrong checksum: error %v, want %v", err, wire.ErrCorrupt)
	}
}

func TestToken(t *testing.T) {
	t.Parallel()
	key, digest := bytes.Repeat([]byte{1}, 32), chunk.Sum([]byte("x"))
	lease := wire.Lease{Plan: somePlan, Piece: chunk.Piece{Chunk: 3, From: 10, To: 60}, Of: 100, First: 310, Digest: digest}
	but := func(change func(*wire.Lease)) wire.Lease {
		other := lease
		change(&other)
		return other
	}
	token := lease.Token(key)
	second := but(func(l *wire.Lease) { l.Term = 2 })
	if want := "c8fc975392a8e865716de5a9ec0141d1"; token != want { // computed with Python's hmac
		t.Errorf("token %s, want %s", token, want)
	}
	if got, want := second.Token(key), "ad6bca9dde499fa94307518f68fca9bf"; got != want { // likewise
		t.Errorf("token of term 2 is %s, want %s", got, want)
	}
	other := bytes.Repeat([]byte{2}, 32)
	for name, got := range map[string]bool{
		"other key":      lease.Vouches(other, token),
		"no key":         lease.Vouches(nil, lease.Token(nil)),
		"other plan":     but(func(l *wire.Lease) { l.Plan = "0" + somePlan[1:len(somePlan)-1] + "0" }).Vouches(key, token),
		"other chunk":    but(func(l *wire.Lease) { l.Piece.Chunk = 4 }).Vouches(key, token),
		"other first":    but(func(l *wire.Lease) { l.First = 311 }).Vouches(key, token),
		"other begin":    but(func(l *wire.Lease) { l.Piece.From = 11 }).Vouches(key, token),
		"other end":      but(func(l *wire.Lease) { l.Piece.To = 61 }).Vouches(key, token),
		"other size":     but(func(l *wire.Lease) { l.Of = 99 }).Vouches(key, token),
		"moved border":   but(func(l *wire.Lease) { l.Piece.Chunk, l.Piece.From = 31, 0 }).Vouches(key, token),
		"other digest":   but(func(l *wire.Lease) { l.Digest = chunk.Sum([]byte("y")) }).Vouches(key, token),
		"earlier term":   second.Vouches(key, token),
		"later term":     lease.Vouches(key, second.Token(key)),
		"upper case":     lease.Vouches(key, strings.ToUpper(token)) && strings.ToUpper(token) != token,
		"empty":          lease.Vouches(key, ""),
		"beginning only": lease.Vouches(key, token[:31]),
	} {
		if got {
			t.Errorf("%s: token is accepted", name)
		}
	}
	if !lease.Vouches(key, token) || !second.Vouches(key, second.Token(key)) {
		t.Error("token is not accepted")
	}
}
