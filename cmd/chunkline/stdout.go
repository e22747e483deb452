package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/saver"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/sink/kinds"
)

// isStdout reports whether the value of --output is standard output.
func isStdout(output string) bool { return output == sink.NoOutput }

// checkStdout checks the flags that concern standard output.
func (f *runFlags) checkStdout() error {
	switch {
	case !isStdout(f.output) && f.work != "":
		return app.Usage("--work is for --output -: the work folder of an output file is beside it, with the suffix %s", workSuffix)
	case !isStdout(f.output):
		return nil
	case f.json:
		return app.Usage("--json prints the report on standard output, where --output - writes the outputs: use one of them")
	case f.force:
		return app.Usage("--force is for output files: with --output - nothing is replaced")
	case strings.HasSuffix(filepath.Clean(f.work), workSuffix):
		return app.Usage("--work=%s: names that end in %s are for the work folders of output files: choose another one", f.work, workSuffix)
	}
	return nil
}

// writtenToStdout lists the files and folders that a job writes whose outputs go to w.
func writtenToStdout(work string, w any) []string {
	files := []string{work}
	if f, ok := w.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() { // the shell has redirected it
			files = append(files, fmt.Sprintf("/dev/fd/%d", f.Fd()))
		}
	}
	return files
}

// openWork opens the work folder of a job whose outputs go to standard output.
func (f *runFlags) openWork() (kinds.Sink, error) {
	out, err := sink.OpenFolder(f.work, f.job, sink.FolderOptions{Output: sink.NoOutput})
	if err != nil {
		return nil, saver.SinkError("--work", err)
	}
	return out, nil
}

// makeTemporary makes a temporary work folder if the outputs go to standard output and --work names none.
func (f *runFlags) makeTemporary() (err error) {
	if !isStdout(f.output) || f.work != "" {
		return nil
	}
	if f.work, err = os.MkdirTemp("", "chunkline-"); err != nil {
		return fmt.Errorf("make temporary work folder: %w", err)
	}
	f.temporary = true
	return nil
}

// endTemporary removes a temporary work folder, unless the user may still need it: a job that is not done can be
// continued, and dead letters can be mapped again. out is nil if the sink was not opened, and err is how the job ended.
func (f *runFlags) endTemporary(std streams, out kinds.Sink, err error) error {
	switch {
	case !f.temporary:
	case err == nil, out == nil, out.Summary().Objects == 0:
		return errors.Join(err, os.RemoveAll(f.work))
	case errors.Is(err, app.ErrDeadLetters):
		fmt.Fprintf(std.err, "%s has the dead letters: 'chunkline dead list -o %[1]s' prints them; remove the folder when you do not need it\n", f.work)
	default:
		fmt.Fprintf(std.err, "%s has the finished work: add --work %[1]s to continue, or remove the folder\n", f.work)
	}
	return err
}

// A delivery writes the outputs of a job to standard output while the job runs. A nil delivery does nothing.
type delivery struct {
	ended chan error // buffered, so the goroutine never waits
	stop  context.CancelFunc
}

// deliver begins to write the outputs if they go to standard output. It calls failed when it cannot write any more. It
// goes on after ctx has ended, while the job saves the chunks in work.
func (f *runFlags) deliver(ctx context.Context, out kinds.Sink, std streams, failed func()) *delivery {
	folder, ok := out.(*sink.Folder)
	if !ok || !isStdout(f.output) {
		return nil
	}
	closed := make(chan os.Signal, 1) // by the reader; it is also the error of the write
	signal.Notify(closed, syscall.SIGPIPE)
	following, stop := context.WithCancel(context.WithoutCancel(ctx))
	d := &delivery{ended: make(chan error, 1), stop: func() { stop(); signal.Stop(closed) }}
	epoch := folder.Epoch()
	go func() {
		err := folder.Follow(following, std.out, epoch)
		if errors.Is(err, syscall.EPIPE) {
			f.endWithReader(std)
		}
		d.ended <- err
		if err != nil {
			failed()
		}
	}()
	return d
}

// endWithReader ends the process as SIGPIPE ends other filters whose reader has gone, as head does when it has its
// lines: at once and without a message. Finished work is durable at any moment. Programs (--exec) end with the process,
// as after a second ^C.
func (f *runFlags) endWithReader(std streams) {
	std.err.clear()
	if f.temporary {
		_ = os.RemoveAll(f.work) // there is nobody to tell
	}
	signal.Reset(syscall.SIGPIPE)
	_, _ = std.out.Write([]byte{'\n'}) // Go ends a process that writes to a closed standard output
}

// end waits until all outputs of a job that is done are written, and stops writing those of another. err is how the job
// ended. A write to a pipe that nobody reads cannot be interrupted: after ^C it ends with the process.
func (d *delivery) end(ctx context.Context, err error, done bool) error {
	if d == nil {
		return err
	}
	defer d.stop()
	failed := func(writing error) error {
		if writing == nil {
			return err
		}
		return fmt.Errorf("write outputs to standard output: %w", writing)
	}
	if !done {
		select {
		case writing := <-d.ended: // that is why the job has ended
			return failed(writing)
		default:
			return err
		}
	}
	select {
	case writing := <-d.ended:
		return failed(writing)
	case <-ctx.Done():
		return app.WithCode(app.ExitInterrupted, errors.New("the job is done, but stopped before all its outputs were written to standard output"))
	}
}
