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
	return wire.Save{
		Plan: somePlan, Chunk: 3, First: 300, Objects: 3, Attempt: 1, Token: string(somePlan), Mapper: report.Mapper{ID: "M1"},
		Counts: []int{1, 0, 2}, Outputs: []byte("a\nb\nc\n"), Dead: []byte("d\n"), DeadCount: 1,
	}
}

func someWork() wire.Work {
	w := wire.Work{Status: wire.WorkChunk, Plan: somePlan, Attempt: 1, Token: string(somePlan)}
	w.Chunk = chunk.Chunk{ID: 3, First: 300, Count: 2, Body: []byte("1\n2\n")}
	w.Digest = w.Chunk.Digest()
	return w
}

func TestHeld_ranges(t *testing.T) {
	t.Parallel()
	const key = "Chunkline-Held"
	for _, test := range []struct {
		held []chunk.ID
		text string
	}{
		{[]chunk.ID{5}, "5"},
		{[]chunk.ID{0, 1, 2, 3, 9, 11, 12}, "0-3,9,11-12"},
		{[]chunk.ID{12, 0, 3, 2, 1, 9, 11, 9}, "0-3,9,11-12"},
	} {
		beat := someBeat()
		beat.Held = test.held
		m := beat.Encode()
		if got := m.Header[key]; got != test.text {
			t.Errorf("%v is written %q, want %q", test.held, got, test.text)
		}
		got, err := wire.DecodeBeat(m)
		want := slices.Compact(slices.Sorted(slices.Values(test.held)))
		if err != nil || !slices.Equal(got.Held, want) {
			t.Errorf("%q is read %v, %v, want %v", test.text, got.Held, err, want)
		}
	}
	for _, text := range []string{
		"", ",", "1,", "-1", "1-", "2-1", "1,1", "3,2", "1-5,5", "a", "1 ", "0x1", "+1", "1_0", "1--2", "1-2-3",
		"0-65536", "0-18446744073709551615", "4611686018427387905", "99999999999999999999",
	} {
		m := someBeat().Encode()
		m.Header[key] = text
		if got, err := wire.DecodeBeat(m); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%q is read %v, %v, want %v", text, got.Held, err, wire.ErrMalformed)
		}
	}
}

func TestSave_counts(t *testing.T) {
	t.Parallel()
	const key = "Chunkline-Counts"
	for text, counts := range map[string][]int{
		"1x3": {1, 1, 1}, "1,0,2": {1, 0, 2}, "0x3": {0, 0, 0}, "1x2,7": {1, 1, 7},
	} {
		save := someSave()
		save.Counts, save.Outputs, save.Dead, save.DeadCount = counts, nil, nil, 0
		for _, n := range counts {
			save.Outputs = append(save.Outputs, bytes.Repeat([]byte("x\n"), n)...)
		}
		m := save.Encode()
		if got := m.Header[key]; got != text {
			t.Errorf("%v is written %q, want %q", counts, got, text)
		}
		if got, err := wire.DecodeSave(m); err != nil || !slices.Equal(got.Counts, counts) {
			t.Errorf("%q is read %v, %v, want %v", text, got.Counts, err, counts)
		}
	}
	for _, text := range []string{
		"", "1", "1x2", "1x4", "1x18446744073709551615", "1x", "x3", "1x3,", "-1,0,4", "1x3,0x0,", "1073741825,0,0", "1,0,2,1",
	} {
		m := someSave().Encode()
		m.Header[key] = text
		if got, err := wire.DecodeSave(m); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%q is read %v, %v, want %v", text, got.Counts, err, wire.ErrMalformed)
		}
	}
}

func TestSave_corrupt(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*wire.Message){
		"bit in outputs":       func(m *wire.Message) { m.Body[0] ^= 1 },
		"bit in dead letters":  func(m *wire.Message) { m.Body[len(m.Body)-2] ^= 1 },
		"end cut off":          func(m *wire.Message) { m.Body = m.Body[:len(m.Body)-1] },
		"line more":            func(m *wire.Message) { m.Body = append(m.Body, "x\n"...) },
		"too few outputs":      func(m *wire.Message) { m.Header["Chunkline-Counts"] = "1,0,3" },
		"too few dead letters": func(m *wire.Message) { m.Header["Chunkline-Dead"] = "2" },
		"border moved":         func(m *wire.Message) { m.Header["Chunkline-Output-Bytes"] = "4" },
		"border in a line":     func(m *wire.Message) { m.Header["Chunkline-Output-Bytes"] = "5" },
		"border outside":       func(m *wire.Message) { m.Header["Chunkline-Output-Bytes"] = "99" },
		"no body":              func(m *wire.Message) { m.Body = nil },
	} {
		m := someSave().Encode()
		spoil(&m)
		if _, err := wire.DecodeSave(m); !errors.Is(err, wire.ErrCorrupt) {
			t.Errorf("%s: error %v, want %v", name, err, wire.ErrCorrupt)
		}
	}
}

// TestSave_contradiction: an object has outputs or a dead letter, so there are
// no more dead letters than objects without outputs. A mapper that has a token
// could end a saver with such a result.
func TestSave_contradiction(t *testing.T) {
	t.Parallel()
	s := someSave()
	for range s.Objects {
		s.Dead = append(s.Dead, "{}\n"...)
		s.DeadCount++
	}
	if _, err := wire.DecodeSave(s.Encode()); !errors.Is(err, wire.ErrMalformed) {
		t.Errorf("%d dead letters of %d objects: error %v, want %v", s.DeadCount, s.Objects, err, wire.ErrMalformed)
	}
}

func TestWork_corrupt(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*wire.Work){
		"other digest":    func(w *wire.Work) { w.Digest[0] ^= 1 },
		"too few objects": func(w *wire.Work) { w.Chunk.Count = 3 },
		"other object":    func(w *wire.Work) { w.Chunk.Body[0] = '3' },
		"no line break":   func(w *wire.Work) { w.Chunk.Body = []byte("1\n2"); w.Digest = w.Chunk.Digest() },
	} {
		w := someWork()
		change(&w)
		if _, err := wire.DecodeWork(w.Encode()); !errors.Is(err, wire.ErrCorrupt) {
			t.Errorf("%s: error %v, want %v", name, err, wire.ErrCorrupt)
		}
	}
	for name, flaws := range map[string][]chunk.Flaw{
		"flaw outside": {{Index: 2}}, "flaw before": {{Index: -1}}, "flaws unordered": {{Index: 1}, {Index: 0}}, "flaw twice": {{Index: 1}, {Index: 1}},
	} {
		w := someWork()
		w.Skip = flaws
		if _, err := wire.DecodeWork(w.Encode()); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%s: error %v, want %v", name, err, wire.ErrMalformed)
		}
	}
}

// TestWork_everyObjectFlawed: reasons are cut, and travel in the body, so the
// headers stay small whatever happened.
func TestWork_everyObjectFlawed(t *testing.T) {
	t.Parallel()
	w := someWork()
	w.Chunk.Count = chunk.MaxSize
	w.Chunk.Body = bytes.Repeat([]byte("{\n"), chunk.MaxSize)
	w.Digest = w.Chunk.Digest()
	for i := range chunk.MaxSize {
		w.Chunk.Bad = append(w.Chunk.Bad, chunk.Flaw{Index: i, Reason: strings.Repeat("ä\n", 500)})
	}
	m := w.Encode()
	if size := m.Size() - len(m.Body); size > 1000 {
		t.Errorf("headers of %d bytes", size)
	}
	got, err := wire.DecodeWork(m)
	if err != nil || len(got.Chunk.Bad) != chunk.MaxSize || got.Chunk.Bad[9999].Reason != strings.Repeat("ä\n", 100) {
		t.Errorf("got %d flaws, %v", len(got.Chunk.Bad), err)
	}
	w.Chunk.Bad, got.Chunk.Bad = nil, nil
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
		key, value string // value "-": without it
		message    wire.Message
		decode     func(wire.Message) error
		want       error
	}{
		{"Chunkline-Protocol", "1", next, decodeNext, nil},
		{"Chunkline-Protocol", "-", next, decodeNext, wire.ErrMalformed},
		{"Chunkline-Protocol", "2", next, decodeNext, wire.ErrVersion},
		{"Chunkline-Protocol", "1.0", next, decodeNext, wire.ErrVersion},
		{"Chunkline-Plan", "-", next, decodeNext, nil}, // a mapper's first
		{"Chunkline-Plan", "abc", next, decodeNext, wire.ErrMalformed},
		{"Chunkline-Mapper", "-", next, decodeNext, wire.ErrMalformed},
		{"Chunkline-Mapper", "a.>", next, decodeNext, wire.ErrMalformed}, // it becomes part of a subject
		{"Chunkline-Mapper", strings.Repeat("M", 65), next, decodeNext, wire.ErrMalformed},
		{"Chunkline-Mapper-Name", strings.Repeat("M", 257), next, decodeNext, wire.ErrMalformed},
		{"Chunkline-Mapper-Name", `"half`, next, decodeNext, wire.ErrMalformed},
		{"Chunkline-Mapper-Name", "é", next, decodeNext, wire.ErrMalformed},
		{"Chunkline-Seq", "-", next, decodeNext, wire.ErrMalformed},
		{"Chunkline-Seq", "1e3", next, decodeNext, wire.ErrMalformed},
		{"Chunkline-Wait-Ms", "3600001", next, decodeNext, wire.ErrMalformed},
		{"Chunkline-Plan", "-", work, decodeWork, wire.ErrMalformed},
		{"Chunkline-Status", "-", work, decodeWork, wire.ErrMalformed},
		{"Chunkline-Status", "CHUNK", work, decodeWork, wire.ErrMalformed},
		{"Chunkline-Chunk", "-", work, decodeWork, wire.ErrMalformed},
		{"Chunkline-Objects", "0", work, decodeWork, wire.ErrMalformed},
		{"Chunkline-Objects", "10001", work, decodeWork, wire.ErrMalformed},
		{"Chunkline-Token", "-", work, decodeWork, wire.ErrMalformed},
		{"Chunkline-Careful", "yes", work, decodeWork, wire.ErrMalformed},
		{"Chunkline-Bad-Bytes", "1073741824", work, decodeWork, wire.ErrCorrupt},
		{"Chunkline-Bad-Bytes", "2", work, decodeWork, wire.ErrMalformed},
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

// TestControl_fields: an order has the fields of its action, all of them and no others.
func TestControl_fields(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"action":"rate","rate":0}`:                     "",
		`{"action":"rate","rate":10}`:                    "",
		`{"action":"share","version":"v2","share":0}`:    "",
		`{"action":"shadow","share":0}`:                  "",
		`{"action":"shadow","version":"v2","share":0.5}`: "",
		`{"action":"allow","version":"v2"}`:              "",
		`{"action":"hurry"}`:                             "", // the fetcher knows which actions there are
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

// TestControl_typed: what a person types with the nats program is taken.
func TestControl_typed(t *testing.T) {
	t.Parallel()
	m := wire.Message{Header: wire.Header{"Chunkline-Protocol": "1"}, Body: []byte(`{"action":"pause"}`)}
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
	lease := wire.Lease{Plan: somePlan, Chunk: 3, First: 300, Objects: 100, Digest: digest}
	but := func(change func(*wire.Lease)) wire.Lease {
		other := lease
		change(&other)
		return other
	}
	token := lease.Token(key)
	second := but(func(l *wire.Lease) { l.Term = 2 })
	if want := "6c6fec0ae31827f03d8ce3eb5e35f562"; token != want { // computed with Python's hmac
		t.Errorf("token %s, want %s", token, want)
	}
	if got, want := second.Token(key), "4ebf4ebeb16ee937301c987fb93265c0"; got != want { // likewise
		t.Errorf("token of term 2 is %s, want %s", got, want)
	}
	other := bytes.Repeat([]byte{2}, 32)
	for name, got := range map[string]bool{
		"other key":      lease.Vouches(other, token),
		"no key":         lease.Vouches(nil, lease.Token(nil)),
		"other plan":     but(func(l *wire.Lease) { l.Plan = "0" + somePlan[1:len(somePlan)-1] + "0" }).Vouches(key, token),
		"other chunk":    but(func(l *wire.Lease) { l.Chunk = 4 }).Vouches(key, token),
		"other first":    but(func(l *wire.Lease) { l.First = 301 }).Vouches(key, token),
		"other objects":  but(func(l *wire.Lease) { l.Objects = 99 }).Vouches(key, token),
		"moved border":   but(func(l *wire.Lease) { l.Chunk, l.First = 33, 0 }).Vouches(key, but(func(l *wire.Lease) { l.First = 30 }).Token(key)),
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
