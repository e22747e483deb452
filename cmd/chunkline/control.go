package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/wire"
)

func controlCommand() *cobra.Command {
	var r remote
	group := &cobra.Command{Use: "control", Short: "Pause, resume or cancel a job, set its rate, or limit a mapper version", RunE: needsCommand}
	add := func(use, short string, args cobra.PositionalArgs, order func([]string) (wire.Control, error)) {
		c := &cobra.Command{Use: use, Short: short, Args: args, RunE: func(c *cobra.Command, args []string) error {
			control, err := order(args)
			if err != nil {
				return err
			}
			reply, err := r.ask(c.Context(), wire.VerbControl, control.Encode())
			if err != nil {
				return err
			}
			answer, err := wire.DecodeControlAnswer(reply)
			switch {
			case err != nil:
				return fmt.Errorf("read answer: %w", err)
			case !answer.OK:
				return fmt.Errorf("fetcher refused: %s", answer.Reason)
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "job %s: %s\n", r.job, done(control))
			return err
		}}
		r.add(c)
		group.AddCommand(c)
	}
	plain := func(a wire.ControlAction) func([]string) (wire.Control, error) {
		return func([]string) (wire.Control, error) { return wire.Control{Action: a}, nil }
	}
	add("pause", "Stop handing out chunks until resume", cobra.NoArgs, plain(wire.ControlPause))
	add("resume", "Hand out chunks again", cobra.NoArgs, plain(wire.ControlResume))
	add("cancel", "End the job; saved chunks stay", cobra.NoArgs, plain(wire.ControlCancel))
	add("rate OBJECTS", "Hand out at most OBJECTS per second; 0: no limit", cobra.ExactArgs(1), func(args []string) (wire.Control, error) {
		rate, err := strconv.ParseFloat(args[0], 64)
		if err != nil || !app.IsRate(rate) {
			return wire.Control{}, app.Usage("rate %q: use a number of objects a second, or 0 for no limit", args[0])
		}
		return wire.Control{Action: wire.ControlRate, Rate: rate}, nil
	})
	add("shadow VERSION SHARE", "Give a mapper version copies of a share of the saved chunks, and nothing else, to compare its results; 0 ends it", cobra.ExactArgs(2), func(args []string) (wire.Control, error) {
		share, err := shareOf(args[1])
		return wire.Control{Action: wire.ControlShadow, Version: args[0], Share: share}, err
	})
	add("share VERSION SHARE", "Limit a mapper version to a share of the chunks, from 0 (none) to 1 (no limit)", cobra.ExactArgs(2), func(args []string) (wire.Control, error) {
		share, err := shareOf(args[1])
		return wire.Control{Action: wire.ControlShare, Version: args[0], Share: share}, err
	})
	add("allow VERSION", "Close the circuit breaker of a version, so that it gets chunks again", cobra.ExactArgs(1), func(args []string) (wire.Control, error) {
		return wire.Control{Action: wire.ControlAllow, Version: args[0]}, nil
	})
	return group
}

func shareOf(text string) (float64, error) {
	share, err := strconv.ParseFloat(text, 64)
	if err != nil || !(share >= 0 && share <= 1) {
		return 0, app.Usage("share %q: use a number from 0 (none of the chunks) to 1 (all)", text)
	}
	return share, nil
}

// done describes the effect of an order that the fetcher has accepted.
func done(c wire.Control) string {
	switch c.Action {
	case wire.ControlPause:
		return "paused; chunks in work will be finished, and no more are handed out until resume"
	case wire.ControlResume:
		return "resumed"
	case wire.ControlCancel:
		return "cancelled; saved chunks stay"
	case wire.ControlAllow:
		return fmt.Sprintf("version %s gets chunks again", c.Version)
	case wire.ControlRate:
		if c.Rate == 0 {
			return "the rate has no limit now"
		}
		return fmt.Sprintf("the rate is at most %s objects a second now", strconv.FormatFloat(c.Rate, 'f', -1, 64))
	case wire.ControlShare:
		if c.Share == 1 {
			return fmt.Sprintf("version %s has no limit now", c.Version)
		}
		return fmt.Sprintf("version %s gets at most %g %% of the chunks now", c.Version, 100*c.Share)
	case wire.ControlShadow:
		if c.Share == 0 {
			return "the shadow run is ended"
		}
		return fmt.Sprintf("version %s gets copies of %g %% of the saved chunks now, and nothing else", c.Version, 100*c.Share)
	}
	return "done"
}
