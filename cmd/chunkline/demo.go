package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/spf13/cobra"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/fetcher"
	"github.com/chunkline/chunkline/internal/source"
)

// The demo maps 1000 chunks of 100 users at 5 mappers. Each chunk takes 0.1 s of simulated work, so the demo takes
// about 20 s.
const (
	demoUsers     = 100_000
	demoMappers   = 5
	demoTransform = "users?duration=100ms"
	demoSeed      = 1
)

func demoCommand() *cobra.Command {
	var dir string
	var n int
	var force bool
	c := &cobra.Command{
		Use:   "demo",
		Short: "Generate users and map them, to see chunkline at work",
		Long: "demo generates users, maps them with simulated work at five mappers in this process, and prints where\n" +
			"the result is. Stop it with ^C or kill -9 and start it again: it continues. On a terminal, if the live page\n" +
			"was opened, it waits for Enter when the job is done, for at most 10 s.",
		RunE: func(c *cobra.Command, _ []string) error {
			if n < 0 {
				return app.Usage("--users=%d: use 0 or more", n)
			}
			input := filepath.Join(dir, "users.jsonl")
			if err := os.MkdirAll(dir, 0o777); err != nil { //nolint:gosec // the user's umask restricts it
				return fmt.Errorf("create demo folder: %w", err)
			}
			if err := generateFile(c.Context(), input, n, demoSeed, force); err != nil {
				return err
			}
			fmt.Fprintf(c.ErrOrStderr(), "generated %d users in %s; mapping them with %d mappers\n", n, input, demoMappers)
			f := runFlags{
				inputs: []string{input}, output: filepath.Join(dir, "named.jsonl"), what: transformOf(demoTransform),
				workers: 1, mappers: demoMappers, job: "demo", http: "127.0.0.1:0", logLevel: "warn",
				lingers: app.IsTerminal(c.ErrOrStderr()) && app.IsTerminal(c.InOrStdin()),
				fetcher: fetcher.Config{ChunkSize: chunk.DefaultSize, ChunkBytes: chunk.DefaultBytes, Speculate: true, MaxDead: -1, MaxAttempts: 10},
			}
			err := f.run(c.Context(), streamsOf(c))
			if err == nil {
				fmt.Fprintf(c.ErrOrStderr(), "check the result: chunkline verify -o %s\n", shellWord(f.output))
			}
			if errors.Is(err, fetcher.ErrSourceChanged) {
				err = fmt.Errorf("%w; the demo in %s was begun with more users: remove the folder, or choose another --dir", err, dir)
			}
			return err
		},
	}
	c.Flags().StringVar(&dir, "dir", "chunkline-demo", "folder for users and result")
	c.Flags().IntVarP(&n, "users", "n", demoUsers, "number of users")
	c.Flags().BoolVar(&force, "force", false, "replace a users.jsonl that does not look generated")
	return c
}

func generateCommand() *cobra.Command {
	group := &cobra.Command{Use: "generate", Short: "Generate test data", RunE: needsCommand}
	var n int
	var seed uint64
	var output string
	var force bool
	users := &cobra.Command{
		Use:     "users -n COUNT",
		Short:   "Generate users {uuid, fn, ln, friends}, one a line; the same seed gives the same users",
		Example: "  chunkline generate users -n 100000 > users.jsonl",
		RunE: func(c *cobra.Command, _ []string) error {
			if n < 0 {
				return app.Usage("--count=%d: use 0 or more", n)
			}
			if output != "-" {
				return generateFile(c.Context(), output, n, seed, force)
			}
			w := bufio.NewWriterSize(c.OutOrStdout(), 1<<16)
			if err := source.WriteUsers(c.Context(), w, n, seed); err != nil {
				return fmt.Errorf("generate users: %w", err)
			}
			return w.Flush()
		},
	}
	users.Flags().IntVarP(&n, "count", "n", demoUsers, "number of users")
	users.Flags().Uint64Var(&seed, "seed", demoSeed, "seed of the random names")
	users.Flags().StringVarP(&output, "output", "o", "-", "file to write; - is stdout")
	users.Flags().BoolVar(&force, "force", false, "replace a file that does not look generated")
	group.AddCommand(users)
	return group
}

// generateFile writes n users to path atomically: a program that has the old file open keeps reading that. It replaces
// a file of other content only with force.
func generateFile(ctx context.Context, path string, n int, seed uint64, force bool) (err error) {
	if own, err := isGenerated(path); err != nil {
		return fmt.Errorf("generate users: %w", err)
	} else if !own && !force {
		return fmt.Errorf("generate users: %s exists and does not look generated: move it away, or replace it with --force", path)
	}
	part := path + ".part"
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		part = path // a pipe or a device
	}
	file, err := os.Create(part)
	if err != nil {
		return fmt.Errorf("create users: %w", err)
	}
	w := bufio.NewWriterSize(file, 1<<20)
	err = source.WriteUsers(ctx, w, n, seed)
	if err == nil {
		err = w.Flush()
	}
	if e := file.Close(); err == nil {
		err = e
	}
	if err == nil && part != path {
		err = os.Rename(part, path)
	}
	if err != nil {
		return fmt.Errorf("generate users: %w", err)
	}
	return nil
}

// isGenerated reports whether generateFile may replace path: it does not exist, or is a pipe, a device, an empty file,
// or one that begins like generated users.
func isGenerated(path string) (bool, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	file, err := os.Open(path)
	if err != nil {
		return false, err
	}
	line, err := bufio.NewReader(io.LimitReader(file, 64<<10)).ReadBytes('\n')
	if e := file.Close(); err == nil || errors.Is(err, io.EOF) {
		err = e
	}
	return len(line) == 0 || generated.Match(line), err
}

// generated matches the beginning of a line of generated users.
var generated = regexp.MustCompile(`^\{"uuid":"[0-9a-f-]{36}","fn":"[^"]*","ln":"[^"]*","friends":`)
