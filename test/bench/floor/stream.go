//go:build bench

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"github.com/chunkline/chunkline/test/bench/corenats"
)

// The stream roles use two JetStream work queues, for chunks and for results, on file
// storage with default settings. A forwarder acknowledges a chunk when its result is
// stored, and the receiver a result when it is synced. So nothing is lost, and a dead
// forwarder's chunk is redelivered. No role waits for an answer before it sends the next
// message.
const (
	streamChunks  = "CHUNKS"
	streamResults = "RESULTS"
	consumer      = "all"
)

// createQueue creates a work queue of the messages on a subject.
func createQueue(ctx context.Context, js jetstream.JetStream, name, subject string) (jetstream.Consumer, error) {
	_, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: name, Subjects: []string{subject}, Retention: jetstream.WorkQueuePolicy})
	if err != nil {
		return nil, fmt.Errorf("create stream %s: %w", name, err)
	}
	queue, err := js.CreateConsumer(ctx, name, jetstream.ConsumerConfig{Durable: consumer, AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		return nil, fmt.Errorf("create consumer of %s: %w", name, err)
	}
	return queue, nil
}

func streamReceive(path string) func(context.Context, *nats.Conn) error {
	return func(ctx context.Context, nc *nats.Conn) error {
		js, err := jetstream.New(nc)
		if err != nil {
			return err
		}
		if _, err := createQueue(ctx, js, streamChunks, corenats.SubjectChunk); err != nil {
			return err
		}
		results, err := createQueue(ctx, js, streamResults, corenats.SubjectResult)
		if err != nil {
			return err
		}
		return corenats.Receiver{
			Path: path,
			Subscribe: func(incoming chan<- *nats.Msg) error {
				_, err := results.Consume(func(result jetstream.Msg) { // until nc is closed
					incoming <- &nats.Msg{Subject: result.Subject(), Reply: result.Reply(), Data: result.Data()}
				})
				return err
			},
			Saved: func(saved []*nats.Msg, _ int) error {
				for _, result := range saved {
					if err := nc.Publish(result.Reply, []byte("+ACK")); err != nil {
						return fmt.Errorf("acknowledge a result: %w", err)
					}
				}
				return nil
			},
		}.Run(ctx, nc)
	}
}

func streamPublish(path string) func(context.Context, *nats.Conn) error {
	return func(ctx context.Context, nc *nats.Conn) error {
		js, err := jetstream.New(nc)
		if err != nil {
			return err
		}
		sent := 0
		err = corenats.EachChunk(path, func(body []byte) error {
			sent++
			_, err := js.PublishAsync(corenats.SubjectChunk, slices.Clone(body))
			return err
		})
		if err != nil {
			return fmt.Errorf("publish %s: %w", path, err)
		}
		select {
		case <-js.PublishAsyncComplete():
		case <-ctx.Done():
			return ctx.Err()
		}
		return corenats.PublishEnd(nc, sent)
	}
}

// mapped is a chunk whose result is being stored.
type mapped struct {
	chunk  jetstream.Msg
	stored jetstream.PubAckFuture
}

const mostMapped = 256 // of a forwarder

// streamForward maps chunks, and waits for each a while, as a call of a service would.
func streamForward(mapLine corenats.MapLine, each time.Duration) func(context.Context, *nats.Conn) error {
	return func(ctx context.Context, nc *nats.Conn) error {
		js, err := jetstream.New(nc)
		if err != nil {
			return err
		}
		queue, err := js.Consumer(ctx, streamChunks, consumer)
		if err != nil {
			return fmt.Errorf("find the consumer: %w", err)
		}
		chunks, err := queue.Messages()
		if err != nil {
			return fmt.Errorf("consume chunks: %w", err)
		}
		if err := corenats.Announce(nc); err != nil {
			return err
		}
		group, ctx := errgroup.WithContext(ctx)
		defer context.AfterFunc(ctx, chunks.Stop)()
		waiting := make(chan mapped, mostMapped)
		group.Go(func() error {
			defer close(waiting)
			for {
				chunk, err := chunks.Next()
				if errors.Is(err, jetstream.ErrMsgIteratorClosed) {
					return nil
				}
				if err != nil {
					return fmt.Errorf("wait for chunks: %w", err)
				}
				results, err := corenats.MapChunk(mapLine, chunk.Data(), make([]byte, 0, len(chunk.Data())))
				if err != nil {
					return err
				}
				if err := pause(ctx, each); err != nil {
					return nil // the role ends
				}
				stored, err := js.PublishAsync(corenats.SubjectResult, results)
				if err != nil {
					return fmt.Errorf("publish results: %w", err)
				}
				select {
				case waiting <- mapped{chunk, stored}:
				case <-ctx.Done():
					return nil
				}
			}
		})
		group.Go(func() error {
			for m := range waiting {
				select {
				case <-m.stored.Ok():
				case err := <-m.stored.Err():
					return fmt.Errorf("store a result: %w", err)
				case <-ctx.Done():
					return nil
				}
				if err := m.chunk.Ack(); err != nil {
					return fmt.Errorf("acknowledge a chunk: %w", err)
				}
			}
			return nil
		})
		return group.Wait()
	}
}
