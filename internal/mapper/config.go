package mapper

import (
	"errors"
	"time"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/webservice"
)

// Config is the mapper's settings.
type Config struct {
	Transform   string        `envconfig:"TRANSFORM" desc:"what to do to each object: jq:PROGRAM, exec:PROGRAM ARG… (a program that reads a line, writes a line and flushes it), https://HOST/PATH (a service that gets an object, or with #batch=N an array, and answers with JSON), users or identity; empty: the TRANSFORM of the fetcher"`
	Token       string        `envconfig:"TRANSFORM_TOKEN" desc:"bearer token for the service of an http TRANSFORM, or @FILE to read it from a file, again for each chunk; empty: none"`
	Headers     string        `envconfig:"TRANSFORM_HEADERS" desc:"headers for that service, as lines NAME: VALUE, or @FILE to read them from a file; empty: none"`
	AllowExec   bool          `envconfig:"ALLOW_EXEC" default:"false" desc:"without a TRANSFORM: also run programs (exec:…) and call services (http) that the fetcher names"`
	Workers     int           `envconfig:"WORKERS" default:"0" desc:"number of chunks to map at a time, 0 to 1024; 0: one per CPU"`
	Timeout     time.Duration `envconfig:"TIMEOUT" default:"5m" desc:"longest time for one object, which then becomes a dead letter; 0: no limit"`
	Retries     int           `envconfig:"RETRIES" default:"3" desc:"how often to try an object again whose failure is temporary (a service that is busy or down, a program that answers !retry), 0 to 100; then it becomes a dead letter"`
	Version     string        `envconfig:"VERSION" desc:"version of the transform, kept with each result; empty: DRILL if that is set, else chunkline's own version"`
	Name        string        `envconfig:"MAPPER_NAME" desc:"name of this mapper for people; empty: the host name"`
	StopTimeout time.Duration `envconfig:"STOP_TIMEOUT" default:"20s" desc:"time after SIGTERM to finish the chunks in work; those that are not finished go to other mappers"`
	EndTimeout  time.Duration `envconfig:"END_TIMEOUT" default:"30s" desc:"how long a program (exec:) may run after its input has ended; then SIGTERM, 5 s later SIGKILL; 0: 30s"`
	Memory      int64         `envconfig:"MEMORY_BYTES" default:"0" desc:"bytes of chunks in work and of results that wait for the saver, beyond which the mapper asks for no more chunks; 0: an eighth of the memory limit"`
	Drill       string        `envconfig:"DRILL" desc:"release to imitate, for practising updates: v1 and v5 work, v2 never works, v3 fails 10 % of its health checks and of its objects, v4 dies after 20 s; empty: none"`

	declared bool // VERSION or DRILL is set
}

// Validate returns an error that names the first wrong setting and its allowed values.
func (c Config) Validate() error {
	switch {
	case c.Workers < 0 || c.Workers > 1024:
		return app.WrongSetting("WORKERS", "=%d: use 0 (one per CPU) to 1024", c.Workers)
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
	if wrong, ok := errors.AsType[*webservice.CredentialError](c.credentials().Check("TRANSFORM")); ok {
		return app.WrongSetting(wrong.Setting, " (not shown): %w", wrong.Err)
	}
	return checkDrill(c.Drill)
}

// MaxRetries bounds RETRIES. With waits of 20 s, 100 retries take half an hour.
const MaxRetries = 100

func (c Config) credentials() webservice.Credentials {
	return webservice.Credentials{Token: c.Token, Headers: c.Headers}
}
