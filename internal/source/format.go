package source

import (
	"fmt"

	"github.com/chunkline/chunkline/internal/chunk"
)

// formats decides, once for a job, how files are read that hold one array on one
// line and nothing else: as an array of objects, or as a line that is an object.
// The other files of the job say which. Every file is looked at before the first is
// read, but for streams, which cannot be read twice: these come in turn.
type formats struct {
	// The first file of each kind, by its label; "": there is none.
	oneLine string // one array on one line
	arrays  string // an array
	lines   string // lines, the first of which holds an array
	others  string // lines or values that do not begin with an array

	decided bool         // files of one line have been read
	as      chunk.Format // how
}

// add notes what a file is guessed to be.
func (f *formats) add(g chunk.Guess, label string) {
	var kind *string
	switch g {
	case chunk.Nothing:
		return
	case chunk.IsOneLine:
		kind = &f.oneLine
	case chunk.IsArray:
		kind = &f.arrays
	case chunk.IsLinesOfArrays:
		kind = &f.lines
	case chunk.IsLines, chunk.IsValues:
		kind = &f.others
	}
	if *kind == "" {
		*kind = label
	}
}

// settle says how files of one line are read. It is an error if the files
// contradict each other, or what was said before.
func (f *formats) settle() (chunk.Format, error) {
	as, other := chunk.Array, ""
	switch {
	case f.oneLine == "":
		return as, nil
	case f.lines != "" && f.arrays != "":
		other = f.arrays + " is an array, and " + f.lines + " is lines"
	case f.lines != "":
		as, other = chunk.Lines, f.lines+" is lines"
	case f.others != "":
		other = f.others + " is no array"
	case f.arrays != "":
		other = f.arrays + " is an array"
	}
	contradiction := f.lines == "" && f.others != "" || f.lines != "" && f.arrays != ""
	if contradiction || f.decided && f.as != as {
		return chunk.Auto, fmt.Errorf("%s is one array on one line, and %s: are the elements of that array the objects, or is the line one object? "+
			"Use --format array or --format lines (FORMAT), or end the name of a file in ?format=array or ?format=lines", f.oneLine, other)
	}
	f.decided, f.as = true, as
	return as, nil
}
