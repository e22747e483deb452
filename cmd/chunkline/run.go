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
	"github.com/chunkline/chunkline/internal/retry"
	"github.com/chunkline/chunkline/internal/saver"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/sink/kinds"
	"github.com/chunkline/chunkline/internal/source"
	"github.com/chunkline/chunkline/internal/transform"
)

// runFlags are the settings of `chunkline run` and `chunkline demo`.
type runFlags struct {
	inputs   []string
	output   string
	work     string // work folder, with an output of "-"
	what     transformFlags
	workers  int
	mappers  int
	job      string
	force    bool
	change   change
	listen   string
	token    string // token for mappers elsewhere; empty: none
	http     string
	json     bool
	logLevel string
	timeout  time.Duration
	lingers  bool // when the job is done, give viewers of the live page time to look
	fetcher  fetcher.Config

	temporary bool // work was not set, and is a folder that ends with the process
}

func runCommand() *cobra.Command {
	var f runFlags
	c := &cobra.Command{
		Use:   "run -i INPUT… -o OUTPUT (-m JQ | -f FILE | --exec COMMAND | --transform SPEC)",
		Short: "Run a whole job in this process",
		Long: "run reads JSON objects, transforms each, and writes the outputs in input order.\n\n" + jqHelp +
			"Requests to a service (--transform https://…) carry the token in TRANSFORM_TOKEN and the headers in TRANSFORM_HEADERS;\n" +
			"requests to an API (-i https://…) those in SOURCE_TOKEN and SOURCE_HEADERS. @FILE stands for the content of a file.\n\n" +
			"After ^C, a crash or a power cut, run the same command again to continue. The folder OUTPUT.chunkline keeps finished work,\n" +
			"and input from a command, an API or stdin, until you remove it. Dead letters go to OUTPUT with .dead before its extension, as lines.\n" +
			"run refuses to start if either file exists and this job did not write it, or if the file was changed since.\n\n" +
			"With -o - the outputs go to standard output while the job runs, and everything else to standard error. --work names the work\n" +
			"folder. The same command with the same --work writes all outputs again, and maps only what is missing.\n\n" +
			app.TracingHelp,
		Example: `  chunkline run -i users.jsonl -o named.jsonl -m '{id: .uuid, name: (.fn + " " + .ln)}'
  chunkline run -i users.jsonl -o tagged.jsonl -f tag.jq --arg from web --argjson limits '{"age": 18}'
  chunkline run -i 'data/*.json.gz' -o out.jsonl --exec 'python3 map.py' -j 8
  chunkline run -i "cmd:psql -c 'COPY people TO STDOUT CSV HEADER'" --format csv -o out.jsonl -m .name     # the job fails if psql does
  cat users.jsonl | chunkline run -o - -m .fn | sort | uniq -c
  set -o pipefail; zstdcat big.zst | jq -c '.[]' | chunkline run -o out.jsonl -m .name      # if a producer fails, so does the line
  chunkline run -i big.jsonl -o out.jsonl -m .name --listen 0.0.0.0:4222   # mappers elsewhere can join`,
		RunE: func(c *cobra.Command, _ []string) error { return f.run(c.Context(), streamsOf(c)) },
	}
	flags := c.Flags()
	flags.StringArrayVarP(&f.inputs, "input", "i", []string{"-"}, "file or glob of JSON Lines, JSON arrays or JSON values, plain, gzip or zstd; in a glob, ** matches any number of folders; may be repeated, but not for the same file; - is stdin, cmd:PROGRAM ARG… the output of a command, s3://BUCKET/KEY, gs://BUCKET/KEY or azblob://CONTAINER/KEY an object or a glob of objects, https://HOST/PATH#OPTIONS a JSON API, and sqlite:FILE?query=SELECT …&key=COLUMN or postgres://… the rows of a query")
	flags.StringVar(&f.fetcher.Format, "format", "auto", formatHelp)
	flags.StringVarP(&f.output, "output", "o", "", "file for the outputs, in input order (NAME.gz and NAME.zst are compressed, NAME.csv and NAME.parquet are tables of objects), - for standard output, or a database: sqlite:FILE or postgres://USER:PASSWORD@HOST/DATABASE, each with ?table=NAME&columns=… for a table of yours, or object storage: s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or azblob://CONTAINER/PREFIX, with ?format=jsonl.zst&size=64MiB if you like (required)")
	flags.StringVar(&f.work, "work", "", "with --output -: folder that keeps finished work, so that the same command continues; if not set, a temporary folder")
	flags.BoolVar(&f.force, "force", false, "replace OUTPUT and the file of dead letters even if this job did not write them")
	f.what.add(c)
	flags.BoolVar(&f.change.accept, "accept-change", false, "continue with another transform than the output was begun with: keep what is done, map dead letters again")
	flags.BoolVar(&f.change.redo, "redo", false, "continue with another transform than the output was begun with: map everything again")
	flags.IntVarP(&f.workers, "workers", "j", runtime.GOMAXPROCS(0), "number of chunks to map at a time; 0 with --listen: only mappers elsewhere")
	flags.StringVar(&f.job, "job", "run", "name of the job; mappers elsewhere need the same, and in a database it tells jobs apart")
	flags.StringVar(&f.listen, "listen", "", "host:port where mappers elsewhere can join, over NATS; they need the token in the printed command, which the work folder keeps")
	flags.StringVar(&f.token, "listen-token", "", "with --listen: token for mappers elsewhere, 16 to 128 letters, digits, - or _; if not set, one is generated unless --listen is a loopback address")
	flags.StringVar(&f.http, "http", "", "host:port of the live page, /api/status, /healthz, /readyz and /metrics while the job runs; port 0 picks a free one; HTTP_HOSTS lists allowed host names")
	flags.BoolVar(&f.json, "json", false, "print the report as JSON on stdout")
	flags.StringVar(&f.logLevel, "log-level", "warn", "lowest level that is logged to stderr: debug, info, warn or error; as JSON with LOG_FORMAT=json")
	flags.DurationVar(&f.timeout, "timeout", 5*time.Minute, "longest time for one object, which then becomes a dead letter; 0: no limit")
	flags.IntVar(&f.fetcher.ChunkSize, "chunk-size", chunk.DefaultSize, "most objects in a chunk")
	flags.IntVar(&f.fetcher.ChunkBytes, "chunk-bytes", chunk.DefaultBytes, "most bytes in a chunk of several objects")
	flags.Int64Var(&f.fetcher.MaxDead, "max-dead", -1, "most dead letters before the job is stopped; -1: no limit")
	flags.BoolVar(&f.fetcher.KeepGoing, "keep-going", false, "continue even if all of the first 100 objects are dead letters, or the first ones get no answer at all")
	flags.IntVar(&f.fetcher.MaxAttempts, "max-attempts", 10, "mapper crashes allowed per chunk before the chunk is dead-lettered; 0: no limit")
	flags.Float64Var(&f.fetcher.Rate, "rate", 0, "most objects mapped per second, retries included; 0: no limit")
	flags.BoolVar(&f.fetcher.Speculate, "speculate", true, "give stragglers a backup attempt on an idle worker")
	f.mappers = 1
	return c
}

// run runs the job and prints its report.
func (f *runFlags) run(ctx context.Context, std streams) (err error) {
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
	if err := f.makeTemporary(); err != nil {
		return err
	}
	var out kinds.Sink
	defer func() { err = f.endTemporary(std, out, err) }()
	src, err := openInput(f.written(std), f.fetcher.Format, f.inputs, f.fetcher.ChunkSize, f.fetcher.ChunkBytes, filepath.Join(f.jobFolder(), spoolFile), std) //nolint:contextcheck // a second ^C ends a listing of objects that takes long
	if err != nil {
		return err
	}
	defer app.Close(log, "source", src)
	if out, err = f.openOutput(ctx, std.err); err != nil {
		return err
	}
	defer app.Close(log, "sink", out)
	if err := f.makeJobFolder(out); err != nil {
		return err
	}
	if err := f.change.apply(ctx, out, retry.Config{
		Spec: spec, Workers: max(1, f.workers), Timeout: f.timeout, Retries: f.what.retries, Rate: f.fetcher.Rate,
		Source: func() (source.Source, error) { return f.reopen(out, std) }, //nolint:contextcheck // as above
	}, std); err != nil {
		return err
	}
	if f.token, err = listenToken(f.jobFolder(), f.listen, f.token); err != nil {
		return err
	}
	f.fetcher.Transform, f.fetcher.AcceptChange = spec.String(), true
	return f.runInto(ctx, spec, src, out, log, std)
}

// reopen opens the source of a job once more.
func (f *runFlags) reopen(out kinds.Sink, std streams) (source.Source, error) {
	plan, _ := out.Plan()
	if isStdin(plan.Source) || source.IsStream(plan.Source) {
		return sourceOf(f.output, out)
	}
	return openInput(f.written(std), f.fetcher.Format, f.inputs, plan.Size, plan.Bytes, "", std)
}

// openFolder opens the work folder of an output file.
func (f *runFlags) openFolder() (kinds.Sink, error) {
	out, err := sink.OpenFolder(workFolder(f.output), f.job, sink.FolderOptions{Output: f.output, DeadFile: deadFile(f.output), Force: f.force})
	if errors.Is(err, sink.ErrForeign) && !f.force {
		err = fmt.Errorf("%w, choose another --output, or replace it with --force", err)
	}
	if err != nil {
		return nil, saver.SinkError("--output", err)
	}
	return out, nil
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
		return app.Usage("--listen-token: use 16 to 128 letters, digits, - or _") // the value may be a secret, so it is not shown
	case f.change.accept && f.change.redo:
		return app.Usage("--accept-change and --redo: use one of them")
	case f.timeout < 0:
		return app.Usage("--timeout=%s: use 0 (no limit) or more", f.timeout)
	}
	f.fetcher.OnDone = "exit"
	if f.lingers {
		f.fetcher.OnDone = "stay"
	}
	if err := errors.Join(f.checkStdout(), checkOutput(f.output)); err != nil {
		return err
	}
	if err := f.fetcher.Validate(); err != nil {
		return err
	}
	if err := chunk.CheckJob(f.job); err != nil {
		return app.Usage("--job: %w", err)
	}
	return nil
}

func (f *runFlags) runInto(ctx context.Context, spec transform.Spec, src source.Source, out kinds.Sink, log zerolog.Logger, std streams) error {
	app.PaceCollector(app.CollectorPace)
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
			EndTimeout: f.what.endTimeout, Retries: f.what.retries, Token: spec.Credentials.Token, Headers: spec.Credentials.Headers,
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
		fmt.Fprintf(std.err, "stopping: chunks in work get %s%s; press ^C again to end at once\n", stopTimeout, programs)
	})
	working, end := context.WithCancel(ctx)
	defer end()
	outputs := f.deliver(ctx, out, std, end)
	status, err := pipeline.Run(working, cfg, src, out, log, func(ctx context.Context, status func() report.Status) {
		if f.listen != "" { // the server listens by now
			fmt.Fprintf(std.err, "mappers elsewhere can join at %s: %s\n", f.listen, joinCommand(f.job, f.token, spec.String()))
		}
		var live livePage
		if f.http != "" {
			select {
			case live = <-page:
				fmt.Fprintf(std.err, "watch it at http://%s\n", live.addr)
			case <-ctx.Done(): // the page's server did not start
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
		if isStdout(f.output) && app.IsTerminal(std.out) {
			<-ctx.Done() // a bar would be drawn over the outputs
			return
		}
		showProgress(ctx, std.err, status)
	})
	if !stop() {
		<-said
	}
	ended := err == nil || errors.Is(err, app.ErrDeadLetters) || endedBadly(err)
	err = outputs.end(ctx, err, ended && out.Summary().Output != "")
	interrupted := errors.Is(err, fetcher.ErrUnfinished)
	if _, ok := errors.AsType[*chunk.InputError](err); ok && !kinds.IsStore(f.output) { // the format is part of the plan, and the folder belongs to the plan
		return fmt.Errorf("%w (to use another --format, remove %s first)", err, f.jobFolder())
	}
	if dead := out.Summary().Dead; dead > 0 && (errors.Is(err, fetcher.ErrTooManyDead) || errors.Is(err, fetcher.ErrHopeless)) {
		return fmt.Errorf("%w; this lists the %d dead letters: %s", err, dead, f.listing())
	}
	if errors.Is(err, fetcher.ErrOtherPlan) {
		return f.otherPlan(out, src.Plan())
	}
	if err != nil && !errors.Is(err, app.ErrDeadLetters) && !interrupted && !endedBadly(err) {
		return err
	}
	result := newReport(status, before, time.Since(begin))
	if interrupted {
		result.State = stateStopped
	}
	return cmp.Or(result.print(std.out, std.err, f.json), err)
}

// otherPlan is the error for a work folder, or a job in a store, that another plan has begun.
func (f *runFlags) otherPlan(out kinds.Sink, plan chunk.Plan) error {
	saved := "nothing is saved in it yet"
	if n := out.Summary().Objects; n > 0 {
		saved = fmt.Sprintf("%d objects are saved in it", n)
	}
	begun, _ := out.Plan()
	differ := fmt.Sprintf("it was begun with %s, this is %s", begun, plan)
	_, at := out.Identity()
	switch {
	case kinds.IsDatabase(f.output):
		return fmt.Errorf("sink was begun with another plan: job %s of %s (%s) belongs to it, so choose another --job, or another --output; %s", f.job, at, saved, differ)
	case kinds.IsStore(f.output):
		return fmt.Errorf("sink was begun with another plan: %s (%s) belongs to it, so choose another --output; %s", at, saved, differ)
	}
	flag := "--output"
	if isStdout(f.output) {
		flag = "--work"
	}
	return fmt.Errorf("sink was begun with another plan: to start again, remove the folder %s (%s), or choose another %s; %s", f.jobFolder(), saved, flag, differ)
}

// endedBadly reports whether the only error is how a program exited after its work was done. There is a report then.
func endedBadly(err error) bool {
	return errors.Is(err, transform.ErrEnd) && !errors.Is(err, transform.ErrBroken)
}

const (
	localMapper = "local"      // the name of the mapper in this process
	workSuffix  = ".chunkline" // suffix of the work folder
	maxWorkers  = 1024

	// stopTimeout is how long chunks in work may continue after ^C. It is short because a user waits at the terminal,
	// and only their work is lost.
	stopTimeout = 3 * time.Second
)
