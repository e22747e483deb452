package chunk

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
)

// FormatVersion changes when the same source would be cut differently, so that a sink filled by an older program is not
// mixed with results of a newer one.
const FormatVersion = 2

// A Plan defines how a source is cut. Two runs of the same plan give every chunk the same ID and, while the source is
// unchanged, the same digest.
type Plan struct {
	Source string `json:"source"` // the source's identity: names, not content
	Size   int    `json:"size"`   // most objects in a chunk
	Bytes  int    `json:"bytes"`  // most bytes in a chunk of several objects
	Format int    `json:"format"` // FormatVersion
}

// PlanID is the hash of a plan, in 32 hexadecimal digits.
type PlanID string

// ID returns the plan's hash.
func (p Plan) ID() PlanID {
	text, err := json.Marshal(p)
	if err != nil {
		panic(fmt.Sprintf("chunk: encode plan: %v", err)) // strings and numbers always encode
	}
	sum := sha256.Sum256(text)
	return PlanID(hex.EncodeToString(sum[:16]))
}

// Validate returns an error that says what is wrong with the plan.
func (p Plan) Validate() error {
	switch {
	case p.Source == "":
		return errors.New("plan has no source")
	case p.Size < 1 || p.Size > MaxSize:
		return fmt.Errorf("chunk size %d: use 1 to %d objects", p.Size, MaxSize)
	case p.Bytes < 1 || p.Bytes > MaxBytes:
		return fmt.Errorf("chunk bytes %d: use 1 to %d", p.Bytes, MaxBytes)
	case p.Format != FormatVersion:
		return fmt.Errorf("plan format %d: this program cuts format %d", p.Format, FormatVersion)
	}
	return nil
}

const (
	// MaxSize bounds the objects of a chunk, so that the data that travels with the body (counts, flaws) stays far
	// below a megabyte.
	MaxSize = 10_000

	// MaxBytes bounds the body of a chunk of several objects.
	MaxBytes = 256 << 20
)

// String describes the plan for an operator.
func (p Plan) String() string {
	return fmt.Sprintf("source %s in chunks of %d objects or %d bytes (format %d)", p.Source, p.Size, p.Bytes, p.Format)
}
