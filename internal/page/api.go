package page

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/fetcher"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/wire"
)

const (
	defaultCells = 2000
	maxCells     = 10_000
	defaultDead  = 20
	maxDead      = 200
	lastChunk    = math.MaxInt64 / 4 // more than any chunk number; the bus accepts no larger one
	maxOrder     = 4096              // bytes of an order
)

type api struct {
	job    Job
	token  string
	log    zerolog.Logger // sampled, because any client can cause its lines
	frames frames
}

func (a *api) status(w http.ResponseWriter, _ *http.Request) {
	app.WriteJSON(w, http.StatusOK, a.job.Status().Whole())
}

// versions answers with the part of the status that compares versions of mappers.
func (a *api) versions(w http.ResponseWriter, _ *http.Request) {
	app.WriteJSON(w, http.StatusOK, a.job.Status().Whole().Versions)
}

func (a *api) chunkMap(w http.ResponseWriter, r *http.Request) {
	q := query{r: r}
	from, to, cells := q.number("from", 0, 0, lastChunk), q.number("to", 0, 0, lastChunk), q.number("cells", defaultCells, 1, maxCells)
	if q.bad(w) {
		return
	}
	m, err := a.job.Map(r.Context(), chunk.ID(from), chunk.ID(to), int(cells))
	if m.Cells == nil {
		m.Cells = []report.Cell{}
	}
	answer(w, m, err)
}

func (a *api) chunk(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseUint(r.PathValue("id"), 10, 62)
	if err != nil {
		problem(w, http.StatusBadRequest, fmt.Errorf("chunk %.40q: want its number", r.PathValue("id")))
		return
	}
	c, err := a.job.Chunk(r.Context(), chunk.ID(id))
	answer(w, c, err)
}

func (a *api) history(w http.ResponseWriter, r *http.Request) {
	h, err := a.job.History(r.Context())
	if h.Objects == nil {
		h.Objects = []uint64{}
	}
	answer(w, h, err)
}

func (a *api) dead(w http.ResponseWriter, r *http.Request) {
	q := query{r: r}
	before, limit := q.number("before", lastChunk, 0, lastChunk), q.number("limit", defaultDead, 1, maxDead)
	if q.bad(w) {
		return
	}
	page, err := a.job.Dead(r.Context(), chunk.ID(before), int(limit))
	if page.Letters == nil {
		page.Letters = []report.DeadLetter{}
	}
	answer(w, page, err)
}

// shadow answers with the results of a shadow run.
func (a *api) shadow(w http.ResponseWriter, r *http.Request) {
	found, err := a.job.Shadow(r.Context())
	if found.Versions == nil {
		found.Versions = []report.ShadowCount{}
	}
	if found.Differences == nil {
		found.Differences = []report.Difference{}
	}
	answer(w, found, err)
}

// controls answers whether the job can be controlled here.
func (a *api) controls(w http.ResponseWriter, _ *http.Request) {
	app.WriteJSON(w, http.StatusOK, map[string]bool{"enabled": a.token != ""})
}

func (a *api) control(w http.ResponseWriter, r *http.Request) {
	given, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch {
	case a.token == "":
		refuseBody(w)
		problem(w, http.StatusForbidden, errors.New("control is off: set the fetcher's CONTROL_TOKEN, or use chunkline control"))
		return
	case !bearer || subtle.ConstantTimeCompare([]byte(given), []byte(a.token)) != 1:
		refuseBody(w)
		a.log.Warn().Str("client", r.RemoteAddr).Msg("refused an order: its token is not CONTROL_TOKEN")
		w.Header().Set("WWW-Authenticate", `Bearer realm="chunkline"`)
		problem(w, http.StatusUnauthorized, errors.New("this is not the fetcher's CONTROL_TOKEN"))
		return
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxOrder))
	var order wire.Control
	if err == nil {
		err = json.Unmarshal(text, &order)
	}
	if err != nil {
		problem(w, http.StatusBadRequest, fmt.Errorf(`read order: %w; want {"action": "pause"}, or resume, cancel, or rate with a "rate"`, err))
		return
	}
	switch err := a.job.Control(r.Context(), order); {
	case errors.Is(err, fetcher.ErrNotRunning):
		problem(w, http.StatusServiceUnavailable, err)
	case err != nil:
		problem(w, http.StatusConflict, err)
	default:
		app.WriteJSON(w, http.StatusOK, a.job.Status().Whole())
	}
}

// refuseBody keeps the server from waiting for the rest of the body of a refused request.
func refuseBody(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0))
}

// answer writes the result of a query, or its error.
func answer(w http.ResponseWriter, v any, err error) {
	switch {
	case err == nil:
		app.WriteJSON(w, http.StatusOK, v)
	case errors.Is(err, fetcher.ErrNoChunk):
		problem(w, http.StatusNotFound, err)
	default:
		problem(w, http.StatusServiceUnavailable, err)
	}
}

func problem(w http.ResponseWriter, status int, err error) {
	app.WriteJSON(w, status, map[string]string{"error": err.Error()})
}

// query parses the numbers in the query of a request and keeps the first error.
type query struct {
	r   *http.Request
	err error
}

func (q *query) number(name string, standard, least, most uint64) uint64 {
	text := q.r.URL.Query().Get(name)
	if text == "" {
		return standard
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if q.err == nil && (err != nil || n < least || n > most) {
		q.err = fmt.Errorf("%s=%.40s: want a number from %d to %d", name, text, least, most)
	}
	return n
}

func (q *query) bad(w http.ResponseWriter) bool {
	if q.err != nil {
		problem(w, http.StatusBadRequest, q.err)
	}
	return q.err != nil
}
