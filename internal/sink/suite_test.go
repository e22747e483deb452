package sink_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/sink/sinktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFolderIsASink(t *testing.T) {
	sinktest.Run(t, func(_ *testing.T, where, job string) (sink.Sink, error) {
		return sink.Open(where, job, sink.Options{})
	})
}

// Parts of 60 bytes: every other result begins a new file.
func TestFolderOfManyPartsIsASink(t *testing.T) {
	sinktest.Run(t, func(_ *testing.T, where, job string) (sink.Sink, error) {
		f, err := sink.OpenFolder(where, job, sink.FolderOptions{PartBytes: 60})
		if err != nil {
			return nil, err
		}
		return f, nil
	})
}
