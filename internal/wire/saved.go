package wire

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/report"
)

// MaxSaved bounds the pieces in one Saved, and the chunks in a Sync that lists chunks. In a Saved each piece takes 32
// bytes, and in the worst case each has its own mapper in the header.
const MaxSaved = 4096

// Saved tells the fetcher which pieces are durable. The fetcher never hands them out again, so the message is signed
// with the job's key, which mappers do not have.
type Saved struct {
	Plan   chunk.PlanID
	Epoch  uint64         // the latest known to the sink
	Pieces []SavedPiece   // 1 to MaxSaved
	Total  report.Summary // what the sink holds
	Load   report.SaverLoad
	Sink   SinkID
}

// SavedPiece is a durable piece.
type SavedPiece struct {
	Entry
	Mapper string // ID of the mapper whose result was committed, or was a duplicate
	Dead   int    // its dead letters; 0 from older savers
}

const savedSize = entrySize + 2 // the index of its mapper

func (s *Saved) fields(f *fields) {
	f.plan(&s.Plan, required)
	f.uint(keyEpoch, &s.Epoch, maxID, required)
	f.summary(&s.Total)
	f.load(&s.Load)
	s.Sink.fields(f)
	mappers, body := s.table()
	f.field("Chunkline-Mappers", required, false, func() string { return strings.Join(mappers, ",") }, func(text string) error {
		mappers = strings.Split(text, ",")
		for _, m := range mappers {
			if !IsName(m) {
				return fmt.Errorf("%.80q is not the ID of a mapper", m)
			}
		}
		return nil
	})
	if f.write {
		f.body = body
	} else if f.err == nil {
		s.Pieces = f.savedPieces(mappers)
	}
	f.deaths(s.Pieces)
}

// deaths is the numbers of dead letters of those pieces that have some, as place:number,place:number. Places count from
// 0, in ascending order.
func (f *fields) deaths(pieces []SavedPiece) {
	var list []string
	for i, c := range pieces {
		if c.Dead > 0 && f.write {
			list = append(list, fmt.Sprintf("%d:%d", i, c.Dead))
		}
	}
	f.field("Chunkline-Deaths", optional, len(list) == 0, func() string { return strings.Join(list, ",") }, func(text string) error {
		for item := range strings.SplitSeq(text, ",") {
			place, number, _ := strings.Cut(item, ":")
			i, err := parseUint(place, uint64(max(len(pieces), 1)-1))
			if err != nil {
				return err
			}
			n, err := parseUint(number, chunk.MaxSize)
			if err != nil || len(pieces) == 0 {
				return fmt.Errorf("%.40q: want place:number", item)
			}
			pieces[i].Dead = int(n)
		}
		return nil
	})
}

// table returns each mapper once, and the pieces with the indexes of their mappers.
func (s *Saved) table() (mappers []string, body []byte) {
	places := map[string]int{}
	for _, c := range s.Pieces {
		place, known := places[c.Mapper]
		if !known {
			place = len(mappers)
			places[c.Mapper] = place
			mappers = append(mappers, c.Mapper)
		}
		body = binary.BigEndian.AppendUint16(appendEntry(body, c.Entry), uint16(place))
	}
	return mappers, body
}

func (f *fields) savedPieces(mappers []string) []SavedPiece {
	count := len(f.body) / savedSize
	if count*savedSize != len(f.body) || count < 1 || count > MaxSaved {
		f.fail("body", "%d bytes, want 1 to %d pieces of %d bytes", len(f.body), MaxSaved, savedSize)
		return nil
	}
	pieces := make([]SavedPiece, 0, count)
	for entry := range slices.Chunk(f.body, savedSize) {
		place := int(binary.BigEndian.Uint16(entry[entrySize:]))
		c := SavedPiece{Entry: readEntry(entry)}
		if place >= len(mappers) || !isPiece(c.Entry) {
			f.fail("body", "piece %s of mapper number %d", c.Piece(), place)
			return nil
		}
		c.Mapper = mappers[place]
		pieces = append(pieces, c)
	}
	return pieces
}

// Encode returns the message for VerbSaved, signed with key. For each piece the body has its entry as in the answer to
// SyncList, and the index of its mapper in the header's list (2 bytes, big-endian).
func (s Saved) Encode(key []byte) Message { return sign(key, encode(s.fields, nil)) }

// DecodeSaved decodes the output of Encode with the same key. Errors: ErrMalformed, ErrVersion, ErrCorrupt, ErrForged.
func DecodeSaved(key []byte, m Message) (Saved, error) {
	var s Saved
	err := decode("saved", m, s.fields)
	if err == nil {
		err = checkSignature(key, m)
	}
	if err != nil {
		return Saved{}, err
	}
	return s, nil
}

// SavedAnswer means that the fetcher has got the Saved.
type SavedAnswer struct{ Plan chunk.PlanID }

func (a *SavedAnswer) fields(f *fields) { f.plan(&a.Plan, required) }

// Encode returns the answer.
func (a SavedAnswer) Encode() Message { return encode(a.fields, nil) }

// DecodeSavedAnswer decodes the output of Encode. Errors: ErrMalformed, ErrVersion, ErrCorrupt.
func DecodeSavedAnswer(m Message) (SavedAnswer, error) {
	return decoded[SavedAnswer]("saved answer", m)
}

func (f *fields) summary(s *report.Summary) {
	if f.write {
		s.Output, s.DeadFile = Clip(s.Output, maxPath), Clip(s.DeadFile, maxPath)
	}
	f.json(keySummary, s, *s == report.Summary{}, optional)
}

func (f *fields) load(l *report.SaverLoad) {
	if f.write {
		l.Full = Clip(l.Full, maxReason)
	}
	f.json("Chunkline-Load", l, *l == report.SaverLoad{}, optional)
	if f.err == nil && l.ID != "" && !IsName(l.ID) {
		f.err = fmt.Errorf("%w: %.80q is not the ID of a saver", ErrMalformed, l.ID)
	}
}

const maxPath = 4096 // bytes of a file name, as in Linux
