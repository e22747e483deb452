package transform

import (
	"net/http"

	"github.com/chunkline/chunkline/internal/webservice"
)

// settingPrefix begins the settings of credentials, TRANSFORM_TOKEN and TRANSFORM_HEADERS.
const settingPrefix = "TRANSFORM"

// auth holds the headers of a worker's requests.
type auth struct {
	webservice.Credentials
	warn   func(text string)
	header http.Header // never modified, only replaced
	broken bool        // the last refresh failed
}

// newAuth returns the headers of s.Credentials, which Spec.New has checked.
func newAuth(s Spec) *auth {
	a := &auth{Credentials: s.Credentials, warn: s.Warn}
	a.header, _ = a.read()
	return a
}

// refresh reads the files again, because tokens expire and are replaced. If that fails, the headers stay as they are.
func (a *auth) refresh() {
	if !a.InFiles() {
		return
	}
	header, err := a.read()
	if err == nil {
		a.header = header
	} else if !a.broken && a.warn != nil {
		a.warn("going on with the headers that were read before: " + err.Error())
	}
	a.broken = err != nil
}

func (a *auth) read() (http.Header, error) {
	base := http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json"}, "User-Agent": {"chunkline"}}
	return a.Header(settingPrefix, base)
}
