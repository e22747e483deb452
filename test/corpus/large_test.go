//go:build long

package corpus

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
)

const maxObject = 64 << 20

// text returns a JSON string of n bytes.
func text(n int, c string) string { return `"` + strings.Repeat(c, n-2) + `"` }

// leftOut returns the dead letter of an object that is too large.
func leftOut(original, at string) object {
	return object{
		text: fmt.Sprintf(`{"chunkline":"object left out","bytes":%d,"sha256":"%x"}`, len(original), sha256.Sum256([]byte(original))),
		dead: fmt.Sprintf("object too large: %d bytes, the limit is %d", len(original), maxObject), at: at,
	}
}

// TestLargestObject: an object of 64 MiB is mapped, one of a byte more is a dead
// letter, and neither affects the next. Not parallel, because it needs memory.
func TestLargestObject(t *testing.T) {
	largest, larger := text(maxObject, "x"), text(maxObject+1, "y")
	for name, in := range map[string]input{
		"lines": {
			text:    "1\n" + largest + "\r\n2\n" + larger + "\n3\n",
			objects: []object{{text: "1"}, {text: largest}, {text: "2"}, leftOut(larger, fmt.Sprintf("line 4, byte %d", 2+maxObject+2+2)), {text: "3"}},
		},
		"array": {
			text:    "[1," + larger + ",3]",
			objects: []object{{text: "1"}, leftOut(larger, "line 1, byte 3"), {text: "3"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			in.large = true
			in.check(t).verify(t)
		})
	}
}

// TestBeyondAMessage: chunks far larger than a message of the server, with objects
// that are smaller than a message, and larger.
func TestBeyondAMessage(t *testing.T) {
	t.Parallel()
	var small, mixed []line
	for i := range 250 {
		small = append(small, line{text: fmt.Sprintf(`{"n":%d,"s":%s}`, i, text(20<<10, "é"))})
	}
	for i, n := range []int{1<<20 - 1, 1 << 20, 1<<20 + 1, 10, 9 << 20, 3 << 20, 2} {
		mixed = append(mixed, line{text: text(n, string(rune('a'+i)))}, line{"{", noJSON})
	}
	for name, lines := range map[string][]line{"100 of 40 KiB": small, "around a megabyte": mixed} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := asLines("\n", lines...)
			in.flags = []string{"--chunk-bytes", "100000000", "--format", "lines"}
			in.check(t).prove(t, in.objects)
		})
	}
}
