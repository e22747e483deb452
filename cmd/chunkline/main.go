// Command chunkline is the operator's program: it runs whole jobs in one process, and watches and controls jobs that
// run elsewhere.
package main

import (
	"context"
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/chunkline/chunkline/internal/app"
)

func main() {
	os.Exit(app.Main("chunkline", os.Stderr, func(ctx context.Context) error {
		c := command() //nolint:contextcheck // cobra passes the context to the command
		c.SetArgs(joinPairs(c, os.Args[1:]))
		return c.ExecuteContext(ctx)
	}))
}

// command returns the command tree. Errors in flags and arguments have the exit code of wrong usage; the commands set
// the codes of all other errors.
func command() *cobra.Command {
	root := &cobra.Command{
		Use:   "chunkline",
		Short: "Heavy work over many JSON objects, each one done exactly once",
		Long: "chunkline runs heavy per-object work over large sets of JSON objects. When the job is done, every object\n" +
			"is in the result exactly once, no matter which process was killed, and when.",
		Version:       app.Version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          needsCommand,
	}
	root.AddCommand(runCommand(), demoCommand(), generateCommand(), statusCommand(), controlCommand(), verifyCommand(), deadCommand(), redoCommand(), exportCommand())
	root.SetFlagErrorFunc(flagError)
	wrap(root)
	return root
}

// wrap makes errors in arguments wrong usage, and makes errors name flags instead of settings, for a command and its
// subcommands.
func wrap(c *cobra.Command) {
	check := c.Args
	if check == nil {
		check = cobra.NoArgs
	}
	c.Args = func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			return argsError(c, args)
		}
		return nil
	}
	run := c.RunE
	c.RunE = func(c *cobra.Command, args []string) error {
		return app.NameSetting(run(c, args), func(setting string) string { return flagOf(c, setting) })
	}
	for _, sub := range c.Commands() {
		wrap(sub)
	}
}

// needsCommand is the action of a command that only groups others.
func needsCommand(c *cobra.Command, _ []string) error {
	if err := c.Help(); err != nil {
		return err
	}
	return app.WithCode(app.ExitUsage, errors.New("name a command"))
}
