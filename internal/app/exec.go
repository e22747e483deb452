package app

import (
	"context"
	"fmt"
	"os"

	"github.com/rs/zerolog"

	"github.com/chunkline/chunkline/internal/chunk"
)

// Exec is the main function of a role: it answers -h, --version and --health,
// loads the settings and runs the role. It returns the exit code.
func Exec(name, purpose string, run func(context.Context, Common, zerolog.Logger) error, settings ...any) int {
	var common Common
	all := append([]any{&common}, settings...)
	return Main(name, os.Stderr, func(ctx context.Context) error {
		for _, arg := range os.Args[1:] {
			switch arg {
			case "-h", "-help", "--help":
				fmt.Print(usage(name, purpose, all))
				return nil
			case "-version", "--version":
				fmt.Println(name, Version())
				return nil
			case "-health", "--health":
				if err := Load(&common); err != nil {
					return err
				}
				return checkHealth(ctx, common.HTTPAddr)
			default:
				return Usage("unknown argument %q: settings are environment variables, see -h", arg)
			}
		}
		if err := Load(all...); err != nil {
			return err
		}
		if err := chunk.CheckJob(common.Job); err != nil {
			return WrongSetting("JOB", ": %w", err)
		}
		log, err := NewLogger(os.Stderr, common, name)
		if err != nil {
			return err
		}
		LimitMemory()
		return run(ctx, common, log)
	})
}
