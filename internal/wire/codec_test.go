package wire_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/wire"
)

var someKey = bytes.Repeat([]byte("k"), 32)

// codec is one kind of message: how to draw, encode and decode it.
type codec struct {
	name   string
	draw   func(*rapid.T) any
	encode func(any) wire.Message
	decode func(wire.Message) (any, error)
}

type encoder interface{ Encode() wire.Message }

func of[T encoder](name string, draw func(*rapid.T) T, decode func(wire.Message) (T, error)) codec {
	return codec{
		name:   name,
		draw:   func(t *rapid.T) any { return draw(t) },
		encode: func(v any) wire.Message { return v.(T).Encode() },
		decode: func(m wire.Message) (any, error) { return decode(m) },
	}
}

func codecs() []codec {
	return []codec{
		of("next", drawNext, wire.DecodeNext),
		of("work", drawWork, wire.DecodeWork),
		of("beat", drawBeat, wire.DecodeBeat),
		of("save", drawSave, wire.DecodeSave),
		of("save answer", drawSaveAnswer, wire.DecodeSaveAnswer),
		{ // signed anew before it is read, or no fuzzer would get past the signature
			name:   "saved",
			draw:   func(t *rapid.T) any { return drawSaved(t) },
			encode: func(v any) wire.Message { return v.(wire.Saved).Encode(someKey) },
			decode: func(m wire.Message) (any, error) { return wire.DecodeSaved(someKey, wire.Sign(someKey, m)) },
		},
		of("saved answer", drawSavedAnswer, wire.DecodeSavedAnswer),
		of("sync", drawSync, wire.DecodeSync),
		of("sync answer", drawSyncAnswer, wire.DecodeSyncAnswer),
		of("order", drawOrder, wire.DecodeOrder),
		of("hello", drawHello, wire.DecodeHello),
		{
			name:   "status",
			draw:   func(t *rapid.T) any { return drawStatus(t) },
			encode: func(v any) wire.Message { return wire.EncodeStatus(v.(report.Status)) },
			decode: func(m wire.Message) (any, error) { return wire.DecodeStatus(m) },
		},
		of("control", drawControl, wire.DecodeControl),
		of("control answer", drawControlAnswer, wire.DecodeControlAnswer),
	}
}

func TestCodec_roundTrip(t *testing.T) {
	t.Parallel()
	for _, c := range codecs() {
		t.Run(c.name, rapid.MakeCheck(func(t *rapid.T) {
			want := c.draw(t)
			m := c.encode(want)
			for key, value := range m.Header {
				if !strings.HasPrefix(key, "Chunkline-") || strings.TrimSpace(value) != value ||
					strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) {
					t.Fatalf("header %q: %q", key, value)
				}
			}
			got, err := c.decode(m)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("message %v %q\n got %+v, %v\nwant %+v", m.Header, m.Body, got, err, want)
			}
		}))
	}
}

// FuzzDecode feeds anything to every decoder. An accepted message must stay the same when it is encoded and decoded
// again.
func FuzzDecode(f *testing.F) {
	all := codecs()
	for i, c := range all {
		for seed := range 5 {
			m := c.encode(rapid.Custom(c.draw).Example(seed))
			f.Add(uint8(i), lines(m.Header), m.Body)
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, headers string, body []byte) {
		c := all[int(which)%len(all)]
		m := wire.Message{Header: wire.Header{}, Body: body}
		for line := range strings.Lines(headers) {
			key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
			m.Header[key] = value
		}
		first, err := c.decode(m)
		if err != nil {
			return
		}
		again, err := c.decode(c.encode(first))
		if err != nil || !reflect.DeepEqual(first, again) {
			t.Errorf("%s: decoded %+v\nand again %+v, %v", c.name, first, again, err)
		}
	})
}

func lines(h wire.Header) string {
	var text strings.Builder
	for key, value := range h {
		text.WriteString(key + ": " + value + "\n")
	}
	return text.String()
}
