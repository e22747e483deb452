package main

import (
	"io"
	"os"
	"slices"
	"strings"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/source"
)

// openInput opens the source of a job with that output. It refuses a terminal as
// standard input: the flag was probably forgotten, and the program would wait
// without a sign.
func openInput(output, format, spec string, size, bytes int, stdin io.Reader) (source.Source, error) {
	o := source.Options{Size: size, Bytes: bytes, Stdin: stdin, Written: []string{output, deadFile(output), workFolder(output)}}
	var err error
	if o.Format, err = source.ParseFormat(format); err != nil {
		return nil, app.Usage("--format: %w", err)
	}
	if f, ok := stdin.(*os.File); spec == "-" && ok && app.IsTerminal(f) {
		return nil, app.Usage("--input is not set, and standard input is a terminal: name a file or a glob, or pipe the objects in")
	}
	src, err := source.OpenWith(o, spec)
	if err != nil {
		return nil, app.Usage("--input: %w", err)
	}
	return src, nil
}

// inputOfPlan turns the source in a plan back into a SOURCE setting.
func inputOfPlan(name string) (string, error) {
	switch {
	case slices.ContainsFunc(strings.Split(name, ","), isStdin):
		return "", app.Usage("--input is not set, and the source was standard input: give it again with -i, as a file, or as - to pipe it in")
	case strings.Contains(name, " more files (sha256 of all names: "): // see source.Source.Identity
		return "", app.Usage("--input is not set, and the job has more files than its plan lists: give them again with -i")
	}
	return name, nil
}

// isStdin reports whether an item of a plan's source is standard input.
func isStdin(item string) bool {
	word, _, _ := strings.Cut(item, "?format=")
	return word == "stdin" // a file of that name is file:stdin
}

// formatHelp is the help of --format.
const formatHelp = "format of the input: lines (JSON Lines), array (elements of JSON arrays), values (JSON values that may span lines), csv, tsv, parquet, " +
	"or auto to tell by name and content; with options, as in 'csv&delimiter=;'"

// formatOfPlan returns the format of the source in a plan, or auto if its items
// differ.
func formatOfPlan(name string) string {
	format := ""
	for i, item := range strings.Split(name, ",") {
		_, of, ok := strings.Cut(item, "?format=")
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
	items := make([]string, len(inputs))
	for i, input := range inputs {
		items[i] = sourceItem(input)
	}
	return strings.Join(items, ",")
}

// sourceItem turns an input into an item of a source's list. In an input, commas
// and white space belong to the name; in a list such a name needs a file: URL.
func sourceItem(input string) string {
	name, options := source.CutOptions(input)
	if options != "" {
		options = "?" + strings.NewReplacer(",", "%2C", " ", "%20", "\t", "%09").Replace(options)
	}
	if !strings.Contains(name, ",") && strings.TrimSpace(name) == name {
		return name + options
	}
	if strings.HasPrefix(name, "file:") {
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
