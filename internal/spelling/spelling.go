// Package spelling finds the name that a misspelt flag, command, variable or setting of a URL probably means.
package spelling

import "strings"

// Nearest returns the name that an unknown word probably means: one that is at most two letters away, that begins with
// the word, or that has the same letters; "" if there is none.
func Nearest(word string, names []string) string {
	best, least := "", 3
	word = letters(word)
	for _, name := range names {
		bare := letters(name)
		away := Distance(word, bare)
		if len(word) >= 3 && strings.HasPrefix(bare, word) {
			away = min(away, 1)
		}
		if away < least && away < max(2, len(bare)/2) && away < len(word) {
			best, least = name, away
		}
	}
	return best
}

// Hint joins an error about an unknown word to what follows: ": did you mean NAME? "; "; " if no name is near.
func Hint(word string, names []string) string {
	if meant := Nearest(word, names); meant != "" {
		return ": did you mean " + meant + "? "
	}
	return "; "
}

// letters returns a word without the characters that users leave out or change.
func letters(word string) string {
	return strings.ToLower(strings.NewReplacer("-", "", "_", "").Replace(word))
}

// Distance returns how many letters must be inserted, deleted, changed or swapped with the next one to turn a into b.
func Distance(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1) // the rows for the last two letters
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			change := last[j]
			if a[i] != b[j] {
				change++
			}
			row[j+1] = min(change, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
