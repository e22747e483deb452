package bustest

// keptPacket is a packet from or to a paused connection.
type keptPacket struct {
	from, to string
	deliver  func()
}

// Pause keeps all packets from and to the connections of that name, in order, until Resume. To the others the process
// seems to be stopped, but its own clock continues.
func (n *Memory) Pause(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.paused[name] = true
}

// Resume delivers the kept packets in order.
func (n *Memory) Resume(name string) {
	for _, p := range n.unpause(name) {
		n.arrive(Packet{From: p.from, To: p.to}, p.deliver) // the other end may be paused, too
	}
}

// unpause ends a pause and returns the packets that it has kept.
func (n *Memory) unpause(name string) (mine []keptPacket) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.paused, name)
	var others []keptPacket
	for _, p := range n.kept {
		if p.from == name || p.to == name {
			mine = append(mine, p)
		} else {
			others = append(others, p)
		}
	}
	n.kept = others
	return mine
}

// arrive delivers a packet, unless one of its ends is paused.
func (n *Memory) arrive(p Packet, deliver func()) {
	n.mu.Lock()
	if n.paused[p.From] || n.paused[p.To] {
		n.kept = append(n.kept, keptPacket{from: p.From, to: p.To, deliver: deliver})
		n.mu.Unlock()
		return
	}
	n.mu.Unlock()
	deliver()
}
