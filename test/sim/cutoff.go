package sim

import (
	"context"
	"time"
)

// CutOff implements sink.Sink.
func (s *Sink) CutOff(_ context.Context, version string, term uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.setTerm(version, term)
	return nil
}

// setTerm cuts a version off. The caller holds mu.
func (s *Sink) setTerm(version string, term uint64) {
	if term > s.terms[version] {
		s.terms[version], s.cutOff[version] = term, time.Now()
	}
}

// Term implements sink.Sink.
func (s *Sink) Term(version string) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.terms[version]
}

// LastCutOff is when a version was cut off last; zero: never.
func (s *Sink) LastCutOff(version string) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cutOff[version]
}

// CutOff implements sink.Sink.
func (o opened) CutOff(ctx context.Context, version string, term uint64) error {
	if err := o.alive(); err != nil {
		return err
	}
	return o.Sink.CutOff(ctx, version, term)
}
