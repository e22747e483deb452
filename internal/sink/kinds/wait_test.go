package kinds

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/chunkline/chunkline/internal/sink"
)

func refusal(code string) error {
	return fmt.Errorf("open sink: %w: %w", sink.ErrUnreachable, &pgconn.PgError{Code: code, Message: code})
}

// A server that has too many clients or starts is waited for, also if it goes away meanwhile.
func TestOpenWaiting(t *testing.T) {
	gone := fmt.Errorf("connection refused: %w", sink.ErrUnreachable)
	wrong := fmt.Errorf("wrong password: %w", sink.ErrSettings)
	opened := Sink(&sink.Folder{})
	for name, test := range map[string]struct {
		answers []error
		want    error
	}{
		"too many clients":        {[]error{refusal("53300"), refusal("53300"), nil}, nil},
		"server restarts":         {[]error{refusal("57P01"), refusal("57P02"), gone, refusal("57P03"), nil}, nil},
		"no server":               {[]error{gone}, sink.ErrUnreachable},
		"wrong password":          {[]error{wrong}, sink.ErrSettings},
		"wrong password at last":  {[]error{refusal("57P03"), wrong}, sink.ErrSettings},
		"another error of server": {[]error{refusal("42P01")}, sink.ErrUnreachable},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				left, noted := test.answers, []error(nil)
				s, err := openWaiting(t.Context(), func() (Sink, error) {
					answer := left[0]
					left = left[1:]
					if answer != nil {
						return nil, answer
					}
					return opened, nil
				}, func(err error) { noted = append(noted, err) })
				if !errors.Is(err, test.want) || (err == nil) != (s != nil) || len(left) > 0 {
					t.Errorf("sink %v, error %v, %d tries too few; want the error %v", s, err, len(left), test.want)
				}
				want := test.answers
				if test.want != nil {
					want = want[:len(want)-1]
				}
				if !slices.Equal(noted, want) {
					t.Errorf("noted %v, want %v", noted, want)
				}
			})
		})
	}
}

// The end of the context ends the wait, between attempts and during one.
func TestOpenWaitingEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s, err := openWaiting(ctx, func() (Sink, error) { return nil, refusal("53300") }, func(error) { cancel() })
		if s != nil || !errors.Is(err, context.Canceled) {
			t.Errorf("sink %v, error %v; want the end of the context", s, err)
		}
		s, err = openWaiting(ctx, func() (Sink, error) { return nil, sink.ErrUnreachable }, func(err error) { t.Errorf("noted %v", err) })
		if s != nil || !errors.Is(err, context.Canceled) {
			t.Errorf("sink %v, error %v; want the end of the context", s, err)
		}
	})
}
