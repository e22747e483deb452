package docs

import (
	"fmt"
	"html"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"
)

const root = "../.."

// A page is what a reader can follow in it or copy from it.
type page struct {
	links   []string
	anchors map[string]bool
	code    []string // spans of code, and the lines of blocks
}

// pages reads all pages, by their path from the root.
func pages(t *testing.T) map[string]page {
	t.Helper()
	found := map[string]page{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		switch {
		case d.IsDir() && name != "." && strings.HasPrefix(name, "."), name == "test": // test has parts of pages
			return filepath.SkipDir
		case filepath.Ext(name) == ".md":
			source, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			found[name] = parse(source)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 10 || len(found["README.md"].links) == 0 || len(found["README.md"].code) == 0 {
		t.Fatalf("found %d pages, and %+v in the README", len(found), found["README.md"])
	}
	return found
}

func parse(source []byte) page {
	p := page{anchors: map[string]bool{}}
	write := func(lines *text.Segments) string { return string(lines.Value(source)) }
	document := goldmark.New(goldmark.WithExtensions(extension.GFM)).Parser().Parse(text.NewReader(source))
	_ = ast.Walk(document, func(n ast.Node, entering bool) (ast.WalkStatus, error) { // no step of it fails
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Link:
			p.links = append(p.links, string(n.Destination))
		case *ast.Image:
			p.links = append(p.links, string(n.Destination))
		case *ast.Heading:
			p.head(words(n, source))
		case *ast.CodeSpan:
			p.code = append(p.code, words(n, source))
		case *ast.FencedCodeBlock:
			p.code = append(p.code, strings.Split(write(n.Lines()), "\n")...)
		case *ast.HTMLBlock:
			p.markup(write(n.Lines()))
		case *ast.RawHTML:
			p.markup(write(n.Segments))
		}
		return ast.WalkContinue, nil
	})
	return p
}

// words returns the text of a node without markup.
func words(n ast.Node, source []byte) string {
	var b strings.Builder
	for c := n.FirstChild(); c != nil; c = c.NextSibling() {
		switch c := c.(type) {
		case *ast.Text:
			b.Write(c.Value(source))
		case *ast.String:
			b.Write(c.Value)
		default:
			b.WriteString(words(c, source))
		}
	}
	return b.String()
}

// head adds the anchor that GitHub gives a heading: lower case, letters and
// digits and hyphens only, and a number if it is not the first of that name.
func (p *page) head(heading string) {
	anchor := strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-', r == '_', unicode.IsLetter(r), unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, html.UnescapeString(heading))
	free := anchor
	for i := 1; p.anchors[free]; i++ {
		free = fmt.Sprintf("%s-%d", anchor, i)
	}
	p.anchors[free] = true
}

var attribute = regexp.MustCompile(`\b(href|src|srcset|id|name)="([^"]*)"`)

// markup adds the links and anchors of HTML in a page.
func (p *page) markup(text string) {
	for _, a := range attribute.FindAllStringSubmatch(text, -1) {
		if a[1] == "id" || a[1] == "name" {
			p.anchors[a[2]] = true
		} else {
			p.links = append(p.links, a[2])
		}
	}
}
