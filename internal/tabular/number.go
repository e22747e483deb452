package tabular

import (
	"bytes"
	"strconv"
	"strings"
)

// A decimal is a JSON number in a form that is the same for all its notations: 0.digits × 10^exponent, with digits that
// neither begin nor end with 0. Zero has no digits, and keeps its sign.
type decimal struct {
	negative bool
	digits   string
	exponent int64
}

// decimalOf reads a JSON number; false: its exponent does not fit 32 bits.
func decimalOf(number string) (d decimal, ok bool) {
	number, d.negative = strings.CutPrefix(number, "-")
	mantissa := number
	if e := strings.IndexAny(number, "eE"); e >= 0 {
		mantissa = number[:e]
		var err error
		if d.exponent, err = strconv.ParseInt(number[e+1:], 10, 32); err != nil {
			return d, false
		}
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	d.digits = whole + fraction
	d.exponent += int64(len(whole))
	significant := strings.TrimLeft(d.digits, "0")
	d.exponent -= int64(len(d.digits) - len(significant))
	d.digits = strings.TrimRight(significant, "0")
	if d.digits == "" {
		d.exponent = 0
	}
	return d, true
}

// isInt64 reports whether an INT64 column returns a number as it is.
func isInt64(number []byte) bool {
	_, err := strconv.ParseInt(string(number), 10, 64)
	return err == nil && !bytes.Equal(number, []byte("-0"))
}

// exactFloat is how many digits every float64 holds.
const exactFloat = 15

// isFloat64 reports whether a DOUBLE column returns the same number.
func isFloat64(number []byte) bool {
	if len(number) <= exactFloat && !bytes.ContainsAny(number, "eE") {
		return true
	}
	f, err := strconv.ParseFloat(string(number), 64)
	if err != nil { // beyond the range
		return false
	}
	return sameNumber(string(number), strconv.FormatFloat(f, 'e', -1, 64))
}

// sameNumber reports whether two JSON numbers are the same. 0 and -0 are not.
func sameNumber(a, b string) bool {
	if a == b {
		return true
	}
	x, ok := decimalOf(a)
	y, also := decimalOf(b)
	return ok && also && x == y
}

// SameValue reports whether two JSON values are the same for a program that reads a table: equal text, or the same
// string or number in another notation.
func SameValue(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	switch kind := kindOf(a); {
	case kind != kindOf(b):
		return false
	case kind == isString:
		x, _ := text(a)
		y, _ := text(b)
		return bytes.Equal(x, y)
	case kind == isNumber:
		return sameNumber(string(a), string(b))
	}
	return false
}
