package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chunkline/chunkline/internal/webservice"
)

// A fakeAPI answers requests in simulated time.
type fakeAPI struct {
	net.Listener

	conns chan net.Conn
	done  chan struct{}
	close func()

	mu    sync.Mutex
	asked []string // guarded by mu; the query of each request
}

func (f *fakeAPI) Accept() (net.Conn, error) {
	select {
	case c := <-f.conns:
		return c, nil
	case <-f.done:
		return nil, net.ErrClosed
	}
}

func (f *fakeAPI) Close() error   { f.close(); return nil }
func (f *fakeAPI) Addr() net.Addr { return &net.UnixAddr{} }

func (f *fakeAPI) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case f.conns <- server:
		return client, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (f *fakeAPI) queries() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.asked)
}

// serveAPI starts an API that ends with the test.
func serveAPI(t *testing.T, answer http.HandlerFunc) *fakeAPI {
	t.Helper()
	f := &fakeAPI{conns: make(chan net.Conn), done: make(chan struct{})}
	f.close = sync.OnceFunc(func() { close(f.done) })
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		f.asked = append(f.asked, r.URL.RawQuery)
		f.mu.Unlock()
		answer(w, r)
	})}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = server.Serve(f) }()
	t.Cleanup(func() { _ = server.Close(); <-ended })
	return f
}

// fetchAll reads an API to its end.
func (f *fakeAPI) fetchAll(t *testing.T, spec, spool string, access webservice.Credentials) ([]string, error) {
	t.Helper()
	s, err := Open(Options{Size: 2, Bytes: 1000, Spool: spool, Credentials: access, dial: f.dial}, spec)
	if err != nil {
		return nil, err
	}
	cuts, err := drain(s)
	if e := s.Close(); e != nil {
		t.Error(e)
	}
	return objects(cuts), err
}

// pageOf is the page of 2 objects, of n, that begins with object from.
func pageOf(n, from int) string {
	var list []string
	for i := from; i < min(n, from+2); i++ {
		list = append(list, fmt.Sprintf(`{"n": %d}`, i))
	}
	return "[" + strings.Join(list, ",\n") + "]"
}

func query(r *http.Request, name string) int {
	n, _ := strconv.Atoi(r.URL.Query().Get(name))
	return n
}

// Every kind of paging returns all objects once, in order, byte for byte.
func TestAPI_paging(t *testing.T) {
	t.Parallel()
	five := []string{`{"n":0}`, `{"n":1}`, `{"n":2}`, `{"n":3}`, `{"n":4}`}
	for name, c := range map[string]struct {
		spec   string
		answer func(w http.ResponseWriter, r *http.Request)
		asked  []string
		want   []string
	}{
		"byte order mark": {"http://api/items", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "\ufeff"+pageOf(5, 3))
		}, []string{""}, five[3:]},
		"link": {"http://api/items?own=1", func(w http.ResponseWriter, r *http.Request) {
			if from := query(r, "from"); from < 4 {
				w.Header().Add("Link", fmt.Sprintf(`<http://api/first>; rel="first", <?own=1&from=%d>; title="a, b"; rel="next last"`, from+2))
			}
			_, _ = io.WriteString(w, pageOf(5, query(r, "from")))
		}, []string{"own=1", "own=1&from=2", "own=1&from=4"}, five},
		"next": {"http://api/items#objects=.data.items&paging=next&at=.paging.next", func(w http.ResponseWriter, r *http.Request) {
			next := "null"
			if from := query(r, "from"); from < 4 {
				next = fmt.Sprintf(`"http://api/items?from=%d"`, from+2)
			}
			_, _ = fmt.Fprintf(w, `{"data":{"items":%s},"paging":{"next":%s}}`, pageOf(5, query(r, "from")), next)
		}, []string{"", "from=2", "from=4"}, five},
		"cursor in the body": {"http://api/items?limit=2#objects=.items&paging=cursor&at=.meta.next&param=after", func(w http.ResponseWriter, r *http.Request) {
			meta := "{}"
			if from := query(r, "after"); from < 4 {
				meta = fmt.Sprintf(`{"next":%d}`, from+2)
			}
			_, _ = fmt.Fprintf(w, `{"items":%s,"meta":%s}`, pageOf(5, query(r, "after")), meta)
		}, []string{"limit=2", "after=2&limit=2", "after=4&limit=2"}, five},
		"cursor in a header": {"http://api/items#paging=cursor&at=header:x-next", func(w http.ResponseWriter, r *http.Request) {
			if from := query(r, "cursor"); from < 4 {
				w.Header().Set("X-Next", fmt.Sprint(from+2))
			}
			_, _ = io.WriteString(w, pageOf(5, query(r, "cursor")))
		}, []string{"", "cursor=2", "cursor=4"}, five},
		"id of the last object": {"http://api/items#objects=.&paging=cursor&at=.[-1].n", func(w http.ResponseWriter, r *http.Request) {
			from := 0
			if r.URL.RawQuery != "" {
				from = query(r, "cursor") + 1
			}
			_, _ = io.WriteString(w, pageOf(4, from))
		}, []string{"", "cursor=1", "cursor=3"}, five[:4]},
		"page": {"http://api/items#paging=page", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, pageOf(5, 2*query(r, "page")-2))
		}, []string{"page=1", "page=2", "page=3", "page=4"}, five},
		"page from 0": {"http://api/items#paging=page&param=p&start=0", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, pageOf(2, 2*query(r, "p")))
		}, []string{"p=0", "p=1"}, five[:2]},
		"offset": {"http://api/items?limit=2#paging=offset&param=skip", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, pageOf(5, query(r, "skip")))
		}, []string{"limit=2&skip=0", "limit=2&skip=2", "limit=2&skip=4", "limit=2&skip=5"}, five},
		"none": {"http://api/items#paging=none&objects=.items[].user", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", `</more>; rel=next`)
			_, _ = io.WriteString(w, ` {"items":[{"user":{"b":1.10,"a":"\u00e9"}},{"user":[12345678901234567890]}]} `)
		}, []string{""}, []string{`{"b":1.10,"a":"\u00e9"}`, "[12345678901234567890]"}},
		"nothing": {"http://api/items#paging=page", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }, []string{"page=1"}, nil},
		"null":    {"http://api/items#objects=.items", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"items":null}`) }, []string{""}, nil},
		"redirect": {"http://api/old", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/old" {
				http.Redirect(w, r, "/new", http.StatusMovedPermanently)
			} else {
				_, _ = io.WriteString(w, "[1]")
			}
		}, []string{"", ""}, []string{"1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := serveAPI(t, c.answer)
				spool := filepath.Join(t.TempDir(), "spool")
				for range 2 { // the second time everything comes from the spool
					if got, err := f.fetchAll(t, c.spec, spool, webservice.Credentials{}); err != nil || !slices.Equal(got, c.want) {
						t.Errorf("got %q, %v, want %q", got, err, c.want)
					}
				}
				if asked := f.queries(); !slices.Equal(asked, c.asked) {
					t.Errorf("asked for %q, want %q", asked, c.asked)
				}
			})
		})
	}
}

// An API that fails, breaks off or never ends is never mistaken for a source that has ended.
func TestAPI_fails(t *testing.T) {
	t.Parallel()
	text := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status); _, _ = io.WriteString(w, body) }
	}
	for name, c := range map[string]struct {
		options string
		answer  http.HandlerFunc
		want    string
	}{
		"refused":      {"", text(401, "no  token"), "page 1: the API answers 401 Unauthorized: no token; set SOURCE_TOKEN or SOURCE_HEADERS"},
		"gone":         {"", text(404, ""), "page 1: the API answers 404 Not Found"},
		"down":         {"retries=2", text(503, "busy"), "page 1: tried 3 times: the API answers 503 Service Unavailable: busy"},
		"not JSON":     {"", text(200, "id,name\n1,x\n"), "it is not one JSON value; for other data use a command, such as cmd:curl -fsS URL"},
		"two values":   {"", text(200, "[1] [2]"), "it is not one JSON value"},
		"number":       {"", text(200, "12"), "it is neither an array nor an object"},
		"no path":      {"", text(200, `{"items":[1]}`), `it is not an array: say where the objects are, as in #objects=.items; it has an array called "items"`},
		"error as 200": {"objects=.items", text(200, `{"error":"no"}`), `objects=: the page has nothing called "items"`},
		"not a list":   {"objects=.items", text(200, `{"items":{"a":1}}`), "objects=: it finds something other than an array"},
		"odd cursor":   {"objects=.i&paging=cursor&at=.c", text(200, `{"i":[1],"c":{"a":1}}`), "at=: what it finds is not one string or number"},
		"elsewhere": {"paging=link", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", `<https://api/2>; rel=next`)
			_, _ = io.WriteString(w, "[1]")
		}, "page 1: the next page is at https://api, and credentials are sent to one host only"},
		"redirects elsewhere": {"", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "http://other/", http.StatusFound) },
			"the API answers 302 Found and redirects to http://other: redirects are followed on the same host only"},
		"redirects for ever": {"", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusFound) }, "the API answers 302 Found"},
		"same page":          {"paging=page", text(200, "[1,2]"), "page 2: the API returns a page again"},
		"same cursor": {"objects=.i&paging=cursor&at=.c", func(w http.ResponseWriter, r *http.Request) {
			_, _ = fmt.Fprintf(w, `{"i":[%d],"c":7}`, len(r.URL.RawQuery))
		},
			"page 2: the API names a page again as the next one"},
		"loop of 3 cursors": {"objects=.i&paging=cursor&at=.c", func(w http.ResponseWriter, r *http.Request) {
			_, _ = fmt.Fprintf(w, `{"i":[%d],"c":"%d"}`, query(r, "cursor"), query(r, "cursor")%3+1)
		}, "again"},
		"loop of 3 pages": {"paging=page", func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprintf(w, "[%d]", query(r, "page")%3) }, "the API returns a page again"},
		"no objects for ever": {"objects=.i&paging=cursor&at=.c", func(w http.ResponseWriter, r *http.Request) {
			_, _ = fmt.Fprintf(w, `{"i":[],"c":%d}`, query(r, "cursor")+1)
		},
			"the last 1000 pages had no objects"},
		"data moves": {"paging=offset", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, pageOf(9, max(0, query(r, "offset")-1))) // an object was inserted before
		}, "page 2: it begins with the object that the page before ends with: the data has changed meanwhile"},
		"cut off": {"retries=1", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "[1,")
		}, "tried 2 times: the API's answer is cut off after 3 bytes"},
		"connection cut": {"retries=1", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "tried 2 times: the API does not answer: "},
		"slow bytes": {"timeout=10s&retries=1", func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, "[")
				_ = http.NewResponseController(w).Flush()
				select {
				case <-time.After(time.Second):
				case <-r.Context().Done():
				}
			}
		}, "tried 2 times: the API has not sent the page within 10s (timeout=)"},
		"wants a day": {"", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "86400")
			w.WriteHeader(http.StatusTooManyRequests)
		}, "the API answers 429 Too Many Requests; it asks to wait 24h0m0s, which is more than 1h0m0s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := serveAPI(t, c.answer)
				_, err := f.fetchAll(t, "http://api/#"+c.options, filepath.Join(t.TempDir(), "spool"), webservice.Credentials{})
				if err == nil || errors.Is(err, io.EOF) || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%v, want %q", err, c.want)
				}
			})
		})
	}
}

// The size of a page is limited, whatever the API sends.
func TestAPI_tooLarge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := serveAPI(t, func(w http.ResponseWriter, _ *http.Request) {
			for err := error(nil); err == nil; { // until the client closes the connection
				_, err = w.Write(make([]byte, 1000))
			}
		})
		a, err := parseAPI("http://api/")
		if err != nil || a.most != 64<<20 {
			t.Fatal(a.most, err)
		}
		a.most, a.dial = 10_000, f.dial
		up, err := a.begin(nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := up.fetch(t.Context()); err == nil || !strings.Contains(err.Error(), "it is larger than 10000 bytes; ask for fewer objects in a page") {
			t.Error(err)
		}
		if err := up.close(); err != nil {
			t.Error(err)
		}
	})
}

// After a temporary failure the next request waits as long as the API asks, and keeps to the configured rate.
func TestAPI_waits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var at []time.Duration
		f := serveAPI(t, func(w http.ResponseWriter, r *http.Request) {
			at = append(at, time.Since(begin))
			switch len(at) {
			case 1:
				w.Header().Set("Retry-After", "100")
				w.WriteHeader(http.StatusTooManyRequests)
			case 2:
				w.Header().Set("Retry-After", time.Now().Add(1000*time.Second).UTC().Format(http.TimeFormat))
				w.WriteHeader(http.StatusServiceUnavailable)
			default:
				_, _ = io.WriteString(w, pageOf(6, 2*query(r, "page")-2))
			}
		})
		got, err := f.fetchAll(t, "http://api/#paging=page&rate=0.1", "", webservice.Credentials{})
		if err != nil || len(got) != 6 {
			t.Errorf("%q, %v", got, err)
		}
		for i, seconds := range []int{0, 100, 999, 10, 10, 10} { // dates have a resolution of seconds
			before := time.Duration(0)
			if i > 0 {
				before = at[i-1]
			}
			least := time.Duration(seconds) * time.Second
			if most := least + 31*time.Second; at[i]-before < least || at[i]-before > most {
				t.Errorf("request %d came %v after the previous one, want %v to %v", i, at[i]-before, least, most)
			}
		}
	})
}

// Wherever a run is killed, the next one requests only pages that are not in the spool, and no object is missing or
// duplicated.
func TestAPI_killed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := serveAPI(t, func(w http.ResponseWriter, r *http.Request) {
			next := `""`
			if from := query(r, "cursor"); from < 8 {
				next = fmt.Sprint(from + 2)
			}
			_, _ = fmt.Fprintf(w, `{"i":%s,"c":%s}`, pageOf(9, query(r, "cursor")), next)
		})
		const spec = "http://api/#objects=.i&paging=cursor&at=.c"
		dir := t.TempDir()
		spool := filepath.Join(dir, "whole")
		want, err := f.fetchAll(t, spec, spool, webservice.Credentials{})
		if err != nil || len(want) != 9 {
			t.Fatalf("%q, %v", want, err)
		}
		content := read(t, spool)
		last := 5                                                              // requests of the previous run
		for n := 0; n <= len(content); n = min(n+67, max(n+1, len(content))) { // a record has more bytes
			torn := filepath.Join(dir, "torn")
			if err := os.WriteFile(torn, content[:n], 0o600); err != nil {
				t.Fatal(err)
			}
			before := len(f.queries())
			got, err := f.fetchAll(t, spec, torn, webservice.Credentials{})
			if err != nil || !slices.Equal(got, want) {
				t.Fatalf("after %d bytes: %q, %v", n, got, err)
			}
			asked := len(f.queries()) - before
			if asked != last && asked != last-1 {
				t.Errorf("after %d bytes: %d requests, and %d with less", n, asked, last)
			}
			last = asked
		}
		if last != 0 {
			t.Errorf("%d requests, want none: all pages are in the spool", last)
		}
	})
}

func TestAPI_settings(t *testing.T) {
	t.Parallel()
	for spec, want := range map[string]string{
		"http:///path":                          "it is not a URL; use https://HOST/PATH#",
		"http://h/#size=1":                      "size=1: there is no such option; use objects, paging, at, param, start, total, concurrency, rate, retries, timeout or link-local",
		"http://h/#paging=pages":                "use link, next, cursor, page, offset or none",
		"http://h/#paging=next":                 "paging=next needs at=",
		"http://h/#at=.a":                       "at= is for paging=next and paging=cursor",
		"http://h/#start=1":                     "start= is for paging=page and paging=offset",
		"http://h/#param=p":                     "param= is for paging=cursor, page and offset",
		"http://h/#paging=page&start=-1":        "use a number from 0 to",
		"http://h/#concurrency=2":               "concurrency= is for paging=page and paging=offset",
		"http://h/#paging=page&concurrency=33":  "use a number from 1 to 32",
		"http://h/#total=count":                 "use a path such as .data.items",
		"http://h/#rate=0":                      "use a number of requests a second above 0",
		"http://h/#timeout=5":                   "use a duration above 0",
		"http://h/#objects=items":               "use a path such as .data.items",
		"http://h/#objects=.a|.b":               "use a path such as .data.items",
		"http://h/#rate=1&rate=2":               "the option rate is there twice",
		"http://h/#link-local=no":               "use yes, or leave it out",
		"http://h/" + strings.Repeat("x", 4000): "more than 4000 bytes",
		"http://h/a,http://h/b#x=1":             "x=1: there is no such option", // a URL may have commas
		"ftp://h/":                              "there is no source ftp:",
	} {
		if _, err := Open(Options{Size: 1, Bytes: 1}, spec); !errors.Is(err, ErrSettings) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %q", spec, err, want)
		}
	}
	csv, err := ParseFormat("csv")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Size: 1, Bytes: 1, Format: csv}, "http://h/"); !errors.Is(err, ErrSettings) || !strings.Contains(err.Error(), "leave the format out") {
		t.Errorf("with a format: %v", err)
	}
}
