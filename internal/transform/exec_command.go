package transform

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
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

// A commandLine is a program with its arguments, and what its workers share.
type commandLine struct {
	path         string
	argv         []string
	hasAnswered  atomic.Bool // it has answered some worker
	warnedMute   sync.Once   // warned that no answer has come
	warnedExit   sync.Once   // warned that it ended badly between two objects
	warnedBanner sync.Once   // warned that it seems to print a line when it starts
}

// name is the program's name in messages.
func (c *commandLine) name() string { return filepath.Base(c.argv[0]) }

// splitCommand splits a command into words. There is no shell: nothing is expanded
// or piped.
//
// A command that starts with '[' is a JSON array of strings. Otherwise words are
// separated by spaces, tabs or line breaks. '…' keeps everything in it as it is,
// and so does "…" except for \" and \\. Outside of quotes a backslash keeps the
// next character as it is.
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

// splitWords also returns which words are bare: nothing in them was quoted.
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

// shellWords have a meaning only in a shell.
var shellWords = []string{"|", "||", "|&", "&", "&&", ";", ";;", "<", ">", ">>", "<<", "<<<", "2>", "2>>", "2>&1", ">&2", "1>&2", "&>"}

// checkShell refuses a command that was written for a shell, because its program
// would get the shell's words as arguments.
func checkShell(command string, argv []string) error {
	if strings.HasPrefix(strings.TrimSpace(command), "[") {
		return nil
	}
	words, bare, err := splitWords(command)
	if err != nil {
		return err
	}
	for i, word := range words {
		redirects := strings.HasPrefix(word, ">") || strings.HasPrefix(word, "2>")
		if bare[i] && (slices.Contains(shellWords, word) || redirects || i > 0 && len(word) > 1 && strings.HasSuffix(word, ";")) {
			return fmt.Errorf("%q needs a shell, and exec starts none; use exec:sh -c '…', or quote the word if it is an argument", word)
		}
	}
	if name, _, assigns := strings.Cut(argv[0], "="); assigns && bare[0] && !strings.Contains(name, "/") {
		return fmt.Errorf("%q sets a variable only in a shell, and exec starts none; use exec:env %s PROGRAM", argv[0], argv[0])
	}
	return nil
}

// lookupHint suggests what to do when a program is not found.
func lookupHint(program string, err error) string {
	switch {
	case strings.HasPrefix(program, "~") || strings.Contains(program, "$"):
		return "only a shell expands ~ and $, and exec starts none: give the whole path, or use exec:sh -c '…'"
	case slices.Contains([]string{"cd", "export", "source", ".", "set", "eval", "ulimit", "while", "for", "if", "read"}, program):
		return "it is a shell command, and exec starts no shell: use exec:sh -c '…'"
	case errors.Is(err, fs.ErrPermission):
		return "make it executable (chmod +x), or start its interpreter: exec:python3 FILE, exec:sh FILE"
	}
	return "give a path, or a name in PATH"
}

// childEnv returns the environment of a program: that of this process without
// chunkline's secrets. It makes Python flush each line unless the variable is set.
func childEnv(all []string) []string {
	const unbuffered = "PYTHONUNBUFFERED="
	env := withoutSecrets(all)
	if !slices.ContainsFunc(env, func(variable string) bool { return strings.HasPrefix(variable, unbuffered) }) {
		env = append(env, unbuffered+"1")
	}
	return env
}

// withoutSecrets drops the NATS login, the address of the sink, and what a service
// (http) gets with each request.
func withoutSecrets(all []string) []string {
	kept := make([]string, 0, len(all)+1)
	for _, variable := range all {
		name, _, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(name, "NATS_") && name != "SINK" && name != "TRANSFORM_TOKEN" && name != "TRANSFORM_HEADERS" {
			kept = append(kept, variable)
		}
	}
	return kept
}
