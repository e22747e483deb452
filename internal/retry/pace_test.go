package retry

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chunkline/chunkline/internal/transform"
	"github.com/chunkline/chunkline/internal/webservice"
)

// busy is a transform whose first tries of each object fail for the moment.
type busy map[string]int

func (b busy) Map(_ context.Context, object, dst []byte) ([]byte, error) {
	if b[string(object)]++; b[string(object)] < 3 {
		return dst, &webservice.TemporaryError{Err: errors.New("not now")}
	}
	return append(append(dst, object...), '\n'), nil
}

func (b busy) Close() error { return nil }

// TestPace_retries: what is tried again counts like what is tried first.
func TestPace_retries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPace(0.1, 1) // much slower than the pauses before the retries
		begin := time.Now()
		for _, object := range []string{"1", "2"} {
			out, err := p.run(t.Context(), busy{}, [][]byte{[]byte(object)}, transform.Options{Retries: 3})
			if err != nil || string(out.Lines) != object+"\n" {
				t.Errorf("got %q, %v", out.Lines, err)
			}
		}
		if took := time.Since(begin); took < 30*time.Second || took > 40*time.Second {
			t.Errorf("the second object was done after %s, want 30s: three tries of the first one, and its own retries", took)
		}
	})
}
