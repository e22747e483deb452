package fetcher

import (
	"errors"
	"time"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/rollout"
	"github.com/chunkline/chunkline/internal/transform"
	"github.com/chunkline/chunkline/internal/wire"
)

// Config is the fetcher's settings.
type Config struct {
	Source        string         `envconfig:"SOURCE" desc:"data to read (required): files as paths, globs or file:// URLs, separated by commas; - is stdin; or cmd:PROGRAM ARG…, the output of a command, or https://HOST/PATH, an API, which need SPOOL"`
	SourceToken   string         `envconfig:"SOURCE_TOKEN" desc:"bearer token for the API of SOURCE, or @FILE to read it from a file"`
	SourceHeaders string         `envconfig:"SOURCE_HEADERS" desc:"headers for the API of SOURCE, as lines NAME: VALUE, or @FILE to read them from a file"`
	Spool         string         `envconfig:"SPOOL" desc:"folder on a disk that outlives this process, where the output of a command, an API or stdin is kept as JOB.zst before it is cut; empty: there is none"`
	Transform     string         `envconfig:"TRANSFORM" desc:"what mappers do to each object: mappers without a TRANSFORM take this one, mappers with another one need a VERSION of their own; empty: each mapper needs a TRANSFORM"`
	AcceptChange  bool           `envconfig:"ACCEPT_CHANGE" default:"false" desc:"continue with another TRANSFORM than that of the results in the sink, which stay as they are"`
	Format        string         `envconfig:"FORMAT" default:"auto" desc:"format of the input: lines (JSON Lines), array (elements of JSON arrays), values (JSON values that may span lines), csv, tsv, parquet, or auto to tell by name and content; with options, as in csv&delimiter=;"`
	ChunkSize     int            `envconfig:"CHUNK_SIZE" default:"100" desc:"most objects in a chunk, 1 to 10000"`
	ChunkBytes    int            `envconfig:"CHUNK_BYTES" default:"8388608" desc:"most bytes in a chunk of several objects, 1 to 268435456"`
	MaxAttempts   int            `envconfig:"MAX_ATTEMPTS" default:"10" desc:"mapper crashes allowed per chunk before all of its objects become dead letters; 0: no limit"`
	Speculate     bool           `envconfig:"SPECULATE" default:"true" desc:"give a straggler a backup attempt at an idle mapper"`
	Memory        int64          `envconfig:"MEMORY_BYTES" default:"0" desc:"bytes of chunks that are held at a time, beyond which mappers wait; 0: a quarter of the memory limit"`
	Rate          float64        `envconfig:"RATE" default:"0" desc:"most objects mapped per second, retries included; 0: no limit"`
	OnDone        string         `envconfig:"ON_DONE" default:"stay" desc:"when the job is done: stay (and answer status) or exit"`
	FinishWithin  time.Duration  `envconfig:"FINISH_WITHIN" default:"0s" desc:"time that the job should take, from which the metric chunkline_wanted_mappers follows; 0: no target"`
	ControlToken  string         `envconfig:"CONTROL_TOKEN" desc:"token for pausing, resuming, cancelling and slowing down the job on the live page, 8 or more printable characters without blanks; empty: nobody may"`
	VersionShares rollout.Shares `envconfig:"VERSION_SHARES" desc:"largest share of the chunks for mapper versions: VERSION=SHARE, separated by commas, each share from 0 (none) to 1 (no limit); other versions have no limit"`
	Shadow        rollout.Shadow `envconfig:"SHADOW" desc:"shadow run, VERSION=SHARE: mappers of this version (shadow-*: of every version with this prefix) get copies of a share of the saved chunks, 0 to 1, and no other work; their results are compared, not saved; empty: none"`
	BreakAt       float64        `envconfig:"BREAK_AT" default:"0.5" desc:"circuit breaker: a mapper version gets no more chunks when more than this share of the objects in its last chunks has failed, 0 to below 1; 0: never"`
	BreakFor      time.Duration  `envconfig:"BREAK_FOR" default:"30s" desc:"circuit breaker: time until such a version gets one chunk as a probe; it doubles each time a probe fails"`
	KeepGoing     bool           `envconfig:"KEEP_GOING" default:"false" desc:"continue even if all of the first 100 objects are dead letters, or the first ones get no answer at all; else the job is stopped"`
	MaxDead       int64          `envconfig:"MAX_DEAD" default:"-1" desc:"most dead letters before the job is stopped; -1: no limit"`
}

const (
	stay = "stay"
	exit = "exit"
)

// Validate returns an error that names the first wrong setting and its allowed values.
func (c Config) Validate() error {
	if transform.CallsService(c.Transform) { // it may contain a password, which mappers, logs and the page would show
		if _, err := transform.Parse(c.Transform); err != nil {
			return app.WrongSetting("TRANSFORM", ": %w", err)
		}
	}
	switch {
	case len(c.Transform) > wire.MaxTransform:
		return app.WrongSetting("TRANSFORM", " has %d bytes: use at most %d", len(c.Transform), wire.MaxTransform)
	case c.ChunkSize < 1 || c.ChunkSize > chunk.MaxSize:
		return app.WrongSetting("CHUNK_SIZE", "=%d: use 1 to %d objects", c.ChunkSize, chunk.MaxSize)
	case c.ChunkBytes < 1 || c.ChunkBytes > chunk.MaxBytes:
		return app.WrongSetting("CHUNK_BYTES", "=%d: use 1 to %d", c.ChunkBytes, chunk.MaxBytes)
	case c.MaxAttempts < 0:
		return app.WrongSetting("MAX_ATTEMPTS", "=%d: use 0 (no limit) or more", c.MaxAttempts)
	case c.Memory < 0:
		return app.WrongSetting("MEMORY_BYTES", "=%d: use 0 (a quarter of the memory limit) or more", c.Memory)
	case !app.IsRate(c.Rate):
		return app.WrongSetting("RATE", "=%g: use 0 (no limit) or more objects a second", c.Rate)
	case c.OnDone != stay && c.OnDone != exit:
		return app.WrongSetting("ON_DONE", "=%q: use stay or exit", c.OnDone)
	case c.FinishWithin < 0:
		return app.WrongSetting("FINISH_WITHIN", "=%s: use a duration of 0 (no target) or more", c.FinishWithin)
	case c.ControlToken != "" && !app.IsToken(c.ControlToken):
		return app.WrongSetting("CONTROL_TOKEN", " (not shown): use at least %d printable ASCII characters without blanks, or leave it empty", app.MinToken)
	case !rollout.IsShare(c.BreakAt) || c.BreakAt == 1:
		return app.WrongSetting("BREAK_AT", "=%g: use 0 (never) or a share below 1", c.BreakAt)
	case c.BreakFor < 0 || c.BreakAt > 0 && c.BreakFor == 0:
		return app.WrongSetting("BREAK_FOR", "=%s: use a time", c.BreakFor)
	case c.MaxDead < -1:
		return app.WrongSetting("MAX_DEAD", "=%d: use -1 (no limit) or more", c.MaxDead)
	}
	return nil
}

// Errors that end a job. Each says how to resolve it.
var (
	ErrFenced         = errors.New("another fetcher has taken over this job; only one may run it")
	ErrOtherSink      = errors.New("the job's sink is gone, and another one answers")
	ErrOtherPlan      = errors.New("sink was begun with another plan; choose another sink, or the source and chunk settings it was begun with")
	ErrSourceChanged  = errors.New("source has changed since the sink was begun; restore it, or choose another sink")
	ErrOtherTransform = app.WithCode(app.ExitUsage, errors.New("sink holds results of another transform"))
	ErrTooManyDead    = errors.New("more dead letters than the job may have")
	ErrHopeless       = errors.New("all objects so far are dead letters")
	ErrMute           = errors.New("the transform never answers")
	ErrCancelled      = errors.New("job was cancelled")
	ErrUnfinished     = app.WithCode(app.ExitInterrupted, errors.New("stopped before the job was done; start it again to continue where it stopped"))
)
