package transform

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// shellWords mean something to a shell only.
var shellWords = []string{"|", "||", "|&", "&", "&&", ";", ";;", "<", ">", ">>", "<<", "<<<", "2>", "2>>", "2>&1", ">&2", "1>&2", "&>"}

// checkShell refuses a command that was written for a shell: its program would
// get the words as arguments.
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
			return fmt.Errorf("%q is for a shell, and none is started; use exec:sh -c '…', or quote the word if it is an argument", word)
		}
	}
	if name, _, assigns := strings.Cut(argv[0], "="); assigns && bare[0] && !strings.Contains(name, "/") {
		return fmt.Errorf("%q sets a variable in a shell only, and none is started; use exec:env %s PROGRAM", argv[0], argv[0])
	}
	return nil
}

// lookupHint says why a program cannot be looked up.
func lookupHint(program string, err error) string {
	switch {
	case strings.HasPrefix(program, "~") || strings.Contains(program, "$"):
		return "~ and $ mean something to a shell only, and none is started: give the whole path, or use exec:sh -c '…'"
	case slices.Contains([]string{"cd", "export", "source", ".", "set", "eval", "ulimit", "while", "for", "if", "read"}, program):
		return "it is a word of the shell, and none is started: use exec:sh -c '…'"
	case errors.Is(err, fs.ErrPermission):
		return "make it executable (chmod +x), or start its interpreter: exec:python3 FILE, exec:sh FILE"
	}
	return "give a path, or a name in PATH"
}
