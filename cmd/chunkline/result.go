package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/saver"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/sink/kinds"
)

// workFolder is the folder in which a job with this output keeps its results.
func workFolder(output string) string { return output + workSuffix }

// deadFile is the file for the job's dead letters: named.jsonl, named.jsonl.gz and named.csv have named.dead.jsonl,
// which is not compressed, since people read it.
func deadFile(output string) string {
	table := isTable(output)
	output = sink.TrimCompression(output)
	ext := filepath.Ext(output)
	output = strings.TrimSuffix(output, ext)
	if table {
		ext = ".jsonl"
	}
	return output + ".dead" + ext
}

// openResult opens the sink that belongs to the value of --output. job may be empty, and is for stores. It shows on w
// that it waits for a database.
func openResult(ctx context.Context, w *screen, output, job string, readOnly bool) (kinds.Sink, error) {
	if err := checkOutput(output); err != nil {
		return nil, err
	}
	switch {
	case isStdout(output):
		return nil, app.Usage("--output -: name the folder that --work of run named")
	case output == "":
		return nil, app.Usage("--output is not set: use the --output of run, or a saver's folder, database or bucket")
	case kinds.IsStore(output):
		return openStore(ctx, w, output, job, readOnly)
	case job != "":
		return nil, app.Usage("--job is for databases and buckets: a folder has one job")
	}
	return openFolder(output, readOnly)
}

func openFolder(output string, readOnly bool) (kinds.Sink, error) {
	dir, options := output, sink.FolderOptions{ReadOnly: readOnly}
	if of, ok := strings.CutSuffix(filepath.Clean(output), workSuffix); ok { // the work folder itself was named
		output = of
	}
	if info, err := os.Stat(workFolder(output)); err == nil && info.IsDir() {
		dir, options.Output, options.DeadFile = workFolder(output), output, deadFile(output)
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, app.Usage("--output %s: neither a folder of that name nor %s exists", output, workFolder(output))
	}
	job, err := jobOf(dir)
	if err != nil {
		return nil, err
	}
	folder, err := sink.OpenFolder(dir, job, options)
	if err != nil {
		return nil, saver.SinkError("--output", err)
	}
	return folder, nil
}

// jobOf returns the job's name that is stored in a folder.
func jobOf(dir string) (string, error) {
	folder, err := sink.OpenFolder(dir, "", sink.FolderOptions{ReadOnly: true})
	if err != nil {
		return "", saver.SinkError("--output", err)
	}
	return folder.Job(), folder.Close()
}
