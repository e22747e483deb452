package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/fetcher"
	"github.com/chunkline/chunkline/internal/mapper"
	"github.com/chunkline/chunkline/internal/pipeline"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/saver"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/source"
	"github.com/chunkline/chunkline/internal/transform"
)

// runFlags is what `chunkline run` and `chunkline demo` are told.
type runFlags struct {
	inputs   []string
	output   string
	what     transformFlags
	workers  int
	mappers  int
	job      string
	force    bool
	change   change
	listen   string
	token    string // what mappers elsewhere must know; empty: nothing
	http     string
	json     bool
	logLevel string
	timeout  time.Duration
	lingers  bool // give whoever has opened the live page time for a look when the job is done
	fetcher  fetcher.Config
}

func runCommand() *cobra.Command {
	var f runFlags
	c := &cobra.Command{
		Use:   "run -i INPUT… -o OUTPUT (-m JQ | -f FILE | --exec COMMAND | --transform SPEC)",
		Short: "Run a whole job in this process",
		Long: "run reads JSON objects, transforms each, and writes the outputs in input order.\n\n" + jqHelp +
			"Run the same command again after ^C, a crash or a power cut, and it goes on where it was:\n" +
			"what is done is kept in OUTPUT.chunkline until you remove it. Dead letters go to OUTPUT with .dead before its extension.\n" +
			"A file in either place that this job did not write, or that was changed since, is left alone, and run refuses to begin.\n\n" +
			app.TracingHelp,
		Example: `  chunkline run -i users.jsonl -o named.jsonl -m '{id: .uuid, name: (.fn + " " + .ln)}'
  chunkline run -i users.jsonl -o tagged.jsonl -f tag.jq --arg from web --argjson limits '{"age": 18}'
  chunkline run -i 'data/*.json.gz' -o out.jsonl --exec 'python3 map.py' -j 8
  set -o pipefail; zstdcat big.zst | jq -c '.[]' | chunkline run -o out.jsonl -m .name      # a producer that fails fails the line
  chunkline run -i big.jsonl -o out.jsonl -m .name --listen 0.0.0.0:4222   # mappers elsewhere can join`,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c.Context(), streamsOf(c)) },
	}
	flags := c.Flags()
	flags.StringArrayVarP(&f.inputs, "input", "i", []string{"-"}, "file or glob of JSON Lines, a JSON array or JSON values, plain, gzip or zstd; in a glob ** is any number of folders; may be repeated, but name a file once; - is stdin")
	flags.StringVar(&f.fetcher.Format, "format", "auto", formatHelp)
	flags.StringVarP(&f.output, "output", "o", "", "file for the outputs, in input order (required)")
	flags.BoolVar(&f.force, "force", false, "replace files in the place of OUTPUT and its dead letters that this job did not write")
	f.what.add(c)
	flags.BoolVar(&f.change.accept, "accept-change", false, "go on with another transform than the output was begun with: what is done stays, dead letters are mapped again")
	flags.BoolVar(&f.change.redo, "redo", false, "go on with another transform than the output was begun with: everything is mapped again")
	flags.IntVarP(&f.workers, "workers", "j", runtime.GOMAXPROCS(0), "chunks in work at a time; 0 with --listen: only mappers elsewhere")
	flags.StringVar(&f.job, "job", "run", "name of the job; mappers elsewhere need the same")
	flags.StringVar(&f.listen, "listen", "", "host:port where mappers elsewhere can join, over NATS; other machines need the token of the printed command, which the job keeps in its work folder")
	flags.StringVar(&f.token, "listen-token", "", "with --listen: token that mappers elsewhere must know, 16 to 128 letters, digits, - or _; if not set, one is made unless --listen is a loopback address")
	flags.StringVar(&f.http, "http", "", "host:port of the live page, /api/status, /healthz, /readyz and /metrics while the job runs; port 0 picks one; names that it is reached by are in HTTP_HOSTS")
	flags.BoolVar(&f.json, "json", false, "print the report as JSON on stdout")
	flags.StringVar(&f.logLevel, "log-level", "warn", "least level that is logged to stderr: debug, info, warn or error; as JSON with LOG_FORMAT=json")
	flags.DurationVar(&f.timeout, "timeout", 5*time.Minute, "longest time for one object, then it is a dead letter; 0: no limit")
	flags.IntVar(&f.fetcher.ChunkSize, "chunk-size", chunk.DefaultSize, "most objects in a chunk")
	flags.IntVar(&f.fetcher.ChunkBytes, "chunk-bytes", chunk.DefaultBytes, "most bytes in a chunk of several objects")
	flags.Int64Var(&f.fetcher.MaxDead, "max-dead", -1, "most dead letters before the job is stopped; -1: no limit")
	flags.BoolVar(&f.fetcher.KeepGoing, "keep-going", false, "go on although all of the first 100 objects are dead letters, or the first ones have no answer at all")
	flags.IntVar(&f.fetcher.MaxAttempts, "max-attempts", 10, "mappers a chunk may take down before all of it is dead letters; 0: no limit")
	flags.Float64Var(&f.fetcher.Rate, "rate", 0, "most objects handed out a second; 0: no limit")
	flags.BoolVar(&f.fetcher.Speculate, "speculate", true, "give a straggler a backup attempt at an idle worker")
	f.mappers = 1
	return c
}

// run runs the job and reports.
func (f *runFlags) run(ctx context.Context, std streams) error {
	spec, err := f.what.spec()
	if err != nil {
		return err
	}
	if err := f.check(); err != nil {
		return err
	}
	if err := app.CheckDescriptors(f.workers, spec.Descriptors()); err != nil {
		return err
	}
	log, err := app.NewLogger(std.err, app.Common{Job: f.job, LogLevel: f.logLevel, LogFormat: cmp.Or(os.Getenv("LOG_FORMAT"), "console")}, "")
	if err != nil {
		return err
	}
	src, err := openInput(f.output, f.fetcher.Format, sourceSpec(f.inputs), f.fetcher.ChunkSize, f.fetcher.ChunkBytes, std.in)
	if err != nil {
		return err
	}
	defer app.Close(log, "source", src)
	out, err := sink.OpenFolder(workFolder(f.output), f.job, sink.FolderOptions{Output: f.output, DeadFile: deadFile(f.output), Force: f.force})
	if errors.Is(err, sink.ErrForeign) && !f.force {
		err = fmt.Errorf("%w, choose another --output, or replace it with --force", err)
	}
	if err != nil {
		return saver.SinkError("--output", err)
	}
	defer app.Close(log, "sink", out)
	if err := f.change.settle(ctx, out, spec, f.workers, f.timeout, std); err != nil {
		return err
	}
	if f.token, err = listenToken(workFolder(f.output), f.listen, f.token); err != nil {
		return err
	}
	f.fetcher.Transform, f.fetcher.AcceptChange = spec.String(), true
	return f.runInto(ctx, spec, src, out, log, std)
}

func (f *runFlags) check() error {
	switch {
	case f.output == "":
		return app.Usage("--output is not set: name the file for the outputs")
	case f.workers < 0 || f.workers > maxWorkers || f.workers == 0 && f.listen == "":
		return app.Usage("--workers=%d: use 1 to %d, or 0 with --listen", f.workers, maxWorkers)
	case f.token != "" && f.listen == "":
		return app.Usage("--listen-token is for --listen")
	case f.token != "" && !isToken(f.token):
		return app.Usage("--listen-token: use 16 to 128 letters, digits, - or _") // which does not show what may be a secret
	case f.change.accept && f.change.redo:
		return app.Usage("--accept-change and --redo: use one of them")
	case f.timeout < 0:
		return app.Usage("--timeout=%s: use 0 (no limit) or more", f.timeout)
	}
	f.fetcher.OnDone = "exit"
	if f.lingers {
		f.fetcher.OnDone = "stay"
	}
	if err := f.fetcher.Validate(); err != nil {
		return err
	}
	if err := chunk.CheckJob(f.job); err != nil {
		return app.Usage("--job: %w", err)
	}
	return nil
}

func (f *runFlags) runInto(ctx context.Context, spec transform.Spec, src source.Source, out *sink.Folder, log zerolog.Logger, std streams) error {
	tracer, stopTracing, err := app.Tracing(f.job, "chunkline", log)
	if err != nil {
		return err
	}
	defer stopTracing()
	cfg := pipeline.Config{
		Job: f.job, Fetcher: f.fetcher, Mappers: f.mappers, Tracer: tracer, Listen: f.listen, Token: f.token, HTTP: f.http, HTTPHosts: os.Getenv("HTTP_HOSTS"),
		Stderr: std.err,
		Mapper: mapper.Config{
			Transform: spec.String(), Workers: f.workers, Timeout: f.timeout, Version: spec.Identity(), Name: localMapper, StopTimeout: stopTimeout,
			EndTimeout: f.what.endTimeout,
		},
	}
	if f.workers == 0 {
		cfg.Mappers = 0
	}
	page := make(chan livePage, 1)
	cfg.Serving = func(addr string, opened func() bool) { page <- livePage{addr, opened} }
	before := out.Summary()
	begin := time.Now()
	said := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(said)
		programs := ""
		if strings.HasPrefix(spec.String(), "exec:") {
			programs = fmt.Sprintf(", then programs get %s to end", f.what.endTimeout)
		}
		fmt.Fprintf(std.err, "stopping: chunks in work get %s%s; a second ^C ends at once\n", stopTimeout, programs)
	})
	working, end := context.WithCancel(ctx)
	defer end()
	status, err := pipeline.Run(working, cfg, src, out, log, func(ctx context.Context, status func() report.Status) {
		if f.listen != "" { // it listens now
			fmt.Fprintf(std.err, "mappers elsewhere can join at %s: %s\n", f.listen, joinCommand(f.job, f.token, spec.String()))
		}
		var live livePage
		if f.http != "" {
			select {
			case live = <-page:
				fmt.Fprintf(std.err, "watch it at http://%s\n", live.addr)
			case <-ctx.Done(): // it could not listen
			}
		}
		if f.lingers {
			defer end()
			showUntilDone(ctx, std.err, status)
			if ctx.Err() == nil && live.opened() {
				linger(ctx, std)
			}
			return
		}
		showProgress(ctx, std.err, status)
	})
	if !stop() {
		<-said
	}
	interrupted := errors.Is(err, fetcher.ErrUnfinished)
	if _, ok := errors.AsType[*chunk.InputError](err); ok { // the format is part of the plan, to which the folder is bound
		return fmt.Errorf("%w (before you run it with another --format, remove %s)", err, workFolder(f.output))
	}
	if dead := out.Summary().Dead; dead > 0 && (errors.Is(err, fetcher.ErrTooManyDead) || errors.Is(err, fetcher.ErrHopeless)) {
		return fmt.Errorf("%w; 'chunkline dead list -o %s' lists the %d dead letters", err, f.output, dead)
	}
	if errors.Is(err, fetcher.ErrOtherPlan) {
		return fmt.Errorf("%w (what --output %s was begun with is kept in %s: remove that to begin anew)", err, f.output, workFolder(f.output))
	}
	if err != nil && !errors.Is(err, app.ErrDeadLetters) && !interrupted && !endedBadly(err) {
		return err
	}
	outcome := newReport(status, before, time.Since(begin))
	if interrupted {
		outcome.State = stateStopped
	}
	if err := outcome.print(std.out, std.err, f.json); err != nil {
		return err
	}
	return err
}

// endedBadly says whether all that is wrong is how a program ended when its work
// was done. There is a report then.
func endedBadly(err error) bool {
	return errors.Is(err, transform.ErrEnd) && !errors.Is(err, transform.ErrBroken)
}

const (
	localMapper = "local"      // names the mapper in this process
	workSuffix  = ".chunkline" // of the folder that keeps what is done
	maxWorkers  = 1024

	// stopTimeout is how long chunks in work may go on after ^C. Somebody
	// waits at a terminal, and all that is lost is their work.
	stopTimeout = 3 * time.Second
)

// workFolder is where a job that writes output keeps what is done.
func workFolder(output string) string { return output + workSuffix }

// deadFile is where its dead letters go: named.jsonl has named.dead.jsonl.
func deadFile(output string) string {
	ext := filepath.Ext(output)
	return strings.TrimSuffix(output, ext) + ".dead" + ext
}
