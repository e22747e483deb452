package saver

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/sink"
)

// Paths of the downloads at the saver's HTTP port.
const (
	OutputPath      = "/output"
	DeadLettersPath = "/dead-letters"
)

const (
	mostDownloads = 4                // at a time, because each reads the disk that commits write to
	downloadStep  = 20 * time.Second // for a client to take one write
)

// Downloads serves the result of a finished job to authorized clients.
type Downloads struct {
	// From opens the ordered outputs or dead letters; see sink.Folder.OpenOutput.
	From interface {
		OpenOutput(dead bool) (sink.Merged, error)
		Summary() sink.Summary
	}
	Token string // that a client must send; empty: only clients on this machine may download
	slots chan struct{}
}

// Register adds the downloads to a server.
func (d *Downloads) Register(server interface {
	Handle(pattern string, h http.Handler)
},
) {
	d.slots = make(chan struct{}, mostDownloads)
	for path, dead := range map[string]bool{OutputPath: false, DeadLettersPath: true} {
		server.Handle("GET "+path, app.Stream{Handler: d.handler(dead)})
	}
}

func (d *Downloads) handler(dead bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if status, text := d.refuses(r); status != 0 {
			app.WriteJSON(w, status, map[string]string{"error": text})
			return
		}
		select {
		case d.slots <- struct{}{}:
			defer func() { <-d.slots }()
		default:
			w.Header().Set("Retry-After", "5")
			app.WriteJSON(w, http.StatusServiceUnavailable, map[string]string{"error": "too many downloads at once: ask again"})
			return
		}
		file, err := d.From.OpenOutput(dead)
		switch {
		case errors.Is(err, sink.ErrIncomplete):
			text := fmt.Sprintf("the job is not done: %d objects are saved so far; ask again when chunkline status says that it is done", d.From.Summary().Objects)
			app.WriteJSON(w, http.StatusConflict, map[string]string{"error": text})
			return
		case err != nil:
			app.WriteJSON(w, http.StatusInternalServerError, map[string]string{"error": err.Error()})
			return
		}
		defer func() { _ = file.Close() }() // it was only read
		h := w.Header()
		h.Set("ETag", fmt.Sprintf(`"xxh64-%016x"`, file.Sum))
		h.Set("Content-Type", file.MediaType)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-cache") // the next job has the same address
		http.ServeContent(patient{w, http.NewResponseController(w)}, r, "", time.Time{}, io.NewSectionReader(file, 0, file.Bytes))
	})
}

// refuses returns why a client may not download the result; status 0 means that it may.
func (d *Downloads) refuses(r *http.Request) (status int, text string) {
	given, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch {
	case d.Token == "" && app.FromHere(r):
		return 0, ""
	case d.Token == "":
		return http.StatusForbidden, "only this machine may download: use kubectl port-forward, or set RESULT_TOKEN at the saver"
	case !bearer || subtle.ConstantTimeCompare([]byte(given), []byte(d.Token)) != 1:
		return http.StatusUnauthorized, "this is not the saver's RESULT_TOKEN"
	}
	return 0, ""
}

// patient writes for as long as the client keeps reading. The server's own deadline covers a whole answer, and would
// end a large download.
type patient struct {
	http.ResponseWriter
	control *http.ResponseController
}

func (p patient) Write(b []byte) (int, error) {
	if err := p.control.SetWriteDeadline(time.Now().Add(downloadStep)); err != nil {
		return 0, err //nolint:wrapcheck // the error only ends the answer; it is never shown
	}
	return p.ResponseWriter.Write(b) //nolint:wrapcheck // as above
}
