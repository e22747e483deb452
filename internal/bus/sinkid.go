package bus

import "errors"

var errSinkID = errors.New("not the ID of a sink")

// SinkID says whose answer it is: of which sink, and where that is. Savers of
// one sink have the same ID, whatever process they are.
type SinkID struct {
	ID string // of the sink, made with it; empty: an older saver does not tell
	At string // for people: host and folder
}

func (s *SinkID) fields(f *fields) {
	f.field("Chunkline-Sink", optional, s.ID == "", func() string { return s.ID }, func(text string) error {
		if !isName(text) {
			return errSinkID
		}
		s.ID = text
		return nil
	})
	f.text("Chunkline-Sink-At", &s.At, maxLabel)
}
