// Package kinds opens sinks by their spec. A new kind needs a package that passes the suite in sinktest, a case in
// IsStore, Open and OpenExisting, and in cmd/chunkline/store.go the name of the folder for its input.
package kinds

import (
	"context"
	"iter"

	"github.com/chunkline/chunkline/internal/saver"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/sink/objectsink"
	"github.com/chunkline/chunkline/internal/sink/sqlsink"
)

// A Sink has the methods of every kind. sink.Folder describes those that a saver does not need.
type Sink interface {
	saver.Sink

	// For commands that read or repair a result.
	Job() string
	Transforms() map[string]string
	Records(ctx context.Context) iter.Seq2[sink.Record, error]
	Outputs(b []byte, r sink.Record) ([]byte, error)
	DeadLetters(b []byte, r sink.Record) ([]byte, error)
	OpenOutput(dead bool) (sink.Merged, error)
	Replace(ctx context.Context, old sink.Record, results ...sink.Result) error
	Redo(ctx context.Context, version string) (sink.Redone, error)
}

var (
	_ Sink = (*sink.Folder)(nil)
	_ Sink = (*sqlsink.Sink)(nil)
	_ Sink = (*objectsink.Sink)(nil)
)

// IsStore reports whether spec names a sink that is not a folder: a database or a bucket.
func IsStore(spec string) bool { return sqlsink.IsSpec(spec) || objectsink.IsSpec(spec) }

// IsDatabase reports whether spec names a database, which may have several jobs.
func IsDatabase(spec string) bool { return sqlsink.IsSpec(spec) }

// Open opens the sink that spec names for a job, and creates it if it does not exist. Errors are those of sink.Open.
// Opening a store ends early with ctx.
//
// Open waits while a database server accepts no connections because it has too many clients, starts, shuts down or
// recovers. It calls note with the error of each failed attempt, and with nil once the sink is open. After the server
// has given such an answer once, Open also waits while the server cannot be reached.
func Open(ctx context.Context, spec, job string, note func(error)) (Sink, error) {
	return openWaiting(ctx, func() (Sink, error) {
		switch {
		case sqlsink.IsSpec(spec):
			return opened(sqlsink.Open(ctx, spec, job, sqlsink.Options{}))
		case objectsink.IsSpec(spec):
			return opened(objectsink.Open(ctx, spec, job, objectsink.Options{}))
		}
		return opened(sink.Open(spec, job, sink.FolderOptions{}))
	}, note)
}

// OpenExisting opens the sink of a job in a store, for a command that reads or repairs it. job may be empty if the
// store has one job. It waits as Open does.
func OpenExisting(ctx context.Context, spec, job string, readOnly bool, note func(error)) (Sink, error) {
	return openWaiting(ctx, func() (Sink, error) {
		if sqlsink.IsSpec(spec) {
			return opened(sqlsink.Open(ctx, spec, job, sqlsink.Options{ReadOnly: readOnly, Existing: true}))
		}
		return opened(objectsink.Open(ctx, spec, job, objectsink.Options{ReadOnly: readOnly, Existing: true}))
	}, note)
}

// opened prevents a typed nil pointer from becoming a non-nil Sink.
func opened[S Sink](s S, err error) (Sink, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}
