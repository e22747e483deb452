package mapper

import (
	"errors"
	"time"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/transform"
)

// Config is the mapper's settings.
type Config struct {
	Transform   string        `envconfig:"TRANSFORM" desc:"what to do to an object: jq:PROGRAM, exec:PROGRAM ARG… (it reads a line, writes a line and flushes it), https://HOST/PATH (it gets an object, or with #batch=N an array, and answers with JSON), users or identity; empty: what the fetcher says"`
	Token       string        `envconfig:"TRANSFORM_TOKEN" desc:"bearer token for the service of an http TRANSFORM, or @FILE that holds it and is read again for each chunk; empty: none"`
	Headers     string        `envconfig:"TRANSFORM_HEADERS" desc:"headers for that service, lines NAME: VALUE, or @FILE that holds them; empty: none"`
	AllowExec   bool          `envconfig:"ALLOW_EXEC" default:"false" desc:"without a TRANSFORM, also run a program (exec:…) or call a service (http) that the fetcher says"`
	Workers     int           `envconfig:"WORKERS" default:"0" desc:"chunks in work at a time, 0 to 1024; 0: one a CPU"`
	Timeout     time.Duration `envconfig:"TIMEOUT" default:"5m" desc:"longest time for one object, then it is a dead letter; 0: no limit"`
	Retries     int           `envconfig:"RETRIES" default:"3" desc:"how often an object is tried again whose failure is temporary (a service that is down or busy, a program that answers !retry), 0 to 100; then it is a dead letter"`
	Version     string        `envconfig:"VERSION" desc:"version of the transform, kept with what it made; empty: DRILL if set, else chunkline's own"`
	Name        string        `envconfig:"MAPPER_NAME" desc:"name that people know this mapper by; empty: the host name"`
	StopTimeout time.Duration `envconfig:"STOP_TIMEOUT" default:"20s" desc:"how long a chunk in work may go on after SIGTERM before it is given back"`
	EndTimeout  time.Duration `envconfig:"END_TIMEOUT" default:"30s" desc:"how long a program (exec:) may take to end after its input has ended; then SIGTERM, 5 s later SIGKILL; 0: 30s"`
	Memory      int64         `envconfig:"MEMORY_BYTES" default:"0" desc:"bytes of chunks in work and of results that wait for the saver, beyond which the mapper asks for no more; 0: an eighth of the memory limit"`
	Drill       string        `envconfig:"DRILL" desc:"release to imitate, to practise updates: v1 and v5 work, v2 never does, v3 fails 10 % of its checks and work, v4 dies after 20 s; empty: none"`

	declared bool // the version was set, not filled in
}

// Validate says which setting is wrong, and what would be right.
func (c Config) Validate() error {
	switch {
	case c.Workers < 0 || c.Workers > 1024:
		return app.WrongSetting("WORKERS", "=%d: use 0 (one a CPU) to 1024", c.Workers)
	case c.Timeout < 0:
		return app.WrongSetting("TIMEOUT", "=%s: use a duration of 0 (no limit) or more", c.Timeout)
	case c.Retries < 0 || c.Retries > MaxRetries:
		return app.WrongSetting("RETRIES", "=%d: use 0 (none) to %d", c.Retries, MaxRetries)
	case c.StopTimeout < 0:
		return app.WrongSetting("STOP_TIMEOUT", "=%s: use a duration of 0 or more", c.StopTimeout)
	case c.Memory < 0:
		return app.WrongSetting("MEMORY_BYTES", "=%d: use 0 (an eighth of the memory limit) or more", c.Memory)
	case c.EndTimeout < 0:
		return app.WrongSetting("END_TIMEOUT", "=%s: use 0 (30s) or more", c.EndTimeout)
	}
	if wrong, ok := errors.AsType[*transform.CredentialError](c.credentials().Check()); ok {
		return app.WrongSetting(wrong.Setting, " (not shown): %w", wrong.Err)
	}
	return checkDrill(c.Drill)
}

// MaxRetries bounds RETRIES: at 20 s a wait, 100 of them take half an hour.
const MaxRetries = 100

func (c Config) credentials() transform.Credentials {
	return transform.Credentials{Token: c.Token, Headers: c.Headers}
}
