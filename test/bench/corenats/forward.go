//go:build bench

package corenats

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
)

// MapLine appends the result of a line, with its line break, to dst.
type MapLine func(line, dst []byte) ([]byte, error)

// Identity appends the line as it is.
func Identity(line, dst []byte) ([]byte, error) {
	return append(append(dst, line...), '\n'), nil
}

// Forward maps chunks until ctx ends.
func Forward(mapLine MapLine) func(context.Context, *nats.Conn) error {
	return func(ctx context.Context, nc *nats.Conn) error {
		chunks, err := nc.QueueSubscribeSync(SubjectChunk, "forwarders")
		if err != nil {
			return fmt.Errorf("subscribe to chunks: %w", err)
		}
		if err := Announce(nc); err != nil {
			return err
		}
		var results []byte
		for {
			chunk, err := chunks.NextMsgWithContext(ctx)
			if errors.Is(err, context.Canceled) {
				return nil
			}
			if err != nil {
				return fmt.Errorf("wait for chunks: %w", err)
			}
			if results, err = MapChunk(mapLine, chunk.Data, results[:0]); err != nil {
				return err
			}
			if err := nc.Publish(SubjectResult, results); err != nil {
				return fmt.Errorf("publish results: %w", err)
			}
		}
	}
}

// MapChunk appends the results of all lines of a chunk to dst.
func MapChunk(mapLine MapLine, body, dst []byte) (results []byte, err error) {
	for line := range bytes.Lines(body) {
		if dst, err = mapLine(bytes.TrimSuffix(line, []byte{'\n'}), dst); err != nil {
			return nil, fmt.Errorf("map a line: %w", err)
		}
	}
	return dst, nil
}
