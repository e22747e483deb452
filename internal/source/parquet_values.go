package source

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"github.com/chunkline/chunkline/internal/chunk"
)

// A leafWriter appends a value as JSON. problem says why JSON cannot represent the value; then nothing is appended.
type leafWriter func(dst []byte, v parquet.Value) (_ []byte, problem string)

// writerOf returns the function that writes values of a type.
func writerOf(t parquet.Type) (leafWriter, error) {
	if logical := t.LogicalType(); logical != nil {
		switch of := logical.Value.(type) {
		case *format.StringType, *format.EnumType:
			return writeText, nil
		case *format.JsonType:
			return writeJSON, nil
		case *format.DecimalType:
			if of.Scale < 0 || of.Scale > maxScale {
				return nil, fmt.Errorf("a decimal with the scale %d", of.Scale)
			}
			return func(dst []byte, v parquet.Value) ([]byte, string) { return writeDecimal(dst, v, int(of.Scale)) }, nil
		case *format.DateType:
			return writeDate, nil
		case *format.TimeType:
			unit := of.Unit.Value.Duration()
			return func(dst []byte, v parquet.Value) ([]byte, string) { return writeTime(dst, v, unit) }, nil
		case *format.TimestampType:
			unit, layout := of.Unit.Value.Duration(), localTime
			if of.IsAdjustedToUTC {
				layout = time.RFC3339Nano
			}
			return func(dst []byte, v parquet.Value) ([]byte, string) {
				perSecond := int64(time.Second / unit)
				n := number(v)
				seconds, rest := n/perSecond, n%perSecond
				return writeTimestamp(dst, time.Unix(seconds, rest*int64(unit)), layout)
			}, nil
		case *format.IntType:
			if !of.IsSigned {
				return writeUnsigned, nil
			}
		case *format.UUIDType:
			return writeUUID, nil
		case *format.Float16Type:
			return writeFloat16, nil
		}
	}
	return writePlain, nil
}

const (
	maxScale     = 1000 // of a decimal; known writers use at most 76 digits
	maxDecimal   = 1000 // bytes of a decimal
	localTime    = "2006-01-02T15:04:05.999999999"
	unixEpochDay = 2_440_588 // of 1970-01-01 in the Julian days of INT96
)

// writePlain writes a value of a type without logical type.
func writePlain(dst []byte, v parquet.Value) ([]byte, string) {
	switch v.Kind() {
	case parquet.Boolean:
		return strconv.AppendBool(dst, v.Boolean()), ""
	case parquet.Int32, parquet.Int64:
		return strconv.AppendInt(dst, number(v), 10), ""
	case parquet.Int96: // a timestamp of Impala, Hive and Spark: nanoseconds of a day, and the day
		parts := v.Int96()
		nanoseconds, day := int64(parts[1])<<32|int64(parts[0]), int64(int32(parts[2]))
		return writeTimestamp(dst, time.Unix((day-unixEpochDay)*secondsOfDay, nanoseconds), time.RFC3339Nano)
	case parquet.Float:
		return appendFloat(dst, float64(v.Float()), 32), ""
	case parquet.Double:
		return appendFloat(dst, v.Double(), 64), ""
	case parquet.ByteArray, parquet.FixedLenByteArray:
		return writeRaw(dst, v), ""
	}
	return append(dst, "null"...), "" // the kind is null
}

// writeRaw writes the raw value for a dead letter: an integer, or bytes in base64.
func writeRaw(dst []byte, v parquet.Value) []byte {
	if kind := v.Kind(); kind == parquet.Int32 || kind == parquet.Int64 {
		return strconv.AppendInt(dst, number(v), 10)
	}
	return append(base64.StdEncoding.AppendEncode(append(dst, '"'), v.Bytes()), '"')
}

const secondsOfDay = 24 * 60 * 60

// number returns the value of an INT32 or INT64.
func number(v parquet.Value) int64 {
	if v.Kind() == parquet.Int32 {
		return int64(v.Int32())
	}
	return v.Int64()
}

func writeUnsigned(dst []byte, v parquet.Value) ([]byte, string) {
	if v.Kind() == parquet.Int32 {
		return strconv.AppendUint(dst, uint64(v.Uint32()), 10), ""
	}
	return strconv.AppendUint(dst, v.Uint64(), 10), ""
}

func writeText(dst []byte, v parquet.Value) ([]byte, string) {
	return chunk.AppendText(dst, v.ByteArray()), ""
}

// writeJSON writes a JSON value unchanged, but on one line.
func writeJSON(dst []byte, v parquet.Value) ([]byte, string) {
	text := v.ByteArray()
	if !json.Valid(text) {
		return dst, "not valid JSON"
	}
	first := len(dst)
	dst = append(dst, text...)
	for i, c := range dst[first:] {
		if c == '\n' || c == '\r' {
			dst[first+i] = ' '
		}
	}
	return dst, ""
}

// writeDecimal writes all digits of a decimal, including trailing zeros.
func writeDecimal(dst []byte, v parquet.Value, scale int) ([]byte, string) {
	n := new(big.Int)
	if kind := v.Kind(); kind == parquet.Int32 || kind == parquet.Int64 {
		n.SetInt64(number(v))
	} else { // two's complement, most significant byte first
		b := v.ByteArray()
		if len(b) > maxDecimal {
			return dst, fmt.Sprintf("a decimal of %d bytes", len(b))
		}
		n.SetBytes(b)
		if len(b) > 0 && b[0] >= 0x80 {
			n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
		}
	}
	if n.Sign() < 0 {
		dst = append(dst, '-')
	}
	digits := n.Abs(n).String()
	if missing := scale + 1 - len(digits); missing > 0 {
		digits = strings.Repeat("0", missing) + digits
	}
	point := len(digits) - scale
	dst = append(dst, digits[:point]...)
	if scale > 0 {
		dst = append(append(dst, '.'), digits[point:]...)
	}
	return dst, ""
}

func writeDate(dst []byte, v parquet.Value) ([]byte, string) {
	return writeTimestamp(dst, time.Unix(number(v)*secondsOfDay, 0), time.DateOnly)
}

// writeTimestamp writes a time in UTC. RFC 3339 allows only years of four digits.
func writeTimestamp(dst []byte, t time.Time, layout string) ([]byte, string) {
	t = t.UTC()
	if year := t.Year(); year < 0 || year > 9999 {
		return dst, fmt.Sprintf("a time in the year %d", year)
	}
	return append(t.AppendFormat(append(dst, '"'), layout), '"'), ""
}

func writeTime(dst []byte, v parquet.Value, unit time.Duration) ([]byte, string) {
	n := number(v)
	if n < 0 || n >= int64(secondsOfDay*time.Second/unit) {
		return dst, fmt.Sprintf("a time of day of %d × %s", n, unit)
	}
	return append(time.Unix(0, n*int64(unit)).UTC().AppendFormat(append(dst, '"'), "15:04:05.999999999"), '"'), ""
}

func writeUUID(dst []byte, v parquet.Value) ([]byte, string) {
	b := v.ByteArray()
	if len(b) != 16 {
		return dst, fmt.Sprintf("a UUID of %d bytes", len(b))
	}
	return append(appendHex(append(dst, '"'), b), '"'), ""
}

// writeFloat16 writes an IEEE 754 half-precision number.
func writeFloat16(dst []byte, v parquet.Value) ([]byte, string) {
	b := v.ByteArray()
	if len(b) != 2 {
		return dst, fmt.Sprintf("a FLOAT16 of %d bytes", len(b))
	}
	bits := binary.LittleEndian.Uint16(b)
	exponent, fraction := int(bits>>10&0x1f), float64(bits&0x3ff)
	var f float64
	switch {
	case exponent == 0x1f && fraction != 0:
		f = math.NaN()
	case exponent == 0x1f:
		f = math.Inf(1)
	case exponent == 0:
		f = math.Ldexp(fraction, -24)
	default:
		f = math.Ldexp(fraction+1024, exponent-25)
	}
	if bits&0x8000 != 0 {
		f = math.Copysign(f, -1)
	}
	return appendFloat(dst, f, 32), ""
}

// appendFloat appends the shortest number that identifies f. JSON has no NaN and no infinity: they are strings, as in
// the JSON of Protocol Buffers.
func appendFloat(dst []byte, f float64, bits int) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(dst, `"-Infinity"`...)
	}
	form := byte('f')
	if size := math.Abs(f); size != 0 && (size < 1e-6 || size >= 1e21) {
		form = 'e'
	}
	return strconv.AppendFloat(dst, f, form, -1, bits)
}
