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

// Identity tells transforms apart: two with the same identity make the same of
// an object, as far as anybody can know without asking them. It is the setting,
// and of an exec program also a hash of the files that the command names, as they
// were when it was parsed. A long one is shortened, with a hash of all of it.
func (s Spec) Identity() string { return abridge(canonical(s.text)) + s.files }

// Is says whether an identity is that of a setting, whatever is in the files
// that an exec command names: only the machine that has them knows.
func Is(identity, setting string) bool {
	short := abridge(canonical(setting))
	return identity == short || strings.HasPrefix(identity, short+filesMark)
}

// canonical leaves out what does not change outputs: how long users takes.
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

// hashFiles returns the mark of the files that a command names, "" if there are
// none. A program that is found in PATH is not one of them: it belongs to the
// machine, as the libraries do that it uses.
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

// hashFile adds a file's name and content; false if there is no such file. One
// that may be run but not read is known by its size and time.
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
