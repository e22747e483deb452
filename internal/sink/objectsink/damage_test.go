package objectsink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/internal/bucket"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/sink/sinktest"
)

// filled returns a store with a job of three commits, of which one is larger than what is read of an entry at first.
func filled(t *testing.T) (*memory, []sink.Result) {
	t.Helper()
	m := newMemory()
	s := openTest(t, m)
	claim(t, s, "f1")
	all := sinktest.Chain("one", []int{1, -1}, []int{2}, []int{1})
	for n := range 5_000 { // lines that compress badly
		all[1].Outputs = fmt.Appendf(all[1].Outputs, "%x\n", sinktest.Digest(0, fmt.Sprint(n)))
	}
	all[1].Counts[0] = bytes.Count(all[1].Outputs, []byte{'\n'})
	for i := range all {
		commit(t, s, all[i:i+1], sink.Committed)
	}
	finish(t, s, m, all)
	return m, all
}

// readAll opens a sink and reads everything.
func readAll(ctx context.Context, in bucket.Bucket) (outputs []byte, err error) {
	s, err := openIn(ctx, in, testSettings, "", Options{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	for r, err := range s.Records(ctx) { //nolint:contextcheck // a read has a limit of its own
		if err == nil {
			outputs, err = s.Outputs(outputs, r)
		}
		if err == nil {
			outputs, err = s.DeadLetters(outputs, r)
		}
		if err != nil {
			return nil, err
		}
	}
	return outputs, nil
}

// An entry of the log that was cut, changed, exchanged or deleted is reported by name, and nothing else is returned.
func TestDamage(t *testing.T) {
	t.Parallel()
	m, all := filled(t)
	other, _ := filled(t)
	_, want, dead := sinktest.Expect(all...)
	if got, err := readAll(t.Context(), m); err != nil || len(got) != len(want)+len(dead) {
		t.Fatalf("%d bytes, %v; want %d", len(got), err, len(want)+len(dead))
	}
	keys := m.keys("")
	var entries []string
	for _, key := range keys {
		if strings.Contains(key, logFolder) {
			entries = append(entries, key)
		}
	}
	if len(entries) != 7 { // made, claimed, three commits, and Finish has begun and ended
		t.Fatalf("the log has %q", entries)
	}
	check := func(key, what string, spoil func(m *memory)) {
		t.Helper()
		spoiled := m.copy()
		spoil(spoiled)
		got, err := readAll(t.Context(), spoiled)
		damage, is := errors.AsType[*sink.DamageError](err)
		if !is || !errors.Is(err, sink.ErrDamaged) || damage.File != "s3://data/"+key || got != nil {
			t.Errorf("%s %s: %d bytes, %v; want the damage", key, what, len(got), err)
		}
		if len(spoiled.objects) > len(m.objects) {
			t.Errorf("%s %s: the sink has written", key, what)
		}
	}
	for n, key := range entries {
		content := m.objects[key].content
		for _, size := range []int{0, 1, headSize - 1, headSize, headSize + 1, len(content) / 2, len(content) - 1} {
			check(key, fmt.Sprintf("cut to %d of %d bytes", size, len(content)), func(m *memory) { m.put(key, content[:size]) })
		}
		check(key, "with another byte", func(m *memory) { m.put(key, append(bytes.Clone(content), 0)) })
		for at := 0; at < len(content); at += 1 + len(content)/50 {
			check(key, fmt.Sprintf("changed at byte %d of %d", at, len(content)), func(m *memory) {
				changed := bytes.Clone(content)
				changed[at] ^= 1
				m.put(key, changed)
			})
		}
		check(key, "of another entry", func(m *memory) { m.put(key, m.objects[entries[(n+1)%len(entries)]].content) })
		if n > 0 {
			check(key, "of another sink", func(m *memory) { m.put(key, other.objects[key].content) })
		}
		if n < len(entries)-1 {
			check(key, "deleted", func(m *memory) { delete(m.objects, key) })
		}
	}
}

// A saver that runs notices an entry that it cannot read, and commits nothing after it.
func TestDamageInTheNextEntry(t *testing.T) {
	t.Parallel()
	m := newMemory()
	s := openTest(t, m)
	claim(t, s, "f1")
	key := s.entryKey(3)
	m.put(key, []byte("what somebody copied here"))
	all := sinktest.Chain("one", []int{1})
	for range 2 {
		if _, err := s.Commit(t.Context(), all); !errors.Is(err, sink.ErrDamaged) || !strings.Contains(err.Error(), key) {
			t.Errorf("commit: %v, want ErrDamaged", err)
		}
	}
	if err := s.Refresh(t.Context()); !errors.Is(err, sink.ErrDamaged) {
		t.Errorf("refresh: %v, want ErrDamaged", err)
	}
	if keys := m.keys(testSettings.prefix + logFolder); len(keys) != 3 {
		t.Errorf("the log has %q", keys)
	}
}

// readParts reads all outputs and dead letters as verify does.
func readParts(ctx context.Context, in bucket.Bucket) (all []byte, err error) {
	s, err := openIn(ctx, in, testSettings, "", Options{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	for _, dead := range []bool{false, true} {
		for part, err := range s.Parts(ctx, dead) {
			if err != nil {
				return all, err
			}
			all = append(all, part.Content...)
		}
	}
	return all, nil
}

// A part that was changed, cut, made longer, exchanged or deleted is reported by name.
func TestDamagedPart(t *testing.T) {
	t.Parallel()
	m, all := filled(t)
	_, outputs, dead := sinktest.Expect(all...)
	if got, err := readParts(t.Context(), m); err != nil || string(got) != string(outputs)+string(dead) {
		t.Fatalf("%d bytes, %v; want %d", len(got), err, len(outputs)+len(dead))
	}
	var parts []string
	for _, kind := range partKinds {
		for _, key := range m.keys(testSettings.prefix + string(kind)) {
			parts = append(parts, testSettings.prefix+string(kind)+key)
		}
	}
	if len(parts) < 3 {
		t.Fatalf("the parts are %q", parts)
	}
	for n, key := range parts {
		content := m.objects[key].content
		for what, other := range map[string][]byte{
			"changed": append([]byte{content[0] ^ 1}, content[1:]...), "cut": content[:len(content)-1], "made longer": append(bytes.Clone(content), '\n'),
			"exchanged": m.objects[parts[(n+1)%len(parts)]].content, "deleted": nil,
		} {
			spoiled := m.copy()
			if spoiled.put(key, other); other == nil {
				delete(spoiled.objects, key)
			}
			if _, err := readParts(t.Context(), spoiled); err == nil || !strings.Contains(err.Error(), key) {
				t.Errorf("%s %s: %v, want an error that names it", key, what, err)
			}
		}
	}
	spoiled := m.copy()
	delete(spoiled.objects, testSettings.prefix+manifestName)
	if _, err := readParts(t.Context(), spoiled); err == nil || !strings.Contains(err.Error(), manifestName+" is missing") {
		t.Errorf("without a manifest: %v", err)
	}
}
