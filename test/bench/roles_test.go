//go:build bench

package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/nats-io/nats.go"

	"github.com/chunkline/chunkline/internal/transform"
)

const (
	rolePublisher = "publisher"
	roleForwarder = "forwarder"
	roleReceiver  = "receiver"

	readyText = "bench role listens"

	subjectChunk  = "bench.chunk"
	subjectResult = "bench.result.chunk"
	subjectEnd    = "bench.result.end" // to the receiver: how many chunks there are
	subjectCredit = "bench.credit"     // to the publisher: how many results have come

	chunkLines  = 100
	window      = 256 // chunks that may be under way
	creditEvery = 32  // results
)

// bareRole is what a process of the bare side does.
type bareRole struct{ role, url, file string }

func (r bareRole) run(ctx context.Context) error {
	problems := make(chan error, 1) // dropped messages and the like: the run is void
	nc, err := nats.Connect(r.url, nats.Name("bench-"+r.role), nats.NoReconnect(),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			select {
			case problems <- err:
			default:
			}
		}))
	if err != nil {
		return fmt.Errorf("connect to %s: %w", r.url, err)
	}
	defer nc.Close()
	switch r.role {
	case rolePublisher:
		err = publish(ctx, nc, r.file)
	case roleForwarder:
		err = forward(ctx, nc)
	case roleReceiver:
		err = receive(ctx, nc, r.file)
	default:
		err = errors.New("no such role")
	}
	select {
	case problem := <-problems:
		err = errors.Join(err, problem)
	default:
	}
	if err != nil {
		return fmt.Errorf("%s: %w", r.role, err)
	}
	return nil
}

// publish sends the file in chunks, at most window of them ahead of the
// receiver.
func publish(ctx context.Context, nc *nats.Conn, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	credits, err := nc.SubscribeSync(subjectCredit)
	if err != nil {
		return err
	}
	in := bufio.NewReaderSize(file, 1<<20)
	sent, received := 0, 0
	var body []byte
	for {
		if body, err = readChunk(in, body[:0]); err != nil {
			return err
		}
		if len(body) == 0 {
			break
		}
		for sent-received >= window {
			credit, err := credits.NextMsgWithContext(ctx)
			if err != nil {
				return fmt.Errorf("wait for the receiver: %w", err)
			}
			if received, err = strconv.Atoi(string(credit.Data)); err != nil {
				return err
			}
		}
		if err := nc.Publish(subjectChunk, body); err != nil {
			return err
		}
		sent++
	}
	if err := nc.Publish(subjectEnd, []byte(strconv.Itoa(sent))); err != nil {
		return err
	}
	return nc.Flush()
}

// readChunk appends the next lines to body; none are left when it adds none.
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

// forward maps chunks until it is interrupted.
func forward(ctx context.Context, nc *nats.Conn) error {
	mapping, err := newTransform()
	if err != nil {
		return err
	}
	defer mapping.Close()
	chunks, err := nc.QueueSubscribeSync(subjectChunk, "forwarders")
	if err != nil {
		return err
	}
	if err := announce(nc); err != nil {
		return err
	}
	var results []byte
	for {
		message, err := chunks.NextMsgWithContext(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		results = results[:0]
		for line := range bytes.Lines(message.Data) {
			if results, err = mapping.Map(ctx, bytes.TrimSuffix(line, []byte{'\n'}), results); err != nil {
				return err
			}
		}
		if err := nc.Publish(subjectResult, results); err != nil {
			return err
		}
	}
}

func newTransform() (transform.Transform, error) {
	spec, err := transform.Parse("users")
	if err != nil {
		return nil, err
	}
	return spec.New()
}

// receive writes results as they come, until all are there, and syncs.
func receive(ctx context.Context, nc *nats.Conn, path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close() // after an error; else it is closed already
	results, err := nc.SubscribeSync("bench.result.*")
	if err != nil {
		return err
	}
	if err := announce(nc); err != nil {
		return err
	}
	out := bufio.NewWriterSize(file, 256<<10)
	for received, total := 0, -1; received != total; {
		message, err := results.NextMsgWithContext(ctx)
		if err != nil {
			return fmt.Errorf("wait for results: %w", err)
		}
		if message.Subject == subjectEnd {
			if total, err = strconv.Atoi(string(message.Data)); err != nil {
				return err
			}
			continue
		}
		if _, err := out.Write(message.Data); err != nil {
			return err
		}
		if received++; received%creditEvery == 0 {
			if err := nc.Publish(subjectCredit, strconv.AppendInt(nil, int64(received), 10)); err != nil {
				return err
			}
		}
	}
	return errors.Join(out.Flush(), file.Sync(), file.Close())
}

// announce says, once the server knows of the subscription, that this role
// listens.
func announce(nc *nats.Conn) error {
	if err := nc.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, readyText)
	return nil
}
