package sink_test

import (
	"flag"
	"testing"

	"go.uber.org/goleak"

	"github.com/chunkline/chunkline/internal/saver"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/sink/sinktest"
)

func TestMain(m *testing.M) {
	// These tests mostly wait for the disk, so more of them than there are processors run in parallel. The command line may
	// override it.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

func TestFolderIsASink(t *testing.T) {
	sinktest.RunFiles(t, func(_ *testing.T, where, job string) (saver.Sink, error) {
		return sink.Open(where, job, sink.FolderOptions{})
	})
}

// The outputs are a table.
func TestFolderOfAFormatIsASink(t *testing.T) {
	for _, extension := range []string{".csv.zst", ".parquet"} {
		t.Run(extension, func(t *testing.T) {
			t.Parallel()
			sinktest.RunFiles(t, func(_ *testing.T, where, job string) (saver.Sink, error) {
				return sink.Open(where, job, sink.FolderOptions{Output: where + extension})
			})
		})
	}
}

// With parts of 60 bytes every other result begins a new file.
func TestFolderOfManyPartsIsASink(t *testing.T) {
	sinktest.RunFiles(t, func(_ *testing.T, where, job string) (saver.Sink, error) {
		f, err := sink.OpenFolder(where, job, sink.FolderOptions{PartBytes: 60})
		if err != nil {
			return nil, err
		}
		return f, nil
	})
}
