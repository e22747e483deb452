package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/saver"
	"github.com/chunkline/chunkline/internal/sink/kinds"
	"github.com/chunkline/chunkline/internal/sink/objectsink"
	"github.com/chunkline/chunkline/internal/sink/sqlsink"
	"github.com/chunkline/chunkline/internal/source"
	"github.com/chunkline/chunkline/internal/webservice"
)

// jobHelp describes the flag --job of commands that read or change a result.
const jobHelp = "name of the job, if OUTPUT is a database with several"

// outputHelp describes the flag --output of these commands.
const outputHelp = "the --output of run, or a saver's folder, database or bucket (required)"

// jobFolder is the folder in which a job keeps what is not in its sink: input that cannot be read again, and the token for
// mappers elsewhere. A job with an output file has it in its work folder; for a store it is made only when it is needed.
func jobFolder(output, job string) string {
	switch {
	case !kinds.IsStore(output):
		return workFolder(output)
	case sqlsink.Path(output) != "":
		return sqlsink.Path(output) + "." + job + workSuffix
	case objectsink.IsSpec(output):
		return strings.ReplaceAll(objectsink.Path(output), "/", "-") + "." + job + workSuffix
	}
	return job + workSuffix
}

// jobFolder is the folder of this job.
func (f *runFlags) jobFolder() string {
	if isStdout(f.output) {
		return f.work
	}
	return jobFolder(f.output, f.job)
}

// makeJobFolder makes the folder of a job with a store, if it is needed.
func (f *runFlags) makeJobFolder() error {
	if !kinds.IsStore(f.output) || f.listen == "" && !slices.Contains(f.inputs, "-") && !slices.ContainsFunc(f.inputs, source.IsStream) {
		return nil
	}
	if err := os.MkdirAll(f.jobFolder(), 0o777); err != nil { //nolint:gosec // the user's umask decides
		return fmt.Errorf("make work folder: %w", err)
	}
	return nil
}

// written lists the files and folders that a job with this output writes.
func written(output string) []string {
	if !kinds.IsStore(output) {
		return []string{output, deadFile(output), workFolder(output)}
	}
	if path := sqlsink.Path(output); path != "" {
		return []string{path, path + "-wal", path + "-shm"}
	}
	return nil
}

// written lists the files and folders that this job writes.
func (f *runFlags) written(std streams) []string {
	if isStdout(f.output) {
		return writtenToStdout(f.work, std.out)
	}
	return written(f.output)
}

// shown is the value of --output with which other commands find the result of this job, as messages show it.
func (f *runFlags) shown() string {
	if isStdout(f.output) {
		return f.work
	}
	return shown(f.output)
}

// shown is the value of --output as messages show it: without a password.
func shown(output string) string {
	if !sqlsink.IsSpec(output) || sqlsink.Path(output) != "" {
		return webservice.WithoutPassword(output)
	}
	if u, err := url.Parse(output); err == nil && !u.Query().Has("password") {
		return u.Redacted()
	}
	return "postgres://…"
}

// checkOutput refuses a URL that is no store: it would be the name of a file, and messages would show its password.
func checkOutput(output string) error {
	if !kinds.IsStore(output) && strings.Contains(output, "://") {
		return app.Usage("--output %s: use a file, sqlite:FILE, postgres://USER:PASSWORD@HOST/DATABASE or s3://BUCKET/PREFIX", webservice.WithoutPassword(output))
	}
	return nil
}

// openStore opens the result of a job in a store.
func openStore(ctx context.Context, output, job string, readOnly bool) (kinds.Sink, error) {
	s, err := kinds.OpenExisting(ctx, output, job, readOnly)
	if err != nil {
		return nil, saver.SinkError("--output", err)
	}
	return s, nil
}

// openOutput opens the sink of a job, and makes it if it is not there. It waits for a database server that takes no connection for
// now, and shows that on w.
func (f *runFlags) openOutput(ctx context.Context, w *screen) (kinds.Sink, error) {
	switch {
	case isStdout(f.output):
		return f.openWork()
	case !kinds.IsStore(f.output):
		return f.openFolder()
	case f.force:
		return nil, app.Usage("--force is for output files: nothing of others in a database or a bucket is replaced")
	}
	defer w.clear()
	s, err := kinds.OpenWaiting(ctx, f.output, f.job, showWaiting(w))
	if err != nil {
		return nil, saver.SinkError("--output", err)
	}
	return s, nil
}
