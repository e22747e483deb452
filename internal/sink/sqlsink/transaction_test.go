package sqlsink

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"modernc.org/sqlite"

	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/sink/sinktest"
)

// A network stands between the sink and SQLite. Like that of PostgreSQL, its driver ends COMMIT with the context of the
// transaction.
type network struct {
	sqlite    driver.Driver
	file      string
	committed func() error // called when the database has committed; its error takes the place of the answer
	begins    func()       // called before a transaction begins; may be nil
	queries   func(string) // called before a query; may be nil
}

func (n *network) Connect(context.Context) (driver.Conn, error) {
	conn, err := n.sqlite.Open("file:" + n.file + "?_txlock=immediate&_pragma=foreign_keys(1)")
	if err != nil {
		return nil, err
	}
	return &networkConn{conn.(sqliteConn), n}, nil
}

func (n *network) Driver() driver.Driver { return n.sqlite }

type sqliteConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	sqlite.DBStatus
}

type networkConn struct {
	sqliteConn

	network *network
}

func (c *networkConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if c.network.queries != nil {
		c.network.queries(query)
	}
	return c.sqliteConn.QueryContext(ctx, query, args)
}

func (c *networkConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	if c.network.begins != nil {
		c.network.begins()
	}
	t, err := c.sqliteConn.BeginTx(ctx, o)
	return &networkTx{t, ctx, c.network}, err
}

type networkTx struct {
	driver.Tx

	ctx     context.Context //nolint:containedctx // as in the driver of PostgreSQL
	network *network
}

func (t *networkTx) Commit() error {
	if err := t.Tx.Commit(); err != nil {
		return err
	}
	return errors.Join(t.network.committed(), t.ctx.Err())
}

// The database commits, but the answer to COMMIT is lost, or the caller's context ends meanwhile. The caller is told
// what was done.
func TestCommitWithoutAnswer(t *testing.T) {
	t.Parallel()
	errLost := context.DeadlineExceeded
	for name, test := range map[string]struct {
		lost, ends bool // the answer is lost, the context ends
		want       error
	}{
		"the answer is lost": {lost: true},
		"the context ends":   {ends: true},
		"both":               {lost: true, ends: true, want: sink.ErrUnreachable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "out.db")
			s, err := Open(t.Context(), "sqlite:"+path, "run", Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			answers := func() error { return nil }
			direct := s.db
			defer direct.Close()
			s.db = sql.OpenDB(&network{sqlite: direct.Driver(), file: path, committed: func() error { return answers() }})
			// change calls do, whose first COMMIT goes wrong.
			change := func(what string, do func(context.Context) error) {
				t.Helper()
				ctx, end := context.WithCancel(t.Context())
				defer end()
				answers = func() error {
					answers = func() error { return nil }
					if test.ends {
						end()
					}
					if test.lost {
						return errLost
					}
					return nil
				}
				err := do(ctx)
				if !errors.Is(err, test.want) || errors.Is(err, context.Canceled) || test.want != nil && !strings.Contains(err.Error(), "the change may have been made") {
					t.Errorf("%s: %v, want %v", what, err, test.want)
				}
			}
			change("claim", func(ctx context.Context) error {
				_, err := s.Claim(ctx, sinktest.Plan("a"), "f1")
				return err
			})
			first, mended := sinktest.Result(0, 0, "first", 1, -1), sinktest.Result(0, 0, "mended", 1, 1)
			change("commit", func(ctx context.Context) error {
				outcomes, err := s.Commit(ctx, []sink.Result{first})
				if err == nil && !outcomes[0].Durable() {
					t.Errorf("outcome %s", outcomes[0])
				}
				return err
			})
			change("replace", func(ctx context.Context) error { return s.Replace(ctx, sink.RecordOf(&first), mended) })
			if sum := s.Summary(); test.want == nil && (sum.Outputs != 2 || sum.Dead != 0) {
				t.Errorf("after replace the summary is %+v", sum)
			}
			change("redo", func(ctx context.Context) error {
				done, err := s.Redo(ctx, "v1")
				if want := (sink.Redone{Chunks: 1, Objects: 2, Outputs: 2}); err == nil && done != want {
					t.Errorf("redo says %+v, want %+v", done, want)
				}
				return err
			})
			if err := s.Refresh(t.Context()); err != nil || s.Summary() != (sink.Summary{}) {
				t.Errorf("after redo the summary is %+v (%v)", s.Summary(), err)
			}
		})
	}
}

// Pieces change while Finish checks that the job is complete. It holds up no commit, and records only what it has
// checked.
func TestFinishMeanwhile(t *testing.T) {
	t.Parallel()
	first, mended, next := sinktest.Result(0, 0, "first", 1, -1), sinktest.Result(0, 0, "mended", 1, 1), sinktest.Result(1, 2, "next", 1, 1)
	next.Version = "v2"
	for name, test := range map[string]struct {
		change func(context.Context, *Sink) error
		want   error
	}{
		"replace": {func(ctx context.Context, s *Sink) error { return s.Replace(ctx, sink.RecordOf(&first), mended) }, nil},
		"commit": {func(ctx context.Context, s *Sink) error {
			_, err := s.Commit(ctx, []sink.Result{next})
			return err
		}, sink.ErrIncomplete},
		"redo, and a commit of as many objects": {func(ctx context.Context, s *Sink) error {
			_, redo := s.Redo(ctx, first.Version)
			_, err := s.Commit(ctx, []sink.Result{next})
			return errors.Join(redo, err)
		}, sink.ErrIncomplete},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "out.db")
			open := func() *Sink {
				s, err := Open(t.Context(), "sqlite:"+path, "run", Options{})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { s.Close() })
				return s
			}
			s, other := open(), open()
			if _, err := s.Claim(t.Context(), sinktest.Plan("a"), "f1"); err != nil {
				t.Fatal(err)
			}
			commit := func() {
				if _, err := s.Commit(t.Context(), []sink.Result{first}); err != nil {
					t.Error(err)
				}
			}
			commit()
			n := &network{sqlite: s.db.Driver(), file: path, committed: func() error { return nil }}
			direct := s.db
			defer direct.Close()
			s.db = sql.OpenDB(n)
			n.queries = func(query string) {
				if !strings.Contains(query, "FROM progress") {
					return
				}
				n.queries = nil
				if !s.changing.TryLock() {
					t.Error("Finish holds up commits while it reads the pieces")
					return
				}
				s.changing.Unlock()
				commit()
				n.begins = func() {
					n.begins = nil
					if err := test.change(t.Context(), other); err != nil {
						t.Errorf("%s: %v", name, err)
					}
				}
			}
			_, err := s.Finish(t.Context(), 1, 2)
			if now := s.state.Load(); !errors.Is(err, test.want) || now.finished != (test.want == nil) || n.queries != nil || n.begins != nil {
				t.Errorf("finish: %v, want %v; finished: %t", err, test.want, now.finished)
			}
		})
	}
}

// silence is a server that does not answer.
type silence struct{}

func (silence) Connect(ctx context.Context) (driver.Conn, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (silence) Driver() driver.Driver { return nil }

// Reads and changes end although the server does not answer and the caller has no limit: commits may wait for them.
func TestSilence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &Sink{db: sql.OpenDB(silence{}), dialect: pgDialect{}, at: "postgres://db/app", job: "job"}
		begin := time.Now()
		if err := s.Refresh(t.Context()); !errors.Is(err, sink.ErrUnreachable) || time.Since(begin) != refreshTimeout {
			t.Errorf("refresh: %v after %s, want ErrUnreachable after %s", err, time.Since(begin), refreshTimeout)
		}
		begin = time.Now()
		if _, err := s.List(t.Context(), 0, 1); !errors.Is(err, sink.ErrUnreachable) || time.Since(begin) != readTimeout {
			t.Errorf("list: %v after %s, want ErrUnreachable after %s", err, time.Since(begin), readTimeout)
		}
		if err := s.FenceVersion(t.Context(), "v1", 1); !errors.Is(err, sink.ErrUnreachable) || !strings.Contains(err.Error(), "it took more than 20s") {
			t.Errorf("change: %v, want ErrUnreachable after 20 s", err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}
