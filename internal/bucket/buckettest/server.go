// Package buckettest stands in for object storage, so that tests need no account. StartS3 uses a library; for Google's
// and Azure's interface there is none.
//
// A Server keeps the conditions of reads and writes, lists in pages, and refuses a write whose checksum is wrong. It
// was written from the same documentation as the client, so it does not prove that the provider understands the client:
// it checks no credentials and no limits, and its error messages are short.
package buckettest

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Bucket is the name of the only bucket of a server.
const Bucket = "data"

// pageSize is small, so that tests see several pages.
const pageSize = 3

// A Server has the objects of one bucket.
type Server struct {
	mu      sync.Mutex
	objects map[string]object
	newest  int // version
}

type object struct {
	content []byte
	version string
}

// A Kind is one of the interfaces of object storage.
type Kind struct {
	Scheme string
	// Handler answers requests for the objects of a server.
	Handler func(*Server) http.Handler
	// Setenv sets the variables that name a server, and credentials with the word canary.
	Setenv func(t testing.TB, url string)
}

// Kinds are the interfaces that have a stand-in here.
var Kinds = []Kind{google, azure}

// Start starts a server of a kind, for which the end of the test waits. All buckets that the test opens are there.
// wrap, unless it is nil, may add faults.
func (k Kind) Start(t testing.TB, wrap func(http.Handler) http.Handler) *Server {
	t.Helper()
	s := &Server{objects: map[string]object{}}
	handler := k.Handler(s)
	if wrap != nil {
		handler = wrap(handler)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	k.Setenv(t, server.URL)
	return s
}

// Put stores an object, and replaces an existing one.
func (s *Server) Put(key, content string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(key, []byte(content))
}

func (s *Server) put(key string, content []byte) {
	s.newest++
	s.objects[key] = object{content, strconv.Itoa(s.newest)}
}

// Keys returns the keys that begin with prefix, in ascending order.
func (s *Server) Keys(prefix string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Sorted(maps.Keys(s.objects)), func(key string) bool { return !strings.HasPrefix(key, prefix) })
}

func (s *Server) get(key string) (object, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, there := s.objects[key]
	return o, there
}

// write stores an object if the existing one, which is empty if there is none, fits.
func (s *Server) write(key string, content []byte, fits func(old object) bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !fits(s.objects[key]) {
		return false
	}
	s.put(key, content)
	return true
}

// remove deletes an object, and returns false if there is none.
func (s *Server) remove(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, there := s.objects[key]
	delete(s.objects, key)
	return there
}

// page returns keys that begin with prefix, from the token of a page on, and the token of the next page; "" if it is
// the last one.
func (s *Server) page(prefix, token string) (keys []string, next string) {
	keys = s.Keys(prefix)
	keys = keys[sortedFrom(keys, token):]
	if len(keys) > pageSize {
		return keys[:pageSize], "from " + keys[pageSize]
	}
	return keys, ""
}

func sortedFrom(keys []string, token string) int {
	from, _ := slices.BinarySearch(keys, strings.TrimPrefix(token, "from "))
	return from
}

// serve answers a read with an object's bytes, or those that the header Range asks for.
func serve(w http.ResponseWriter, r *http.Request, o object) {
	content, status := o.content, http.StatusOK
	if text := r.Header.Get("Range"); text != "" {
		var from, to int64
		n, _ := fmt.Sscanf(text, "bytes=%d-%d", &from, &to)
		size := int64(len(content))
		if n == 0 || from >= size {
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return
		}
		if n == 1 {
			to = size - 1
		}
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, min(to, size-1), size))
		content, status = content[from:min(to+1, size)], http.StatusPartialContent
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(content)))
	w.WriteHeader(status)
	_, _ = w.Write(content) // the client sees a short answer
}
