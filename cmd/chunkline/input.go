package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/source"
	"github.com/chunkline/chunkline/internal/webservice"
)

// spoolFile is the name of the file in the work folder that keeps a copy of input which cannot be read again.
const spoolFile = "source.zst"

// openInput opens the source of a job that writes these files and folders. The file spool keeps a copy of input which
// cannot be read again.
func openInput(written []string, format string, inputs []string, size, bytes int, spool string, std streams) (source.Source, error) {
	if len(inputs) > 1 && slices.ContainsFunc(inputs, source.IsStream) {
		return nil, app.Usage("--input: a command, an API or a query must be the only input")
	}
	spec := sourceSpec(inputs)
	o := source.Options{
		Size: size, Bytes: bytes, Stdin: std.in, Stderr: std.err, Spool: spool,
		Credentials: webservice.Credentials{Token: os.Getenv("SOURCE_TOKEN"), Headers: os.Getenv("SOURCE_HEADERS")},
		Written:     written,
	}
	var err error
	if o.Format, err = source.ParseFormat(format); err != nil {
		return nil, app.Usage("--format: %w", err)
	}
	if f, ok := std.in.(*os.File); spec == "-" && ok && app.IsTerminal(f) {
		if _, err := os.Stat(spool); err != nil {
			return nil, app.Usage("--input is not set, and standard input is a terminal: name a file or a glob, or pipe the objects in")
		}
		o.Replay = true // an earlier run may have read all of it
	}
	return open(o, spec)
}

func open(o source.Options, spec string) (source.Source, error) {
	src, err := source.Open(o, spec)
	if errors.Is(err, source.ErrAway) {
		return nil, app.WithCode(app.ExitUnreachable, fmt.Errorf("--input: %w", err))
	}
	if err != nil {
		return nil, app.Usage("--input: %w", err)
	}
	return src, nil
}

// reopenInput opens the source of a plan again. For a command, an API or standard input it reads the copy in the job's
// folder.
func reopenInput(plan chunk.Plan, folder string) (source.Source, error) {
	o := source.Options{Size: plan.Size, Bytes: plan.Bytes, Spool: filepath.Join(folder, spoolFile), Replay: true}
	spec, err := inputOfPlan(plan.Source)
	if err != nil {
		return nil, err
	}
	if isStdin(plan.Source) || source.IsStream(spec) {
		if _, err := os.Stat(o.Spool); err != nil {
			return nil, app.Usage("--input is not set, and the source was %s, which %s does not hold: give it again with -i", plan.Source, folder)
		}
	}
	if !source.IsStream(spec) { // its text says the format
		if o.Format, err = source.ParseFormat(formatOfPlan(plan.Source)); err != nil {
			return nil, app.Usage("read plan: %w", err)
		}
	}
	return open(o, spec)
}

// inputOfPlan turns the source in a plan back into a SOURCE setting.
func inputOfPlan(name string) (string, error) {
	switch {
	case source.IsStream(name):
		return name, nil
	case isStdin(name):
		return "-", nil
	case strings.Contains(name, " more files (sha256 of all names: "): // see source.Source.Identity
		return "", app.Usage("--input is not set, and the job has more files than its plan lists: give them again with -i")
	}
	return name, nil
}

// isStdin reports whether a plan's source is standard input, which is then the only item.
func isStdin(item string) bool {
	word, _, _ := strings.Cut(item, "?format=")
	return word == "stdin" // a file of that name is file:stdin
}

// formatHelp is the help of --format.
const formatHelp = "format of the input: lines (JSON Lines), array (elements of JSON arrays), values (JSON values that may span lines), csv, tsv, parquet, " +
	"or auto to tell by name and content; with options, as in 'csv&delimiter=;'"

// formatOfPlan returns the format of the source in a plan, or auto if its items differ.
func formatOfPlan(name string) string {
	if source.IsStream(name) {
		options, _, _ := strings.Cut(name, ":")
		if _, of, ok := strings.Cut(options, "?format="); ok {
			return strings.ReplaceAll(of, "%3A", ":")
		}
		return "auto"
	}
	format := ""
	for i, item := range strings.Split(name, ",") {
		_, options := source.CutOptions(item)
		_, of, ok := strings.Cut("&"+options, "&format=")
		of, _, _ = strings.Cut(of, " ") // and more files
		if !ok || i > 0 && of != format {
			return "auto"
		}
		format = of
	}
	return format
}

// sourceSpec joins inputs to a SOURCE setting, a list separated by commas.
func sourceSpec(inputs []string) string {
	if len(inputs) == 1 && source.IsStream(inputs[0]) {
		return inputs[0]
	}
	items := make([]string, len(inputs))
	for i, input := range inputs {
		items[i] = sourceItem(input)
	}
	return strings.Join(items, ",")
}

// sourceItem turns an input into an item of a source's list. In an input, commas and white space belong to the name; in
// a list such a name needs a file: URL.
func sourceItem(input string) string {
	name, options := source.CutOptions(input)
	if options != "" {
		options = "?" + strings.NewReplacer(",", "%2C", " ", "%20", "\t", "%09").Replace(options)
	}
	if !strings.Contains(name, ",") && strings.TrimSpace(name) == name {
		return name + options
	}
	if strings.HasPrefix(name, "file:") || source.IsObject(name) {
		return strings.NewReplacer(",", "%2C", " ", "%20").Replace(name) + options
	}
	pairs := []string{"%", "%25", ",", "%2C", " ", "%20", "\t", "%09", "\n", "%0A", "\r", "%0D"}
	if _, err := os.Lstat(name); err == nil { // an existing file is preferred to a glob
		pairs = append(pairs, "*", "%2A", "?", "%3F", "[", "%5B", "\\", "%5C")
	} else {
		pairs = append(pairs, "?", "[^%00]") // any character; a "?" would begin the query of a URL
	}
	return "file:" + strings.NewReplacer(pairs...).Replace(name) + options
}
