package bustest

import (
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/chunkline/chunkline/internal/wire"
)

// Options are the options of a network.
type Options struct {
	MaxPayload int    // most bytes of a message; 0: 1 MiB
	Seed       uint64 // decides which member of a queue group gets a message
}

// A Packet is a message on its way to one receiver.
type Packet struct {
	From, To string // names of connections
	Subject  string
	Reply    bool // an answer; Subject is then that of the request
	wire.Message
	Question wire.Message // of an answer: the request, as it was sent
}

// Fate is what happens to a packet. The zero value delivers it at once.
type Fate struct {
	Drop    bool          // it never arrives
	Copies  int           // it arrives this many times more
	Delay   time.Duration // it arrives later; others may overtake it
	Reorder bool          // the next packet to the same receiver overtakes it
	Corrupt bool          // a bit of its body flips; without a body its protocol version
}

// reorderWithin is the longest time that a packet waits for another to overtake it.
const reorderWithin = 10 * time.Millisecond

// A Memory is a network. All methods may be called from several goroutines.
type Memory struct {
	maxPayload int

	mu    sync.Mutex
	rand  *rand.Rand                 // guarded by mu
	conns []*Conn                    // guarded by mu
	subs  map[string][]*subscription // guarded by mu; by subject
	hook  func(Packet) Fate          // guarded by mu
	held  map[string][]func()        // guarded by mu; by receiver: packets to be overtaken

	paused map[string]bool // guarded by mu; connections that neither send nor receive
	kept   []keptPacket    // guarded by mu; packets from and to them, in order
}

// NewMemory returns a network without faults.
func NewMemory(o Options) *Memory {
	if o.MaxPayload == 0 {
		o.MaxPayload = 1 << 20
	}
	return &Memory{
		maxPayload: o.MaxPayload, rand: rand.New(rand.NewPCG(o.Seed, 0)),
		subs: map[string][]*subscription{}, held: map[string][]func(){}, paused: map[string]bool{},
	}
}

// SetHook lets hook decide the fate of packets from now on; nil ends the faults. hook is called for one packet at a
// time and must not block.
func (n *Memory) SetHook(hook func(Packet) Fate) {
	var turn sync.Mutex
	n.mu.Lock()
	defer n.mu.Unlock()
	if hook == nil {
		n.hook = nil
		return
	}
	n.hook = func(p Packet) Fate {
		turn.Lock()
		defer turn.Unlock()
		return hook(p)
	}
}

// Rates are the probabilities of faults, each from 0 to 1.
type Rates struct {
	Drop, Duplicate, Delay, Reorder, Corrupt float64
	MaxDelay                                 time.Duration // delays are from 0 to this
}

// Random returns a hook that decides at random for each packet.
func Random(seed uint64, r Rates) func(Packet) Fate {
	dice := rand.New(rand.NewPCG(seed, 1))
	return func(Packet) Fate {
		fate := Fate{
			Drop: dice.Float64() < r.Drop, Reorder: dice.Float64() < r.Reorder, Corrupt: dice.Float64() < r.Corrupt,
		}
		if dice.Float64() < r.Duplicate {
			fate.Copies = 1
		}
		if dice.Float64() < r.Delay {
			fate.Delay = time.Duration(dice.Float64() * float64(r.MaxDelay))
		}
		return fate
	}
}

// Connect makes a connection. The name is for packets; several connections may have the same.
func (n *Memory) Connect(name string) *Conn {
	c := newConn(n, name)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conns = append(n.conns, c)
	return c
}

// Away disconnects all connections, as if the server had stopped.
func (n *Memory) Away() {
	for _, c := range n.all() {
		c.Disconnect()
	}
}

// Back reconnects all connections.
func (n *Memory) Back() {
	for _, c := range n.all() {
		c.Reconnect()
	}
}

func (n *Memory) all() []*Conn {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]*Conn(nil), n.conns...)
}

// receivers picks the subscriptions that get a message to subject.
func (n *Memory) receivers(subject string) []*subscription {
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []*subscription
	groups := map[string][]*subscription{}
	var names []string // in a fixed order, for the seed's sake
	for _, s := range n.subs[subject] {
		switch queue := s.topic.Queue; {
		case !s.conn.Online():
		case queue == "":
			all = append(all, s)
		default:
			if groups[queue] == nil {
				names = append(names, queue)
			}
			groups[queue] = append(groups[queue], s)
		}
	}
	for _, name := range names {
		all = append(all, groups[name][n.rand.IntN(len(groups[name]))])
	}
	return all
}

// carry delivers a packet to its receiver, as the hook decides.
func (n *Memory) carry(p Packet, deliver func(wire.Message)) {
	n.mu.Lock()
	hook := n.hook
	n.mu.Unlock()
	var fate Fate
	if hook != nil {
		fate = hook(p)
	}
	if fate.Drop {
		n.overtake(p.To)
		return
	}
	m := p.Message
	if fate.Corrupt {
		m = damaged(m)
	}
	for range 1 + fate.Copies {
		switch {
		case fate.Delay > 0:
			time.AfterFunc(fate.Delay, func() { n.arrive(p, func() { deliver(m) }) })
		case fate.Reorder:
			n.hold(p.To, func() { n.arrive(p, func() { deliver(m) }) })
		default:
			n.arrive(p, func() { deliver(m) })
		}
	}
	if !fate.Reorder {
		n.overtake(p.To)
	}
}

// hold keeps a packet until another was delivered to the same receiver.
func (n *Memory) hold(to string, deliver func()) {
	var once sync.Once
	late := func() { once.Do(deliver) }
	n.mu.Lock()
	n.held[to] = append(n.held[to], late)
	n.mu.Unlock()
	time.AfterFunc(reorderWithin, late)
}

// overtake delivers the held packets of a receiver.
func (n *Memory) overtake(to string) {
	n.mu.Lock()
	held := n.held[to]
	delete(n.held, to)
	n.mu.Unlock()
	for _, deliver := range held {
		deliver()
	}
}

// damaged returns a damaged copy of m.
func damaged(m wire.Message) wire.Message {
	if len(m.Body) == 0 {
		header := wire.Header{}
		maps.Copy(header, m.Header)
		header["Chunkline-Protocol"] = "damaged"
		return wire.Message{Header: header}
	}
	body := append([]byte(nil), m.Body...)
	body[len(body)/2] ^= 0x04
	return wire.Message{Header: m.Header, Body: body}
}
