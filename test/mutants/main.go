// Command mutants checks that the tests can fail. It breaks one rule of the product at a
// time, and requires the tests that the table names to fail. A mutant that survives or
// does not compile fails the run.
//
//	go run ./test/mutants                      all of them
//	go run ./test/mutants -only M3,M16         some
//	go run ./test/mutants -sample 10 -seed 7   ten, drawn by the seed
//	go run ./test/mutants -list                the list of them
//
// A mutant is a replacement of source text, compiled in with go's -overlay. So the product
// contains no broken code and no switch for it. It is an error if the text is not found
// exactly once, so the table cannot become stale. The results go to stdout as the table
// of docs/guarantees.md.
package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code, err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
	}
	os.Exit(code)
}

func run(ctx context.Context, args []string) (code int, err error) {
	flags := flag.NewFlagSet("mutants", flag.ContinueOnError)
	only := flags.String("only", "", "mutants to try, as M1,M2; empty: all")
	sample := flags.Int("sample", 0, "how many of them to try, drawn at random; 0: all")
	seed := flags.Uint64("seed", 1, "seed of the sample")
	list := flags.Bool("list", false, "print what there is and end")
	if err := flags.Parse(args); err != nil {
		return 2, err
	}
	chosen, err := choose(all(), *only)
	if err != nil {
		return 2, err
	}
	if *sample > 0 && *sample < len(chosen) {
		chosen = draw(chosen, *sample, *seed)
	}
	if *list {
		for _, m := range chosen {
			fmt.Printf("%-4s %s\n", m.id, m.what)
		}
		return 0, nil
	}
	fmt.Println("| mutant | what is broken | turned red | s |\n|---|---|---|---|")
	survivors := 0
	for i, outcome := range tryAll(ctx, chosen) {
		o := <-outcome // in the order of the table
		if o.err != nil {
			return 1, fmt.Errorf("%s: %w", chosen[i].id, o.err)
		}
		var words []string
		for _, l := range chosen[i].caughtBy {
			word := "`" + strings.ReplaceAll(l.String(), "|", ", ") + "`" // a bar would end the table's cell
			if !slices.Contains(o.caught, l.String()) {
				word = "**survived** " + word
				survivors++
			}
			words = append(words, word)
		}
		fmt.Printf("| %s | %s | %s | %.0f |\n", chosen[i].id, chosen[i].what, strings.Join(words, ", "), o.took.Seconds())
	}
	if survivors > 0 {
		return 1, fmt.Errorf("%d tests did not notice", survivors)
	}
	return 0, nil
}

// outcome is the result of a mutant.
type outcome struct {
	caught []string // the lanes that failed
	took   time.Duration
	err    error
}

// atOnce is how many mutants are tried at a time: while one is linked, which
// takes one core, another one is compiled or tested.
const atOnce = 2

// tryAll tries mutants, several at a time. It returns a channel for the outcome of each.
func tryAll(ctx context.Context, mutants []mutant) []chan outcome {
	outcomes := make([]chan outcome, len(mutants))
	places := make(chan struct{}, atOnce)
	for i, m := range mutants {
		outcomes[i] = make(chan outcome, 1)
		go func() { // ends with its mutant; run takes the outcome of each, or the program ends
			places <- struct{}{}
			defer func() { <-places }()
			begin := time.Now()
			caught, err := m.try(ctx)
			outcomes[i] <- outcome{caught, time.Since(begin), err}
		}()
	}
	return outcomes
}

func choose(mutants []mutant, only string) ([]mutant, error) {
	if only == "" {
		return mutants, nil
	}
	var chosen []mutant
	for id := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(mutants, func(m mutant) bool { return m.id == id })
		if i < 0 {
			return nil, fmt.Errorf("-only: there is no mutant %q; see -list", id)
		}
		chosen = append(chosen, mutants[i])
	}
	return chosen, nil
}

// draw returns n of the mutants, in their order. The same seed draws the same ones.
func draw(mutants []mutant, n int, seed uint64) []mutant {
	order := rand.New(rand.NewPCG(seed, 0)).Perm(len(mutants))[:n]
	slices.Sort(order)
	drawn := make([]mutant, n)
	for i, at := range order {
		drawn[i] = mutants[at]
	}
	return drawn
}
