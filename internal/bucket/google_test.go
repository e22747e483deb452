package bucket

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chunkline/chunkline/internal/bucket/buckettest"
)

// noCredentials hides those of the machine.
func noCredentials(t *testing.T) {
	t.Helper()
	home := t.TempDir()
	for _, name := range []string{"HOME", "CLOUDSDK_CONFIG", "APPDATA"} {
		t.Setenv(name, home)
	}
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "")
	t.Setenv("STORAGE_EMULATOR_HOST", "")
}

// keyFile writes the key of an account whose tokens come from this URL.
func keyFile(t *testing.T, tokens string) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "me@example.com", "private_key_id": "canary", "token_uri": tokens,
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})),
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "key.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// The key of an account is exchanged for a token once, which goes with each request.
func TestGoogle_credentials(t *testing.T) {
	noCredentials(t)
	var exchanged atomic.Int32
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		exchanged.Add(1)
		if r.FormValue("assertion") == "" {
			t.Error("the request for a token has no assertion")
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"access_token":"canary-token","token_type":"Bearer","expires_in":3600}`)
	}))
	defer tokens.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Authorization"); got != "Bearer canary-token" {
			t.Errorf("the request has the authorization %q", got)
		}
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `{"error":{"code":403,"message":"me@example.com does not have storage.objects.create access"}}`)
	}))
	defer server.Close()
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", keyFile(t, tokens.URL))
	b := openGoogleAt(t, server.URL)
	for range 2 {
		err := b.Write(t.Context(), "key", "text/plain", []byte("x"), "")
		if err == nil || !strings.Contains(err.Error(), "does not have storage.objects.create access; set GOOGLE_APPLICATION_CREDENTIALS") || strings.Contains(err.Error(), "canary") {
			t.Errorf("a refused write: %v", err)
		}
	}
	if n := exchanged.Load(); n != 1 {
		t.Errorf("the key was exchanged %d times, want 1", n)
	}
}

// openGoogleAt opens a bucket of another server than Google's with the credentials of the environment.
func openGoogleAt(t *testing.T, server string) *googleBucket {
	t.Helper()
	b := openData(t, "gs://").(*googleBucket)
	if b.endpoint.String() != googleEndpoint {
		t.Errorf("the endpoint is %s", b.endpoint)
	}
	var err error
	if b.endpoint, err = url.Parse(server); err != nil {
		t.Fatal(err)
	}
	return b
}

// A file that has no key is an error that does not show what it has.
func TestGoogle_wrongFile(t *testing.T) {
	noCredentials(t)
	for _, content := range []string{"canary", `{"type":"canary"}`, ""} {
		path := filepath.Join(t.TempDir(), "key.json")
		if content != "" {
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", path)
		b := openGoogleAt(t, "http://127.0.0.1:1")
		if err := b.List(t.Context(), "", nil); err == nil || !strings.Contains(err.Error(), "GOOGLE_APPLICATION_CREDENTIALS does not name") || strings.Contains(err.Error(), "canary") {
			t.Errorf("with the file %q: %v", content, err)
		}
	}
	for _, emulator := range []string{"http://me:canary@h", "ftp://h", "http://h/path", "http://"} {
		t.Setenv("STORAGE_EMULATOR_HOST", emulator)
		if _, err := Open("gs://", "data"); err == nil || !strings.Contains(err.Error(), "STORAGE_EMULATOR_HOST is not") || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", emulator, err)
		}
	}
}

// A request that fails temporarily is repeated, one that is refused is not.
func TestRequest_repeated(t *testing.T) {
	for status, want := range map[int]int32{http.StatusServiceUnavailable: 3, http.StatusTooManyRequests: 3, http.StatusForbidden: 1, http.StatusInsufficientStorage: 1} {
		var requests atomic.Int32
		for _, kind := range buckettest.Kinds {
			requests.Store(0)
			kind.Start(t, func(h http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if requests.Add(1) < 3 {
						w.WriteHeader(status)
						return
					}
					h.ServeHTTP(w, r)
				})
			})
			err := openData(t, kind.Scheme).Write(t.Context(), "key", "text/plain", []byte("x"), "")
			if n := requests.Load(); n != want || (want == 3) != (err == nil) || errors.Is(err, ErrFull) != (status == http.StatusInsufficientStorage) {
				t.Errorf("%s %d: %d requests, want %d; %v", kind.Scheme, status, n, want, err)
			}
		}
	}
}
