package app

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestHosts: a request for a stranger's name is refused where only this machine is
// meant, and where names are set; one for an address never is.
func TestHosts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		addr, list, host string
		ok               bool
	}{
		{"127.0.0.1:3541", "", "evil.example:3541", false},
		{"127.0.0.1:3541", "", "127.0.0.1.evil.example", false},
		{"127.0.0.1:3541", "", "127.0.0.1:3541", true},
		{"127.0.0.1:3541", "", "localhost:3541", true},
		{"127.0.0.1:3541", "", "LOCALHOST.", true},
		{"127.0.0.1:3541", "", "job.localhost:80", true},
		{"127.0.0.1:3541", "", "[::1]:3541", true},
		{"127.0.0.1:3541", "", "", true},
		{"localhost:3541", "", "evil.example", false},
		{"[::1]:3541", "", "evil.example", false},
		{"127.0.0.1:3541", "jobs.example", "Jobs.Example:443", true},
		{"127.0.0.1:3541", "jobs.example", "evil.example", false},
		{":3541", "", "anything.example", true},
		{"0.0.0.0:3541", "", "fetcher.chunkline.svc:3541", true},
		{":3541", "a.example, b.example:80", "b.example", true},
		{":3541", "a.example", "evil.example", false},
		{":3541", "a.example", "10.1.2.3:3541", true}, // a probe
		{"box.example:3541", "a.example", "box.example:3541", true},
	} {
		h := hostsOf(c.addr, c.list).only(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		r := httptest.NewRequest(http.MethodGet, "/api/dead", nil)
		r.Host = c.host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if ok := w.Code == http.StatusOK; ok != c.ok || !ok && w.Code != http.StatusMisdirectedRequest {
			t.Errorf("HTTP_ADDR=%s HTTP_HOSTS=%s, request for %q: %d", c.addr, c.list, c.host, w.Code)
		}
	}
}
