package page

import (
	"context"
	"embed"
	"io/fs"
	"net/http"

	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/wire"
)

// A Job is the source of the page's data; *fetcher.Fetcher implements it.
type Job interface {
	Status() report.Status
	Map(ctx context.Context, from, to chunk.ID, cells int) (report.Map, error)
	Chunk(ctx context.Context, id chunk.ID) (report.Chunk, error)
	History(ctx context.Context) (report.History, error)
	Dead(ctx context.Context, below chunk.ID, limit int) (report.DeadPage, error)
	Shadow(ctx context.Context) (report.ShadowReport, error)
	Control(ctx context.Context, c wire.Control) error
}

//go:embed static
var static embed.FS

// Register adds the page of a job and its API to a server. A client with the token may control the job; an empty token
// disables control. A wrong token is logged. opened reports whether the page has been opened in a browser.
func Register(server interface {
	Handle(pattern string, h http.Handler)
}, job Job, token string, log zerolog.Logger,
) (opened func() bool) {
	a := &api{job: job, token: token, frames: frames{job: job}, log: app.Sampled(log)}
	assets, err := fs.Sub(static, "static")
	if err != nil {
		panic(err) // the folder is embedded, so this cannot fail
	}
	files := http.FileServerFS(assets)
	server.Handle("GET /{$}", plain(files))
	server.Handle("GET /page/", plain(http.StripPrefix("/page", files)))
	for pattern, handle := range map[string]http.HandlerFunc{
		"GET /api/status":      a.status,
		"GET /api/versions":    a.versions,
		"GET /api/map":         a.chunkMap,
		"GET /api/chunks/{id}": a.chunk,
		"GET /api/history":     a.history,
		"GET /api/dead":        a.dead,
		"GET /api/shadow":      a.shadow,
		"GET /api/control":     a.controls,
		"POST /api/control":    a.control,
	} {
		server.Handle(pattern, handle)
	}
	server.Handle("GET /api/events", app.Stream{Handler: http.HandlerFunc(a.events)})
	return a.frames.opened.Load
}

// plain sets the headers of static files: a browser may load only what this server provides, and must check for a new
// version each time, because the page must match its API after an update.
func plain(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "+
			"base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cache-Control", "no-cache")
		h.ServeHTTP(w, r)
	})
}
