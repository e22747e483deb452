package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Parse parses the command of a setting such as exec:PROGRAM ARG… and looks up its program in PATH. prefix is the
// beginning of the setting, for hints in errors.
//
// There is no shell: nothing is expanded or piped. A command that starts with '[' is a JSON array of strings. Otherwise
// words are separated by spaces, tabs or line breaks. '…' keeps everything in it as it is, and so does "…" except for
// \" and \\. Outside of quotes a backslash keeps the next character as it is.
func Parse(prefix, command string) (Command, error) {
	argv, bare, err := split(strings.TrimSpace(command))
	switch {
	case err != nil:
		return Command{}, err
	case len(argv) == 0 || argv[0] == "":
		return Command{}, fmt.Errorf("the program is missing; use %sPROGRAM ARG…, for example %spython3 map.py", prefix, prefix)
	}
	if err := checkShell(prefix, argv, bare); err != nil {
		return Command{}, err
	}
	path, err := exec.LookPath(argv[0])
	if err != nil {
		if lookup, ok := errors.AsType[*exec.Error](err); ok {
			err = lookup.Err
		}
		return Command{}, fmt.Errorf("the program %q cannot be started: %w; %s", argv[0], err, lookupHint(prefix, argv[0], err))
	}
	return Command{Path: path, Argv: argv}, nil
}

// A Command is a program with its arguments.
type Command struct {
	Path string   // of the executable
	Argv []string // the first is the program as it was given
}

// Name is the program's name in messages.
func (c Command) Name() string { return filepath.Base(c.Argv[0]) }

// split splits a command into words. Those are bare in which nothing was quoted.
func split(command string) (words []string, bare []bool, err error) {
	if strings.HasPrefix(command, "[") {
		if json.Unmarshal([]byte(command), &words) != nil {
			return nil, nil, errors.New(`not a JSON array of strings; use for example ["python3", "map.py"]`)
		}
		bare = make([]bool, len(words))
	} else if words, bare, err = splitWords(command); err != nil {
		return nil, nil, err
	}
	for _, word := range words {
		if strings.IndexByte(word, 0) >= 0 {
			return nil, nil, fmt.Errorf("the word %q has a zero byte", word)
		}
	}
	return words, bare, nil
}

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

// checkShell refuses a command that was written for a shell, because its program would get the shell's words as
// arguments.
func checkShell(prefix string, argv []string, bare []bool) error {
	for i, word := range argv {
		redirects := strings.HasPrefix(word, ">") || strings.HasPrefix(word, "2>")
		if bare[i] && (slices.Contains(shellWords, word) || redirects || i > 0 && len(word) > 1 && strings.HasSuffix(word, ";")) {
			return fmt.Errorf("%q needs a shell, and none is started; use %ssh -c '…', or quote the word if it is an argument", word, prefix)
		}
	}
	if name, _, assigns := strings.Cut(argv[0], "="); assigns && bare[0] && !strings.Contains(name, "/") {
		return fmt.Errorf("%q sets a variable only in a shell, and none is started; use %senv %s PROGRAM", argv[0], prefix, argv[0])
	}
	return nil
}

// lookupHint suggests what to do when a program is not found.
func lookupHint(prefix, program string, err error) string {
	switch {
	case strings.HasPrefix(program, "~") || strings.Contains(program, "$"):
		return "only a shell expands ~ and $, and none is started: give the whole path, or use " + prefix + "sh -c '…'"
	case slices.Contains([]string{"cd", "export", "source", ".", "set", "eval", "ulimit", "while", "for", "if", "read"}, program):
		return "it is a shell command, and no shell is started: use " + prefix + "sh -c '…'"
	case errors.Is(err, fs.ErrPermission):
		return fmt.Sprintf("make it executable (chmod +x), or start its interpreter: %spython3 FILE, %ssh FILE", prefix, prefix)
	}
	return "give a path, or a name in PATH"
}

// Env returns the environment of a program: that of this process without chunkline's secrets. It makes Python flush
// each line unless the variable is set.
func Env(all []string) []string {
	const unbuffered = "PYTHONUNBUFFERED="
	env := slices.DeleteFunc(slices.Clone(all), isSecret)
	if !slices.ContainsFunc(env, func(variable string) bool { return strings.HasPrefix(variable, unbuffered) }) {
		env = append(env, unbuffered+"1")
	}
	return env
}

// isSecret reports whether a variable is the NATS login, the address of the sink, the
// credentials of a service or an API, or a token of a role's HTTP server.
func isSecret(variable string) bool {
	name, _, _ := strings.Cut(variable, "=")
	return strings.HasPrefix(name, "NATS_") || slices.Contains(secrets, name)
}

var secrets = []string{"SINK", "TRANSFORM_TOKEN", "TRANSFORM_HEADERS", "SOURCE_TOKEN", "SOURCE_HEADERS", "CONTROL_TOKEN", "RESULT_TOKEN"}
