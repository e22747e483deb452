package main

import (
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/transform"
)

// jqHelp is what the help of each command with --map says about jq programs.
const jqHelp = "A jq program sees and prints objects in the order of their keys, not in that of the input:\n" +
	`{"b":2,"a":1} | [.[]] | @csv` + " is \"1,2\", where jq gives \"2,1\". Name the columns: [.b, .a] | @csv.\n" +
	"docs/jq.md says what else differs.\n\n"

// transformFlags is the ways to say what is done to an object.
type transformFlags struct {
	jq, file, exec, transform once
	args                      []transform.JQArg
	endTimeout                time.Duration
}

// endTimeout is how long a program may take to end, unless the user says otherwise.
const endTimeout = 30 * time.Second

// transformOf is what was given as a setting.
func transformOf(setting string) transformFlags {
	return transformFlags{transform: once{text: setting, given: true}, endTimeout: endTimeout}
}

func (t *transformFlags) add(c *cobra.Command) {
	flags := c.Flags()
	t.jq.hint, t.file.hint = "join programs with |", "join the programs in one file"
	t.exec.hint, t.transform.hint = "say one program", "say one setting"
	flags.VarP(&t.jq, "map", "m", "jq program that is run on each object; objects are in the order of their keys")
	flags.VarP(&t.file, "from-file", "f", "file with that jq program")
	flags.Var(&pair{t: t}, "arg", "give the jq program the text VALUE as $NAME; may be repeated")
	flags.Var(&pair{t: t, json: true}, "argjson", "give the jq program the JSON value VALUE as $NAME; may be repeated")
	flags.Var(&t.exec, "exec", "program, with arguments, that reads a JSON line, writes a JSON line and flushes it (jq --unbuffered, sed -u; Python does)")
	flags.VarP(&t.transform, "transform", "t", "the same as a setting: "+transform.Kinds)
	flags.DurationVar(&t.endTimeout, "end-timeout", endTimeout, "how long a program (--exec) may take to end after its last object; then SIGTERM, 5 s later SIGKILL; 0: 30s")
}

// spec returns the one that was given, parsed.
func (t *transformFlags) spec() (transform.Spec, error) {
	given, err := t.setting()
	if err != nil {
		return transform.Spec{}, err
	}
	spec, err := transform.Parse(given)
	spec.EndTimeout = t.endTimeout
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
	case n != 1:
		return "", app.Usage("say what to do to an object with one of --map, --from-file, --exec and --transform")
	case len(t.args) > 0 && !isJQ:
		return "", app.Usage("--arg and --argjson give values to a jq program: use them with --map or --from-file")
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
	if err != nil {
		return "", app.WithCode(app.ExitUsage, err)
	}
	return setting, nil
}
