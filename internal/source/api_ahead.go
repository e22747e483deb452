package source

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"sync"
)

// ahead prefetches pages that will probably be needed. One goroutine uses it. Wrong guesses, such as a page after the
// last one, are dropped together with their errors.
type ahead struct {
	get func(ctx context.Context, url string) (http.Header, json.RawMessage, error)

	ctx     context.Context // ends at close, or with the context of a take
	cancel  context.CancelFunc
	running sync.WaitGroup
	asked   []request // in the order of the pages
}

// A request for a page is in progress or answered.
type request struct {
	url    string
	answer chan answer // has room for it
	cancel context.CancelFunc
}

type answer struct {
	header http.Header
	body   json.RawMessage
	err    error
}

// take returns the page at the first of these URLs, and prefetches the others, which probably follow it.
func (a *ahead) take(ctx context.Context, urls []string) (http.Header, json.RawMessage, error) {
	stop := context.AfterFunc(ctx, a.cancel)
	defer stop()
	for i, url := range urls {
		if i < len(a.asked) && a.asked[i].url != url {
			for _, wrong := range a.asked[i:] {
				wrong.cancel()
			}
			a.asked = a.asked[:i]
		}
		if i == len(a.asked) {
			a.asked = append(a.asked, a.ask(url)) //nolint:contextcheck // a request outlives the take that makes it
		}
	}
	first := a.asked[0]
	a.asked = a.asked[1:]
	defer first.cancel()
	select {
	case page := <-first.answer:
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		return page.header, page.body, page.err
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
}

func (a *ahead) ask(url string) request {
	ctx, cancel := context.WithCancel(a.ctx)
	r := request{url: url, answer: make(chan answer, 1), cancel: cancel}
	a.running.Go(func() {
		header, body, err := a.get(ctx, url)
		r.answer <- answer{header, body, err}
	})
	return r
}

// close ends all requests.
func (a *ahead) close() {
	a.cancel()
	a.running.Wait()
}

// following returns the URL of the next page, and the URLs of the pages after it, assuming that each page is as long as
// the last one.
func (p *pages) following() []string {
	urls := []string{p.at.Next}
	for i := 1; i < p.concurrency; i++ {
		next, number := *p.url, p.start+p.at.Pages+i
		if p.paging == byOffset {
			if p.step == 0 { // no page has been read yet
				return urls
			}
			number = p.start + p.at.Objects + i*p.step
		}
		p.setParam(&next, strconv.Itoa(number))
		urls = append(urls, next.String())
	}
	return urls
}
