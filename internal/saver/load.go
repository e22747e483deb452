package saver

import (
	"errors"
	"sync/atomic"

	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/sink"
)

// load returns what this saver reports of itself: how busy it is, what it has dropped, and whether its sink is full.
func (s *Saver) load() report.SaverLoad {
	load := report.SaverLoad{}
	if last := s.last.Load(); last != nil {
		load = *last
	}
	load.ID, load.Duplicates = s.bus.ID(), s.duplicates.Load()
	load.Full = s.full.why()
	load.Queued = max(load.Queued, int(s.waiting.Load()))
	return load
}

// fullness records whether the last commit and the last merge found the sink full: the error of each, or nil if it
// found space. Its methods may be called from several goroutines.
type fullness struct{ commit, merge atomic.Pointer[string] }

// note records err if it reports a lack of space. Any other error, or nil, means that there was space.
func note(of *atomic.Pointer[string], err error) {
	if !errors.Is(err, sink.ErrFull) {
		of.Store(nil)
		return
	}
	why := err.Error()
	of.Store(&why)
}

// why returns an error for lack of space; "" if there is space.
func (f *fullness) why() string {
	for _, of := range []*atomic.Pointer[string]{&f.commit, &f.merge} {
		if why := of.Load(); why != nil {
			return *why
		}
	}
	return ""
}
