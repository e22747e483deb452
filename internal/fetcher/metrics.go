package fetcher

import (
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/ledger"
	"github.com/chunkline/chunkline/internal/metrics"
	"github.com/chunkline/chunkline/internal/report"
)

// meters are the metrics of a fetcher: its own counters, and those whose values the coordinator has.
type meters struct {
	set      metrics.Set
	nats     *metrics.Bus
	versions metrics.Versions
	view     atomic.Pointer[view] // nil until the coordinator's first report

	cutChunks, cutObjects, cutBytes prometheus.Counter
	handedOut, dead                 metrics.Counters
	handedObjects, handedBytes      prometheus.Counter
	saved                           *prometheus.CounterVec
	savedByUnknown                  prometheus.Counter // counts objects whose mapper is gone

	chunks, objects, outputs, deadLetters, redelivered, duplicates, backups, wins *metrics.Const
	mappers, wanted, waiting, oldest, progress, eta, deadline, saverUp, done      *metrics.Const
}

// newMeters declares a fetcher's metrics; those of the connection are among them.
func newMeters() *meters {
	m := new(meters)
	s := &m.set
	m.chunks = s.Gauge("chunkline_chunks", "Chunks of the job that were cut, by state. A dead chunk crashed too many mappers and waits to be saved as dead letters.",
		metrics.OneOf("state", "ready", "in_flight", "saved", "dead"))
	m.cutChunks = s.Counter("chunkline_cut_chunks_total", "Chunks cut from the source, including those that were saved before this fetcher started.")
	m.cutObjects = s.Counter("chunkline_cut_objects_total", "Objects read from the source.")
	m.cutBytes = s.Counter("chunkline_cut_bytes_total", "Bytes of objects read from the source.")
	m.handedOut = s.Counters("chunkline_handed_out_pieces_total", "Pieces of chunks handed out, by whether they were backup attempts.", metrics.OneOf("backup", "false", "true"))
	m.handedObjects = s.Counter("chunkline_handed_out_objects_total", "Objects handed out.")
	m.handedBytes = s.Counter("chunkline_handed_out_bytes_total", "Bytes of objects handed out.")
	m.saved = s.CounterVec("chunkline_confirmed_objects_total", "Objects whose results the saver confirmed to this fetcher, by the version of the mapper that made them; unknown if that mapper is gone.",
		metrics.Version)
	m.savedByUnknown = m.saved.WithLabelValues(m.versions.Label(""))
	m.objects = s.Gauge("chunkline_saved_objects", "Objects that the sink holds; its rate is the speed of the job.")
	m.outputs = s.Gauge("chunkline_saved_outputs", "Outputs that the sink holds.")
	m.deadLetters = s.Gauge("chunkline_dead_letters", "Dead letters that the sink holds.")
	m.dead = s.Counters("chunkline_made_dead_letters_total",
		"Objects that became dead letters because their chunk crashed MAX_ATTEMPTS mappers (attempts). Objects of such chunks that the source could not read are counted separately (unreadable).",
		metrics.OneOf("reason", "attempts", "unreadable"))
	m.redelivered = s.Count("chunkline_redelivered_pieces_total", "Pieces handed out again because the previous attempt was lost (the reply was lost, or the mapper gave the piece up), was returned with a goodbye, or ended when its mapper vanished.",
		metrics.OneOf("reason", "lost", "returned", "vanished"))
	m.duplicates = s.Count("chunkline_duplicate_results_total", "Results that savers dropped because the sink had them already.")
	m.backups = s.Count("chunkline_backup_attempts_total", "Stragglers that were handed out to a second mapper.")
	m.wins = s.Count("chunkline_backup_wins_total", "Backup attempts whose result was saved first.")
	m.mappers = s.Gauge("chunkline_mappers", "Mappers that are connected, by version and state: draining ones take no more work, silent ones have missed two heartbeats, working ones hold pieces.",
		metrics.Version, metrics.OneOf("state", string(report.MapperWorking), string(report.MapperIdle), string(report.MapperSilent), string(report.MapperDraining)))
	m.wanted = s.Gauge("chunkline_wanted_mappers", "Mappers that the job could use now, or needs in order to end within FINISH_WITHIN if that is set; docs/metrics.md has the formula.")
	m.waiting = s.Gauge("chunkline_waiting_requests", "Requests for work that have no answer yet.")
	m.oldest = s.Gauge("chunkline_oldest_piece_seconds", "Time since the oldest piece in flight was handed out; 0 if no piece is in flight.")
	m.progress = s.Gauge("chunkline_progress_ratio", "Share of the source that is saved, 0 to 1.")
	m.eta = s.Gauge("chunkline_eta_seconds", "Estimated time to the end of the job; absent while it cannot be estimated.")
	m.deadline = s.Gauge("chunkline_deadline_seconds", "Time until FINISH_WITHIN has passed, negative after that; absent if FINISH_WITHIN is not set.")
	m.saverUp = s.Gauge("chunkline_saver_up", "1 while the saver answers the fetcher, else 0.")
	m.done = s.Gauge("chunkline_done", "1 once the job is done: every object is saved, and the result is merged; else 0.")
	m.nats = metrics.NewBus(s)
	return m
}

func (m *meters) cut(c cut) {
	m.cutChunks.Inc()
	m.cutObjects.Add(float64(c.chunk.Count))
	m.cutBytes.Add(float64(len(c.chunk.Body)))
}

func (m *meters) sent(l ledger.Lease, c chunk.Chunk) {
	m.handedOut[strconv.FormatBool(l.Backup)].Inc()
	m.handedObjects.Add(float64(c.Count))
	m.handedBytes.Add(float64(len(c.Body)))
}

// deadLettered counts a chunk whose objects become dead letters.
func (m *meters) deadLettered(c chunk.Chunk) {
	m.dead["attempts"].Add(float64(c.Count - len(c.Bad)))
	m.dead["unreadable"].Add(float64(len(c.Bad)))
}

// Metrics describes the metrics for docs/metrics.md.
func Metrics() []metrics.Doc { return newMeters().set.Docs() }

// Describe implements prometheus.Collector.
func (f *Fetcher) Describe(ch chan<- *prometheus.Desc) { f.metrics.set.Describe(ch) }

// Collect implements prometheus.Collector.
func (f *Fetcher) Collect(ch chan<- prometheus.Metric) { f.metrics.set.Collect(ch) }

// gather emits the values that the coordinator has published.
func (m *meters) gather(f *Fetcher) func(metrics.Emit) {
	return func(emit metrics.Emit) {
		m.nats.Emit(emit, f.bus)
		v := m.view.Load()
		if v == nil {
			v = new(view)
		}
		s := f.Status()
		emit(m.chunks, float64(s.Chunks.Ready), "ready")
		emit(m.chunks, float64(s.Chunks.InFlight), "in_flight")
		emit(m.chunks, float64(s.Chunks.Saved), "saved")
		emit(m.chunks, float64(v.dead), "dead")
		emit(m.objects, float64(s.Objects.Saved))
		emit(m.outputs, float64(s.Objects.Outputs))
		emit(m.deadLetters, float64(s.Objects.Dead))
		for reason, n := range v.redelivered {
			emit(m.redelivered, float64(n), ledger.Reason(reason).String())
		}
		emit(m.duplicates, float64(s.Chunks.Duplicates))
		emit(m.backups, float64(s.Chunks.Backups))
		emit(m.wins, float64(s.Chunks.BackupWins))
		for of, n := range v.mappers {
			emit(m.mappers, float64(n), of.version, string(of.state))
		}
		emit(m.wanted, float64(s.Wanted))
		emit(m.waiting, float64(s.Waiting))
		emit(m.oldest, v.oldest.Seconds())
		emit(m.progress, s.Progress)
		if s.ETASeconds != nil {
			emit(m.eta, *s.ETASeconds)
		}
		if within := f.cfg.FinishWithin; within > 0 {
			emit(m.deadline, within.Seconds()-s.Seconds)
		}
		up := 0.0
		if s.State != report.StateStarting && !s.SaverAway {
			up = 1
		}
		emit(m.saverUp, up)
		done := 0.0
		if s.State == report.StateDone {
			done = 1
		}
		emit(m.done, done)
	}
}

// view is the data of metrics that the status lacks.
type view struct {
	dead        int // chunks
	redelivered [3]uint64
	mappers     map[kind]int
	oldest      time.Duration
}

// kind groups mappers for counting.
type kind struct {
	version string
	state   report.MapperState
}

// makeView returns the current view. Only the coordinator's goroutine calls it, with the report.
func (c *coordinator) makeView(now time.Time) *view {
	counts := c.ledger.Counts()
	v := &view{
		dead: counts.Dead, redelivered: c.ledger.Redelivered(), oldest: c.ledger.Oldest(now), mappers: map[kind]int{},
	}
	for _, m := range c.mappers {
		v.mappers[kind{version: m.version, state: m.state(now)}]++
	}
	return v
}
