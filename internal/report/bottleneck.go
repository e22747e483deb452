package report

import (
	"fmt"
	"slices"
	"time"
)

// Bottleneck is the reason why a job is slow or makes no progress.
type Bottleneck struct {
	Cause Cause  `json:"cause"`
	Text  string `json:"text"` // for people: what it is, and what helps
}

// Cause is the kind of a bottleneck.
type Cause string

// The causes.
const (
	CauseStart      Cause = "start"      // the saver has not accepted the claim, or mappers have yet to report what they hold
	CauseNATS       Cause = "nats"       // no connection
	CauseSaverAway  Cause = "saver-away" // the saver does not answer
	CauseSavers     Cause = "savers"     // savers of two sinks answer
	CausePause      Cause = "pause"      // by an operator
	CauseNoMappers  Cause = "no-mappers"
	CauseRate       Cause = "rate"       // the rate limit that was set
	CauseTransform  Cause = "transform"  // no connected mapper has the job's transform
	CauseFailing    Cause = "failing"    // most objects fail
	CauseVersion    Cause = "version"    // the versions of all waiting workers are capped or disabled by the circuit breaker
	CauseMemory     Cause = "memory"     // objects on their way to mappers fill the fetcher's memory
	CauseFull       Cause = "full"       // the sink has no space
	CauseSaver      Cause = "saver"      // results wait for their commit
	CauseSource     Cause = "source"     // mappers wait for chunks to be read
	CauseMappers    Cause = "mappers"    // all of them are busy, or none asks for work
	CauseStragglers Cause = "stragglers" // only stragglers are left
	CauseEnd        Cause = "end"        // the last chunks are being mapped
	CauseMerge      Cause = "merge"      // everything is saved; the saver merges the results
)

// Facts are the parts of the fetcher's state that can cause a bottleneck and are not in the Status.
type Facts struct {
	Failed       bool         // the job has failed
	Offline      bool         // there is no connection to NATS
	RivalSavers  string       // why two savers contradict each other; "": they do not
	Hearing      bool         // mappers have yet to report what an earlier fetcher gave them
	Unconfirmed  bool         // the saver has yet to confirm that this fetcher still owns the job
	MergeFailure string       // why the last try to merge the results failed; "": none has
	Mappers      int          // mappers that may get work
	Refusal      string       // why none of them gets work; "": some do
	OpenBreaker  *OpenBreaker // set if all mappers are of versions that the circuit breaker has disabled
	AtRateLimit  bool
	NoneEligible bool     // the versions of all waiting workers are capped or disabled
	NoRoom       bool     // no more objects may be on their way to mappers, for a while now
	Failures     Failures // of the last chunks
}

// OpenBreaker is a version that the circuit breaker has disabled.
type OpenBreaker struct {
	Version string
	Failed  float64       // share of its last objects that failed, 0 to 1
	Rest    time.Duration // until its next probe; 0: a probe is under way
}

// Failures is the share of objects that failed in the last chunks.
type Failures struct {
	Chunks  int
	Share   float64 // 0 to 1
	TooMany bool    // the share is so large that more mappers would not help
}

// slowCommit is the commit time above which the saver is the bottleneck. Below it, queued results are normal: the saver
// writes many with one sync.
const slowCommit = 20 * time.Millisecond

// FindBottleneck returns the bottleneck of the job, and nil if there is none that a person could remove. It returns the
// first cause that applies: causes that stop the job come before those that only slow it.
func FindBottleneck(s Status, f Facts) *Bottleneck {
	because := func(cause Cause, format string, args ...any) *Bottleneck {
		return &Bottleneck{Cause: cause, Text: fmt.Sprintf(format, args...)}
	}
	ready, inFlight, queued := s.Chunks.Ready, s.Chunks.InFlight, s.Saver.Queued
	switch {
	case s.State == StateDone || f.Failed:
		return nil
	case f.Offline:
		return because(CauseNATS, "not connected to NATS: the job continues when the connection is back")
	case s.SaverAway:
		return because(CauseSaverAway, "the saver does not answer: is it running, and can it write?")
	case f.RivalSavers != "":
		return because(CauseSavers, "%s", f.RivalSavers)
	case s.Saver.Full != "":
		return because(CauseFull, "sink is full: %s: free some space, and the job continues", s.Saver.Full)
	case s.State == StateFinishing && f.MergeFailure != "":
		return because(CauseMerge, "everything is saved, but the saver cannot merge the results yet, and tries again: %s", f.MergeFailure)
	case s.State == StateFinishing:
		return because(CauseMerge, "everything is saved; the saver is merging the results in the order of the source")
	case s.Paused:
		return because(CausePause, "paused by an operator: resume it")
	case f.Hearing:
		return because(CauseStart, "waiting for mappers to report what an earlier fetcher gave them")
	case f.Unconfirmed:
		return because(CauseStart, "asking the saver whether this fetcher still owns the job")
	case f.Mappers == 0:
		return because(CauseNoMappers, "no mapper is connected: start some")
	case f.Refusal != "":
		return because(CauseTransform, "no mapper gets work: %s", f.Refusal)
	case ready > 0 && f.OpenBreaker != nil:
		return because(CauseVersion, "%s", f.OpenBreaker.text())
	case ready > 0 && f.AtRateLimit:
		return because(CauseRate, "at the limit of %g objects a second%s: raise the rate", s.RateLimit, withWaiting(s.Waiting))
	case s.Waiting > 0 && ready > 0 && f.NoneEligible:
		return because(CauseVersion, "%s capped or disabled by the circuit breaker: add mappers of another version, or change the share", waitingRun(s.Waiting))
	case s.Waiting > 0 && ready > 0 && f.NoRoom:
		return because(CauseMemory, "objects on their way to mappers fill the fetcher's memory, with %s waiting: raise its MEMORY_BYTES, or use a faster network", plural(s.Waiting, "worker"))
	case queued > 0 && uint64(queued)*2 >= inFlight && s.Saver.CommitSeconds >= slowCommit.Seconds():
		return because(CauseSaver, "waiting for the saver: %s queued, a commit takes %.0f ms, of which %.0f ms are disk sync",
			plural(queued, "result"), s.Saver.CommitSeconds*1000, s.Saver.SyncSeconds*1000)
	case f.Failures.TooMany && ready > 0:
		return because(CauseFailing, "%.0f %% of the objects of the last %d chunks failed or crashed their mapper: see the dead letters and the mappers' logs; more mappers do not help",
			100*f.Failures.Share, f.Failures.Chunks)
	case ready == 0 && !s.Cut && s.Waiting > 0:
		return because(CauseSource, "mappers wait for the source to be read")
	case ready == 0 && s.Cut && len(s.Stragglers) > 0 && uint64(len(s.Stragglers)) == inFlight:
		late := s.Stragglers[0]
		return because(CauseStragglers, "waiting for the last %s: %s has had chunk %d for %.0f s", plural(len(s.Stragglers), "chunk"), late.Mapper, late.Chunk, late.Seconds)
	case ready == 0 && s.Cut && inFlight == 1:
		return because(CauseEnd, "the last chunk is being mapped")
	case ready == 0 && s.Cut && inFlight > 0:
		return because(CauseEnd, "the last %d chunks are being mapped", inFlight)
	case s.Waiting == 0 && ready > 0 && inFlight == 0 && f.Mappers == 1:
		return because(CauseMappers, "the only mapper is idle and has no open request for work: is it ready? See its log")
	case s.Waiting == 0 && ready > 0 && inFlight == 0:
		return because(CauseMappers, "all %d mappers are idle, and none has an open request for work: are they ready? See their logs", f.Mappers)
	case s.Waiting == 0 && ready > 0 && f.Mappers == 1:
		return because(CauseMappers, "the only mapper is busy: add mappers")
	case s.Waiting == 0 && ready > 0:
		return because(CauseMappers, "all %d mappers are busy: add mappers", f.Mappers)
	}
	return nil
}

// stopping lists the causes that stop a job for an unknown time.
var stopping = []Cause{CauseStart, CauseNATS, CauseSaverAway, CauseSavers, CauseFull, CausePause, CauseNoMappers, CauseTransform}

// StopsJob reports whether the cause stops the job, so that the time left is unknown.
func (b *Bottleneck) StopsJob() bool { return b != nil && slices.Contains(stopping, b.Cause) }

// text explains why only probes are handed out, and what to do.
func (o OpenBreaker) text() string {
	probe := "it is mapping one chunk as a probe"
	if o.Rest > 0 {
		probe = fmt.Sprintf("it gets one chunk as a probe in %.0f s", o.Rest.Seconds())
	}
	return fmt.Sprintf("the circuit breaker has disabled version %s, because %.0f %% of its last objects failed, and no other version is connected; %s: "+
		"see the dead letters; fix it, start another version, or enable it again with chunkline control allow", o.Version, 100*o.Failed, probe)
}

func withWaiting(workers int) string {
	if workers == 0 {
		return ""
	}
	return ", with " + plural(workers, "worker") + " waiting"
}

func waitingRun(n int) string {
	if n == 1 {
		return "the only waiting worker runs a version that is"
	}
	return fmt.Sprintf("all %d waiting workers run versions that are", n)
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
