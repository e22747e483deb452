package sqlsink_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/chunkline/chunkline/internal/saver"
	"github.com/chunkline/chunkline/internal/sink/sinktest"
	"github.com/chunkline/chunkline/internal/sink/sqlsink"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSQLiteIsASink(t *testing.T) {
	sinktest.Run(t, func(t *testing.T, where, job string) (saver.Sink, error) {
		s, err := sqlsink.Open(t.Context(), "sqlite:"+where, job, sqlsink.Options{})
		if err != nil {
			return nil, err
		}
		return s, nil
	})
}
