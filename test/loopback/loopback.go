// Package loopback gives tests addresses that no other process uses, so that a test can
// start a server at an address later, or restart it there.
//
// A port that the kernel chose for a listener is free again once the listener is closed:
// another listener or an outgoing connection may get it. The ports of this package are
// below those that Linux assigns (net.ipv4.ip_local_port_range begins at 32768), in a
// block that belongs to this process.
package loopback

import (
	"net"
	"strconv"
	"sync"
)

const (
	first  = 10_000 // below are the ports of well-known servers; from 30,000 on, those of Kubernetes' services
	blocks = 40
	size   = 500 // ports of a block; its first one is the lock of the others
)

var held struct {
	sync.Mutex
	lock net.Listener // never closed: the kernel does it when the process ends
	base int
	next int
}

// Address returns an address of 127.0.0.1 on which no process listens. A process gets
// the same one again only after 498 others. Address panics if none is left.
func Address() string {
	held.Lock()
	defer held.Unlock()
	if held.lock == nil {
		claim()
	}
	for range size {
		held.next = held.next%(size-1) + 1
		if l, err := listen(held.base + held.next); err == nil {
			_ = l.Close()
			return l.Addr().String()
		}
	}
	panic("find a free port: all of this process's are taken")
}

// claim reserves the first free block of ports. The caller holds the mutex.
func claim() {
	for i := range blocks {
		base := first + i*size
		if l, err := listen(base); err == nil {
			held.lock, held.base = l, base
			return
		}
	}
	panic("find free ports: every block of them is taken")
}

func listen(port int) (net.Listener, error) {
	return net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
}
