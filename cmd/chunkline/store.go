package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/saver"
	"github.com/chunkline/chunkline/internal/sink"
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

// jobFolder is the folder in which a job keeps data outside its sink: input that cannot be read again, and the token
// for mappers elsewhere. A job with an output file has it in its work folder; for a store it is made only when it is
// needed.
func jobFolder(output, job string) string {
	switch {
	case !kinds.IsStore(output):
		return workFolder(output)
	case sqlsink.Path(output) != "":
		return sqlsink.Path(output) + "." + job + workSuffix
	case objectsink.IsSpec(output):
		return strings.ReplaceAll(objectsink.Path(output), "/", "-") + "." + job + workSuffix
	}
	return sqlsink.Server(output) + "." + job + workSuffix
}

// jobFolder is the folder of this job.
func (f *runFlags) jobFolder() string {
	if isStdout(f.output) {
		return f.work
	}
	return jobFolder(f.output, f.job)
}

// makeJobFolder makes the folder of a job with a store, if it is needed.
func (f *runFlags) makeJobFolder(out kinds.Sink) error {
	if !kinds.IsStore(f.output) || f.listen == "" && !slices.Contains(f.inputs, "-") && !slices.ContainsFunc(f.inputs, source.IsStream) {
		return nil
	}
	if err := os.MkdirAll(f.jobFolder(), 0o777); err != nil { //nolint:gosec // the user's umask decides
		return fmt.Errorf("make work folder: %w", err)
	}
	if err := syncFolder(filepath.Dir(f.jobFolder())); err != nil { // its name must be as durable as the input in it
		return err
	}
	if err := checkJobFolder(f.jobFolder(), out); err != nil {
		return err
	}
	id, _ := out.Identity()
	return keepLine(filepath.Join(f.jobFolder(), sinkFile), id)
}

// sinkFile keeps the ID of the sink in the folder of a job with a store. Such a folder may outlive its store, and
// another store may have a job of the same name.
const sinkFile = "sink"

// checkJobFolder refuses the folder of a job with another store: its input would be taken for this job's.
func checkJobFolder(folder string, out kinds.Sink) error {
	id, at := out.Identity()
	kept, err := os.ReadFile(filepath.Join(folder, sinkFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("read work folder: %w", err)
	case strings.TrimSpace(string(kept)) != id:
		return app.Usage("the folder %s has the input of another job: %s is another sink, or was made anew; remove the folder, or choose another --job", folder, at)
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

// listing is the command that lists the dead letters of this job, for a shell. A password is not shown.
func (f *runFlags) listing() string {
	output, job, note := f.output, "", ""
	switch {
	case isStdout(output):
		output = f.work
	case kinds.IsStore(output):
		job = " --job " + f.job
	}
	if shown(output) != output {
		output, note = "OUTPUT", " (OUTPUT is the --output of this command, with its password)"
	}
	return "chunkline dead list -o " + shellWord(output) + job + note
}

// plainWord matches words that need no quotes in a shell.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

// shellWord quotes a word for a shell if necessary.
func shellWord(word string) string {
	if plainWord.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
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

// checkOutput refuses a URL that is not a store: it would be the name of a file, and messages would show its password.
func checkOutput(output string) error {
	if !kinds.IsStore(output) && strings.Contains(output, "://") {
		return app.Usage("--output %s: use a file, sqlite:FILE, postgres://USER:PASSWORD@HOST/DATABASE, or s3://BUCKET/PREFIX, gs://… or azblob://…", webservice.WithoutPassword(output))
	}
	return nil
}

// openStore opens the result of a job in a store. Like openOutput, it shows on w that it waits for a database.
func openStore(ctx context.Context, w *screen, output, job string, readOnly bool) (kinds.Sink, error) {
	defer w.clear()
	s, err := kinds.OpenExisting(ctx, output, job, readOnly, showWaiting(w))
	if errors.Is(err, sink.ErrOtherJob) { // --job names a job that the bucket does not have
		return nil, app.WithCode(app.ExitUsage, err)
	}
	return s, saver.SinkError("--output", err)
}

// openOutput opens the sink of a job, and makes it if it is not there. If it waits for a database that accepts no
// connections, it shows that on w.
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
	s, err := kinds.Open(ctx, f.output, f.job, showWaiting(w))
	return s, saver.SinkError("--output", err)
}
