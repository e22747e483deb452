package source

import (
	"strings"
	"testing"
)

func TestPath(t *testing.T) {
	t.Parallel()
	const page = `{"a":{"b c":[1,[2],{"d":null}],"e":[]},"ä":3}`
	for text, want := range map[string]string{
		".": page, ".a.e": "[]", `.a["b c"][0]`: "1", `.a."b c"[-2]`: "[2]", `.a["b c"][]`: `1 [2] {"d":null}`, `.a["b c"][2].d.x.y`: "null",
		`.a["b c"][9]`: "null", `.["ä"]`: "3", ".a.e[]": "", ".x": "called \"x\"", ".a.e.x": "its parent is not an object", ".a[]": "not an array",
	} {
		p, err := parsePath(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		values, err := p.find([]byte(page))
		if err != nil {
			if !strings.Contains(err.Error(), want) || want == "" {
				t.Errorf("%s: %v, want %s", text, err, want)
			}
			continue
		}
		var found []string
		for _, value := range values {
			found = append(found, string(value))
		}
		if got := strings.Join(found, " "); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	for _, text := range []string{"", "a", "..a", ".a.", ".a[", ".a[x]", `.["\x"]`, ".a b"} {
		if p, err := parsePath(text); err == nil && text != "" {
			t.Errorf("%q: %v", text, p)
		}
	}
}
