package transform

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"os"
	"strings"
)

// MaxIdentity is the length of the longest identity, in bytes.
const MaxIdentity = 256

// Identity identifies the transform: two transforms with the same identity are taken to produce the same outputs. It is
// the setting and, for exec, a hash of the files that the command names, as they were when it was parsed. An identity
// of more than 200 bytes is shortened and ends in a hash of the whole.
func (s Spec) Identity() string { return abridge(canonical(s.text)) + s.files }

// Is reports whether identity belongs to setting, ignoring the content of the files that an exec command names: only
// the machine that has them can hash them.
func Is(identity, setting string) bool {
	short := abridge(canonical(setting))
	return identity == short || strings.HasPrefix(identity, short+filesMark)
}

// canonical drops the part of a setting that does not change outputs: the duration of users.
func canonical(setting string) string {
	setting = strings.TrimSpace(setting)
	if strings.HasPrefix(setting, "users?") {
		return "users"
	}
	return setting
}

const filesMark = " sha256:"

func abridge(text string) string {
	const longest = 200
	if len(text) <= longest {
		return text
	}
	sum := sha256.Sum256([]byte(text))
	return fmt.Sprintf("%s… %x", strings.ToValidUTF8(text[:longest/2], ""), sum[:16])
}

// hashFiles returns the hash of the files that a command names, or "" if it names none. A program found in PATH is not
// included: like the libraries it uses, it belongs to the machine.
func hashFiles(argv []string) string {
	sum := sha256.New()
	n := 0
	for i, word := range argv {
		if i == 0 && !strings.Contains(word, "/") {
			continue
		}
		if hashFile(sum, word) {
			n++
			continue
		}
		if _, value, ok := strings.Cut(word, "="); ok && hashFile(sum, value) { // --option=FILE
			n++
		}
	}
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%s%x", filesMark, sum.Sum(nil)[:8])
}

// hashFile adds a file's name and content to sum and returns false if there is no such file. A file that may be
// executed but not read counts with its size and modification time.
func hashFile(sum hash.Hash, name string) bool {
	info, err := os.Stat(name)
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	fmt.Fprintf(sum, "%q %d\n", name, info.Size())
	file, err := os.Open(name)
	if err == nil {
		_, err = io.Copy(sum, file)
		_ = file.Close() // it was only read
	}
	if err != nil {
		fmt.Fprintf(sum, "%d\n", info.ModTime().UnixNano())
	}
	return true
}
