package sqlsink

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/sink"
)

// format is the version of the tables' format. Jobs of other formats are not touched.
const format = 1

// An ownTable is a table that chunkline creates. The types BYTES and JSON stand for those of the dialect.
type ownTable struct {
	name    string
	columns []string // name and type
	rest    string   // constraints
}

var ownTables = []ownTable{
	{"chunkline_jobs", []string{
		"job TEXT", "format BIGINT NOT NULL", "id TEXT NOT NULL", "target TEXT NOT NULL", "plan TEXT", "lease_key BYTES", "epoch BIGINT NOT NULL",
		"changes BIGINT NOT NULL", "finished BIGINT NOT NULL", "chunks BIGINT NOT NULL", "objects BIGINT NOT NULL", "outputs BIGINT NOT NULL",
		"dead BIGINT NOT NULL", "output_bytes BIGINT NOT NULL", "dead_bytes BIGINT NOT NULL",
	}, "PRIMARY KEY (job)"},
	{"chunkline_fetchers", []string{"job TEXT", "fetcher TEXT", "epoch BIGINT NOT NULL"}, "PRIMARY KEY (job, fetcher)"},
	{"chunkline_versions", []string{"job TEXT", "version TEXT", "term BIGINT NOT NULL", "transform TEXT NOT NULL"}, "PRIMARY KEY (job, version)"},
	{"progress", append([]string{"job TEXT NOT NULL"}, pieceColumns...), "PRIMARY KEY (job, chunk, start), UNIQUE (job, first)"},
	{"dead_letters", []string{"job TEXT", "chunk BIGINT", "ordinal BIGINT", "letter TEXT NOT NULL"}, "PRIMARY KEY (job, chunk, ordinal)"},
	{"outputs", []string{"job TEXT", "ordinal BIGINT", "part BIGINT", "value JSON NOT NULL"}, "PRIMARY KEY (job, ordinal, part)"},
}

// names returns the table's columns.
func (o ownTable) names() []string {
	names := make([]string, len(o.columns))
	for i, c := range o.columns {
		names[i], _, _ = strings.Cut(c, " ")
	}
	return names
}

// makeTables creates missing tables, and refuses other tables of the same names.
func (s *Sink) makeTables(ctx context.Context, t *tx) error {
	for _, o := range ownTables {
		have, err := s.dialect.columns(ctx, t, quoteName(o.name))
		if err != nil {
			return err
		}
		if len(have) == 0 {
			types := strings.NewReplacer("BYTES", s.dialect.types().bytes, "JSON", s.dialect.types().json)
			definition := fmt.Sprintf("CREATE TABLE %s (%s, %s)", o.name, types.Replace(strings.Join(o.columns, ", ")), o.rest)
			if _, err := t.ExecContext(ctx, definition); err != nil {
				return fmt.Errorf("create table %s: %w", o.name, err)
			}
			continue
		}
		if err := o.isOurs(have); err != nil {
			return err
		}
	}
	return nil
}

// isOurs returns an error if the table of this name has other columns.
func (o ownTable) isOurs(have []column) error {
	names := make([]string, len(have))
	for i, c := range have {
		names[i] = c.name
	}
	if !slices.Equal(names, o.names()) {
		return fmt.Errorf("it has a table %s that chunkline did not make: use another database (or, in PostgreSQL, another schema: search_path=NAME): %w", o.name, sink.ErrNotSink)
	}
	return nil
}

// makeJob creates the job's row if it is missing.
func (s *Sink) makeJob(ctx context.Context, t *tx) error {
	settings, err := s.table.settings().encode()
	if err != nil {
		return fmt.Errorf("encode settings of table %s: %w", s.table.name, err)
	}
	_, err = t.exec(ctx, `INSERT INTO chunkline_jobs (job, format, id, target, epoch, changes, finished, chunks, objects, outputs, dead, output_bytes, dead_bytes)
		VALUES ($1, $2, $3, $4, 0, 0, 0, 0, 0, 0, 0, 0, 0) ON CONFLICT (job) DO NOTHING`, s.job, format, rand.Text(), settings)
	if err != nil {
		return fmt.Errorf("record job: %w", err)
	}
	return nil
}

// errNoJob means that the database has no row for the job.
var errNoJob = errors.New("no job of this name")

// load reads the job's state. With lock, no other transaction can change it until this one ends.
func (s *Sink) load(ctx context.Context, from querier, lock bool) (*state, error) {
	query := `SELECT format, id, target, plan, lease_key, epoch, changes, finished, chunks, objects, outputs, dead, output_bytes, dead_bytes
		FROM chunkline_jobs WHERE job = $1`
	if lock {
		query += s.dialect.lockRow()
	}
	var made int
	var settings string
	var plan sql.NullString
	n := &state{claims: &sink.Claims{Job: s.job, Terms: map[string]uint64{}, Transforms: map[string]string{}}}
	c, t := n.claims, &n.totals
	err := from.QueryRowContext(ctx, s.dialect.text(query), s.job).Scan(&made, &c.ID, &settings, &plan, &c.Key, &c.Epoch, &n.changes, &n.finished,
		&t.Chunks, &t.Objects, &t.Outputs, &t.Dead, &t.OutputBytes, &t.DeadBytes)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, errNoJob
	case err != nil:
		return nil, fmt.Errorf("read job: %w", err)
	case made != format:
		return nil, fmt.Errorf("job %s has format %d: %w", s.job, made, sink.ErrFormat)
	}
	if n.settings, err = decodeSettings(settings); err != nil {
		return nil, fmt.Errorf("job %s: %w", s.job, err)
	}
	if plan.Valid {
		c.Plan = new(chunk.Plan)
		if err := json.Unmarshal([]byte(plan.String), c.Plan); err != nil {
			return nil, fmt.Errorf("read plan: %w: %w", sink.ErrDamaged, err)
		}
	}
	query = s.dialect.text("SELECT version, term, transform FROM chunkline_versions WHERE job = $1")
	err = each(ctx, from, query, []any{s.job}, func(scan func(...any) error) error {
		var version, transform string
		var term uint64
		err := scan(&version, &term, &transform)
		if term > 0 {
			c.Terms[version] = term
		}
		if transform != "" {
			c.Transforms[version] = transform
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read versions: %w", err)
	}
	return n, nil
}

// store writes the job's row, and the rows of claims and versions that are not as in old.
func (s *Sink) store(ctx context.Context, t *tx, n *state, old *sink.Claims) error {
	if err := s.storeClaims(ctx, t, n.claims, old); err != nil {
		return err
	}
	var plan any
	if n.claims.Plan != nil {
		text, err := json.Marshal(n.claims.Plan)
		if err != nil {
			return fmt.Errorf("encode plan: %w", err)
		}
		plan = string(text)
	}
	finished := 0
	if n.finished {
		finished = 1
	}
	_, err := t.exec(ctx, `UPDATE chunkline_jobs SET plan = $2, lease_key = $3, epoch = $4, changes = $5, finished = $6,
		chunks = $7, objects = $8, outputs = $9, dead = $10, output_bytes = $11, dead_bytes = $12 WHERE job = $1`,
		s.job, plan, n.claims.Key, int64(n.claims.Epoch), int64(n.changes), finished, int64(n.totals.Chunks), int64(n.totals.Objects), int64(n.totals.Outputs),
		int64(n.totals.Dead), int64(n.totals.OutputBytes), int64(n.totals.DeadBytes))
	if err != nil {
		return fmt.Errorf("write job: %w", err)
	}
	return nil
}

func (s *Sink) storeClaims(ctx context.Context, t *tx, now, old *sink.Claims) error {
	if now.Epoch != old.Epoch {
		newest := now.Claimants[len(now.Claimants)-1]
		_, err := t.exec(ctx, "INSERT INTO chunkline_fetchers (job, fetcher, epoch) VALUES ($1, $2, $3)", s.job, newest.Fetcher, int64(newest.Epoch))
		if err != nil {
			return fmt.Errorf("write claim: %w", err)
		}
	}
	versions := map[string]bool{}
	for _, c := range []*sink.Claims{now, old} {
		for version := range c.Terms {
			versions[version] = true
		}
		for version := range c.Transforms {
			versions[version] = true
		}
	}
	for version := range versions {
		if now.Terms[version] == old.Terms[version] && now.Transforms[version] == old.Transforms[version] {
			continue
		}
		_, err := t.exec(ctx, `INSERT INTO chunkline_versions (job, version, term, transform) VALUES ($1, $2, $3, $4)
			ON CONFLICT (job, version) DO UPDATE SET term = EXCLUDED.term, transform = EXCLUDED.transform`, s.job, version, int64(now.Terms[version]), now.Transforms[version])
		if err != nil {
			return fmt.Errorf("write version %q: %w", version, err)
		}
	}
	return nil
}
