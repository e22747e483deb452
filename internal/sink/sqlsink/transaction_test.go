package sqlsink

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"modernc.org/sqlite"

	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/sink/sinktest"
)

// A network stands between the sink and SQLite. Like that of PostgreSQL, its driver ends COMMIT with the context of the transaction.
type network struct {
	sqlite    driver.Driver
	file      string
	committed func() error // called when the database has committed; its error takes the place of the answer
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

func (c *networkConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
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

// The database commits, but the answer to COMMIT is lost, or the caller's context ends meanwhile. The caller is told what was done.
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
