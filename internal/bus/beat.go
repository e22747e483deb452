package bus

import (
	"fmt"
	"strings"

	"github.com/chunkline/chunkline/internal/chunk"
)

// Beat says that a mapper lives, and what it holds. It is published: there is
// no answer.
type Beat struct {
	Plan   chunk.PlanID // of the last chunk; empty before the first
	Mapper Mapper
	Holding
	Doing    *Doing // in careful mode: the object it is about to touch
	Draining bool   // it asks for no more, and waits for answers to what it has asked
	Goodbye  bool   // it ends, and gives back what it held
	Epoch    uint64 // the highest seen
}

// Doing is an object in work.
type Doing struct {
	Chunk chunk.ID
	Index int // within the chunk; as many as it has objects: none is in work any more
}

func (b *Beat) fields(f *fields) {
	f.plan(&b.Plan, optional)
	b.Mapper.fields(f)
	b.Holding.fields(f)
	f.field("Chunkline-Doing", optional, b.Doing == nil, func() string {
		return fmt.Sprintf("%d/%d", b.Doing.Chunk, b.Doing.Index)
	}, func(s string) error {
		id, index, _ := strings.Cut(s, "/")
		c, err := parseUint(id, maxID)
		if err != nil {
			return err
		}
		i, err := parseUint(index, chunk.MaxSize)
		b.Doing = &Doing{Chunk: chunk.ID(c), Index: int(i)}
		return err
	})
	f.flag("Chunkline-Draining", &b.Draining)
	f.flag("Chunkline-Goodbye", &b.Goodbye)
	f.uint(keyEpoch, &b.Epoch, maxID, optional)
}

// Encode returns the message for VerbBeat.
func (b Beat) Encode() Message { return encode(b.fields, nil) }

// DecodeBeat reads what Encode wrote. Errors: ErrMalformed, ErrVersion, ErrCorrupt.
func DecodeBeat(m Message) (Beat, error) {
	var b Beat
	err := decode("beat", m, b.fields)
	return b, err
}
