// Command chunkline is the operator's program: it runs whole jobs in one
// process, and looks after jobs that run elsewhere.
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
		c := command() //nolint:contextcheck // cobra hands the context to the command
		c.SetArgs(joinPairs(c, os.Args[1:]))
		return c.ExecuteContext(ctx)
	}))
}

// command is the tree of commands. What is wrong with flags and arguments is
// wrong usage; commands say themselves what else went wrong.
func command() *cobra.Command {
	root := &cobra.Command{
		Use:   "chunkline",
		Short: "Heavy work over many JSON objects, each one done exactly once",
		Long: "chunkline runs heavy per-object work over large sets of JSON objects. Whatever is killed,\n" +
			"at any moment, every object is in the result exactly once when the job is done.",
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

// wrap makes wrong arguments wrong usage, and has errors name flags where there are
// any, on every command.
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

// needsCommand is what a command that only groups others does by itself.
func needsCommand(c *cobra.Command, _ []string) error {
	if err := c.Help(); err != nil {
		return err
	}
	return app.WithCode(app.ExitUsage, errors.New("say which command"))
}
