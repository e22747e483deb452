package transform

import (
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// parseExec reads the command of an exec transform and looks up its program.
func parseExec(command string) (func(Spec) Transform, error) {
	argv, err := splitCommand(command)
	if err != nil {
		return nil, err
	}
	path, err := exec.LookPath(argv[0])
	if err != nil {
		if lookup, ok := errors.AsType[*exec.Error](err); ok {
			err = lookup.Err
		}
		return nil, fmt.Errorf("the program %q cannot be started: %w; give a path, or a name in PATH", argv[0], err)
	}
	return func(s Spec) Transform { return newProgram(path, argv, s.Stderr) }, nil
}

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
	} else if argv, err = splitWords(command); err != nil {
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

func splitWords(command string) ([]string, error) {
	var words []string
	var word strings.Builder
	var quote byte // the quote we are in, or 0
	open := false  // a word has begun; it may be empty: ''
	for i := 0; i < len(command); i++ {
		c := command[i]
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case c == '\\' && quote != '\'':
			if i+1 == len(command) {
				return nil, errors.New("a backslash at the end; write \\\\ for a backslash")
			}
			next := command[i+1]
			if quote == '"' && next != '"' && next != '\\' {
				word.WriteByte(c)
				continue
			}
			i++
			word.WriteByte(next)
			open = true
		case quote != 0:
			word.WriteByte(c)
		case c == '\'' || c == '"':
			quote, open = c, true
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			if open {
				words = append(words, word.String())
				word.Reset()
				open = false
			}
		default:
			word.WriteByte(c)
			open = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("a quote %c is not closed", quote)
	}
	if open {
		words = append(words, word.String())
	}
	return words, nil
}

// withoutSecrets picks the environment of a program: all of ours except
// chunkline's own secrets, the NATS login and the address of the sink.
func withoutSecrets(all []string) []string {
	kept := make([]string, 0, len(all))
	for _, variable := range all {
		name, _, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(name, "NATS_") && name != "SINK" {
			kept = append(kept, variable)
		}
	}
	return kept
}
