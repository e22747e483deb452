package source

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/chunkline/chunkline/internal/webservice"
)

func (a *api) restart() restart { return goesOn }

// begin starts at the first page, or after the page with this next.
func (a *api) begin(next json.RawMessage) (upstream, error) {
	header, err := a.access.Header("SOURCE", http.Header{"Accept": {"application/json"}, "User-Agent": {"chunkline"}})
	if err != nil {
		return nil, err
	}
	p := &pages{api: a, header: header, client: a.client(), limit: rate.NewLimiter(a.rate, 1)}
	first := *a.url
	if a.paging == byPage || a.paging == byOffset {
		a.setParam(&first, strconv.Itoa(a.start))
	}
	p.ahead = &ahead{get: p.get}
	p.ahead.ctx, p.ahead.cancel = context.WithCancel(context.Background())
	p.at = position{Next: first.String(), Power: 1}
	if next != nil {
		if err := json.Unmarshal(next, &p.at); err != nil {
			return nil, fmt.Errorf("read position in the API: %w", err)
		}
	}
	return p, nil
}

func (a *api) setParam(u *url.URL, value string) {
	query := u.Query()
	query.Set(a.param, value)
	u.RawQuery = query.Encode()
}

// pages reads the pages of an API in their order.
type pages struct {
	*api

	header http.Header
	client *http.Client
	ahead  *ahead
	at     position
	step   int // number of objects in the last page that had any

	limit *rate.Limiter // of all requests
	mu    sync.Mutex
	after time.Time // guarded by mu; the API asked for no requests before this time
}

// A position is where reading continues. It is kept in the spool.
type position struct {
	Next    string `json:"next"`            // URL of the next page; "" after the last one
	Pages   int    `json:"pages"`           // read so far
	Objects int    `json:"objects"`         // in them
	Empty   int    `json:"empty,omitempty"` // number of pages without objects at the end
	Page    string `json:"page,omitempty"`  // hash of the last page with objects
	Last    string `json:"last,omitempty"`  // hash of its last object
	Total   *int   `json:"total,omitempty"` // the last number found by total=

	// Checkpoint is the URL of an earlier page, which must not recur, and CheckPage the hash of that page. They are
	// replaced after 1, 2, 4 … pages, so a loop of any length is found (Brent, 1980) without a list of all pages.
	Checkpoint string `json:"checkpoint,omitempty"`
	CheckPage  string `json:"check_page,omitempty"`
	Power      int    `json:"power"`
}

// maxEmpty is how many consecutive pages may have no objects.
const maxEmpty = 1000

// fetch returns the objects of the next page as JSON Lines.
func (p *pages) fetch(ctx context.Context) (portion, error) {
	if p.at.Next == "" {
		return portion{}, io.EOF
	}
	header, body, err := p.ahead.take(ctx, p.following())
	if err != nil {
		return portion{}, p.wrap(err)
	}
	var objects []json.RawMessage
	if body != nil {
		if objects, err = p.find(body); err != nil {
			return portion{}, p.wrap(err)
		}
	}
	next, err := p.nextURL(header, body, len(objects))
	if err == nil {
		err = p.checkTotal(header, body, p.at.Objects+len(objects), next == "")
	}
	if err == nil {
		err = p.advance(next, objects)
	}
	if err != nil {
		return portion{}, p.wrap(err)
	}
	position, err := json.Marshal(p.at)
	if err != nil {
		return portion{}, err
	}
	var lines bytes.Buffer
	for _, object := range objects {
		_ = json.Compact(&lines, object) // it was decoded, so it is valid JSON
		lines.WriteByte('\n')
	}
	return portion{data: lines.Bytes(), next: position}, nil
}

func (p *pages) wrap(err error) error { return fmt.Errorf("page %d: %w", p.at.Pages+1, err) }

// find returns the objects of a page. A path with [] selects the objects themselves, any other path the array that
// holds them.
func (p *pages) find(body json.RawMessage) ([]json.RawMessage, error) {
	var objects []json.RawMessage
	if p.objects == nil {
		if json.Unmarshal(body, &objects) != nil || body[0] != '[' {
			return nil, errors.New("it is not an array: say where the objects are, as in #objects=.items" + arraysOf(body))
		}
		return objects, nil
	}
	found, err := p.objects.find(body)
	switch {
	case err != nil:
		return nil, fmt.Errorf("objects=: %w", err)
	case slices.ContainsFunc(p.objects, func(s step) bool { return s.kind == each }):
		return found, nil
	}
	for _, value := range found {
		var elements []json.RawMessage
		if json.Unmarshal(value, &elements) != nil {
			return nil, errors.New("objects=: it finds something other than an array")
		}
		objects = append(objects, elements...)
	}
	return objects, nil
}

// arraysOf returns a hint that lists the members of a page that are arrays.
func arraysOf(body json.RawMessage) string {
	var members map[string]json.RawMessage
	if json.Unmarshal(body, &members) != nil {
		return ""
	}
	for name, value := range members {
		if value[0] == '[' {
			return fmt.Sprintf("; it has an array called %q", name)
		}
	}
	return ""
}

// nextURL returns the URL of the next page, "" if there is none.
func (p *pages) nextURL(header http.Header, body json.RawMessage, objects int) (string, error) {
	next := *p.url
	switch p.paging {
	case noPaging:
		return "", nil
	case byPage, byOffset:
		if objects == 0 {
			return "", nil
		}
		number := p.start + p.at.Pages + 1
		if p.paging == byOffset {
			number = p.start + p.at.Objects + objects
		}
		p.setParam(&next, strconv.Itoa(number))
		return next.String(), nil
	}
	found := ""
	if p.paging == byLink {
		found = nextLink(header.Values("Link"))
	} else if body != nil {
		var err error
		if found, err = p.next.find(header, body); err != nil {
			return "", fmt.Errorf("at=: %w", err)
		}
	}
	switch {
	case found == "":
		return "", nil
	case p.paging == byCursor:
		p.setParam(&next, found)
		return next.String(), nil
	}
	current, err := url.Parse(p.at.Next)
	if err != nil {
		return "", fmt.Errorf("read the URL of the page: %w", err)
	}
	target, err := current.Parse(found)
	switch {
	case err != nil:
		return "", errors.New("the URL of the next page cannot be read")
	case target.Scheme != p.url.Scheme || target.Host != p.url.Host || target.User != nil:
		return "", fmt.Errorf("the next page is at %s://%s, and credentials are sent to one host only: name the API as it names itself", target.Scheme, target.Host)
	}
	target.Fragment, target.RawFragment = "", ""
	for _, secret := range webservice.Secrets(p.header) {
		if text := target.String(); strings.Contains(text, secret) || strings.Contains(text, url.QueryEscape(secret)) {
			return "", errors.New("the API repeats a secret in the URL of the next page, which would be written down; use another kind of paging")
		}
	}
	return target.String(), nil
}

// nextLink returns the URL with rel="next" in Link headers (RFC 8288).
func nextLink(headers []string) string {
	for _, header := range headers {
		for {
			_, rest, ok := strings.Cut(header, "<")
			if !ok {
				break
			}
			target, rest, ok := strings.Cut(rest, ">")
			if !ok {
				break
			}
			parameters, _, _ := strings.Cut(rest, "<")
			header = rest
			for parameter := range strings.FieldsFuncSeq(parameters, func(r rune) bool { return r == ';' || r == ',' }) {
				name, value, _ := strings.Cut(parameter, "=")
				relations := strings.Fields(strings.ToLower(strings.Trim(strings.TrimSpace(value), `"`)))
				if !strings.EqualFold(strings.TrimSpace(name), "rel") {
					continue
				}
				if slices.Contains(relations, "next") {
					return target
				}
			}
		}
	}
	return ""
}

// advance moves to the next page. It fails if the API makes no progress.
func (p *pages) advance(next string, objects []json.RawMessage) error {
	at := p.at
	page, first, last := "", "", ""
	if n := len(objects); n > 0 {
		all := make([][]byte, n)
		for i, object := range objects {
			all[i] = object
		}
		page, first, last = hashOf(bytes.Join(all, []byte{'\n'})), hashOf(objects[0]), hashOf(objects[n-1])
		at.Empty = 0
	} else {
		at.Empty++
	}
	shifts := p.paging == byPage || p.paging == byOffset
	switch {
	case page != "" && (page == at.Page || page == at.CheckPage):
		return errors.New("the API returns a page again: it ignores the paging, or its pages never end")
	case next != "" && (next == at.Next || next == at.Checkpoint):
		return errors.New("the API names a page again as the next one: it would never end")
	case at.Empty > maxEmpty:
		return fmt.Errorf("the last %d pages had no objects: it may never end", maxEmpty)
	case shifts && first != "" && first == at.Last && objects[0][0] == '{':
		return errors.New("it begins with the object that the page before ends with: the data has changed meanwhile, and objects may be missing; use a cursor if the API has one")
	}
	if len(objects) > 0 {
		p.step = len(objects)
	}
	at.Pages++
	at.Objects += len(objects)
	if page != "" {
		at.Page, at.Last = page, last
	}
	if at.Pages == at.Power {
		at.Checkpoint, at.CheckPage, at.Power = at.Next, page, 2*at.Power
	}
	at.Next = next
	p.at = at
	return nil
}

// checkTotal compares the number of objects so far with the total that the API reports, if this is the last page.
func (p *pages) checkTotal(header http.Header, body json.RawMessage, objects int, last bool) error {
	if !p.counted {
		return nil
	}
	text, err := p.total.find(header, body)
	if err != nil {
		return fmt.Errorf("total=: %w", err)
	}
	if text != "" {
		total, err := strconv.Atoi(text)
		if err != nil {
			return errors.New("total= finds a value that is not a number")
		}
		p.at.Total = &total
	}
	switch {
	case !last:
		return nil
	case p.at.Total == nil:
		return errors.New("total= finds nothing in any page")
	case objects < *p.at.Total:
		return fmt.Errorf("the API says that there are %d objects (total=), and its pages have %d: check how the next page is found", *p.at.Total, objects)
	}
	return nil
}

func hashOf(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}

func (p *pages) close() error {
	p.ahead.close()
	p.client.CloseIdleConnections()
	return nil
}
