package transform

import (
	"math"
	"math/big"
	"strings"
	"testing"

	"github.com/itchyny/gojq"
)

// FuzzEncode holds our encoder against gojq's: values of JSON, and strings, floats
// and integers that only a program can make.
func FuzzEncode(f *testing.F) {
	for _, text := range []string{
		`{}`, `[]`, `{"b":[1,2.50,{"é":null}],"a":{"":true},"B":false,"a\n":"x"}`, `"a\u00e9\ud83d\ude00\ud800\"\\\/\b\f\n\r\t\u007f\u2028<>&"`, `[[],[[]],{},{"a":{}}]`,
	} {
		f.Add(text, "\xffa\xed\xa0\x80\uFFFD\xc3", 1e21, int64(7))
	}
	for _, number := range []float64{0, math.Copysign(0, -1), 1e-6, 9.99e-7, 1e-10, 1e-100, 1e20, 1e21, 1e100, 1.5, -math.MaxFloat64, math.NaN(), math.Inf(1), math.Inf(-1), 5e-324} {
		f.Add(`1`, "", number, int64(math.MinInt64))
	}
	f.Fuzz(func(t *testing.T, text, invalid string, number float64, integer int64) {
		value, err := decode([]byte(text))
		if err != nil {
			value = text
		}
		large := new(big.Int).Mul(big.NewInt(integer), big.NewInt(integer))
		value = []any{value, map[string]any{invalid: number, "n": int(integer), text: large}, invalid}
		want, err := gojq.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := appendJQ([]byte("before"), value, len(want))
		if !ok || string(got) != "before"+string(want) {
			t.Errorf("%q, %v; gojq: %q", got, ok, want)
		}
		if got, ok := appendJQ([]byte("before"), value, len(want)-1); ok {
			t.Errorf("%q with room for one byte less", got)
		}
	})
}

// A long value is not encoded to its end.
func TestEncodeStops(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1<<20)
	for name, value := range map[string]any{"string": long, "key": map[string]any{long: 1}, "number": new(big.Int).Lsh(big.NewInt(1), 8<<20), "elements": []any{long, long, long}} {
		if out, ok := appendJQ(nil, value, 100); ok || len(out) > 1<<20+100 {
			t.Errorf("%s: %d bytes, %v", name, len(out), ok)
		}
	}
}
