package sim

import (
	"context"
	"time"
)

// FenceVersion implements saver.Sink.
func (s *Sink) FenceVersion(_ context.Context, version string, term uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.setTerm(version, term)
	return nil
}

// setTerm fences a version, unless its term is as high already. The caller holds mu.
func (s *Sink) setTerm(version string, term uint64) {
	if term > s.terms[version] {
		s.terms[version], s.fenced[version] = term, time.Now()
	}
}

// Term implements saver.Sink.
func (s *Sink) Term(version string) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.terms[version]
}

// LastFenced returns when a version was last fenced; zero: never.
func (s *Sink) LastFenced(version string) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fenced[version]
}

// FenceVersion implements saver.Sink.
func (o opened) FenceVersion(ctx context.Context, version string, term uint64) error {
	if err := o.alive(); err != nil {
		return err
	}
	return o.Sink.FenceVersion(ctx, version, term)
}
