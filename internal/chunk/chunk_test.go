package chunk

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestObjects(t *testing.T) {
	t.Parallel()
	for body, want := range map[string][]string{
		"":           nil,
		"1\n":        {"1"},
		"1\n{\"\"\n": {"1", `{""`},
		"\n\r\n2\n":  {"", "\r", "2"},
		"1\n2":       {"1", "2"}, // a body always ends with a line break; nothing is lost if not
	} {
		var got []string
		for i, object := range Objects([]byte(body)) {
			if i != len(got) {
				t.Errorf("%q: index %d, want %d", body, i, len(got))
			}
			if cap(object) != len(object) {
				t.Errorf("%q: object %d can be appended to in place", body, i)
			}
			got = append(got, string(object))
		}
		if !slices.Equal(got, want) {
			t.Errorf("Objects(%q) = %q, want %q", body, got, want)
		}
	}
	for range Objects([]byte("1\n2\n")) {
		break // must be possible
	}
}

func TestDigest(t *testing.T) {
	t.Parallel()
	c := Chunk{Body: []byte("abc")}
	const want = "ba7816bf8f01cfea414140de5dae2223" // FIPS 180-2, example for "abc"
	if got := c.Digest().String(); got != want {
		t.Errorf("digest of abc = %s, want %s", got, want)
	}
	if d, err := ParseDigest(want); err != nil || d != Sum([]byte("abc")) {
		t.Errorf("ParseDigest(%s) = %v, %v", want, d, err)
	}
	for _, bad := range []string{"", want[1:], want + "00", strings.Repeat("g", 32), "é" + want[2:]} {
		if _, err := ParseDigest(bad); !errors.Is(err, ErrDigest) {
			t.Errorf("ParseDigest(%q): %v, want %v", bad, err, ErrDigest)
		}
	}
}

func TestCheckJob(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"a", "A-z_09", "-", strings.Repeat("x", 64)} {
		if err := CheckJob(good); err != nil {
			t.Errorf("CheckJob(%q): %v, want nil", good, err)
		}
	}
	for _, bad := range []string{"", "a.b", "a b", "*", ">", "é", "a\n", "../x", strings.Repeat("x", 65)} {
		if err := CheckJob(bad); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", bad)) {
			t.Errorf("CheckJob(%q): %v, want an error that names it", bad, err)
		}
	}
}

func TestPlan(t *testing.T) {
	t.Parallel()
	plan := Plan{Source: "a.jsonl", Size: DefaultSize, Bytes: DefaultBytes, Format: FormatVersion}
	if err := plan.Validate(); err != nil {
		t.Errorf("validate %v: %v", plan, err)
	}
	// The ID is stored in sinks: it must never change for the same plan.
	if got, want := plan.ID(), PlanID("e942118b978abae68db4574f4a2801b3"); got != want {
		t.Errorf("plan ID = %s, want %s", got, want)
	}
	seen := map[PlanID]string{plan.ID(): "the plan itself"}
	for name, change := range map[string]func(*Plan){
		"source": func(p *Plan) { p.Source += "x" },
		"size":   func(p *Plan) { p.Size++ },
		"bytes":  func(p *Plan) { p.Bytes++ },
		"format": func(p *Plan) { p.Format++ },
	} {
		changed := plan
		change(&changed)
		if other, ok := seen[changed.ID()]; ok {
			t.Errorf("another %s gives the ID of %s", name, other)
		}
		seen[changed.ID()] = name
	}
	for want, change := range map[string]func(*Plan){
		"no source":               func(p *Plan) { p.Source = "" },
		"chunk size 0":            func(p *Plan) { p.Size = 0 },
		"chunk size 10001":        func(p *Plan) { p.Size = MaxSize + 1 },
		"chunk bytes 0":           func(p *Plan) { p.Bytes = 0 },
		"chunk bytes 268435457":   func(p *Plan) { p.Bytes = MaxBytes + 1 },
		"plan format 1: this pro": func(p *Plan) { p.Format = 1 },
	} {
		changed := plan
		change(&changed)
		if err := changed.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("validate %v: %v, want %q in it", changed, err, want)
		}
	}
	if got := plan.String(); !strings.Contains(got, "a.jsonl") || !strings.Contains(got, "100 objects") {
		t.Errorf("String() = %q, want source and size in it", got)
	}
}
