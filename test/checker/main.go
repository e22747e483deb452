// Command checker checks whether a finished job kept chunkline's promise: every object of
// the source is in the output or in the dead letters, exactly once, with the right
// content. It reads only these three files, and shares no code with the product, not even
// a JSON reader.
//
//	checker -source users.jsonl -output out/output.jsonl -dead out/dead.jsonl
//
// The source has one object a line, plain or gzip (.gz). checker prints a report as JSON.
// It exits with 0 if the promise was kept, 1 if it was not, and 2 if it cannot tell.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
)

func main() {
	code, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "checker:", err)
	}
	os.Exit(code)
}

func run(args []string) (code int, err error) {
	flags := flag.NewFlagSet("checker", flag.ContinueOnError)
	source := flags.String("source", "", "file of the objects, one a line")
	output := flags.String("output", "", "file of the outputs")
	dead := flags.String("dead", "", "file of the dead letters; it need not exist")
	expect := flags.String("expect", "users", "the transform: users or identity")
	wantDead := flags.String("want-dead", "", "ordinals of exactly the objects that must be dead letters, as in 3,57; any: do not check")
	if err := flags.Parse(args); err != nil {
		return 2, err
	}
	transform, known := transforms[*expect]
	if !known || *source == "" || *output == "" || flags.NArg() > 0 {
		flags.Usage()
		return 2, fmt.Errorf("set -source and -output, and -expect to users or identity")
	}
	letters, err := readDead(*dead)
	if err != nil {
		return 2, err
	}
	report, err := compare(*source, *output, letters, transform)
	if err != nil {
		return 2, err
	}
	if *wantDead != "any" {
		if err := report.compareDead(letters, *wantDead); err != nil {
			return 2, err
		}
	}
	text, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return 2, err
	}
	fmt.Println(string(text))
	if !report.kept() {
		return 1, nil
	}
	return 0, nil
}

// compareDead compares the dead letters with the expected ones.
func (r *report) compareDead(letters map[int]letter, list string) error {
	want := map[int]bool{}
	for item := range strings.SplitSeq(list, ",") {
		if item == "" {
			continue
		}
		n, err := strconv.Atoi(item)
		if err != nil {
			return fmt.Errorf("-want-dead %q: %w", list, err)
		}
		want[n] = true
		if _, is := letters[n]; !is {
			r.note(&r.NotDead, "object %d is not among the dead letters", n)
		}
	}
	for n, l := range letters {
		if !want[n] {
			r.note(&r.Dead.Unwanted, "object %d: %s", n, l.Error)
		}
	}
	return nil
}
