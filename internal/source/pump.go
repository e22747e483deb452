package source

import (
	"context"
	"io"
)

// A pump reads a stream in a goroutine of its own, because a read of stdin may
// wait for ever and nothing can interrupt it. The goroutine ends with the
// stream, or when the pump is closed and its last read returns.
type pump struct {
	full  chan block    // read, not used; holds all blocks there are
	empty chan []byte   // used up
	stop  chan struct{} // closed by close

	// Only the caller of read.
	last block  // the block in use
	rest []byte // what is left of it
}

type block struct {
	data []byte
	err  error // what the stream ended with, behind data
}

const (
	pumpBlocks    = 2
	pumpBlockSize = 128 << 10
)

// newPump starts a pump of the stream that open opens, which may wait as well.
// The pump's goroutine closes the stream. It reads two blocks ahead, no more.
func newPump(open func() (io.ReadCloser, error)) *pump {
	p := &pump{
		full:  make(chan block, pumpBlocks),
		empty: make(chan []byte, pumpBlocks),
		stop:  make(chan struct{}),
	}
	for range pumpBlocks {
		p.empty <- make([]byte, pumpBlockSize)
	}
	go p.run(open)
	return p
}

func (p *pump) run(open func() (io.ReadCloser, error)) {
	r, err := open()
	if err != nil {
		p.full <- block{err: err}
		return
	}
	defer func() { _ = r.Close() }() // it was only read
	for err == nil {
		select {
		case b := <-p.empty:
			var n int
			n, err = r.Read(b)
			p.full <- block{data: b[:n], err: err} // there is room for every block
		case <-p.stop:
			return
		}
	}
}

func (p *pump) read(ctx context.Context, b []byte) (int, error) {
	for len(p.rest) == 0 {
		if p.last.err != nil {
			return 0, p.last.err
		}
		if p.last.data != nil {
			p.empty <- p.last.data[:pumpBlockSize]
			p.last = block{}
		}
		select {
		case p.last = <-p.full:
			p.rest = p.last.data
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

func (p *pump) close() error {
	close(p.stop)
	return nil
}
