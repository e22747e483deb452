package bus

import "github.com/chunkline/chunkline/internal/chunk"

// MaxDead is how many dead letters one Sync may ask for.
const MaxDead = 1000

// DeadPage is some of the dead letters, for people to look at.
type DeadPage struct {
	Letters []DeadLetter `json:"letters"` // by descending chunk, in a chunk by ascending ordinal
	Before  chunk.ID     `json:"before"`  // ask for those of chunks below it next; 0: there are none
}

// DeadLetter is a dead letter as people are shown it.
type DeadLetter struct {
	Ordinal  uint64   `json:"ordinal"`
	Chunk    chunk.ID `json:"chunk"`
	Error    string   `json:"error"`
	Attempts int      `json:"attempts"`
	Mapper   string   `json:"mapper"`
	Version  string   `json:"version"`
	Object   string   `json:"object"` // its first bytes; those that are not UTF-8 are shown as U+FFFD
	Bytes    int      `json:"bytes"`  // of the whole object
}

// deadPage reads or writes that the body is a page of dead letters.
func (f *fields) deadPage(p **DeadPage) {
	var count int
	if f.write && *p != nil {
		count = len((*p).Letters) + 1 // told apart from no page
	}
	f.int("Chunkline-Dead", &count, MaxDead+1, optional)
	if f.write || f.err != nil || count == 0 {
		return
	}
	page := new(DeadPage)
	f.jsonBody(page)
	if f.err == nil && len(page.Letters) != count-1 {
		f.failBody("%d dead letters, want %d", len(page.Letters), count-1)
	}
	*p = page
}
