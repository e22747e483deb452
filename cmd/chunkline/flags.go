package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/chunkline/chunkline/internal/transform"
)

// once is the value of a flag that may be given once. Of two, the flags of
// cobra would take the last without a word.
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

// pair is the value of --arg and --argjson, which take two words as in jq;
// joinPairs has made them one, NAME=VALUE.
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

// joinPairs makes --arg NAME VALUE, of which pflag would take NAME only, one
// flag of one word, --arg=NAME=VALUE, in the arguments of c. It goes through
// them as pflag does, so that a word that is the value of another flag stays.
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

// takesNext says whether word is a flag of c whose value is the next word, and
// whether it is one that takes two.
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
		case flag.NoOptDefVal == "": // the rest of the letters is its value, or else the next word
			return i+1 == len(letters), false
		}
	}
	return false, false
}
