package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/mapper"
	"github.com/chunkline/chunkline/internal/transform"
	"github.com/chunkline/chunkline/internal/webservice"
)

// jqHelp is the part about jq programs in the help of each command with --map.
const jqHelp = "A jq program sees and prints objects in the order of their keys, not in that of the input:\n" +
	`{"b":2,"a":1} | [.[]] | @csv` + " is \"1,2\", where jq gives \"2,1\". Name the columns: [.b, .a] | @csv.\n" +
	"docs/jq.md lists all differences.\n\n"

// transformFlags are the flags that choose the transform.
type transformFlags struct {
	jq, file, exec, transform once
	args                      []transform.JQArg
	endTimeout                time.Duration
	retries                   int
}

// The defaults of --end-timeout and --retries.
const (
	endTimeout = 30 * time.Second
	retries    = 3
)

// transformOf returns the flags as if setting had been given with --transform.
func transformOf(setting string) transformFlags {
	return transformFlags{transform: once{text: setting, given: true}, endTimeout: endTimeout, retries: retries}
}

func (t *transformFlags) add(c *cobra.Command) {
	flags := c.Flags()
	t.jq.hint, t.file.hint = "join programs with |", "join the programs in one file"
	t.exec.hint, t.transform.hint = "give one program", "give one setting"
	flags.VarP(&t.jq, "map", "m", "jq program to run on each object; it sees objects in the order of their keys")
	flags.VarP(&t.file, "from-file", "f", "file with the jq program")
	flags.Var(&pair{t: t}, "arg", "define $NAME for the jq program as the text VALUE; may be repeated")
	flags.Var(&pair{t: t, json: true}, "argjson", "define $NAME for the jq program as the JSON value VALUE; may be repeated")
	flags.Var(&t.exec, "exec", "program with arguments that reads a JSON line, writes a JSON line and flushes it (jq --unbuffered, sed -u; Python does)")
	flags.VarP(&t.transform, "transform", "t", "transform as a setting: "+transform.Kinds)
	flags.DurationVar(&t.endTimeout, "end-timeout", endTimeout, "how long a program (--exec) may run after its last object; then SIGTERM, 5 s later SIGKILL; 0: 30s")
	flags.IntVar(&t.retries, "retries", retries, "how often to try an object again whose failure is temporary (a service that is busy or down, a program that answers !retry); 0: never")
}

// spec returns the chosen transform, parsed.
func (t *transformFlags) spec() (transform.Spec, error) {
	given, err := t.setting()
	if err != nil {
		return transform.Spec{}, err
	}
	spec, err := transform.Parse(given)
	spec.EndTimeout = t.endTimeout
	spec.Credentials = webservice.Credentials{Token: os.Getenv("TRANSFORM_TOKEN"), Headers: os.Getenv("TRANSFORM_HEADERS")}
	if err == nil && spec.Kind() == "http" {
		err = spec.Credentials.Check("TRANSFORM")
	}
	return spec, app.WithCode(app.ExitUsage, err)
}

func (t *transformFlags) setting() (string, error) {
	n := 0
	for _, flag := range []once{t.jq, t.file, t.exec, t.transform} {
		if flag.given {
			n++
		}
	}
	isJQ := t.jq.given || t.file.given
	switch {
	case t.endTimeout < 0:
		return "", app.Usage("--end-timeout=%s: use 0 (30s) or more", t.endTimeout)
	case t.retries < 0 || t.retries > mapper.MaxRetries:
		return "", app.Usage("--retries=%d: use 0 (never) to %d", t.retries, mapper.MaxRetries)
	case n != 1:
		return "", app.Usage("choose a transform with one of --map, --from-file, --exec and --transform")
	case len(t.args) > 0 && !isJQ:
		return "", app.Usage("--arg and --argjson define values for a jq program: use them with --map or --from-file")
	case t.exec.given:
		return "exec:" + t.exec.text, nil
	case t.transform.given:
		return t.transform.text, nil
	}
	program := t.jq.text
	if t.file.given {
		text, err := os.ReadFile(t.file.text)
		if err != nil {
			return "", app.Usage("read jq program (--from-file): %w", err)
		}
		program = string(text)
	}
	setting, err := transform.JQSpec(program, t.args)
	return setting, app.WithCode(app.ExitUsage, err)
}

// once is the value of a flag that may be given only once. By default, the last of several values would win silently.
type once struct {
	text, hint string
	given      bool
}

func (o *once) Set(text string) error {
	if o.given {
		return fmt.Errorf("it is given twice, first as %q: %s", o.text, o.hint)
	}
	o.text, o.given = text, true
	return nil
}

func (o *once) String() string { return o.text }
func (o *once) Type() string   { return "string" }

// pair is the value of --arg and --argjson, which take two words as in jq. joinPairs has joined them to NAME=VALUE.
type pair struct {
	t    *transformFlags
	json bool
}

func (p *pair) Set(text string) error {
	name, value, ok := strings.Cut(text, "=")
	if !ok {
		return errors.New("the value is missing: use NAME VALUE")
	}
	p.t.args = append(p.t.args, transform.JQArg{Name: name, Value: value, JSON: p.json})
	return nil
}

func (p *pair) String() string { return "" }
func (p *pair) Type() string   { return "NAME VALUE" }

// joinPairs rewrites --arg NAME VALUE in the arguments of c to --arg=NAME=VALUE, because pflag would only take NAME. It
// skips the values of other flags as pflag does.
func joinPairs(c *cobra.Command, args []string) []string {
	sub, _, err := c.Find(args)
	if err != nil || sub.Flags().Lookup("arg") == nil {
		return args
	}
	joined := make([]string, 0, len(args))
	for i := 0; i < len(args); i++ {
		word := args[i]
		joined = append(joined, word)
		if word == "--" {
			return append(joined, args[i+1:]...)
		}
		takes, isPair := takesNext(sub, word)
		if !takes || i+1 == len(args) {
			continue
		}
		i++
		if isPair && i+1 < len(args) && !strings.Contains(args[i], "=") {
			joined[len(joined)-1] = word + "=" + args[i] + "=" + args[i+1]
			i++
			continue
		}
		joined = append(joined, args[i])
	}
	return joined
}

// takesNext reports whether word is a flag of c whose value is the next word, and whether the flag takes two words.
func takesNext(c *cobra.Command, word string) (takes, isPair bool) {
	if name, ok := strings.CutPrefix(word, "--"); ok {
		flag := c.Flags().Lookup(name)
		if flag == nil || flag.NoOptDefVal != "" {
			return false, false
		}
		_, isPair = flag.Value.(*pair)
		return true, isPair
	}
	letters, ok := strings.CutPrefix(word, "-")
	for i := 0; ok && i < len(letters); i++ {
		flag := c.Flags().ShorthandLookup(letters[i : i+1])
		switch {
		case flag == nil:
			return false, false
		case flag.NoOptDefVal == "": // its value is the rest of the letters, else the next word
			return i+1 == len(letters), false
		}
	}
	return false, false
}
