package bus

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/chunkline/chunkline/internal/wire"
)

// drainPoll is how often stop checks whether all subscriptions have ended. nats.go has no notification for those of a
// micro service.
const drainPoll = 5 * time.Millisecond

// listening is a Listener and the connection that has its subscriptions. Its fields are guarded by
// natsTransport.serving.
type listening struct {
	Listener
	nc    *nats.Conn // nil: none so far
	end   func()
	added int // number of subscriptions
}

// Listen implements Transport. Without a connection it returns at once, and the subscriptions begin when there is one.
func (t *natsTransport) Listen(listener Listener) (stop func(context.Context), err error) {
	t.serving.Lock()
	defer t.serving.Unlock()
	if err := t.link.reason(); err != nil {
		return nil, err
	}
	l := &listening{Listener: listener}
	if nc := t.nc.Load(); nc != nil && t.link.live.Load() {
		if err := t.begin(l, nc); err != nil && (!errors.Is(err, nats.ErrConnectionClosed) || t.link.reason() != nil) {
			return nil, sendError(err)
		}
	}
	t.listening[l] = struct{}{}
	ended := make(chan struct{})
	ending := make(chan struct{}, 1)
	ending <- struct{}{}
	return func(ctx context.Context) {
		select {
		case <-ending: // the first call unsubscribes; every call waits
			if !t.owned.run(func() { defer close(ended); t.drain(ctx, l) }) {
				close(ended) // the connection is closed, and its subscriptions with it
			}
		default:
		}
		select {
		case <-ended:
		case <-ctx.Done():
		}
	}, nil
}

// begin makes the subscriptions of l at nc. The caller holds serving.
func (t *natsTransport) begin(l *listening, nc *nats.Conn) error {
	listen := t.listenFound
	if l.Hidden {
		listen = t.listenHidden
	}
	before := nc.NumSubscriptions()
	end, err := listen(nc, l.Listener)
	if err != nil {
		return err
	}
	l.nc, l.end, l.added = nc, end, nc.NumSubscriptions()-before
	return nil
}

// drain ends the subscriptions of l, and waits until the messages that they have received are handled or ctx ends.
func (t *natsTransport) drain(ctx context.Context, l *listening) {
	t.serving.Lock()
	defer t.serving.Unlock()
	delete(t.listening, l)
	if l.nc == nil {
		return
	}
	left := l.nc.NumSubscriptions() - l.added
	l.end()
	tick := time.NewTicker(drainPoll)
	defer tick.Stop()
	for t.link.live.Load() && l.nc.NumSubscriptions() > left {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// limit returns how many bytes may wait for a topic's handler.
func limit(topic Topic) int {
	if topic.Name == verbPart {
		return pendingPartsBytes
	}
	return pendingBytes
}

// listenFound subscribes as a service that `nats micro ls` shows.
func (t *natsTransport) listenFound(nc *nats.Conn, l Listener) (end func(), err error) {
	version, metadata := semVer(l.Version)
	service, err := micro.AddService(nc, micro.Config{
		Name: l.Name, Version: version, Description: l.Description, Metadata: metadata,
	})
	if err != nil {
		return nil, fmt.Errorf("register service: %w", err)
	}
	end = func() {
		if err := service.Stop(); err != nil {
			t.log.Debug().Err(err).Msg("stop service")
		}
	}
	for _, topic := range l.Topics {
		options := []micro.EndpointOpt{
			micro.WithEndpointSubject(topic.Subject), micro.WithEndpointPendingLimits(pendingMessages, limit(topic)),
			micro.WithEndpointQueueGroup(topic.Queue),
		}
		if topic.Queue == "" {
			options = append(options, micro.WithEndpointQueueGroupDisabled())
		}
		err := service.AddEndpoint(topic.Name, micro.HandlerFunc(func(r micro.Request) {
			t.handle(topic, &nats.Msg{Subject: r.Subject(), Reply: r.Reply(), Header: nats.Header(r.Headers()), Data: r.Data()})
		}), options...)
		if err != nil {
			end()
			return nil, fmt.Errorf("add endpoint %s: %w", topic.Name, err)
		}
	}
	return end, nil
}

// listenHidden subscribes without announcing a service.
func (t *natsTransport) listenHidden(nc *nats.Conn, l Listener) (end func(), err error) {
	var subs []*nats.Subscription
	end = func() {
		for _, sub := range subs {
			if err := sub.Drain(); err != nil {
				t.log.Debug().Err(err).Str("subject", sub.Subject).Msg("unsubscribe")
			}
		}
	}
	for _, topic := range l.Topics {
		sub, err := nc.QueueSubscribe(topic.Subject, topic.Queue, func(m *nats.Msg) { t.handle(topic, m) })
		if err == nil {
			subs = append(subs, sub)
			err = sub.SetPendingLimits(pendingMessages, limit(topic))
		}
		if err != nil {
			end()
			return nil, fmt.Errorf("subscribe to %s: %w", topic.Subject, err)
		}
	}
	return end, nil
}

// handle passes a message to its topic.
func (t *natsTransport) handle(topic Topic, m *nats.Msg) {
	t.count(m)
	d := Delivery{Subject: m.Subject, Message: received(m)}
	switch reply := m.Reply; {
	case strings.HasPrefix(reply, inboxRoot):
		d.Reply = func(m wire.Message) error {
			if err := t.link.usable(); err != nil {
				return err
			}
			return t.push(reply, m)
		}
	case reply != "":
		t.asyncFails.Add(1)
		t.log.Debug().Str("subject", m.Subject).Str("reply", wire.Clip(reply, wire.MaxLabel)).
			Msg("not replying to a subject that is not an inbox")
	}
	topic.Handle(d)
}

// semVerText matches what nats.go's micro package accepts as a version.
var semVerText = regexp.MustCompile(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)` +
	`(?:-((?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?` +
	`(?:\+([0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*))?$`)

// semVer returns a version that discovery accepts. It puts any other version into the metadata, as "version".
func semVer(version string) (string, map[string]string) {
	if short := strings.TrimPrefix(version, "v"); semVerText.MatchString(short) {
		return short, nil
	}
	return "0.0.0", map[string]string{"version": version}
}
