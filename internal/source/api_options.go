package source

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/chunkline/chunkline/internal/webservice"
)

// An api is an HTTP API that returns JSON objects in pages.
type api struct {
	url    *url.URL // of the first page
	text   string   // as the user gave it
	access webservice.Credentials

	objects path   // where the objects of a page are; nil: the page is an array of them
	paging  string // how the next page is found
	next    selector
	param   string // query parameter for a cursor, page number or offset
	start   int    // first page number or offset
	total   selector
	counted bool // total has the number of all objects

	timeout time.Duration // of one request
	rate    rate.Limit    // requests a second
	retries int           // of one page
	most    int           // bytes of a page

	concurrency int  // pages that are fetched at the same time
	linkLocal   bool // may connect to link-local addresses

	dial dialer // nil: the network
}

// Kinds of paging.
const (
	byLink   = "link"   // the Link header with rel="next" (RFC 8288); also a single page
	byNext   = "next"   // a URL in the body
	byCursor = "cursor" // a cursor in the body or a header
	byPage   = "page"   // page numbers, until a page is empty
	byOffset = "offset" // offsets, until a page is empty
	noPaging = "none"   // a single page
)

const (
	apiForm     = "https://HOST/PATH#objects=.items&paging=cursor&at=.next_cursor"
	pageTimeout = 60 * time.Second // default of timeout=
	pageRetries = 5                // default of retries=
	maxRetries  = 100

	// maxConcurrency bounds memory, because each page may have maxPage bytes, and the load on the API.
	maxConcurrency = 32
)

func isAPI(spec string) bool {
	return strings.HasPrefix(spec, "http://") || strings.HasPrefix(spec, "https://")
}

// parseAPI reads a URL whose fragment holds the options. The fragment is never sent, so the whole query belongs to the
// API. Errors do not contain the URL, because a user may have put a password into it by mistake.
func parseAPI(spec string) (*api, error) {
	u, err := url.Parse(spec)
	switch {
	case err != nil || u.Hostname() == "":
		return nil, errors.New("it is not a URL; use " + apiForm)
	case u.User != nil:
		return nil, errors.New("the URL has a user name or a password, and everybody sees it: give secrets in SOURCE_TOKEN or SOURCE_HEADERS")
	case len(spec) > maxSpec:
		return nil, fmt.Errorf("the URL has more than %d bytes", maxSpec)
	}
	options, err := url.ParseQuery(u.EscapedFragment())
	if err != nil {
		return nil, fmt.Errorf("the options after # cannot be read; use %s", apiForm)
	}
	a := &api{text: spec, paging: byLink, timeout: pageTimeout, retries: pageRetries, rate: rate.Inf, most: maxPage, concurrency: 1}
	if options.Has("paging") {
		a.paging = options.Get("paging")
	}
	if a.paging == byPage {
		a.start = 1
	}
	for name, values := range options {
		if len(values) > 1 {
			return nil, fmt.Errorf("the option %s is there twice", name)
		}
		if err := a.set(name, values[0]); err != nil {
			return nil, fmt.Errorf("%s=%s: %w", name, values[0], err)
		}
	}
	u.Fragment, u.RawFragment = "", ""
	a.url = u
	return a, a.complete(options)
}

// set applies one option.
func (a *api) set(name, value string) (err error) {
	number := func(least, most int) (n int) {
		if n, err = strconv.Atoi(value); err != nil || n < least || n > most {
			err = fmt.Errorf("use a number from %d to %d", least, most)
		}
		return n
	}
	switch name {
	case "objects":
		a.objects, err = parsePath(value)
	case "paging":
		switch value {
		case byLink, byNext, byCursor, byPage, byOffset, noPaging:
		default:
			return errors.New("use link, next, cursor, page, offset or none")
		}
	case "at":
		a.next, err = parseSelector(value)
	case "total":
		a.counted = true
		a.total, err = parseSelector(value)
	case "concurrency":
		a.concurrency = number(1, maxConcurrency)
	case "param":
		if a.param = value; value == "" {
			return errors.New("name the query parameter")
		}
	case "start":
		a.start = number(0, 1<<31-1)
	case "retries":
		a.retries = number(0, maxRetries)
	case "timeout":
		if a.timeout, err = time.ParseDuration(value); err != nil || a.timeout <= 0 {
			return errors.New("use a duration above 0, such as 30s")
		}
	case "rate":
		perSecond, e := strconv.ParseFloat(value, 64)
		if a.rate = rate.Limit(perSecond); e != nil || !(perSecond > 0) {
			return errors.New("use a number of requests a second above 0")
		}
	case "link-local":
		if a.linkLocal = value == "yes"; !a.linkLocal {
			return errors.New("use yes, or leave it out")
		}
	default:
		return errors.New("there is no such option; use objects, paging, at, param, start, total, concurrency, rate, retries, timeout or link-local")
	}
	return err
}

// complete checks that the options fit together, and fills in defaults.
func (a *api) complete(options url.Values) error {
	searches := a.paging == byNext || a.paging == byCursor
	counts := a.paging == byPage || a.paging == byOffset
	switch {
	case searches && !options.Has("at"):
		return fmt.Errorf("paging=%s needs at=, where the body has it, as in at=.paging.next, or at=header:NAME", a.paging)
	case !searches && options.Has("at"):
		return errors.New("at= is for paging=next and paging=cursor")
	case !counts && options.Has("start"):
		return errors.New("start= is for paging=page and paging=offset")
	case !counts && options.Has("concurrency"):
		return errors.New("concurrency= is for paging=page and paging=offset, because with other kinds of paging only the next page is known")
	case !counts && a.paging != byCursor && options.Has("param"):
		return errors.New("param= is for paging=cursor, page and offset")
	}
	if a.param == "" {
		a.param = a.paging
	}
	return nil
}
