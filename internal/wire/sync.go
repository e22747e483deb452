package wire

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/report"
)

// SyncOp is the operation that the fetcher requests from the saver.
type SyncOp string

// The requests of a fetcher.
const (
	SyncClaim  SyncOp = "claim"  // this fetcher owns the job now
	SyncList   SyncOp = "list"   // list committed chunks
	SyncFinish SyncOp = "finish" // all chunks are committed: merge the result
	SyncDead   SyncOp = "dead"   // list dead letters
	SyncShadow SyncOp = "shadow" // get the comparison of the shadow run
	SyncFence  SyncOp = "fence"  // refuse results of a version's leases so far
)

// Sync is a request of the fetcher to the saver.
type Sync struct {
	Op      SyncOp
	Plan    chunk.PlanID // in a claim it may be empty
	Fetcher string       // instance ID
	Epoch   uint64       // 0 in a claim

	Claim  *chunk.Plan // claim
	From   chunk.ID    // list: committed chunks with From <= ID < From+Limit; dead: letters of chunks below From
	Limit  int         // dead: about how many letters
	Chunks []chunk.ID  // list: only these chunks, instead of From and Limit; at most MaxSaved
	Total  Totals      // finish

	Version string // fence: of mappers
	Term    uint64 // fence: results of leases of an earlier term are refused; at least 1
}

// Totals is the size of a whole job.
type Totals struct {
	Chunks, Objects uint64
}

// maxPage bounds the chunks of one page of a list, and its entries; each entry takes 30 bytes.
const maxPage = 1 << 20

func (s *Sync) fields(f *fields) {
	choice(f, "Chunkline-Op", &s.Op, SyncClaim, SyncList, SyncFinish, SyncDead, SyncShadow, SyncFence)
	f.plan(&s.Plan, presence(s.Op != SyncClaim))
	f.token(keyFetcher, &s.Fetcher, required)
	f.uint(keyEpoch, &s.Epoch, maxID, optional)
	switch s.Op {
	case SyncClaim:
		s.claim(f)
	case SyncList:
		ranges(f, keyChunks, &s.Chunks, MaxSaved, optional)
		f.id(keyFrom, &s.From, optional)
		f.int(keyLimit, &s.Limit, maxPage, optional)
		if !f.write && f.err == nil && (s.Chunks == nil) == (s.Limit == 0) {
			f.fail(keyLimit, "want either a limit or chunks")
		}
	case SyncShadow:
	case SyncDead:
		f.id(keyFrom, &s.From, required)
		f.int(keyLimit, &s.Limit, report.MaxDead, required)
	case SyncFence:
		f.text(keyVersion, &s.Version, MaxLabel)
		f.uint(keyTerm, &s.Term, maxID, required)
	case SyncFinish:
		f.uint("Chunkline-Total-Chunks", &s.Total.Chunks, math.MaxInt64, required)
		f.uint("Chunkline-Total-Objects", &s.Total.Objects, math.MaxInt64, required)
	}
}

// claim is the plan as JSON in the body. Reading compares it with its ID.
func (s *Sync) claim(f *fields) {
	switch {
	case f.write && s.Claim != nil:
		f.body = mustJSON(s.Claim)
	case !f.write && f.err == nil:
		s.Claim = new(chunk.Plan)
		if err := json.Unmarshal(f.body, s.Claim); err != nil {
			f.err = fmt.Errorf("%w: plan: %w", ErrMalformed, err)
		} else if s.Plan != "" && s.Claim.ID() != s.Plan {
			f.fail(keyPlan, "%s is not the ID of the claimed plan", s.Plan)
		}
	}
}

// Encode returns the message for VerbSync.
func (s Sync) Encode() Message { return encode(s.fields, nil) }

// DecodeSync decodes the output of Encode. Errors: ErrMalformed, ErrVersion, ErrCorrupt.
func DecodeSync(m Message) (Sync, error) { return decoded[Sync]("sync", m) }

// SyncStatus is the kind of answer to a Sync.
type SyncStatus string

// The answers to Sync.
const (
	SyncOK        SyncStatus = "ok"
	SyncWorking   SyncStatus = "working"    // finish: not yet, ask again
	SyncOtherPlan SyncStatus = "other-plan" // the sink is bound to another plan
	SyncFenced    SyncStatus = "fenced"     // a newer fetcher has claimed the job
	SyncFailed    SyncStatus = "failed"     // see Reason; asking again may help
)

// SyncAnswer answers Sync.
type SyncAnswer struct {
	Plan    chunk.PlanID // of the sink; empty: it has none yet
	Status  SyncStatus
	Reason  string      // up to 1024 bytes
	Epoch   uint64      // claim: yours; fenced: the newer one
	Key     []byte      // claim: the key of lease tokens, 32 bytes
	Past    VersionPast // claim
	Entries []Entry
	Summary report.Summary // what the sink holds; after a finish, also the path of the result
	Load    report.SaverLoad
	Dead    *report.DeadPage     // dead
	Shadow  *report.ShadowReport // shadow
	Sink    SinkID
}

// A VersionPast is what the sink knows about the job's versions of mappers.
type VersionPast struct {
	Terms      map[string]uint64 `json:"terms,omitempty"`      // how often the circuit breaker has disabled a version, if ever
	Transforms map[string]string `json:"transforms,omitempty"` // the transform that made a version's results
}

func (v VersionPast) empty() bool { return len(v.Terms)+len(v.Transforms) == 0 }

// An Entry is a committed piece.
type Entry = chunk.Entry

const (
	keySize   = 32
	entrySize = 8 + 3*2 + len(chunk.Digest{})
)

func (a *SyncAnswer) fields(f *fields) {
	f.plan(&a.Plan, optional)
	a.Sink.fields(f)
	choice(f, keyStatus, &a.Status, SyncOK, SyncWorking, SyncOtherPlan, SyncFenced, SyncFailed)
	f.text(keyReason, &a.Reason, maxReason)
	f.uint(keyEpoch, &a.Epoch, maxID, optional)
	f.secret("Chunkline-Key", &a.Key, keySize, optional)
	f.summary(&a.Summary)
	f.load(&a.Load)
	f.deadPage(&a.Dead)
	shadow, past := a.Shadow != nil, !a.Past.empty()
	f.flag(keyShadow, &shadow)
	inBody(f, &a.Shadow, shadow)
	f.flag("Chunkline-Versions", &past)
	if past {
		f.jsonBody(&a.Past)
	}
	if a.Dead == nil && a.Shadow == nil && a.Past.empty() {
		f.entries(&a.Entries)
	}
}

// deadPage is a page of dead letters in the body. A header has their number and 1; 0 means that there is no page.
func (f *fields) deadPage(p **report.DeadPage) {
	count := 0
	if *p != nil {
		count = len((*p).Letters) + 1
	}
	f.int("Chunkline-Dead", &count, report.MaxDead+1, optional)
	inBody(f, p, count > 0)
	if f.err == nil && count > 0 && len((*p).Letters) != count-1 {
		f.fail("body", "%d dead letters, want %d", len((*p).Letters), count-1)
	}
}

// entries are the body. A header has their number.
func (f *fields) entries(list *[]Entry) {
	const key = "Chunkline-Entries"
	count := len(*list)
	f.int(key, &count, maxPage, optional)
	switch {
	case f.write:
		f.body = slices.Grow(f.body, count*entrySize)
		for _, e := range *list {
			f.body = appendEntry(f.body, e)
		}
	case f.err == nil && len(f.body) != count*entrySize:
		f.fail(key, "%d entries in %d bytes", count, len(f.body))
	case f.err == nil && count > 0:
		*list = make([]Entry, count)
		for i := range *list {
			if (*list)[i] = readEntry(f.body[i*entrySize:]); !isPiece((*list)[i]) {
				f.fail("body", "entry %d names no piece", i)
			}
		}
	}
}

// appendEntry appends an entry, big-endian: the chunk's ID in 8 bytes, From, Objects and Of in 2 bytes each, and the
// digest in 16 bytes.
func appendEntry(body []byte, e Entry) []byte {
	body = binary.BigEndian.AppendUint64(body, uint64(e.ID))
	for _, n := range []int{e.From, e.Objects, e.Of} {
		body = binary.BigEndian.AppendUint16(body, uint16(n)) // at most chunk.MaxSize
	}
	return append(body, e.Digest[:]...)
}

func readEntry(b []byte) Entry {
	e := Entry{
		ID: chunk.ID(binary.BigEndian.Uint64(b)), From: int(binary.BigEndian.Uint16(b[8:])),
		Objects: int(binary.BigEndian.Uint16(b[10:])), Of: int(binary.BigEndian.Uint16(b[12:])),
	}
	copy(e.Digest[:], b[14:])
	return e
}

func isPiece(e Entry) bool {
	return e.ID <= maxID && e.Of <= chunk.MaxSize && e.Objects >= 1 && e.From <= e.Of-e.Objects
}

// Encode returns the answer. The body is the entries, or one of Dead, Shadow and Past as JSON.
func (a SyncAnswer) Encode() Message { return encode(a.fields, nil) }

// DecodeSyncAnswer decodes the output of Encode. Errors: ErrMalformed, ErrVersion, ErrCorrupt.
func DecodeSyncAnswer(m Message) (SyncAnswer, error) { return decoded[SyncAnswer]("sync answer", m) }
