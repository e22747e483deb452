package sink_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/sink/sinktest"
)

// usual is the result of a chunk of 100 objects with outputs of 150 bytes.
func usual(id int) sink.Result {
	r := sinktest.Result(chunk.ID(id), 100*uint64(id), "", slices.Repeat([]int{1}, 100)...)
	r.Outputs = bytes.Repeat(append(bytes.Repeat([]byte{'x'}, 149), '\n'), 100)
	return r
}

func benchFolder(b *testing.B) (*sink.Folder, string) {
	b.Helper()
	dir := filepath.Join(b.TempDir(), "sink")
	f, err := sink.OpenFolder(dir, job, sink.FolderOptions{})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := f.Claim(b.Context(), plan, "fetcher"); err != nil {
		b.Fatal(err)
	}
	return f, dir
}

// BenchmarkCommit measures chunks and bytes per second by the size of the group.
func BenchmarkCommit(b *testing.B) {
	for _, size := range []int{1, 16, 128} {
		b.Run(fmt.Sprintf("group=%d", size), func(b *testing.B) {
			f, _ := benchFolder(b)
			defer f.Close()
			group := make([]sink.Result, size)
			for i := range group {
				group[i] = usual(i)
			}
			bytes := size * len(group[0].Outputs)
			b.SetBytes(int64(bytes))
			b.ReportAllocs()
			id := 0
			for b.Loop() {
				for i := range group {
					group[i].Chunk, group[i].First = chunk.ID(id), 100*uint64(id)
					id++
				}
				if _, err := f.Commit(b.Context(), group); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(id)/b.Elapsed().Seconds(), "chunks/s")
		})
	}
}

// BenchmarkOpen opens a folder of 20,000 chunks, with its index and without, as after a crash in the first minutes.
func BenchmarkOpen(b *testing.B) {
	for _, indexed := range []bool{true, false} {
		b.Run(fmt.Sprintf("index=%t", indexed), func(b *testing.B) {
			f, dir := benchFolder(b)
			fillFolder(b, f)
			chunks := f.Summary().Chunks
			if err := f.Close(); err != nil {
				b.Fatal(err)
			}
			opened := 0
			for b.Loop() {
				if !indexed {
					if err := os.Remove(filepath.Join(dir, "log.index")); err != nil {
						b.Fatal(err)
					}
				}
				f, err := sink.OpenFolder(dir, job, sink.FolderOptions{})
				if err != nil {
					b.Fatal(err)
				}
				if err := f.Close(); err != nil {
					b.Fatal(err)
				}
				opened++
			}
			b.ReportMetric(float64(chunks)*float64(opened)/b.Elapsed().Seconds(), "chunks/s")
		})
	}
}

// BenchmarkOpenLarge opens a folder with an index of 10,000,000 chunks, and reports the memory used.
func BenchmarkOpenLarge(b *testing.B) {
	f, dir := benchFolder(b)
	if err := errors.Join(f.FillIndex(10_000_000), f.Close()); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		f, err := sink.OpenFolder(dir, job, sink.FolderOptions{})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := f.Has(b.Context(), []chunk.ID{9_999_999}); err != nil {
			b.Fatal(err)
		}
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		b.ReportMetric(float64(m.HeapAlloc)/(1<<20), "MiB")
		if err := f.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFinish merges 300 MB from the page cache.
func BenchmarkFinish(b *testing.B) {
	f, dir := benchFolder(b)
	fillFolder(b, f)
	sum := f.Summary()
	b.SetBytes(int64(sum.OutputBytes))
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
	n := 0
	for b.Loop() {
		// The path alternates, because otherwise there is nothing to do.
		out := filepath.Join(dir, fmt.Sprintf("output-%d.jsonl", n%2))
		n++
		f, err := sink.OpenFolder(dir, job, sink.FolderOptions{Output: out})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := f.Finish(b.Context(), sum.Chunks, sum.Objects); err != nil {
			b.Fatal(err)
		}
		if err := f.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func fillFolder(b *testing.B, f *sink.Folder) {
	b.Helper()
	for id := 0; id < 20_000; id += 500 {
		var group []sink.Result
		for i := range 500 {
			group = append(group, usual(id+i))
		}
		if _, err := f.Commit(b.Context(), group); err != nil {
			b.Fatal(err)
		}
	}
}
