package saver

import "sync/atomic"

// fullness is why the sink takes nothing: what the last commit and the last
// merge found, each nil when it found space. Its methods may be called from
// several goroutines.
type fullness struct{ commit, merge atomic.Pointer[string] }

// note keeps that there was no space, or with nil that there was.
func note(of *atomic.Pointer[string], err error) {
	if err == nil {
		of.Store(nil)
		return
	}
	why := err.Error()
	of.Store(&why)
}

// why is the reason; "" if there is space.
func (f *fullness) why() string {
	for _, of := range []*atomic.Pointer[string]{&f.commit, &f.merge} {
		if why := of.Load(); why != nil {
			return *why
		}
	}
	return ""
}
