package sqlsink

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/chunkline/chunkline/internal/backoff"
	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/spelling"
)

// openTimeout bounds how long opening waits for the database. A process that stalls may hold the lock until the server
// ends its transaction, which is after 30 s (sessionSettings).
const openTimeout = time.Minute

// IsSpec reports whether spec names a database.
func IsSpec(spec string) bool {
	kind, _, _ := strings.Cut(spec, ":")
	switch strings.ToLower(kind) {
	case "sqlite", "postgres", "postgresql":
		return strings.Contains(spec, ":")
	}
	return false
}

// Path returns the file of an SQLite sink; "" for others.
func Path(spec string) string {
	if kind, rest, _ := strings.Cut(spec, ":"); strings.EqualFold(kind, "sqlite") {
		path, _, _ := strings.Cut(rest, "?")
		return path
	}
	return ""
}

// Options are settings that are not in the URL.
type Options struct {
	ReadOnly bool // nothing is created or changed
	Existing bool // the job must exist
}

// Open opens the sink of a job in the database that spec names, and creates what is missing.
//
//	sqlite:FILE
//	postgres://USER:PASSWORD@HOST/DATABASE
//
// Both may have the settings of a table of the user: ?table=people&columns=id,name:full_name&key=id&mode=upsert. Other
// settings of PostgreSQL are for its client library. With ReadOnly or Existing job may be empty, if the database has
// one job.
//
// Opening ends early with ctx, and after a minute at the latest. A new sink tries for 5 s to reach its server, unless
// the server answers that it accepts no connections: TurnedAway recognizes this error. Errors are ErrSettings,
// ErrUnreachable, ErrNotSink, ErrFormat and ErrFull. Their texts contain no password.
func Open(ctx context.Context, spec, job string, o Options) (*Sink, error) {
	if err := chunk.CheckJob(job); err != nil && (job != "" || !o.ReadOnly && !o.Existing) {
		return nil, fmt.Errorf("%w: %w", err, sink.ErrSettings)
	}
	kind, rest, _ := strings.Cut(spec, ":")
	kind = strings.ToLower(kind)
	rest, values, err := splitTable(rest)
	if err != nil {
		return nil, fmt.Errorf("sink %s: %w: %w", kind, err, sink.ErrSettings)
	}
	ctx, done := context.WithTimeout(ctx, openTimeout)
	defer done()
	s := &Sink{job: job, readOnly: o.ReadOnly}
	s.Base = sink.BaseOf(func() *sink.Claims { return s.state.Load().claims })
	if kind == "sqlite" {
		path, unknown, _ := strings.Cut(rest, "?")
		switch unknown, _, _ = strings.Cut(unknown, "="); {
		case unknown != "":
			return nil, fmt.Errorf("sink sqlite: there is no setting %q%s%s: %w", unknown, spelling.Hint(unknown, tableSettingNames), settingsHelp, sink.ErrSettings)
		case path == "":
			return nil, fmt.Errorf("sink sqlite: write sqlite:FILE, or sqlite:FILE?table=NAME&columns=…: %w", sink.ErrSettings)
		}
		s.dialect = liteDialect{}
		s.db, s.at, err = openSQLite(ctx, rest, o)
	} else {
		s.dialect = pgDialect{}
		s.db, s.at, err = openPostgres(kind + ":" + rest)
	}
	if err != nil {
		return nil, s.explain(err)
	}
	if err := s.open(ctx, values, o); err != nil {
		return nil, errors.Join(s.explain(err), s.db.Close())
	}
	return s, nil
}

// tableSettingNames are the settings that splitTable knows.
var tableSettingNames = []string{"table", "columns", "key", "mode"}

// settingsHelp lists them.
const settingsHelp = "the settings of a table of yours are table, columns, key and mode"

// splitTable separates the settings of the user's table from a URL's query.
func splitTable(rest string) (string, url.Values, error) {
	path, query, _ := strings.Cut(rest, "?")
	values, own := url.Values{}, []string{}
	for setting := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(setting, "=")
		switch {
		case name == "":
		case slices.Contains(tableSettingNames, name):
			text, err := url.QueryUnescape(value)
			if err != nil {
				return "", nil, fmt.Errorf("setting %s is not URL-encoded text", name)
			}
			values.Add(name, text)
		default:
			own = append(own, setting)
		}
	}
	if len(own) > 0 {
		path += "?" + strings.Join(own, "&")
	}
	return path, values, nil
}

// open creates the tables and the job, and loads the job.
func (s *Sink) open(ctx context.Context, values url.Values, o Options) error {
	if !o.ReadOnly && !o.Existing {
		if err := s.make(ctx, values); err != nil {
			return err
		}
	} else if err := s.find(ctx); err != nil {
		return err
	}
	now, err := s.load(ctx, s.db, false)
	if errors.Is(err, errNoJob) {
		return s.noJob(ctx)
	}
	if err != nil {
		return err
	}
	if s.table == nil {
		if s.table, err = s.openTable(ctx, s.db, values); err != nil {
			return err
		}
	}
	if err := now.settings.check(s.table.settings(), o.ReadOnly); err != nil {
		return fmt.Errorf("job %s %w", s.job, err)
	}
	s.placer = ownOutputs{s.job, s.dialect}
	if s.table != nil {
		if s.placer, err = s.dialect.placer(s.table); err != nil {
			return err
		}
	}
	s.state.Store(now)
	return nil
}

// make creates what is missing, in one transaction.
func (s *Sink) make(ctx context.Context, values url.Values) (err error) {
	begin := time.Now()
	for pause := firstPause; ; pause = min(2*pause, mostPause) {
		if err = s.tryMake(ctx, values); err == nil {
			return nil
		}
		kind := s.classify(err)
		if kind != again && kind != away || TurnedAway(err) || ctx.Err() != nil || kind == away && time.Since(begin) > patience {
			return err
		}
		if stopped := backoff.Sleep(ctx, pause); stopped != nil {
			return err
		}
	}
}

func (s *Sink) tryMake(ctx context.Context, values url.Values) error {
	t, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer t.end()
	if err := s.dialect.lockMaking(ctx, t); err != nil {
		return err
	}
	if s.table, err = s.openTable(ctx, t, values); err != nil {
		return err
	}
	if err := s.makeTables(ctx, t); err != nil {
		return err
	}
	if err := s.makeJob(ctx, t); err != nil {
		return err
	}
	return t.Commit()
}

// find checks that the tables exist, and finds the job if its name is empty.
func (s *Sink) find(ctx context.Context) error {
	have, err := s.dialect.columns(ctx, s.db, quoteName(ownTables[0].name))
	if err != nil {
		return err
	}
	if len(have) == 0 {
		return fmt.Errorf("it has no tables of chunkline: %w", sink.ErrNotSink)
	}
	if s.job != "" {
		return nil
	}
	jobs, err := s.jobs(ctx)
	switch {
	case err != nil:
		return err
	case len(jobs) == 0:
		return fmt.Errorf("it has no job: %w", sink.ErrSettings)
	case len(jobs) > 1:
		return fmt.Errorf("it has the jobs %s: name one with --job: %w", strings.Join(jobs, ", "), sink.ErrSettings)
	}
	s.job = jobs[0]
	return nil
}

// jobs returns the names of all jobs in the database.
func (s *Sink) jobs(ctx context.Context) ([]string, error) {
	jobs, err := texts(ctx, s.db, "SELECT job FROM chunkline_jobs ORDER BY job")
	if err != nil {
		return nil, fmt.Errorf("read jobs: %w", err)
	}
	return jobs, nil
}

// noJob is the error for a job that does not exist.
func (s *Sink) noJob(ctx context.Context) error {
	jobs, err := s.jobs(ctx)
	switch {
	case err != nil:
		return err
	case len(jobs) == 0:
		return fmt.Errorf("there is no job %s, and no other: %w", s.job, sink.ErrSettings)
	}
	return fmt.Errorf("there is no job %s, only %s: %w", s.job, strings.Join(jobs, ", "), sink.ErrSettings)
}
