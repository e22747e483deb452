package ledger

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
)

// Commit a rewrite only when you understand every line of its diff.
var update = flag.Bool("update", false, "rewrite the expected output in testdata")

// TestScenarios runs testdata/*.txt: one command a line, with its expected output
// indented below it. scenario.run has the commands.
func TestScenarios(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios in testdata: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, file, string(want))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(want) {
				t.Errorf("%s: first difference at line %d; got:\n%s", file, firstDifference(got, string(want)), got)
			}
		})
	}
}

// play runs the commands of a scenario and returns them with their output.
func play(t *testing.T, file, text string) string {
	s := newScenario()
	var b strings.Builder
	for n, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		if strings.HasPrefix(line, "  ") {
			continue
		}
		b.WriteString(line + "\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		output, err := s.run(strings.Fields(line))
		if err == nil {
			err = s.ledger.check()
		}
		if err != nil {
			t.Fatalf("%s:%d: %s: %v", file, n+1, line, err)
		}
		if output != "" {
			b.WriteString("  " + output + "\n")
		}
	}
	return b.String()
}

func firstDifference(a, b string) int {
	as, bs := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(as), len(bs)) {
		if as[i] != bs[i] {
			return i + 1
		}
	}
	return min(len(as), len(bs)) + 1
}

// scenario is a ledger, its clock and each mapper's own view.
type scenario struct {
	ledger  *Ledger
	now     time.Time
	mappers map[string]*Report // the last report of each
	late    map[string]Report  // delayed reports, by mapper
}

func newScenario() *scenario {
	return &scenario{
		ledger: New(Config{SuspectAfter: 2 * time.Second, GoneAfter: 3 * time.Second, CarefulAfter: 2, MaxAttempts: 4, Speculate: true}),
		now:    time.Unix(0, 0), mappers: map[string]*Report{}, late: map[string]Report{},
	}
}

// mapper returns the mapper's own view.
func (s *scenario) mapper(name string) *Report {
	if s.mappers[name] == nil {
		s.mappers[name] = &Report{Mapper: name}
	}
	return s.mappers[name]
}

// option finds key=value among the arguments; without one it returns "".
func option(args []string, key string) string {
	for _, a := range args {
		if value, ok := strings.CutPrefix(a, key+"="); ok {
			return value
		}
	}
	return ""
}

// numbers parses "1,2"; "-" is none.
func numbers[N ~uint64](text string) []N {
	var out []N
	for part := range strings.SplitSeq(text, ",") {
		if n, err := strconv.ParseUint(part, 10, 64); err == nil {
			out = append(out, N(n))
		}
	}
	return out
}

func number(text string) int { n, _ := strconv.Atoi(text); return n }

// scenarioObjects is the default number of objects of a chunk.
const scenarioObjects = 10

// piece parses "18", a whole chunk, or "18:0-5", its first five objects.
func (s *scenario) piece(text string) chunk.Piece {
	id, bounds, part := strings.Cut(text, ":")
	p := chunk.Whole(chunk.ID(number(id)), scenarioObjects)
	if p.Chunk < s.ledger.added {
		p.To = s.ledger.sizes.of(p.Chunk)
	}
	if part {
		from, to, _ := strings.Cut(bounds, "-")
		p.From, p.To = number(from), number(to)
	}
	return p
}

// pieces parses "1,2:0-5"; "-" is none.
func (s *scenario) pieces(text string) []chunk.Piece {
	var out []chunk.Piece
	for part := range strings.SplitSeq(text, ",") {
		if part != "-" {
			out = append(out, s.piece(part))
		}
	}
	return out
}

// text formats a piece; a whole chunk as its number.
func (s *scenario) text(p chunk.Piece) string {
	if p.Chunk < s.ledger.added && p == chunk.Whole(p.Chunk, s.ledger.sizes.of(p.Chunk)) {
		return fmt.Sprint(p.Chunk)
	}
	return p.String()
}

func (s *scenario) texts(pieces []chunk.Piece) []string {
	var out []string
	for _, p := range pieces {
		out = append(out, s.text(p))
	}
	return out
}

// listed formats items after a word; "" if there are none.
func listed[T any](word string, items []T) string {
	if len(items) == 0 {
		return ""
	}
	return word + " " + strings.Trim(fmt.Sprint(items), "[]")
}

func join(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }), "; ")
}

func (s *scenario) hear(r Report) string {
	h := s.ledger.Hear(s.now, r)
	if h.Stale {
		return "stale"
	}
	return join(listed("lost", s.texts(h.Lost)), listed("drop", s.texts(h.Drop)))
}

// lease answers request q of the mapper with up to grant=1 pieces of at most most=0
// objects; the reply arrives unless it is lost.
func (s *scenario) lease(name string, q uint64, arrives bool, args []string) string {
	size := max(1, number(option(args, "grant")))
	var grant []string
	for len(grant) < size {
		text, last := s.leaseOne(name, q, arrives, number(option(args, "most")), len(grant))
		if text != "" {
			grant = append(grant, text)
		}
		if last {
			break
		}
	}
	if len(grant) == 0 {
		return "nothing"
	}
	return join(grant...)
}

func (s *scenario) leaseOne(name string, q uint64, arrives bool, most, granted int) (text string, last bool) {
	had := s.ledger.HasWork(s.now)
	given, ok := s.ledger.Lease(s.now, name, q, most, granted)
	if !ok {
		return "", true
	}
	text = fmt.Sprintf("chunk %s attempt %d", s.text(given.Piece), given.Attempt)
	if given.Careful {
		text += " careful"
	}
	for _, flaw := range given.Skip {
		text += fmt.Sprintf(" skip %d (%s)", flaw.Index, flaw.Reason)
	}
	if given.Backup {
		text += " backup"
	}
	if !had {
		text += " ALTHOUGH THERE WAS NO WORK"
	}
	if arrives {
		m := s.mapper(name)
		m.Held = append(m.Held, given.Piece)
		m.Asking = slices.DeleteFunc(m.Asking, func(open uint64) bool { return open == q })
	}
	return text, given.Suspect
}
