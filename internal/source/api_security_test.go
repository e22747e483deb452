package source

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/chunkline/chunkline/internal/webservice"
)

// Secrets go to the API and nowhere else.
func TestAPI_secrets(t *testing.T) {
	t.Parallel()
	const canary = "canary-0123456789"
	access := webservice.Credentials{Token: canary + "-t", Headers: "X-Key: " + canary + "-h"}
	synctest.Test(t, func(t *testing.T) {
		for _, link := range []string{"", "/2", "/2?access_token=" + canary + "-t", "http://other/"} {
			f := serveAPI(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") != "Bearer "+canary+"-t" || r.Header.Get("X-Key") != canary+"-h" {
					t.Errorf("headers %v", r.Header)
				}
				if link == "" || r.URL.Path == "/2" {
					w.WriteHeader(http.StatusTeapot)
					_, _ = fmt.Fprint(w, "wrong: ", r.Header)
					return
				}
				w.Header().Set("Link", "<"+link+">; rel=next")
				_, _ = io.WriteString(w, "[1]")
			})
			spool := filepath.Join(t.TempDir(), "spool")
			_, err := f.fetchAll(t, "http://api/", spool, access)
			if err == nil || strings.Contains(err.Error(), "canary") || strings.Contains(string(read(t, spool)), "canary") {
				t.Errorf("link %q: %v", link, err)
			}
		}
	})
	for spec, access := range map[string]webservice.Credentials{
		"http://user:" + canary + "@api/": {},
		"http://" + canary + ":x/":        {},
		"http://api/1":                    {Token: canary + " x"},
		"http://api/2":                    {Headers: canary},
	} {
		if _, err := Open(Options{Size: 1, Bytes: 1, Credentials: access}, spec); !errors.Is(err, ErrSettings) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%v", err)
		}
	}
}

// Only the option allows link-local and metadata addresses.
func TestAPI_linkLocal(t *testing.T) {
	t.Parallel()
	for address, refused := range map[string]bool{
		"169.254.169.254": true, "::ffff:169.254.169.254": true, "64:ff9b::a9fe:a9fe": true, "fe80::1": true, "fd00:ec2::254": true, "100.100.100.200": true,
		"127.0.0.1": false, "10.0.0.1": false, "1.1.1.1": false, "::1": false, "fd00::1": false,
	} {
		if err := checkAddress(netip.MustParseAddr(address)); errors.Is(err, errLinkLocal) != refused {
			t.Errorf("%s: %v, want refused: %v", address, err, refused)
		}
	}
	// The address that a name resolves to is checked when it is dialled.
	if _, err := dialNetwork(false)(t.Context(), "tcp", "169.254.169.254:80"); !errors.Is(err, errLinkLocal) {
		t.Errorf("dial: %v", err)
	}
	f := &fakeAPI{} // must not be dialled
	_, err := f.fetchAll(t, "http://[::ffff:169.254.169.254]/latest", "", webservice.Credentials{})
	if !errors.Is(err, errLinkLocal) || !strings.Contains(err.Error(), "add link-local=yes to the options") {
		t.Errorf("%v", err)
	}
}
