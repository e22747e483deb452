package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/chunkline/chunkline/internal/app"
	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/internal/wire"
)

// askTimeout bounds how long a command waits for a fetcher. Tests have more time.
var askTimeout = 5 * time.Second

// remote is the connection of a command to a job that runs elsewhere: NATS_URL and the related settings, as for the
// roles, and --job.
type remote struct{ job, url string }

func (r *remote) add(c *cobra.Command) {
	c.Flags().StringVar(&r.job, "job", cmp.Or(os.Getenv("JOB"), "default"), "name of the job; default: JOB, as for the roles")
	c.Flags().StringVar(&r.url, "nats-url", "", "NATS server; empty: NATS_URL, with NATS_USER, NATS_CREDS and so on")
}

// ask sends one request to the job's fetcher.
func (r *remote) ask(ctx context.Context, verb string, m wire.Message) (wire.Message, error) {
	if err := chunk.CheckJob(r.job); err != nil {
		return wire.Message{}, app.Usage("--job: %w", err)
	}
	var cfg bus.Config
	if err := app.Load(&cfg); err != nil {
		return wire.Message{}, err
	}
	if r.url != "" {
		cfg.URL = r.url
	}
	b, err := bus.Connect(cfg, bus.Options{Job: r.job, Role: bus.RoleOperator, Name: app.Hostname(), Log: zerolog.Nop()}) //nolint:contextcheck // the connection ends with Close, not with a context
	if err != nil && r.url != "" {                                                                                        // the URL is that of the flag
		return wire.Message{}, app.Usage("%s", strings.Replace(err.Error(), "NATS_URL=", "--nats-url=", 1))
	} else if err != nil {
		return wire.Message{}, app.Usage("%w", err)
	}
	defer b.Close()
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	if err := b.WaitOnline(ctx); err != nil {
		return wire.Message{}, app.WithCode(app.ExitUnreachable, fmt.Errorf("reach nats at %s: %w", servers(cfg.URL), err))
	}
	reply, err := b.Request(ctx, verb, m)
	if errors.Is(err, bus.ErrNobody) {
		return wire.Message{}, app.WithCode(app.ExitUnreachable, fmt.Errorf("no fetcher runs job %q at %s", r.job, servers(cfg.URL)))
	}
	if err != nil {
		return wire.Message{}, app.WithCode(app.ExitUnreachable, fmt.Errorf("ask fetcher: %w", err))
	}
	return reply, nil
}

// servers lists the servers of a NATS_URL that bus has accepted, without possible secrets.
func servers(urls string) string {
	var shown []string
	for item := range strings.SplitSeq(urls, ",") {
		if u, err := url.Parse(strings.TrimSpace(item)); err == nil {
			shown = append(shown, u.Scheme+"://"+u.Host)
		}
	}
	return strings.Join(shown, ",")
}

func statusCommand() *cobra.Command {
	var r remote
	var asJSON, watching, stay bool
	c := &cobra.Command{
		Use:   "status",
		Short: "Show the progress of a job",
		Long: "status asks the job's fetcher for its progress, from any machine that can reach NATS.\n\n" +
			"With --watch it continues until the job is done, even while no fetcher answers: on a terminal it redraws the status each second,\n" +
			"elsewhere it prints a line every 10 s if something has changed. Exit code 0: every object is saved; 4: there are dead letters;\n" +
			"130: it was stopped before the job was done.",
		RunE: func(c *cobra.Command, _ []string) error {
			switch {
			case watching:
				return newWatch(&r, c.OutOrStdout(), asJSON, stay).run(c.Context())
			case stay:
				return app.Usage("--stay is for --watch")
			}
			status, err := r.status(c.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), status)
			}
			_, err = io.WriteString(c.OutOrStdout(), statusText(status))
			return err
		},
	}
	r.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON; with --watch one document a line, {\"error\": …} while no fetcher answers")
	c.Flags().BoolVar(&watching, "watch", false, "continue until the job is done")
	c.Flags().BoolVar(&stay, "stay", false, "with --watch: continue after the job is done, for the next job")
	return c
}

// shownGone is how many of the mappers that are gone are shown.
const shownGone = 5

// statusText returns a job's status as text.
func statusText(s report.Status) string {
	var text strings.Builder
	tw := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, statusLine(s))
	fmt.Fprintf(tw, "  source\t%s\n", printable(s.Source))
	fmt.Fprintf(tw, "  chunks\tready %d, in flight %d, saved %d; redelivered %d, backup attempts %d (%d were first)\n",
		s.Chunks.Ready, s.Chunks.InFlight, s.Chunks.Saved, s.Chunks.Redelivered, s.Chunks.Backups, s.Chunks.BackupWins)
	if s.Bottleneck != nil {
		fmt.Fprintf(tw, "  bottleneck\t%s\n", printable(s.Bottleneck.Text))
	}
	if s.Summary.Output != "" {
		fmt.Fprintf(tw, "  result\t%s\n", printable(resultName(s.Summary.Output)))
	}
	if s.Shadow != nil {
		fmt.Fprintf(tw, "  shadow\t%s gets copies of %g %% of the saved chunks, %d so far; the fetcher's /api/shadow lists the differences\n",
			printable(s.Shadow.Version), 100*s.Shadow.Share, s.Shadow.HandedOut)
	}
	if len(s.Versions) > 1 || slices.ContainsFunc(s.Versions, limited) {
		fmt.Fprintf(tw, "\nVERSION\tMAPPERS\tOBJECTS/S\tSAVED\tFAILED\tOBJECT P50, P95\tVANISHED\tLIMIT\n")
		for _, v := range s.Versions {
			fmt.Fprintf(tw, "%s\t%d\t%.0f\t%d\t%.1f %%\t%s, %s\t%d\t%s\n", printable(v.Version), v.Mappers, v.Rate, v.Saved,
				100*float64(v.Dead)/float64(max(1, v.Objects)), milliseconds(v.ObjectSeconds.P50), milliseconds(v.ObjectSeconds.P95), v.Vanished, limitOf(v))
		}
	}
	if len(s.Mappers)+len(s.Gone) > 0 {
		fmt.Fprintf(tw, "\nMAPPER\tVERSION\tSTATE\tHOLDS\tOBJECTS/S\tSAVED\tLAST HEARTBEAT\n")
	}
	for _, m := range slowFirst(s.Mappers) {
		state := string(m.State)
		if m.Slow {
			state += ", slow"
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%d\t%.0f\t%d\t%.1f s ago\n", printable(m.Name), printable(m.Version), printable(state), m.Held, m.Rate, m.Saved, m.LastBeatSeconds)
	}
	printNotices(tw, s.Mappers)
	for _, m := range s.Gone[:min(len(s.Gone), shownGone)] {
		fmt.Fprintf(tw, "%s\t%s\tgone: %s\t-\t-\t%d\t%.0f s ago\n", printable(m.Name), printable(m.Version), printable(m.Why), m.Saved, m.Seconds)
	}
	if len(s.Stragglers) > 0 {
		fmt.Fprintf(tw, "\nSTRAGGLER\tIN FLIGHT\tATTEMPT\tMAPPER\tBACKUP\n")
	}
	for _, c := range s.Stragglers {
		fmt.Fprintf(tw, "chunk %d\t%.0f s\t%d\t%s\t%s\n", c.Chunk, c.Seconds, c.Attempt, printable(c.Mapper), printable(cmp.Or(c.Backup, "-")))
	}
	_ = tw.Flush() // a strings.Builder returns no errors
	return text.String()
}

// shownNotices is how many notices of mappers are shown.
const shownNotices = 5

// printNotices prints the notices about the transforms of mappers, each text once.
func printNotices(w io.Writer, mappers []report.MapperStatus) {
	var said []string
	for _, m := range mappers {
		if m.Notice == "" || slices.Contains(said, m.Notice) || len(said) == shownNotices {
			continue
		}
		said = append(said, m.Notice)
		fmt.Fprintf(w, "  %s: %s\n", printable(m.Name), printable(m.Notice))
	}
}

// slowFirst moves mappers that are slow or silent to the front: a panel may not have room for all, and those matter
// most.
func slowFirst(mappers []report.MapperStatus) []report.MapperStatus {
	return slices.SortedStableFunc(slices.Values(mappers), func(a, b report.MapperStatus) int {
		return cmp.Compare(trouble(b), trouble(a))
	})
}

func trouble(m report.MapperStatus) int {
	if m.Slow || m.State == report.MapperSilent {
		return 1
	}
	return 0
}

func limited(v report.VersionStatus) bool { return v.Share < 1 || v.BreakerOpenSeconds != nil }

// limitOf describes the limit of a version.
func limitOf(v report.VersionStatus) string {
	switch {
	case v.BreakerOpenSeconds != nil && *v.BreakerOpenSeconds > 0:
		return fmt.Sprintf("breaker open, a probe in %.0f s", *v.BreakerOpenSeconds)
	case v.BreakerOpenSeconds != nil:
		return "breaker half-open, on probe"
	case v.Share < 1:
		return fmt.Sprintf("%g %% of the chunks", 100*v.Share)
	}
	return "none"
}

// milliseconds is a time that an object takes.
func milliseconds(seconds float64) string {
	if ms := 1000 * seconds; ms >= 10 {
		return fmt.Sprintf("%.0f ms", ms)
	}
	return fmt.Sprintf("%.2f ms", 1000*seconds)
}
