package main

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"testing"
)

func TestRun(t *testing.T) {
	const (
		a, b, c = `{"uuid":"a","fn":"A","ln":"X"}`, `{"uuid":"b","fn":"B","ln":"Y"}`, `{"uuid":"c","fn":"C","ln":"Z"}`
		oa, ob  = `{"id":"a","name":"A X"}`, `{"id":"b","name":"B Y"}`
		oc      = `{"id":"c","name":"C Z"}`
		db      = `{"ordinal":1,"error":"x","object":` + b + `}`
	)
	n := func(lines ...string) (text string) {
		for _, l := range lines {
			text += l + "\n"
		}
		return text
	}
	for name, test := range map[string]struct {
		source, output, dead string
		flags                []string
		want                 int
	}{
		"kept":                 {n(a, b, c), n(oa, ob, oc), "", nil, 0},
		"nothing":              {"", "", "", nil, 0},
		"identical objects":    {n(a, a, a), n(oa, oa, oa), "", nil, 0},
		"blank lines":          {n(a, "", " "+b+"\r"), n(oa, ob), "", nil, 0},
		"dead as wanted":       {n(a, b, c), n(oa, oc), n(db), []string{"-want-dead", "1"}, 0},
		"dead, whichever":      {n(a, b, c), n(oa, oc), n(db), []string{"-want-dead", "any"}, 0},
		"unreadable is dead":   {n(a, "{x", c), n(oa, oc), n(`{"ordinal":1,"text":"{x"}`), []string{"-want-dead", "1"}, 0},
		"bytes are dead":       {n(a, "\xff", c), n(oa, oc), n(`{"ordinal":1,"base64":"/w=="}`), []string{"-want-dead", "1"}, 0},
		"identity":             {n(a, b), n(a, b), "", []string{"-expect", "identity"}, 0},
		"lost in the middle":   {n(a, b, c), n(oa, oc), "", nil, 1},
		"lost at the end":      {n(a, b, c), n(oa, ob), "", nil, 1},
		"lost, one of many":    {n(a, a, a), n(oa, oa), "", nil, 1},
		"doubled":              {n(a, b), n(oa, oa, ob), "", nil, 1},
		"doubled at the end":   {n(a, b), n(oa, ob, ob), "", nil, 1},
		"alive and dead":       {n(a, b, c), n(oa, ob, oc), n(db), []string{"-want-dead", "1"}, 1},
		"invented":             {n(a), n(oa, ob), "", nil, 1},
		"altered":              {n(a, b), n(oa, `{"id":"b","name":"B Z"}`), "", nil, 1},
		"torn":                 {n(a, b), n(oa) + `{"id":"b","na`, "", nil, 1},
		"another order":        {n(a, b), n(ob, oa), "", nil, 1},
		"dead without wish":    {n(a, b, c), n(oa, oc), n(db), nil, 1},
		"wished dead":          {n(a, b), n(oa, ob), "", []string{"-want-dead", "1"}, 1},
		"dead letter altered":  {n(a, b, c), n(oa, oc), n(`{"ordinal":1,"object":{}}`), []string{"-want-dead", "any"}, 1},
		"dead and unknown":     {n(a), n(oa), n(`{"ordinal":7,"object":{}}`), []string{"-want-dead", "any"}, 1},
		"unreadable, not dead": {n(a, "{x"), n(oa), "", nil, 1},
		"dead twice":           {n(a, b, c), n(oa, oc), n(db, db), []string{"-want-dead", "1"}, 2},
		"letter is no JSON":    {n(a), n(oa), "{", nil, 2},
		"unknown transform":    {n(a), n(oa), "", []string{"-expect", "magic"}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			var zipped bytes.Buffer
			z := gzip.NewWriter(&zipped)
			_, _ = z.Write([]byte(test.source))
			_ = z.Close()
			for file, text := range map[string]string{"s.gz": zipped.String(), "o": test.output, "d": test.dead} {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			args := []string{"-source", filepath.Join(dir, "s.gz"), "-output", filepath.Join(dir, "o"), "-dead", filepath.Join(dir, "d")}
			if got, err := run(append(args, test.flags...)); got != test.want {
				t.Errorf("exit %d (%v), want %d", got, err, test.want)
			}
		})
	}
	if code, err := run([]string{"-source", "nowhere", "-output", "nowhere"}); code != 2 || err == nil {
		t.Errorf("no files: exit %d (%v), want 2", code, err)
	}
}
