package source

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chunkline/chunkline/internal/backoff"
	"github.com/chunkline/chunkline/internal/webservice"
)

// Pages that are fetched concurrently are returned in order, however they arrive, and requests keep to the rate.
func TestAPI_concurrency(t *testing.T) {
	t.Parallel()
	var want []string
	for i := range 20 {
		want = append(want, fmt.Sprintf(`{"n":%d}`, i))
	}
	for _, c := range []struct {
		spec    string
		seconds int // duration, or up to a page longer: one page at a time takes 10 s each
		most    int // requests at the same time
		wrong   int // requests for pages that do not exist, at most
	}{
		{"http://api/#paging=page", 110, 1, 1},
		{"http://api/#paging=page&concurrency=4", 30, 4, 4},
		{"http://api/#paging=offset&concurrency=4", 40, 4, 4}, // the first page is fetched alone
		{"http://api/#paging=page&concurrency=4&rate=0.2", 60, 4, 4},
		{"http://api/#paging=page&concurrency=32", 10, 32, 32},
	} {
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			running, most, requests := 0, 0, 0
			f := serveAPI(t, func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				running, requests = running+1, requests+1
				most = max(most, running)
				mu.Unlock()
				from := query(r, "offset")
				if r.URL.Query().Has("page") {
					from = 2*query(r, "page") - 2
				}
				defer func() {
					mu.Lock()
					running--
					mu.Unlock()
				}()
				if backoff.Sleep(r.Context(), 10*time.Second-time.Duration(from)*time.Millisecond) != nil { // later pages come earlier
					return
				}
				if from > 20 {
					w.WriteHeader(http.StatusNotFound) // this page is not needed
				} else {
					_, _ = io.WriteString(w, pageOf(20, from))
				}
			})
			begin := time.Now()
			got, err := f.fetchAll(t, c.spec, "", webservice.Credentials{})
			if !slices.Equal(got, want) || err != nil {
				t.Errorf("%s: got %q, %v", c.spec, got, err)
			}
			least := time.Duration(c.seconds) * time.Second
			if took := time.Since(begin).Round(time.Second); took < least || took > least+10*time.Second {
				t.Errorf("%s: took %v, want %d s", c.spec, took, c.seconds)
			}
			mu.Lock() // a handler of a page that is not needed may still be ending
			defer mu.Unlock()
			if most > c.most || requests > 10+c.wrong {
				t.Errorf("%s: %d requests at a time, %d in all", c.spec, most, requests)
			}
		})
	}
}

// Pages of unequal length, a page that fails for good, and a page that asks to wait.
func TestAPI_concurrencyFaults(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := serveAPI(t, func(w http.ResponseWriter, r *http.Request) {
			switch from := query(r, "offset"); {
			case from < 4:
				_, _ = io.WriteString(w, pageOf(20, from))
			default: // the other pages have one object
				_, _ = io.WriteString(w, pageOf(min(from+1, 9), from))
			}
		})
		got, err := f.fetchAll(t, "http://api/#paging=offset&concurrency=3", "", webservice.Credentials{})
		if want := strings.Fields(numbers(0, 9, "{\"n\":%d} ")); !slices.Equal(got, want) || err != nil {
			t.Errorf("unequal pages: got %q, %v, want %q", got, err, want)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		f := serveAPI(t, func(w http.ResponseWriter, r *http.Request) {
			if query(r, "page") == 3 {
				w.WriteHeader(http.StatusGone)
				return
			}
			_, _ = io.WriteString(w, pageOf(100, 2*query(r, "page")))
		})
		got, err := f.fetchAll(t, "http://api/#paging=page&concurrency=8", "", webservice.Credentials{})
		if len(got) != 4 || err == nil || !strings.Contains(err.Error(), "page 3: the API answers 410 Gone") {
			t.Errorf("a page that fails: got %q, %v", got, err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		begin, refused := time.Now(), false
		var mu sync.Mutex
		f := serveAPI(t, func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			if took := time.Since(begin); took > 2*time.Second && took < 100*time.Second {
				t.Errorf("a request after %v, want none for 100 s", took)
			}
			if query(r, "page") == 2 && !refused {
				refused = true
				w.Header().Set("Retry-After", "100")
				w.WriteHeader(http.StatusTooManyRequests)
				return
			}
			_, _ = io.WriteString(w, pageOf(40, 2*query(r, "page")-2))
		})
		got, err := f.fetchAll(t, "http://api/#paging=page&concurrency=2&rate=2", "", webservice.Credentials{})
		if len(got) != 40 || err != nil {
			t.Errorf("a page with Retry-After: got %q, %v", got, err)
		}
	})
}

// With total= a cursor at the wrong path is detected.
func TestAPI_total(t *testing.T) {
	t.Parallel()
	for spec, want := range map[string]string{
		"http://api/#objects=.items&paging=cursor&at=.next&total=.meta.total":                 "",
		"http://api/#objects=.items&paging=cursor&at=.next&total=header:X-Total":              "",
		"http://api/#objects=.items&paging=cursor&at=.nxt&total=.meta.total":                  "page 1: the API says that there are 6 objects (total=), and its pages have 2",
		"http://api/#objects=.items&paging=cursor&at=.nxt&total=header:X-Total":               "there are 6 objects",
		"http://api/#objects=.items&paging=cursor&at=.next&total=.total":                      "page 3: total= finds nothing in any page",
		"http://api/#objects=.items&paging=cursor&at=.next&total=.items":                      "total=: what it finds is not one string or number",
		"http://api/#objects=.items&paging=cursor&at=.next&total=.name":                       "total= finds a value that is not a number",
		"http://api/#objects=.items&paging=cursor&at=.meta&total=.meta.total":                 "at=: what it finds is not one string or number",
		"http://api/#objects=.items&paging=cursor&at=.nxt":                                    "", // nothing shows the mistake
		"http://api/#objects=.items&paging=page&total=.meta.total&concurrency=3&param=cursor": "",
	} {
		synctest.Test(t, func(t *testing.T) {
			f := serveAPI(t, func(w http.ResponseWriter, r *http.Request) {
				page := max(query(r, "cursor"), 1)
				next := fmt.Sprint(page + 1)
				if page >= 3 {
					next = "null"
				}
				w.Header().Set("X-Total", "6")
				_, _ = fmt.Fprintf(w, `{"items":%s,"next":%s,"meta":{"total":6},"name":"x"}`, pageOf(6, 2*page-2), next)
			})
			_, err := f.fetchAll(t, spec, "", webservice.Credentials{})
			if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", spec, err, want)
			}
		})
	}
}
