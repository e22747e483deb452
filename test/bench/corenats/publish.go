//go:build bench

package corenats

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/nats-io/nats.go"
)

// Subjects of the messages.
const (
	SubjectChunk  = "bench.chunk"
	SubjectResult = "bench.result"

	subjectEnd    = "bench.end"    // to the receiver: the number of chunks
	subjectCredit = "bench.credit" // to the publisher: the number of results that are saved
)

const chunkLines = 100

// Publish sends the lines of a file in chunks, at most window of them ahead of
// the receiver.
func Publish(path string, window int) func(context.Context, *nats.Conn) error {
	return func(ctx context.Context, nc *nats.Conn) error {
		credits, err := nc.SubscribeSync(subjectCredit)
		if err != nil {
			return fmt.Errorf("subscribe to credit: %w", err)
		}
		sent, saved := 0, 0
		err = EachChunk(path, func(body []byte) error {
			for sent-saved >= window {
				credit, err := credits.NextMsgWithContext(ctx)
				if err != nil {
					return fmt.Errorf("wait for the receiver: %w", err)
				}
				if saved, err = strconv.Atoi(string(credit.Data)); err != nil {
					return fmt.Errorf("read credit: %w", err)
				}
			}
			sent++
			return nc.Publish(SubjectChunk, body)
		})
		if err != nil {
			return fmt.Errorf("publish %s: %w", path, err)
		}
		return PublishEnd(nc, sent)
	}
}

// PublishEnd tells the receiver how many chunks there are.
func PublishEnd(nc *nats.Conn, chunks int) error {
	if err := nc.Publish(subjectEnd, []byte(strconv.Itoa(chunks))); err != nil {
		return fmt.Errorf("publish the end: %w", err)
	}
	return nc.Flush()
}

// EachChunk calls do with every 100 lines of a file. Body is valid only until do
// returns.
func EachChunk(path string, do func(body []byte) error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // it was only read
	in := bufio.NewReaderSize(file, 1<<20)
	for body := []byte(nil); ; {
		if body, err = readChunk(in, body[:0]); err != nil || len(body) == 0 {
			return err
		}
		if err := do(body); err != nil {
			return err
		}
	}
}

// readChunk appends the next lines to body; at the end of the file it adds none.
func readChunk(in *bufio.Reader, body []byte) ([]byte, error) {
	for range chunkLines {
		line, err := in.ReadSlice('\n')
		body = append(body, line...)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	return body, nil
}
