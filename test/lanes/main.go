package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := start(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "lanes:", err)
		os.Exit(1)
	}
}

func start(ctx context.Context) error {
	list := flag.Bool("list", false, "print the lanes and their commands, and run nothing")
	logs := flag.String("logs", "", "folder for the output of each lane; empty: a temporary folder, kept if a lane fails")
	flag.Parse()
	if flag.NArg() == 0 {
		return errors.New("name a set of lanes, ci or all, and then single lanes if you want only some; -h lists the flags")
	}
	lanes, err := choose(flag.Arg(0), flag.Args()[1:])
	if err != nil {
		return err
	}
	if *list {
		for _, l := range lanes {
			fmt.Printf("%-12s %s\n", l.name, l.command)
		}
		return nil
	}
	r, err := newRunner(*logs, lanes, os.Stdout)
	if err != nil {
		return err
	}
	restore := useHugePages()
	r.run(ctx)
	restore()
	fmt.Print("\n", r.table())
	r.explain()
	failed := r.failed()
	if len(failed) > 0 {
		return fmt.Errorf("failed: %s; the whole output is in %s", strings.Join(failed, ", "), r.dir)
	}
	if *logs == "" {
		return os.RemoveAll(r.dir)
	}
	return nil
}

// choose returns the lanes of a set, in the order of the table. If there are
// names, it returns only these and the lanes that they need.
func choose(set string, names []string) ([]lane, error) {
	commandOf := map[string]func(entry) string{
		"ci":  func(e entry) string { return e.ci },
		"all": func(e entry) string { return e.all },
	}[set]
	if commandOf == nil {
		return nil, fmt.Errorf("there is no set of lanes %q: use ci or all", set)
	}
	var lanes []lane
	for _, e := range table {
		if command := commandOf(e); command != "" {
			lanes = append(lanes, lane{entry: e, command: command})
		}
	}
	if len(names) == 0 {
		return lanes, nil
	}
	wanted := map[string]bool{}
	for len(names) > 0 {
		i := slices.IndexFunc(lanes, func(l lane) bool { return l.name == names[0] })
		if i < 0 {
			return nil, fmt.Errorf("there is no lane %q in %s: -list lists them", names[0], set)
		}
		wanted[names[0]] = true
		names = append(names[1:], lanes[i].after...)
	}
	return slices.DeleteFunc(lanes, func(l lane) bool { return !wanted[l.name] }), nil
}
