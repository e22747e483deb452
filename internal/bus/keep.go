package bus

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// connectPatience is how long Connect waits for the first attempt to connect.
	connectPatience = time.Second

	// What nats.go has closed is made anew after reconnectWait, then after twice
	// as long each time, unless it has lasted.
	maxRenewWait = 10 * time.Second
	lasting      = 30 * time.Second
)

// keep makes a connection, and another one when nats.go has closed it for a
// reason that may pass, until the transport is closed for good. It tells first
// how the first attempt went; an error is a wrong setting.
//
// nats.go connects again by itself after most losses. It gives up after an
// error of the server (-ERR) that it does not know: a message beyond a
// max_payload that was lowered, a server that shuts down or sheds load.
func (t *natsTransport) keep(open func() (*nats.Conn, error), first chan<- error) {
	wait := reconnectWait
	for attempt := 0; t.link.reason() == nil; attempt++ {
		began := time.Now()
		nc, err := open()
		switch {
		case err != nil && attempt == 0:
			first <- err
			return
		case err != nil:
			t.link.down(errors.New(safe(err)))
		default:
			t.nc.Store(nc)
			if t.link.reason() != nil { // whoever closed did not know of it
				nc.Close()
				return
			}
			if attempt == 0 {
				if nc.Status() == nats.CONNECTED {
					<-t.told // the handler that says so has been called or will be
				}
				first <- nil
			}
			select {
			case <-t.broken:
			case <-t.link.closed:
				return
			}
		}
		if time.Since(began) >= lasting {
			wait = reconnectWait
		}
		pause := time.NewTimer(wait + rand.N(reconnectSpray))
		select {
		case <-pause.C:
		case <-t.link.closed:
			pause.Stop()
			return
		}
		wait = min(2*wait, maxRenewWait)
	}
}

func (t *natsTransport) tell() { t.toldOnce.Do(func() { close(t.told) }) }

// giveUp notes that the connection is closed for good.
func (t *natsTransport) giveUp(why error) {
	t.link.shut(fmt.Errorf("%w: %w", ErrClosed, why))
	t.inbox.fail(t.link.reason())
}

// connected is called when a connection is made. Those who wait for it may
// then use what they subscribed to.
func (t *natsTransport) connected(nc *nats.Conn) {
	if limit := nc.MaxPayload(); limit > 0 {
		t.maxPayload.Store(limit)
	}
	if t.greet && !nc.AuthRequired() {
		t.openOnce.Do(func() { t.sayOpen(nc.ConnectedAddr()) })
	}
	t.serving.Lock()
	defer t.serving.Unlock()
	t.nc.Store(nc)
	if err := t.resume(nc); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		t.giveUp(err)
		nc.Close()
	}
	if t.wasUp.Swap(true) {
		t.reconnects.Add(1)
	}
	t.link.up()
	t.tell()
}

// resume subscribes to what nc, if it is new, is not yet subscribed to. The
// caller holds serving.
func (t *natsTransport) resume(nc *nats.Conn) error {
	if t.answering != nc {
		sub, err := nc.Subscribe(t.inbox.prefix+"*", t.answered)
		if err == nil {
			err = sub.SetPendingLimits(pendingMessages, pendingPartsBytes)
		}
		if err != nil {
			return fmt.Errorf("subscribe to answers: %w", err)
		}
		t.answering = nc
	}
	for l := range t.listening {
		if l.nc != nc {
			if err := t.begin(l, nc); err != nil {
				return err
			}
		}
	}
	return nil
}

// disconnected is called when the connection breaks, and each time that making
// it fails. Answers that were awaited will not come: the subscription was gone.
func (t *natsTransport) disconnected(_ *nats.Conn, err error) {
	t.link.down(t.dials.explain(err))
	t.inbox.fail(ErrOffline)
	t.tell()
}

// closed is called when nats.go has given up, or was told to. Only that the
// server denies something is final.
func (t *natsTransport) closed(nc *nats.Conn) {
	err := nc.LastError()
	if why := denied(err); why != nil {
		t.giveUp(why)
	}
	if err == nil {
		err = errors.New("no reason was given")
	}
	t.disconnected(nc, err)
	select {
	case t.broken <- struct{}{}:
	default:
	}
}
