package objectsink

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"slices"
	"testing"

	"github.com/chunkline/chunkline/internal/sink"
)

// readResult reads the parts that the manifest lists, as another program would, and returns their names, too. Without a
// manifest it returns nothing.
func readResult(t *testing.T, m *memory) (outputs, dead []byte, names []string) {
	t.Helper()
	text, there := m.objects[testSettings.prefix+manifestName]
	if !there {
		return nil, nil, nil
	}
	if bytes.Contains(text.content, []byte(": null")) {
		t.Fatalf("a list of the manifest is null: %s", text.content)
	}
	var list manifest
	if err := json.Unmarshal(text.content, &list); err != nil {
		t.Fatal(err)
	}
	read := func(parts []part, lines uint64) (all []byte) {
		for _, p := range parts {
			content := m.objects[testSettings.prefix+p.Name].content
			sum := sha256.Sum256(content)
			if int64(len(content)) != p.Bytes || hex.EncodeToString(sum[:]) != p.SHA256 {
				t.Fatalf("%s has %d bytes, and is not the part that the manifest lists: %+v", p.Name, len(content), p)
			}
			decompressed, err := sink.Decompress(p.Name, bytes.NewReader(content))
			if err != nil {
				t.Fatal(err)
			}
			whole, err := io.ReadAll(decompressed)
			if err != nil || uint64(bytes.Count(whole, []byte{'\n'})) != p.Lines {
				t.Fatalf("%s has %d lines, not %d: %v", p.Name, bytes.Count(whole, []byte{'\n'}), p.Lines, err)
			}
			all = append(all, whole...)
			names = append(names, p.Name)
		}
		if n := uint64(bytes.Count(all, []byte{'\n'})); n != lines {
			t.Fatalf("the parts have %d lines, the manifest says %d", n, lines)
		}
		return all
	}
	outputs = read(list.Parts, list.Outputs)
	dead = read(list.DeadParts, list.Dead)
	return slices.Clip(outputs), dead, names
}
