package mapper

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/transform"
)

// leastMute is how many objects must go without an answer, before there is any, until a
// transform is taken for one that never answers: one of them may be a bad object.
const leastMute = 3

// errMute means that the transform never answers.
var errMute = errors.New("the transform never answers")

// mute notices a transform that has never answered to any worker. Each of its objects
// takes all the time it may, so that to wait for a chunk of them would be to wait for hours.
type mute struct {
	stops    bool // it is to end the mapper; set before Run
	answered atomic.Bool
	late     atomic.Int64
}

// StopIfMute makes Run end with an error when the transform never answers. It is called
// before Run.
func (m *Mapper) StopIfMute() { m.mute.stops = true }

// after notes how an object went.
func (t *mute) after(failed *transform.Failure) error {
	switch {
	case !t.stops || t.answered.Load():
		return nil
	case failed == nil || !failed.Late:
		t.answered.Store(true)
		return nil
	}
	if late := t.late.Add(1); late >= leastMute {
		return fmt.Errorf("%w: %d objects, and the last one had %s; mend it, give it more time, or go on all the same: %w",
			errMute, late, failed.Err, app.Setting("KEEP_GOING", "=true"))
	}
	return nil
}
