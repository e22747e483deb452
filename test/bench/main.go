package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/chunkline/chunkline/internal/source"
)

// settings is one invocation.
type settings struct {
	bin     string
	objects int
	mappers int
	runs    int
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := start(ctx)
	if err != nil && ctx.Err() != nil {
		err = errors.New("interrupted")
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func start(ctx context.Context) error {
	var s settings
	var r roleSettings
	flag.StringVar(&s.bin, "bin", "bin", "folder with fetcher, mapper, saver and nats-server")
	flag.IntVar(&s.objects, "n", 1_000_000, "users in the input, 1 or more")
	flag.IntVar(&s.mappers, "mappers", 10, "mappers and forwarders, 1 or more")
	flag.IntVar(&s.runs, "runs", 3, "runs of each side, 1 or more")
	flag.StringVar(&r.role, "role", "", "internal: the process of the bare side to be")
	flag.StringVar(&r.url, "url", "", "internal: NATS server of the role")
	flag.StringVar(&r.file, "file", "", "internal: file that the role reads or writes")
	flag.Parse()
	switch {
	case flag.NArg() > 0:
		return fmt.Errorf("unexpected argument %q: there are only flags, -h lists them", flag.Arg(0))
	case r.role != "":
		return r.run(ctx)
	case s.objects < 1 || s.mappers < 1 || s.runs < 1:
		return fmt.Errorf("-n %d -mappers %d -runs %d: each must be 1 or more", s.objects, s.mappers, s.runs)
	}
	return s.run(ctx)
}

// run makes the input, runs both sides in turn and prints the report.
func (s settings) run(ctx context.Context) (err error) {
	programs, err := findPrograms(s.bin)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "chunkline-bench-")
	if err != nil {
		return fmt.Errorf("make temporary folder: %w", err)
	}
	defer func() {
		if e := os.RemoveAll(dir); err == nil && e != nil {
			err = fmt.Errorf("remove temporary folder: %w", e)
		}
	}()
	input := filepath.Join(dir, "users.jsonl")
	if err := generate(ctx, input, s.objects); err != nil {
		return err
	}
	want, err := expected(ctx, input)
	if err != nil {
		return err
	}
	b := bench{settings: s, programs: programs, dir: dir, input: input, want: want}
	report := newReport(s)
	for i := range s.runs {
		for _, side := range []side{chunklineSide, bareSide} {
			m, err := b.measure(ctx, side)
			if err != nil {
				return fmt.Errorf("run %d of %s: %w", i+1, side.name, err)
			}
			report.add(i, side, m)
		}
	}
	report.print()
	return nil
}

// findPrograms returns the paths of the programs by name.
func findPrograms(bin string) (map[string]string, error) {
	programs := map[string]string{}
	for _, name := range []string{"fetcher", "mapper", "saver", "nats-server"} {
		path, err := filepath.Abs(filepath.Join(bin, name))
		if err != nil {
			return nil, fmt.Errorf("find programs: %w", err)
		}
		if info, err := os.Stat(path); err != nil || info.IsDir() {
			return nil, fmt.Errorf("there is no program %s: `make bench` builds all it needs; else run `make build` and `go build -o bin/nats-server github.com/nats-io/nats-server/v2`, or give the folder with -bin", path)
		}
		programs[name] = path
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own program: %w", err)
	}
	programs["bench"] = self
	return programs, nil
}

func generate(ctx context.Context, path string, n int) error {
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("make input: %w", err)
	}
	err = source.WriteUsers(ctx, file, n, 1)
	if e := file.Close(); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("make input: %w", err)
	}
	return nil
}
