package transform

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/webservice"
)

// Each answer of a service becomes outputs, or one clear error of its object alone.
func TestService(t *testing.T) {
	t.Parallel()
	text := func(status int, body string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	for _, c := range []struct {
		name   string
		answer func(http.ResponseWriter)
		want   []string // outputs
		err    string
	}{
		{"object", text(200, `{"a":1}`), []string{`{"a":1}`}, ""},
		{"other 2xx", text(201, `{"a":1}`), []string{`{"a":1}`}, ""},
		{"array is one output", text(200, `[1, 2]`), []string{`[1,2]`}, ""},
		{"over several lines", text(200, "{\n  \"b\": 1.10,\n  \"a\": \"\\u00e9 <\"\n}\n"), []string{`{"b":1.10,"a":"\u00e9 <"}`}, ""},
		{"several outputs", text(200, "{\"a\":1}\n{\"a\":2}\n 9007199254740993 "), []string{`{"a":1}`, `{"a":2}`, `9007199254740993`}, ""},
		{"byte order mark", text(200, "\ufeff{\"a\":1}"), []string{`{"a":1}`}, ""},
		{"no content", func(w http.ResponseWriter) { w.WriteHeader(http.StatusNoContent) }, nil, ""},
		{"nothing", text(200, " \n"), nil, ""},
		{"not JSON", text(200, `<html>`), nil, "the service's answer is not JSON: invalid character '<'"},
		{"half an object", text(200, `{"a":`), nil, "the service's answer is not JSON: unexpected EOF"},
		{"not UTF-8", text(200, "\"\xe9\""), nil, "the service's answer is not UTF-8"},
		{"too large", text(200, `"`+strings.Repeat("x", 4096)+`"`), nil, "the service's answer is larger than 4096 bytes"},
		{"no length, object", func(w http.ResponseWriter) { raw(t, w, "HTTP/1.0 200 OK\r\n\r\n{\"a\":1}") }, []string{`{"a":1}`}, ""},
		{"no length, number", func(w http.ResponseWriter) { raw(t, w, "HTTP/1.0 200 OK\r\n\r\n12") }, nil, "the service's answer may be cut off: it has no Content-Length"},
		{"no length, several", func(w http.ResponseWriter) { raw(t, w, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}\n{}\n") }, nil, "the service's answer may be cut off"},
		{"cut off", func(w http.ResponseWriter) { raw(t, w, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{\"a\"") }, nil, "tried 2 times: the service's answer is cut off after 4 bytes: unexpected EOF"},
		{"connection cut", func(w http.ResponseWriter) { raw(t, w, "") }, nil, "tried 2 times: the service does not answer: the connection was closed"},
		{"not found", text(404, "no such\n user"), nil, "the service answers 404 Not Found: no such user"},
		{"long refusal", text(400, strings.Repeat("é", 5000)), nil, "the service answers 400 Bad Request: " + strings.Repeat("é", 148) + "…"},
		{"empty refusal", text(403, ""), nil, "the service answers 403 Forbidden"},
		{"temporary", text(503, "busy"), nil, "tried 2 times: the service answers 503 Service Unavailable: busy"},
		{"408", text(408, ""), nil, "tried 2 times: the service answers 408 Request Timeout"},
		{"moved", func(w http.ResponseWriter) {
			w.Header().Set("Location", "/there?key=s")
			w.WriteHeader(http.StatusFound)
		}, nil,
			"the service answers 302 Found and redirects to http://service: only 307 and 308 are followed, on the same host"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := serve(t, func(w http.ResponseWriter, r *http.Request, body string) {
					if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" || r.URL.String() != "/map?q=1" {
						t.Errorf("request %s %s %v", r.Method, r.URL, r.Header)
					}
					if body == `{"n":1}` {
						c.answer(w)
						return
					}
					echo(w, r, body)
				})
				tr := f.transform(t, "#timeout=10s")
				tr.most = 4096
				out := mustRun(t, tr, body(`{"n":0}`, `{"n":1}`, `{"n":2}`), nil, Options{Retries: 1})
				wantLines(t, out, slices.Concat([]string{`{"n":0}`}, c.want, []string{`{"n":2}`})...)
				if c.err == "" {
					wantFailed(t, out)
					return
				}
				wantFailed(t, out, 1, c.err)
				if !strings.HasPrefix(out.Failed[0].Err, c.err) {
					t.Errorf("error %q, want it to begin with %q", out.Failed[0].Err, c.err)
				}
			})
		})
	}
}

// The service gets the object, and its answer is the output, byte for byte.
func TestServiceEcho(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		objects := rapid.SliceOfN(rapid.Custom(value), 1, 20).Draw(rt, "objects")
		options := rapid.SampledFrom([]string{"", "#batch=1", "#batch=3", "#batch=7&concurrency=3", "#concurrency=5"}).Draw(rt, "options")
		synctest.Test(t, func(t *testing.T) {
			f := serve(t, echo)
			out := mustRun(t, f.transform(t, options), body(objects...), nil, Options{})
			if want := string(lines(raws(objects))); string(out.Lines) != want || len(out.Failed) > 0 {
				t.Errorf("%q became %q, %v", objects, out.Lines, out.Failed)
			}
		})
	})
}

// TestServiceLargestObject: the largest object passes, also as a batch, and an answer
// that is longer does not. The limit is lower here, or the test would take long.
func TestServiceLargestObject(t *testing.T) {
	t.Parallel()
	const most = 1 << 16
	largest := `"` + strings.Repeat("x", most-2) + `"`
	f := serve(t, func(w http.ResponseWriter, r *http.Request, body string) {
		if r.Header.Get("X-Grow") != "" {
			body = strings.Replace(body, "x", "xx", 1)
		}
		echo(w, r, body)
	})
	lower := func(s *service) *service {
		if s.most != chunk.MaxObject {
			t.Errorf("an answer may have %d bytes, want those of the largest object, %d", s.most, chunk.MaxObject)
		}
		s.most = most
		return s
	}
	grow := func(s *Spec) { s.Credentials.Headers = "X-Grow: 1" }
	for _, options := range []string{"#timeout=1h", "#timeout=1h&batch=5"} {
		out := mustRun(t, lower(f.transform(t, options)), body(largest), nil, Options{})
		if string(out.Lines) != largest+"\n" {
			t.Errorf("%s: %d bytes, failed: %v", options, len(out.Lines), out.Failed)
		}
		wantFailed(t, mustRun(t, lower(f.transform(t, options, grow)), body(largest), nil, Options{}), 0, "the service's answer is larger than")
	}
}

// Slow and endless answers end with the time of a request, or of the object.
func TestServiceTimeouts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		options Options
		want    string
		late    bool
		took    time.Duration
	}{
		{"request", Options{}, "no answer within 30s (timeout= of the transform)", false, 30 * time.Second},
		{"request, again", Options{Retries: 1}, "tried 2 times: no answer within 30s", false, 61 * time.Second},
		{"object", Options{Timeout: 5 * time.Second, Retries: 3}, "no result within 5s (--timeout, TIMEOUT)", true, 5 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := serve(t, func(w http.ResponseWriter, r *http.Request, _ string) {
					for r.Context().Err() == nil { // one blank a second, without an end
						_, _ = io.WriteString(w, " ")
						_ = http.NewResponseController(w).Flush()
						select {
						case <-time.After(time.Second):
						case <-r.Context().Done():
						}
					}
				})
				c.options.jitter = whole
				began := time.Now()
				out := mustRun(t, f.transform(t, ""), body(`1`), nil, c.options)
				wantFailed(t, out, 0, c.want)
				if out.Failed[0].Late != c.late || time.Since(began) != c.took {
					t.Errorf("late %v after %v, want %v after %v", out.Failed[0].Late, time.Since(began), c.late, c.took)
				}
			})
		})
	}
}

// A batch is one request; a failure of a batch fails no object that is not its cause.
func TestServiceBatches(t *testing.T) {
	t.Parallel()
	numbers := body(`1`, `2`, `3`, `4`, `5`, `6`, `7`)
	each := func(w http.ResponseWriter, body string) {
		var doubled []string
		for _, n := range elements(body) {
			doubled = append(doubled, n+n)
		}
		_, _ = fmt.Fprintf(w, "[%s]\n", strings.Join(doubled, ", "))
	}
	for _, c := range []struct {
		name   string
		handle func(w http.ResponseWriter, body string)
		asked  []string
		failed []any
	}{
		{"good", each, []string{"[1,2,3]", "[4,5,6]", "[7]"}, nil},
		{"refused", func(w http.ResponseWriter, body string) {
			if strings.Contains(body, "5") {
				http.Error(w, "no fives", http.StatusBadRequest)
				return
			}
			each(w, body)
		}, []string{"[1,2,3]", "[4,5,6]", "[7]", "[4]", "[5]", "[6]"}, []any{4, "the service answers 400 Bad Request: no fives"}},
		{"breaks the service", func(w http.ResponseWriter, body string) {
			if strings.Contains(body, "5") {
				w.WriteHeader(http.StatusInternalServerError)
				return
			}
			each(w, body)
		}, []string{"[1,2,3]", "[4,5,6]", "[7]", "[4,5,6]", "[4]", "[5]", "[6]"}, []any{4, "tried 3 times: the service answers 500"}},
		{"wrong length", func(w http.ResponseWriter, body string) {
			if strings.Contains(body, "5") {
				_, _ = io.WriteString(w, "[1, 2]")
				return
			}
			each(w, body)
		}, []string{"[1,2,3]", "[4,5,6]", "[7]", "[4]", "[5]", "[6]"}, []any{4, "the service's answer to a batch of 1 objects has 2 elements"}},
		{"no array", func(w http.ResponseWriter, body string) {
			if body == "[7]" {
				_, _ = io.WriteString(w, `{"results": [66]}`)
				return
			}
			each(w, body)
		}, []string{"[1,2,3]", "[4,5,6]", "[7]"}, []any{6, "the service's answer to a batch of 1 objects is not one JSON array"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := serve(t, func(w http.ResponseWriter, _ *http.Request, body string) { c.handle(w, body) })
				var warned []string
				tr := f.transform(t, "#batch=3", func(s *Spec) { s.Warn = func(text string) { warned = append(warned, text) } })
				out := mustRun(t, tr, numbers, nil, Options{Retries: 2})
				if slower := slices.Equal(c.asked[3:], []string{"[4]", "[5]", "[6]"}); (len(warned) == 1) != slower {
					t.Errorf("warnings %q, want one if a batch fails for good", warned)
				}
				wantFailed(t, out, c.failed...)
				var want []string
				for i := range 7 {
					if !slices.ContainsFunc(out.Failed, func(f Failure) bool { return f.Index == i }) {
						want = append(want, fmt.Sprintf("%d%d", i+1, i+1))
					}
				}
				wantLines(t, out, want...)
				if got := f.requests(); !slices.Equal(got, c.asked) {
					t.Errorf("requests %q, want %q", got, c.asked)
				}
			})
		})
	}
}

// A worker has as many requests in flight as it may, and keeps their connections.
func TestServiceConcurrency(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int64
		f := serve(t, func(w http.ResponseWriter, r *http.Request, body string) {
			most.Store(max(most.Load(), now.Add(1)))
			<-time.After(time.Second)
			now.Add(-1)
			echo(w, r, body)
		})
		tr := f.transform(t, "#concurrency=3")
		began := time.Now()
		for range 2 {
			wantLines(t, mustRun(t, tr, body(`1`, `2`, `3`, `4`, `5`, `6`), nil, Options{}), `1`, `2`, `3`, `4`, `5`, `6`)
		}
		if took := time.Since(began); took != 4*time.Second || most.Load() != 3 || f.dialed != 3 {
			t.Errorf("took %v with %d requests at a time on %d connections, want 4s with 3 on 3", took, most.Load(), f.dialed)
		}
		// Careful mode asks one by one.
		most.Store(0)
		mustRun(t, tr, body(`1`, `2`), nil, Options{Before: func(int) error { return nil }})
		if most.Load() != 1 {
			t.Errorf("%d requests at a time in careful mode", most.Load())
		}
	})
}

// A chunk that is dropped ends its requests.
func TestServiceDropped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var ended atomic.Int64
		f := serve(t, func(_ http.ResponseWriter, r *http.Request, _ string) {
			<-r.Context().Done()
			ended.Add(1)
		})
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		began := time.Now()
		_, err := Run(ctx, f.transform(t, "#concurrency=4"), body(`1`, `2`, `3`), nil, Options{Retries: 3})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 2*time.Second {
			t.Errorf("Run: %v after %v, want the end of its context after 2s", err, time.Since(began))
		}
		synctest.Wait()
		if ended.Load() != 3 {
			t.Errorf("%d requests have ended, want 3", ended.Load())
		}
	})
}

const canary = "canary-0123456789"

// Secrets go to the service and nowhere else, also if it repeats them.
func TestServiceSecrets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		elsewhere := 0
		f := serve(t, func(w http.ResponseWriter, r *http.Request, body string) {
			if r.Host != "service" {
				elsewhere++
				return
			}
			if r.Header.Get("Authorization") != "Bearer "+canary+"-t" || r.Header.Get("X-Key") != canary+"-h" {
				t.Errorf("headers %v", r.Header)
			}
			switch body {
			case `1`:
				w.WriteHeader(http.StatusUnauthorized)
				_, _ = fmt.Fprintf(w, "wrong: %s, %q, %v", r.Header.Get("Authorization"), r.Header.Get("X-Key"), r.Header)
			case `2`:
				w.Header().Set("Location", "http://"+canary+"@elsewhere/")
				w.WriteHeader(http.StatusTemporaryRedirect)
			case `3`:
				if r.URL.Path == "/here" {
					echo(w, r, body)
					return
				}
				w.Header().Set("Location", "/here")
				w.WriteHeader(http.StatusPermanentRedirect)
			}
		})
		var warned, retries []string
		tr := f.transform(t, "", func(s *Spec) {
			s.Credentials = webservice.Credentials{Token: canary + "-t", Headers: "X-Key: " + canary + "-h\n\nX-Other:  1"}
			s.Warn = func(text string) { warned = append(warned, text) }
			if text := s.String() + s.Identity(); strings.Contains(text, canary) {
				t.Errorf("the setting or the identity has a secret: %s", text)
			}
		})
		out := mustRun(t, tr, body(`1`, `2`, `3`), nil, Options{Retries: 1, Retrying: func(r Retry) { retries = append(retries, r.Err) }})
		wantFailed(t, out, 0, "the service answers 401 Unauthorized: wrong: …", 1, "the service answers 307 Temporary Redirect and redirects to http://elsewhere:")
		wantLines(t, out, `3`)
		if text := fmt.Sprint(out.Failed, warned, retries); strings.Contains(text, canary) {
			t.Errorf("a secret shows: %s", text)
		}
		if elsewhere > 0 {
			t.Error("a redirect to another host was followed")
		}
	})
	for _, setting := range []string{"http://user:" + canary + "@service/", "http://" + canary + "@service:x/", "http://user:" + canary + "/x@service/", "https://" + canary + "%zz@service"} {
		if _, err := Parse(setting); !errors.Is(err, ErrSettings) || strings.Contains(err.Error(), canary) {
			t.Errorf("Parse: %v", err)
		}
	}
	for _, c := range []webservice.Credentials{{Token: canary + " x"}, {Headers: canary}, {Headers: "Host: " + canary}, {Headers: "X-Key: " + canary + "\x00"}, {Token: "@" + t.TempDir()}} {
		spec, err := Parse("http://service/")
		if err != nil {
			t.Fatal(err)
		}
		spec.Credentials = c
		if _, err := spec.New(); !errors.Is(err, ErrSettings) || strings.Contains(err.Error(), canary) {
			t.Errorf("New: %v", err)
		}
	}
}

// A token in a file may change while the job runs.
func TestServiceTokenFile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := serve(t, func(w http.ResponseWriter, r *http.Request, _ string) {
			_, _ = fmt.Fprintf(w, "%q", r.Header.Get("Authorization"))
		})
		file := filepath.Join(t.TempDir(), "token")
		write := func(text string) {
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write("first\n")
		var warned []string
		tr := f.transform(t, "", func(s *Spec) {
			s.Credentials.Token = "@" + file
			s.Warn = func(text string) { warned = append(warned, text) }
		})
		wantLines(t, mustRun(t, tr, body(`1`), nil, Options{}), `"Bearer first"`)
		write("second\n")
		wantLines(t, mustRun(t, tr, body(`1`), nil, Options{}), `"Bearer second"`)
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			wantLines(t, mustRun(t, tr, body(`1`), nil, Options{}), `"Bearer second"`)
		}
		if len(warned) != 1 || !strings.Contains(warned[0], "TRANSFORM_TOKEN (not shown): read file") {
			t.Errorf("warnings %q, want one about the file", warned)
		}
	})
}

// The options are not sent, and the query of the service is.
func TestParseService(t *testing.T) {
	t.Parallel()
	got, err := parseEndpoint("https://h:8443/a%2Fb?batch=9&x=#batch=100&concurrency=4&timeout=1m30s")
	want := endpoint{url: "https://h:8443/a%2Fb?batch=9&x=", batch: 100, concurrency: 4, timeout: 90 * time.Second}
	if err != nil || got != want {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	if got, err := parseEndpoint("http://h"); err != nil || got != (endpoint{url: "http://h", concurrency: 1, timeout: callTimeout}) {
		t.Errorf("defaults: %+v, %v", got, err)
	}
	for setting, want := range map[string]string{
		"http:":                      "it is not a URL; use https://HOST/PATH#batch=100&concurrency=4&timeout=30s",
		"http:map":                   "it is not a URL",
		"https:///path":              "it is not a URL",
		"http://h/#rate=20":          "use --rate of chunkline run and dead retry, or RATE of the fetcher",
		"http://h/#size=1":           `http has no option "size"; use https://`,
		"http://h/#batch=0":          `batch "0" is not a number of objects; use 1 to 10000`,
		"http://h/#batch=1&batch=2":  "batch is given 2 times",
		"http://h/#concurrency=1000": `concurrency "1000" is not a number of requests; use 1 to 256`,
		"http://h/#timeout=30":       `timeout "30" is not a duration above 0; use for example 30s`,
		"http://h/#a;b":              "the options after # cannot be read",
	} {
		if _, err := Parse(setting); !errors.Is(err, ErrSettings) || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse(%q): %v, want %q", setting, err, want)
		}
	}
	spec, err := Parse("http://h/#concurrency=7")
	if err != nil || spec.Descriptors() != 7 || spec.Kind() != "http" || spec.Identity() != "http://h/#concurrency=7" {
		t.Errorf("%d descriptors, kind %s, identity %s, %v", spec.Descriptors(), spec.Kind(), spec.Identity(), err)
	}
}

func raws(objects []string) (values [][]byte) {
	for _, o := range objects {
		values = append(values, bytes.TrimSpace([]byte(o)))
	}
	return values
}
