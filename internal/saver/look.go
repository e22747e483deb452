package saver

import (
	"context"
	"strings"
	"unicode/utf8"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/wire"
)

// maxShown bounds what people are shown of an object, and of its error.
const maxShown = 2048 // bytes

// dead answers which dead letters there are, shortened for people.
func (s *Saver) dead(ctx context.Context, q wire.Sync) wire.SyncAnswer {
	lines, next, err := s.sink.DeadBelow(ctx, q.From, q.Limit)
	if err != nil {
		return wire.SyncAnswer{Status: wire.SyncFailed, Reason: err.Error()}
	}
	page := &report.DeadPage{Before: next}
	for line := range strings.Lines(string(lines)) {
		if len(page.Letters) == report.MaxDead { // of a very large chunk, all letters of which have died
			break
		}
		d, err := chunk.ParseDeadLetter([]byte(line))
		if err != nil {
			return wire.SyncAnswer{Status: wire.SyncFailed, Reason: err.Error()}
		}
		page.Letters = append(page.Letters, report.DeadLetter{
			Ordinal: d.Ordinal, Chunk: d.Chunk, Error: shown(d.Error), Attempts: d.Attempts, Mapper: d.Mapper, Version: d.Version,
			Object: shown(string(d.Object)), Bytes: len(d.Object),
		})
	}
	return wire.SyncAnswer{Status: wire.SyncOK, Epoch: q.Epoch, Dead: page}
}

// shown is the beginning of a text, in whole characters.
func shown(text string) string {
	if len(text) > maxShown {
		end := maxShown
		for end > maxShown-utf8.UTFMax && !utf8.RuneStart(text[end]) {
			end--
		}
		text = text[:end]
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

// load is how busy this saver is.
func (s *Saver) load() report.SaverLoad {
	load := report.SaverLoad{}
	if last := s.last.Load(); last != nil {
		load = *last
	}
	load.Full = s.full.why()
	load.Queued = max(load.Queued, len(s.queue))
	return load
}
