package objectsink

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/chunkline/chunkline/internal/sink"
)

// A generation is one result of Finish. Its entries in the log are the steps of Finish: first parts may exist, then the
// manifest lists them (Done), and those of other generations are deleted.
type generation struct {
	Name    string `json:"name"`    // random, and part of the names of its parts
	Content uint64 `json:"content"` // number of the newest entry whose pieces the parts have
	Format  string `json:"format"`  // of the outputs: the end of the parts' names, without the first dot
	Size    int64  `json:"size"`    // of a part, to aim at
	Done    bool   `json:"done"`
}

// errOvertaken means that the committed pieces have changed since Finish looked at them.
var errOvertaken = errors.New("the committed pieces have changed")

// current returns the generation that Finish has begun last; false if it has other pieces than those that are
// committed, or other settings.
func (now *state) current(o settings) (generation, bool) {
	return now.generation(len(now.generations)-1, o)
}

// finished returns the generation that was completed last; false if it has other pieces than those that are committed,
// or other settings.
func (now *state) finished(o settings) (generation, bool) {
	return now.generation(now.place(now.done), o)
}

// generation returns the generation at a place; false if there is none, or if it has other pieces or settings.
func (now *state) generation(place int, o settings) (generation, bool) {
	if place < 0 {
		return generation{}, false
	}
	g := now.generations[place]
	if g.Content != now.content || g.Format != o.format || g.Size != o.size {
		return generation{}, false
	}
	return g, true
}

// place returns the index of a generation in the order in which Finish has begun them; -1 if it is not known.
func (now *state) place(name string) int {
	return slices.IndexFunc(now.generations, func(g generation) bool { return g.Name == name })
}

// Finish implements saver.Sink: it writes the parts and the manifest. Memory: a part of each kind. If a part or the
// manifest was deleted since, it is written again. The error is ErrForeign if one was changed.
func (s *Sink) Finish(ctx context.Context, chunks, objects uint64) (sink.Summary, error) {
	s.finishing.Lock()
	defer s.finishing.Unlock()
	for {
		err := s.tryFinish(ctx, chunks, objects)
		switch {
		case err == nil:
			return s.Summary(), nil
		case errors.Is(err, errOvertaken):
			// A commit or a Replace intervened: make another generation.
		case ctx.Err() != nil:
			return sink.Summary{}, ctx.Err()
		default:
			return sink.Summary{}, err
		}
	}
}

func (s *Sink) tryFinish(ctx context.Context, chunks, objects uint64) error {
	if err := s.usable(true); err != nil {
		return err
	}
	if err := s.Refresh(ctx); err != nil {
		return err
	}
	now := s.state.Load()
	if now.claims.Plan == nil {
		return s.name(sink.ErrUnclaimed)
	}
	if err := s.checkComplete(ctx, now, chunks, objects); err != nil {
		return err
	}
	err := s.writeResult(ctx, now)
	if err != nil && !errors.Is(err, errOvertaken) {
		err = s.name(explain(err))
	}
	return err
}

// writeResult writes the missing parts, and the manifest if it is missing.
func (s *Sink) writeResult(ctx context.Context, now *state) error {
	if done, finished := now.finished(s.o); finished {
		if intact, err := s.intact(ctx, done); err != nil {
			return err
		} else if intact {
			return s.removeOld(ctx, done) // what a saver that was overtaken has written since
		}
	}
	g, begun := now.current(s.o)
	finished := begun && g.Name == now.done
	var m *manifest
	var err error
	if begun {
		m, err = s.writeParts(ctx, now, g)
	}
	// Another version of this program may have begun the generation, and may compress differently.
	if !begun || !finished && errors.Is(err, sink.ErrForeign) {
		if g, err = s.begin(ctx, now, g.Name); err == nil {
			m, err = s.writeParts(ctx, now, g)
		}
	}
	if err != nil {
		return err
	}
	if err := s.writeManifest(ctx, m, g); err != nil {
		return err
	}
	if err := s.removeOld(ctx, g); err != nil || finished {
		return err
	}
	return s.complete(ctx, g)
}

// checkComplete returns an error that names the first gap.
func (s *Sink) checkComplete(ctx context.Context, now *state, chunks, objects uint64) error {
	if _, finished := now.finished(s.o); finished && now.totals.Chunks == chunks && now.totals.Objects == objects {
		return nil // already checked, and nothing was committed since
	}
	return s.CheckComplete(ctx, chunks, objects, now.totals)
}

// begin records a new generation of a state's content, so that its parts are known to be the job's. If another saver
// has begun one meanwhile, it returns that one, so that savers which finish at the same time write the same parts; but
// not the one called except.
func (s *Sink) begin(ctx context.Context, now *state, except string) (generation, error) {
	var g generation
	err := s.change(ctx, func(newest *state) (*draft, error) {
		if newest.content != now.content {
			return nil, errOvertaken
		}
		if other, begun := newest.current(s.o); begun && other.Name != except {
			g = other
			return nil, nil
		}
		fresh := generation{Name: strings.ToLower(rand.Text()[:10]), Content: now.content, Format: s.o.format, Size: s.o.size}
		g = fresh
		return &draft{entry: entry{Generation: &fresh}}, nil
	})
	return g, err
}

// complete records that the manifest lists the parts of a generation. The error is errOvertaken if the committed pieces
// are no longer those of the generation.
func (s *Sink) complete(ctx context.Context, g generation) error {
	g.Done = true
	return s.change(ctx, func(now *state) (*draft, error) {
		switch {
		case now.content != g.Content:
			return nil, errOvertaken
		case now.place(now.done) >= now.place(g.Name):
			return nil, nil // another saver has completed it, or a newer one
		}
		return &draft{entry: entry{Generation: &g}}, nil
	})
}

// removeOld deletes the parts of older generations, which the manifest does not list anymore. Another saver may be
// writing those of a newer one.
func (s *Sink) removeOld(ctx context.Context, g generation) error {
	if err := s.Refresh(ctx); err != nil {
		return err
	}
	now := s.state.Load()
	if now.content != g.Content {
		return errOvertaken
	}
	var old []string // keys
	for _, kind := range partKinds {
		err := s.store.List(ctx, s.o.prefix+string(kind), func(key, _ string, _ int64) {
			if at := now.place(generationOf(key)); at >= 0 && at < now.place(g.Name) {
				old = append(old, key)
			}
		})
		if err != nil {
			return fmt.Errorf("list parts: %w", err)
		}
	}
	for _, key := range old {
		if err := s.store.Delete(ctx, key); err != nil {
			return fmt.Errorf("delete %s, which is a part of another result of this job: %w", s.url(key), err)
		}
	}
	return nil
}

// A partKind is the beginning of the names of parts.
type partKind string

const (
	outputParts partKind = "part-"
	deadParts   partKind = "_dead-"
)

var partKinds = []partKind{outputParts, deadParts}

// extension returns the end of the names of parts if the outputs have a format. Dead letters are lines with the same
// compression.
func (k partKind) extension(format string) string {
	if k == outputParts {
		return "." + format
	}
	_, compression, compressed := strings.Cut(format, ".")
	if !compressed {
		return ".jsonl"
	}
	return ".jsonl." + compression
}

// partKey returns the key of a part of a generation; parts have numbers from 1.
func (s *Sink) partKey(kind partKind, number int, g generation) string {
	return fmt.Sprintf("%s%s%06d-%s%s", s.o.prefix, kind, number, g.Name, kind.extension(g.Format))
}

// generationOf returns the name of the generation of a part; of other keys it returns a name that no generation has.
func generationOf(key string) string {
	name, _, _ := strings.Cut(path.Base(key), ".")
	return name[strings.LastIndexByte(name, '-')+1:]
}

// pattern describes the location of the parts, in the syntax of a source.
func (s *Sink) pattern(kind partKind) string {
	return strings.TrimSuffix(s.o.at(), "/") + "/" + string(kind) + "*" + kind.extension(s.o.format)
}
