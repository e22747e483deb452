package bus_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/report"
)

var someKey = bytes.Repeat([]byte("k"), 32)

// codec is one kind of message: how to draw one, and how it travels.
type codec struct {
	name   string
	draw   func(*rapid.T) any
	encode func(any) bus.Message
	decode func(bus.Message) (any, error)
}

type encoder interface{ Encode() bus.Message }

func of[T encoder](name string, draw func(*rapid.T) T, decode func(bus.Message) (T, error)) codec {
	return codec{
		name:   name,
		draw:   func(t *rapid.T) any { return draw(t) },
		encode: func(v any) bus.Message { return v.(T).Encode() },
		decode: func(m bus.Message) (any, error) { return decode(m) },
	}
}

func codecs() []codec {
	return []codec{
		of("next", drawNext, bus.DecodeNext),
		of("work", drawWork, bus.DecodeWork),
		of("beat", drawBeat, bus.DecodeBeat),
		of("save", drawSave, bus.DecodeSave),
		of("save answer", drawSaveAnswer, bus.DecodeSaveAnswer),
		{ // signed anew before it is read, or no fuzzer would get past the signature
			name:   "saved",
			draw:   func(t *rapid.T) any { return drawSaved(t) },
			encode: func(v any) bus.Message { return v.(bus.Saved).Encode(someKey) },
			decode: func(m bus.Message) (any, error) { return bus.DecodeSaved(someKey, bus.Sign(someKey, m)) },
		},
		of("saved answer", drawSavedAnswer, bus.DecodeSavedAnswer),
		of("sync", drawSync, bus.DecodeSync),
		of("sync answer", drawSyncAnswer, bus.DecodeSyncAnswer),
		of("order", drawOrder, bus.DecodeOrder),
		of("order answer", drawOrderAnswer, bus.DecodeOrderAnswer),
		{
			name:   "status",
			draw:   func(t *rapid.T) any { return drawStatus(t) },
			encode: func(v any) bus.Message { return bus.EncodeStatus(v.(report.Status)) },
			decode: func(m bus.Message) (any, error) { return bus.DecodeStatus(m) },
		},
		of("control", drawControl, bus.DecodeControl),
		of("control answer", drawControlAnswer, bus.DecodeControlAnswer),
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

// FuzzDecode feeds every decoder with anything. What one accepts, it must give
// back when it is encoded and decoded again.
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
		m := bus.Message{Header: bus.Header{}, Body: body}
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

func lines(h bus.Header) string {
	var text strings.Builder
	for key, value := range h {
		text.WriteString(key + ": " + value + "\n")
	}
	return text.String()
}
