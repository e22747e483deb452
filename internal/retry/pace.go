package retry

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/transform"
)

// With a rate, as many objects may go out at once as the rate allows in the time burst. It is the same in a job.
const burst = 100 * time.Millisecond

// A pace limits how many objects all workers together map in a second, retries included.
type pace struct {
	limiter *rate.Limiter
	most    int // objects that go out at once
}

// newPace returns a pace of objects a second; 0: no limit. atOnce is how many objects one worker maps at a time, which
// go out together.
func newPace(perSecond float64, atOnce int) pace {
	if perSecond == 0 {
		return pace{rate.NewLimiter(rate.Inf, 0), math.MaxInt}
	}
	most := max(1, atOnce, int(min(perSecond*burst.Seconds(), chunk.MaxSize)))
	return pace{rate.NewLimiter(rate.Limit(perSecond), most), most}
}

// run maps objects. Those that go out at once are a chunk for the transform.
func (p pace) run(ctx context.Context, mapping transform.Transform, objects [][]byte, o transform.Options) (transform.Output, error) {
	var all transform.Output
	o.Again = func(objects int) { p.limiter.ReserveN(time.Now(), objects) } // at most burst: the next ones wait for longer
	for part := range slices.Chunk(objects, p.most) {
		if err := p.limiter.WaitN(ctx, len(part)); err != nil {
			return all, fmt.Errorf("wait for the rate: %w", err)
		}
		var body []byte
		for _, object := range part {
			body = append(append(body, object...), '\n')
		}
		out, err := transform.Run(ctx, mapping, body, nil, o)
		if err != nil {
			return all, err
		}
		for _, f := range out.Failed {
			f.Index += len(all.Counts)
			all.Failed = append(all.Failed, f)
		}
		all.Counts, all.Lines = append(all.Counts, out.Counts...), append(all.Lines, out.Lines...)
	}
	return all, nil
}
