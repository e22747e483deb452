package docs

import (
	"net/url"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"testing"
)

// TestLinks: every relative link leads to a file of the repository, and to a
// heading if it names one.
func TestLinks(t *testing.T) {
	t.Parallel()
	all := pages(t)
	for name, p := range all {
		for _, link := range p.links {
			to, err := url.Parse(link)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if to.Scheme != "" || to.Host != "" {
				continue
			}
			target := name // a mere #anchor
			if to.Path != "" {
				target = path.Join(path.Dir(name), to.Path)
			}
			if _, err := os.Stat(filepath.Join(root, target)); err != nil || !filepath.IsLocal(target) {
				t.Errorf("%s links to %s, which is not in the repository", name, link)
				continue
			}
			if to.Fragment != "" && !all[target].anchors[to.Fragment] {
				t.Errorf("%s links to %s, and there is no such heading", name, link)
			}
		}
	}
}

// TestParse: parse finds the links, anchors and code that GitHub shows.
func TestParse(t *testing.T) {
	t.Parallel()
	p := parse([]byte("# A `b`, [c](d.md) & _e_\n\n## Twice\n\n## Twice\n\n`[no](code.md)`\n\n```\n# no heading\n[no](block.md)\n```\n\n" +
		"| a | b |\n|---|---|\n| [x](table.md#y) | <img src=\"i.png\"> |\n\n<a id=\"own\"></a>\n"))
	want := page{links: []string{"d.md", "table.md#y", "i.png"}, anchors: map[string]bool{"a-b-c--e": true, "twice": true, "twice-1": true, "own": true},
		code: []string{"b", "[no](code.md)", "# no heading", "[no](block.md)", ""}}
	if !reflect.DeepEqual(p, want) {
		t.Errorf("got %+v\nwant %+v", p, want)
	}
}
