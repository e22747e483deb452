//go:build bench

package corenats

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/nats-io/nats.go"
)

const (
	mostResults = 4096 // that wait in the receiver: more than any window
	lateCredit  = 32   // results for which a late receiver gives credit at a time
)

// Receiver is the role that writes the results.
type Receiver struct {
	Path string
	// Late syncs once, at the end, and gives credit for results that are only written.
	// Otherwise credit is for synced results, and all that wait share one sync.
	Late bool
	// Subscribe subscribes to results. Nil: with core NATS.
	Subscribe func(incoming chan<- *nats.Msg) error
	// Saved is called with results that are saved and their total so far. Nil: it gives
	// credit for them.
	Saved func(results []*nats.Msg, total int) error
}

// Run writes results as they arrive, until all are written and synced.
func (r Receiver) Run(ctx context.Context, nc *nats.Conn) (err error) {
	file, err := os.Create(r.Path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	incoming := make(chan *nats.Msg, mostResults)
	if r.Subscribe == nil {
		r.Subscribe = func(chan<- *nats.Msg) error {
			_, err := nc.ChanSubscribe(SubjectResult, incoming)
			return err
		}
	}
	if r.Saved == nil {
		r.Saved = func(_ []*nats.Msg, total int) error {
			return nc.Publish(subjectCredit, strconv.AppendInt(nil, int64(total), 10))
		}
	}
	if _, err := nc.ChanSubscribe(subjectEnd, incoming); err != nil {
		return fmt.Errorf("subscribe to the end: %w", err)
	}
	if err := r.Subscribe(incoming); err != nil {
		return fmt.Errorf("subscribe to results: %w", err)
	}
	if err := Announce(nc); err != nil {
		return err
	}
	out := bufio.NewWriterSize(file, 256<<10)
	var results []*nats.Msg // written, and not yet saved
	for received, total := 0, -1; received != total; {
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for results: %w", ctx.Err())
		case message := <-incoming:
			if message.Subject == subjectEnd {
				if total, err = strconv.Atoi(string(message.Data)); err != nil {
					return fmt.Errorf("read the end: %w", err)
				}
				continue
			}
			if _, err := out.Write(message.Data); err != nil {
				return fmt.Errorf("write results: %w", err)
			}
			received++
			results = append(results, message)
		}
		if r.Late && len(results) < lateCredit || !r.Late && len(incoming) > 0 && len(results) < mostResults {
			continue
		}
		if !r.Late {
			if err := errors.Join(out.Flush(), file.Sync()); err != nil {
				return fmt.Errorf("sync results: %w", err)
			}
		}
		if err := r.Saved(results, received); err != nil {
			return err
		}
		results = results[:0]
	}
	if err := errors.Join(out.Flush(), file.Sync()); err != nil {
		return fmt.Errorf("sync results: %w", err)
	}
	return nc.Flush()
}
