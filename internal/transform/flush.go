//go:build linux || darwin

package transform

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// firstPatience is how long a program may be silent before its first answer
// until a person is told. A program that does not flush is silent for ever.
const firstPatience = 10 * time.Second

// awaitFirst says what may be wrong when no answer has come for a while, and
// none has ever come to any worker. The caller calls stop when it has one.
func (p *program) awaitFirst() (stop func()) {
	if p.spoke.Load() {
		return func() {}
	}
	timer := time.AfterFunc(p.patience, func() {
		if p.spoke.Load() {
			return
		}
		p.mute.Do(func() {
			p.say(fmt.Sprintf("no answer within %v: it still starts, or it does not flush its output after every line; %s", p.patience, flushCure(p.argv)))
		})
	})
	return func() { timer.Stop() }
}

// cures says how programs that people use are made to flush every line.
var cures = []struct{ program, cure string }{
	{"python", "start Python with -u, or use print(…, flush=True)"},
	{"jq", "use jq --unbuffered -c"},
	{"mawk", "use mawk -W interactive"},
	{"gawk", "call fflush() after each print"},
	{"awk", "call fflush() after each print (mawk also needs -W interactive)"},
	{"sed", "use sed -u"},
	{"grep", "use grep --line-buffered"},
	{"perl", "set $| = 1"},
	{"ruby", "set $stdout.sync = true"},
}

// flushCure says how the program of a command is made to flush every line. The
// program may be a word of a shell's script.
func flushCure(argv []string) string {
	for _, word := range argv {
		for _, name := range strings.FieldsFunc(word, isBetweenWords) {
			name = strings.TrimRight(filepath.Base(name), "0123456789.")
			for _, c := range cures {
				if name == c.program {
					return c.cure
				}
			}
		}
	}
	return "make it flush after each line; stdbuf -oL PROGRAM does that to many"
}

func isBetweenWords(r rune) bool { return strings.ContainsRune(" \t\n\r|&;()'\"", r) }
