package transform

import (
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
)

// parseExec reads the command of an exec transform and looks up its program.
func parseExec(command string) (func(Spec) Transform, error) {
	argv, err := splitCommand(command)
	if err != nil {
		return nil, err
	}
	if err := checkShell(command, argv); err != nil {
		return nil, err
	}
	path, err := exec.LookPath(argv[0])
	if err != nil {
		if lookup, ok := errors.AsType[*exec.Error](err); ok {
			err = lookup.Err
		}
		return nil, fmt.Errorf("the program %q cannot be started: %w; %s", argv[0], err, lookupHint(argv[0], err))
	}
	c := &commandLine{path: path, argv: argv}
	return func(s Spec) Transform { return newProgram(c, s) }, nil
}

// A commandLine is a program and its arguments, and what its workers know in common.
type commandLine struct {
	path  string
	argv  []string
	spoke atomic.Bool // it has answered somebody
	mute  sync.Once   // that it has not is said once
	// crashes is for saying once that it ends badly between two objects.
	crashes sync.Once
	banner  sync.Once // that it seems to print a line when it starts
}

// name is what people call the program.
func (c *commandLine) name() string { return filepath.Base(c.argv[0]) }

// splitCommand turns a command into its words. There is no shell: nothing is
// expanded or piped.
//
// A command that starts with '[' is a JSON array of strings. Otherwise words
// are separated by spaces, tabs or line breaks; '…' keeps everything in it as
// it is; "…" does, too, but for \" and \\; outside of quotes a backslash keeps
// the next character as it is.
func splitCommand(command string) ([]string, error) {
	command = strings.TrimSpace(command)
	var argv []string
	var err error
	if strings.HasPrefix(command, "[") {
		if json.Unmarshal([]byte(command), &argv) != nil {
			return nil, errors.New(`not a JSON array of strings; use for example exec:["python3", "map.py"]`)
		}
	} else if argv, _, err = splitWords(command); err != nil {
		return nil, err
	}
	if len(argv) == 0 || argv[0] == "" {
		return nil, errors.New("the program is missing; use exec:PROGRAM ARG…, for example exec:python3 map.py")
	}
	for _, word := range argv {
		if strings.IndexByte(word, 0) >= 0 {
			return nil, fmt.Errorf("the word %q has a zero byte", word)
		}
	}
	return argv, nil
}

// splitWords also says which words are bare: nothing in them was quoted.
func splitWords(command string) (words []string, bare []bool, err error) {
	var word strings.Builder
	var quote byte // the quote we are in, or 0
	open := false  // a word has begun; it may be empty: ''
	quoted := false
	for i := 0; i < len(command); i++ {
		c := command[i]
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case c == '\\' && quote != '\'':
			if i+1 == len(command) {
				return nil, nil, errors.New("a backslash at the end; write \\\\ for a backslash")
			}
			next := command[i+1]
			if quote == '"' && next != '"' && next != '\\' {
				word.WriteByte(c)
				continue
			}
			i++
			word.WriteByte(next)
			open, quoted = true, true
		case quote != 0:
			word.WriteByte(c)
		case c == '\'' || c == '"':
			quote, open, quoted = c, true, true
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			if open {
				words, bare = append(words, word.String()), append(bare, !quoted)
				word.Reset()
				open, quoted = false, false
			}
		default:
			word.WriteByte(c)
			open = true
		}
	}
	if quote != 0 {
		return nil, nil, fmt.Errorf("a quote %c is not closed", quote)
	}
	if open {
		words, bare = append(words, word.String()), append(bare, !quoted)
	}
	return words, bare, nil
}
