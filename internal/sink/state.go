package sink

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"

	bolt "go.etcd.io/bbolt"

	"github.com/chunkline/chunkline/internal/chunk"
)

// The index has three buckets.
var (
	metaBucket  = []byte("meta")   // the keys below, JSON
	chunkBucket = []byte("chunks") // chunk ID → Record
	partBucket  = []byte("parts")  // series and number → part
)

var (
	formatKey   = []byte("format")
	claimsKey   = []byte("claims")
	totalsKey   = []byte("totals")
	writtenKey  = []byte("written")
	finishedKey = []byte("finished")
)

// formatVersion is the folder's. A folder of another one is not touched.
const formatVersion = 2

// claims is who the sink belongs to, and whose results it takes no more. It changes with a claim, and when a version is fenced.
type claims struct {
	Job       string      `json:"job"`
	ID        string      `json:"id,omitempty"` // of this sink, random; empty in one that an older program made and nobody has claimed since
	Plan      *chunk.Plan `json:"plan,omitempty"`
	Key       []byte      `json:"key,omitempty"`
	Epoch     uint64      `json:"epoch"`
	Claimants []claimant  `json:"claimants,omitempty"` // by ascending epoch

	Terms map[string]uint64 `json:"terms,omitempty"` // how often versions of mappers were fenced

	Transforms map[string]string `json:"transforms,omitempty"` // of the versions that made what is there
}

type claimant struct {
	Fetcher string `json:"fetcher"`
	Epoch   uint64 `json:"epoch"`
}

// maxClaimants is how many fetchers are remembered. One that is forgotten and
// comes back is taken for a new one: it takes over, instead of being fenced.
const maxClaimants = 64

// totals is the sum over all records. It changes with every commit.
type totals struct {
	Change      uint64 `json:"change"`  // grows with every index transaction
	Content     uint64 `json:"content"` // grows with those that change chunks
	Chunks      uint64 `json:"chunks"`
	Objects     uint64 `json:"objects"`
	Outputs     uint64 `json:"outputs"`
	Dead        uint64 `json:"dead"`
	OutputBytes uint64 `json:"output_bytes"`
	DeadBytes   uint64 `json:"dead_bytes"`
}

func (t *totals) add(r *Record) {
	t.Chunks++
	t.Objects += uint64(r.Objects)
	t.Outputs += r.OutputCount()
	t.Dead += uint64(r.DeadCount)
	t.OutputBytes += uint64(r.Outputs.Length)
	t.DeadBytes += uint64(r.Dead.Length)
}

func (t *totals) remove(r *Record) {
	t.Chunks--
	t.Objects -= uint64(r.Objects)
	t.Outputs -= r.OutputCount()
	t.Dead -= uint64(r.DeadCount)
	t.OutputBytes -= uint64(r.Outputs.Length)
	t.DeadBytes -= uint64(r.Dead.Length)
}

// finished says where Finish put the ordered files, relative to the folder. It
// goes when the content changes.
type finished struct {
	Output   string `json:"output"`
	DeadFile string `json:"dead_file"` // "" if there are no dead letters
}

// state is the small part of the index, kept in memory. A *state that was
// published is never changed.
//
// Invariant: it is what the index has on disk.
type state struct {
	claims   *claims
	totals   totals
	written  *written
	finished *finished
}

// next is a copy to change. What it points to is shared: replace it.
func (s *state) next() *state {
	n := *s
	n.totals.Change++
	return &n
}

// part is the index entry of one part file.
//
// Invariant: Size = Garbage + the lengths of all committed ranges in it.
type part struct {
	Size    int64 // committed bytes; a full part's file has exactly these
	Garbage int64 // bytes of replaced results
}

func partKey(series string, number int) []byte {
	return binary.BigEndian.AppendUint32([]byte(series+"/"), uint32(number))
}

// put writes the state into the index, where it differs from old.
func (s *state) put(tx *bolt.Tx, old *state) error {
	meta := tx.Bucket(metaBucket)
	if s.claims != old.claims {
		if err := putMeta(meta, claimsKey, s.claims); err != nil {
			return err
		}
	}
	if err := putMeta(meta, totalsKey, s.totals); err != nil {
		return err
	}
	if s.written != old.written {
		if err := putMeta(meta, writtenKey, s.written); err != nil {
			return err
		}
	}
	return putMeta(meta, finishedKey, s.finished) // also if nil: a missing entry is damage
}

func putMeta(meta *bolt.Bucket, key []byte, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encode %s: %w", key, err)
	}
	return meta.Put(key, appendSum(text, key))
}

// getMeta reads a value that must be there. An error means damage.
func getMeta(meta *bolt.Bucket, key []byte, value any) error {
	text, ok := cutSum(key, meta.Get(key))
	if !ok {
		return fmt.Errorf("entry %q is missing, or does not have the checksum it was written with", key)
	}
	if err := json.Unmarshal(text, value); err != nil {
		return fmt.Errorf("entry %q: %w", key, err)
	}
	return nil
}

// load reads the state. An error means damage, unless it is a *formatError.
func load(tx *bolt.Tx) (*state, error) {
	meta := tx.Bucket(metaBucket)
	if meta == nil || tx.Bucket(chunkBucket) == nil || tx.Bucket(partBucket) == nil {
		return nil, fmt.Errorf("bucket %s, %s or %s is missing", metaBucket, chunkBucket, partBucket)
	}
	var format int
	if err := getMeta(meta, formatKey, &format); err != nil {
		return nil, err
	}
	if format != formatVersion {
		return nil, &formatError{format}
	}
	s := &state{claims: &claims{}, written: &written{}}
	if err := getMeta(meta, claimsKey, s.claims); err != nil {
		return nil, err
	}
	if err := getMeta(meta, totalsKey, &s.totals); err != nil {
		return nil, err
	}
	if err := getMeta(meta, writtenKey, s.written); err != nil {
		return nil, err
	}
	return s, getMeta(meta, finishedKey, &s.finished)
}

type formatError struct{ format int }

func (e *formatError) Error() string {
	return fmt.Sprintf("%s: %d, not %d", ErrFormat, e.format, formatVersion)
}

func (e *formatError) Is(target error) bool { return target == ErrFormat }

// loadParts reads the part entries of a series, which must be numbered from 0
// without a gap.
func loadParts(tx *bolt.Tx, series string) ([]part, error) {
	var parts []part
	prefix := []byte(series + "/")
	c := tx.Bucket(partBucket).Cursor()
	for k, v := c.Seek(prefix); k != nil && len(k) == len(prefix)+4 && string(k[:len(prefix)]) == string(prefix); k, v = c.Next() {
		body, ok := cutSum(k, v)
		d := decoder{b: body}
		p := part{Size: int64(d.uint()), Garbage: int64(d.uint())}
		if !ok || d.bad || p.Size < 0 || p.Garbage < 0 || p.Garbage > p.Size {
			return nil, fmt.Errorf("entry of a part of %s is damaged", series)
		}
		if number := binary.BigEndian.Uint32(k[len(prefix):]); int(number) != len(parts) {
			return nil, fmt.Errorf("entry of part %d of %s is missing", len(parts), series)
		}
		parts = append(parts, p)
	}
	return parts, nil
}

// putParts writes the entries that differ.
func putParts(tx *bolt.Tx, series string, old, parts []part) error {
	for i, p := range parts {
		if i < len(old) && old[i] == p {
			continue
		}
		key := partKey(series, i)
		value := binary.AppendUvarint(nil, uint64(p.Size))
		value = binary.AppendUvarint(value, uint64(p.Garbage))
		if err := tx.Bucket(partBucket).Put(key, appendSum(value, key)); err != nil {
			return fmt.Errorf("record part %d of %s: %w", i, series, err)
		}
	}
	return nil
}

// claimedBy finds a fetcher among the claimants.
func (c *claims) claimedBy(fetcher string) (claimant, bool) {
	i := slices.IndexFunc(c.Claimants, func(o claimant) bool { return o.Fetcher == fetcher })
	if i < 0 {
		return claimant{}, false
	}
	return c.Claimants[i], true
}
