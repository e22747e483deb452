package main

import (
	"github.com/spf13/cobra"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/transform"
)

// jqHelp is what the help of each command with --map says about jq programs.
const jqHelp = "A jq program sees and prints objects in the order of their keys, not in that of the input:\n" +
	`{"b":2,"a":1} | [.[]] | @csv` + " is \"1,2\", where jq gives \"2,1\". Name the columns: [.b, .a] | @csv.\n" +
	"docs/jq.md says what else differs.\n\n"

// transformFlags is the three ways to say what is done to an object.
type transformFlags struct{ jq, exec, transform string }

func (t *transformFlags) add(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVarP(&t.jq, "map", "m", "", "jq program that is run on each object; objects are in the order of their keys")
	flags.StringVar(&t.exec, "exec", "", "program, with arguments, that reads a JSON line and writes a JSON line")
	flags.StringVarP(&t.transform, "transform", "t", "", "the same as a setting: "+transform.Kinds)
}

// spec returns the one that was given, as a TRANSFORM setting.
func (t *transformFlags) spec() (string, error) {
	var given []string
	for kind, text := range map[string]string{"jq:": t.jq, "exec:": t.exec, "": t.transform} {
		if text != "" {
			given = append(given, kind+text)
		}
	}
	if len(given) != 1 {
		return "", app.Usage("say what to do to an object with one of --map, --exec and --transform")
	}
	spec, err := transform.Parse(given[0])
	if err != nil {
		return "", app.WithCode(app.ExitUsage, err)
	}
	return spec.String(), nil
}
