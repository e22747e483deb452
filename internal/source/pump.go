package source

import (
	"context"
	"io"
)

// A pump reads a stream in its own goroutine, because a read of stdin may wait forever and cannot be interrupted. The
// goroutine ends at the end of the stream, or when the read in progress at close returns.
type pump struct {
	full  chan block    // read and not yet used; has room for all blocks
	empty chan []byte   // free blocks
	stop  chan struct{} // closed by close
	done  chan struct{} // closed when the goroutine has ended

	// Used only by the caller of read.
	last block  // the block in use
	rest []byte // the unread part of last
	data []byte // of fetch
}

type block struct {
	data []byte
	err  error // the error after data, io.EOF at the end
}

const (
	pumpBlocks    = 2
	pumpBlockSize = 128 << 10

	// spooledBlocks are collected while a portion is spooled. Each portion waits for a sync, so portions of a fast
	// stream must be large.
	spooledBlocks = portionSize / pumpBlockSize
)

// newPump starts a pump for the stream that open opens; open may block, too. The pump's goroutine closes the stream. It
// reads at most blocks blocks ahead.
func newPump(blocks int, open func() (io.ReadCloser, error)) *pump {
	p := &pump{
		full:  make(chan block, blocks),
		empty: make(chan []byte, blocks),
		stop:  make(chan struct{}),
		done:  make(chan struct{}),
	}
	for range blocks {
		p.empty <- make([]byte, pumpBlockSize)
	}
	go p.run(open)
	return p
}

func (p *pump) run(open func() (io.ReadCloser, error)) {
	defer close(p.done)
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
	if err := p.take(ctx); err != nil {
		return 0, err
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

// fetch returns all blocks read so far, and waits if there is none.
func (p *pump) fetch(ctx context.Context) (portion, error) {
	if err := p.take(ctx); err != nil {
		return portion{}, err
	}
	p.data = append(p.data[:0], p.rest...)
	p.rest = nil
	for len(p.full) > 0 && p.last.err == nil && len(p.data)+pumpBlockSize <= portionSize {
		_ = p.take(ctx) // the next call returns the error again
		p.data = append(p.data, p.rest...)
		p.rest = nil
	}
	return portion{data: p.data}, nil
}

// take waits until a block is available.
func (p *pump) take(ctx context.Context) error {
	for len(p.rest) == 0 {
		if p.last.err != nil {
			return p.last.err
		}
		if p.last.data != nil {
			p.empty <- p.last.data[:pumpBlockSize]
			p.last = block{}
		}
		select {
		case p.last = <-p.full:
			p.rest = p.last.data
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (p *pump) close() error {
	close(p.stop)
	return nil
}
