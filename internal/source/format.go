package source

import (
	"encoding/csv"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/chunkline/chunkline/internal/chunk"
)

// A Format is the encoding of the objects of a file. The zero value means that the file's name and content determine
// it.
type Format struct {
	kind    chunk.Format
	parquet bool
	table   chunk.Table // of kind chunk.CSV
	text    string      // as in an item, after ?format=; "" for the zero value
}

// formatHelp lists the formats.
const formatHelp = "use format=auto, lines, array, values, csv, tsv or parquet"

// optionKeys are the options of an item, in their order in a label.
var optionKeys = []string{"format", "delimiter", "quote", "header", "columns", "types", "null"}

// optionsOf finds where the options of an item begin. A "?" before anything else is part of a glob.
var optionsOf = regexp.MustCompile(`\?(?:etag|` + strings.Join(optionKeys, "|") + `)=`)

// looksLikeOption finds a possible unknown option in an item that names no file.
var looksLikeOption = regexp.MustCompile(`\?([a-z]+)=[^/]*$`)

// ParseFormat parses the setting of a format: the text after ?format= in an item, such as "lines" or "csv&delimiter=;".
// "" is auto.
func ParseFormat(setting string) (Format, error) {
	if setting == "" {
		return Format{}, nil
	}
	return parseOptions("format=" + setting)
}

// String returns the setting of the format.
func (f Format) String() string {
	if f.isAuto() {
		return "auto"
	}
	return f.text
}

func (f Format) isAuto() bool { return f.kind == chunk.Auto && !f.parquet }

// parseOptions parses options, as in "format=csv&delimiter=;". The format is auto if they do not name one.
func parseOptions(text string) (Format, error) {
	values := make(map[string]string)
	for pair := range strings.SplitSeq(text, "&") {
		key, escaped, _ := strings.Cut(pair, "=")
		value, err := url.PathUnescape(escaped)
		_, twice := values[key]
		switch {
		case err != nil:
			return Format{}, fmt.Errorf(`option %s: %w; write "%%" itself as %%25`, key, err)
		case !slices.Contains(optionKeys, key):
			return Format{}, fmt.Errorf("there is no option %q; use %s, and write \"&\" in a value as %%26", key, strings.Join(optionKeys, ", "))
		case twice:
			return Format{}, fmt.Errorf("the option %s is there twice", key)
		}
		values[key] = value
	}
	name, named := values["format"]
	if named && name == "" {
		return Format{}, errors.New("format=: " + formatHelp)
	}
	f, err := formatNamed(name)
	if err != nil {
		return Format{}, err
	}
	if f.kind == chunk.CSV {
		if err := setTable(&f.table, values); err != nil {
			return Format{}, err
		}
	} else if len(values) > 1 || !named {
		return Format{}, errors.New("only csv and tsv have options; add format=csv or format=tsv")
	}
	f.text = name
	for _, key := range optionKeys[1:] {
		if value, ok := values[key]; ok {
			f.text += "&" + key + "=" + escapeOption(value)
		}
	}
	if f.isAuto() {
		f.text = ""
	}
	return f, nil
}

// formatNamed returns the format with that name, without options.
func formatNamed(name string) (Format, error) {
	if name == "" || name == "auto" {
		return Format{}, nil
	}
	f, ok := namedFormats[name]
	if !ok {
		return Format{}, fmt.Errorf("format=%s: %s", name, formatHelp)
	}
	f.text = name
	return f, nil
}

// namedFormats are the formats other than auto, without options.
var namedFormats = map[string]Format{
	"lines":   {kind: chunk.Lines},
	"array":   {kind: chunk.Array},
	"values":  {kind: chunk.Values},
	"csv":     {kind: chunk.CSV},
	"tsv":     {kind: chunk.CSV, table: chunk.Table{Delimiter: '\t'}},
	"parquet": {parquet: true},
}

// nameOfFormat returns the format that a file name's extension implies, or "".
func nameOfFormat(name string) string {
	name = strings.TrimSuffix(strings.ToLower(name), ".gz")
	switch filepath.Ext(strings.TrimSuffix(name, ".zst")) {
	case ".csv":
		return "csv"
	case ".tsv", ".tab":
		return "tsv"
	case ".parquet":
		return "parquet"
	}
	return ""
}

// CutOptions splits an item into its name and its options, which may be "".
func CutOptions(item string) (word, options string) {
	at := optionsOf.FindStringIndex(item)
	if at == nil {
		return item, ""
	}
	return item[:at[0]], item[at[0]+1:]
}

// formatOf returns the format of a file of an item with these options.
func formatOf(name, options string, ofJob Format) (Format, error) {
	byName := nameOfFormat(name)
	switch {
	case options == "" && ofJob.isAuto():
		return formatNamed(byName)
	case options == "":
		return ofJob, nil
	case !strings.Contains("&"+options, "&format=") && byName != "":
		options = "format=" + byName + "&" + options
	}
	f, err := parseOptions(options)
	if err == nil && f.isAuto() {
		return formatNamed(byName)
	}
	return f, err
}

// setTable applies the options of CSV.
func setTable(t *chunk.Table, values map[string]string) error {
	for key, value := range values {
		var err error
		switch key {
		case "delimiter":
			t.Delimiter, err = parseDelimiter(value)
		case "quote":
			if t.Unquoted = value == "none"; !t.Unquoted {
				err = errors.New("use quote=none, or leave it out")
			}
		case "header":
			if t.NoHeader = value == "no"; !t.NoHeader && value != "yes" {
				err = errors.New("use yes or no")
			}
		case "columns":
			t.Columns, err = parseList(value)
		case "types":
			err = parseTypes(t, value)
		case "null":
			t.Null = &value
		}
		if err != nil {
			return fmt.Errorf("%s=%s: %w", key, value, err)
		}
	}
	_, header := values["header"]
	switch {
	case t.NoHeader && t.Columns == nil:
		return errors.New("header=no needs the names of the columns, as in columns=id,name")
	case t.Columns != nil && !header:
		return errors.New("columns= needs header=no if the first row is data, or header=yes if it is a header with other names")
	}
	return nil
}

// parseDelimiter parses the option delimiter.
func parseDelimiter(value string) (byte, error) {
	if value == "tab" || value == `\t` {
		return '\t', nil
	}
	if len(value) != 1 || value[0] >= 0x7f || value[0] < 0x20 && value[0] != '\t' || value[0] == '"' {
		return 0, errors.New("use one ASCII character other than a quote, or tab")
	}
	return value[0], nil
}

// parseList parses a comma-separated list, whose elements may be quoted as in CSV.
func parseList(value string) ([]string, error) {
	r := csv.NewReader(strings.NewReader(value))
	list, err := r.Read()
	if err != nil {
		return nil, errors.New(`write a list with commas, as in id,name, and names with commas in quotes`)
	}
	if _, err := r.Read(); err == nil {
		return nil, errors.New("a name has a line break outside of quotes")
	}
	return list, nil
}

// parseTypes parses the option types.
func parseTypes(t *chunk.Table, value string) error {
	list, err := parseList(value)
	if err != nil {
		return err
	}
	for _, item := range list {
		if item == "auto" {
			t.Auto = true
			continue
		}
		i := strings.LastIndexByte(item, ':')
		if i < 0 {
			return fmt.Errorf("%q: write auto, or a column and its type, as in id:int", item)
		}
		of, err := chunk.ParseValueType(item[i+1:])
		if err != nil {
			return err
		}
		t.Types = append(t.Types, chunk.ColumnType{Column: item[:i], Type: of})
	}
	return nil
}

// escapeOption encodes the value of an option for use in a list of items.
func escapeOption(value string) string { return percentEncode(value, ",&%?") }
