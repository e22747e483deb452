package ledger

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
)

// run executes one command of a scenario and returns its output.
//
// The scenario tracks each mapper's held pieces and open requests; held=1,2 asking=3 seq=4
// change the mapper's view ("-" is none).
func (s *scenario) run(args []string) (string, error) {
	command, args := args[0], args[1:]
	name := ""
	if len(args) > 0 {
		name = args[0]
	}
	switch command {
	case "config": // careful=2 attempts=4 speculate=false
		return s.configure(args), nil
	case "add": // N chunks, objects=10, of which the sink holds saved=0:0-5,0:7-8
		objects := scenarioObjects
		if v := option(args, "objects"); v != "" {
			objects = number(v)
		}
		var saved []chunk.Piece
		if v := option(args, "saved"); v != "" {
			saved = s.pieces(v)
		}
		for range number(name) {
			s.ledger.AddPartly(s.now, objects, saved)
		}
	case "addsaved": // N chunks that the sink holds
		for range number(name) {
			s.ledger.AddSaved(scenarioObjects)
		}
	case "restart": // the fetcher; mappers live on
		s.ledger = New(s.ledger.cfg)
	case "beat", "goodbye", "keep": // a kept report arrives with "late"
		return s.report(command, name, args), nil
	case "late":
		return s.hear(s.late[name]), nil
	case "ask": // a request that is not answered yet
		s.open(name)
		return s.hear(*s.mapper(name)), nil
	case "answer", "answerlost": // a request, q=1
		return s.lease(name, uint64(number(option(args, "q"))), command == "answer", args), nil
	case "take", "takelost": // ask and answer at once; with takelost the answer is lost
		q := s.open(name)
		heard := s.hear(*s.mapper(name))
		given := s.lease(name, q, command == "take", args)
		m := s.mapper(name)
		m.Asking = slices.DeleteFunc(m.Asking, func(o uint64) bool { return o == q })
		return join(heard, given), nil
	case "done": // a mapper's piece is saved and confirmed
		s.release(name, s.piece(args[1]))
		return s.confirm(s.piece(args[1]), name), nil
	case "release": // a mapper's piece, unconfirmed so far
		s.release(name, s.piece(args[1]))
	case "saved": // by=m1, or by an unknown mapper
		return s.confirm(s.piece(name), option(args, "by")), nil
	case "unconfirmed":
		return listed("unconfirmed", s.texts(s.ledger.Unconfirmed())), nil
	case "notsaved": // the sink holds none of the unconfirmed pieces
		var answers []string
		for _, p := range s.ledger.Unconfirmed() {
			s.ledger.NotSaved(p)
			answers = append(answers, fmt.Sprintf("chunk %s is %s", s.text(p), s.ledger.find(p).state))
		}
		return join(answers...), nil
	case "answered": // the same for one piece, late
		s.ledger.NotSaved(s.piece(name))
	case "look": // at the pieces of a chunk
		of, pieces, _ := s.ledger.Look(s.now, s.piece(name).Chunk)
		text := []string{of.String()}
		for _, v := range pieces {
			text = append(text, strings.TrimSpace(fmt.Sprintf("%s %s %s", v.Piece, v.State, strings.Join(v.Mappers, " "))))
		}
		return join(text...), nil
	case "remaining":
		return fmt.Sprint(s.ledger.Remaining()), nil
	case "takedead":
		if p, ok := s.ledger.TakeDead(); ok {
			return "chunk " + s.text(p), nil
		}
		return "none", nil
	case "vanish":
		return listed("held", s.texts(s.ledger.Vanish(name))), nil
	case "pass": // time, without Expire
		return "", s.pass(name)
	case "advance":
		if err := s.pass(name); err != nil {
			return "", err
		}
		suspects, vanished := s.ledger.Expire(s.now)
		return join(listed("suspect", suspects), listed("vanished", vanished)), nil
	case "alive":
		s.ledger.Alive(s.now, name)
	case "exclude", "include":
		s.ledger.Exclude(name, command == "exclude")
	case "forgive":
		s.ledger.Forgive(s.now)
	case "haswork":
		return fmt.Sprint(s.ledger.HasWork(s.now)), nil
	case "holds":
		return fmt.Sprint(s.ledger.Holds(name)), nil
	case "status":
		return fmt.Sprintf("%s done=%t", s.ledger, s.ledger.Done()), nil
	case "tally":
		return strings.Trim(fmt.Sprintf("%+v", s.ledger.Counts().Tally), "{}"), nil
	default:
		return "", fmt.Errorf("unknown command %q", command)
	}
	return "", nil
}

func (s *scenario) configure(args []string) string {
	cfg := s.ledger.cfg
	if v := option(args, "careful"); v != "" {
		cfg.CarefulAfter = number(v)
	}
	if v := option(args, "attempts"); v != "" {
		cfg.MaxAttempts = number(v)
	}
	if v := option(args, "speculate"); v != "" {
		cfg.Speculate = v == "true"
	}
	s.ledger = New(cfg)
	return ""
}

// report makes and sends a beat: m1 [held=] [asking=] [seq=] [doing=chunk/index].
func (s *scenario) report(kind, name string, args []string) string {
	m := s.mapper(name)
	if v := option(args, "held"); v != "" {
		m.Held = s.pieces(v)
	}
	if v := option(args, "asking"); v != "" {
		m.Asking = numbers[uint64](v)
	}
	m.Seq++
	r := *m
	r.Held, r.Asking = slices.SortedFunc(slices.Values(m.Held), chunk.Piece.Compare), slices.Sorted(slices.Values(m.Asking))
	if v := option(args, "seq"); v != "" {
		r.Seq = uint64(number(v))
	}
	if of, index, ok := strings.Cut(option(args, "doing"), "/"); ok {
		r.Doing = &Doing{Piece: s.piece(of), Index: number(index)}
	}
	if kind == "goodbye" {
		r.Held, r.Goodbye = nil, true
	}
	if kind == "keep" {
		s.late[name] = r
		return ""
	}
	return s.hear(r)
}

// open opens a request of a mapper and returns its number.
func (s *scenario) open(name string) uint64 {
	m := s.mapper(name)
	m.Seq++
	m.Asking = append(slices.Clone(m.Asking), m.Seq)
	return m.Seq
}

func (s *scenario) release(name string, p chunk.Piece) {
	m := s.mapper(name)
	m.Held = slices.DeleteFunc(m.Held, func(held chunk.Piece) bool { return held == p })
}

func (s *scenario) confirm(p chunk.Piece, by string) string {
	confirmed := s.ledger.Saved(s.now, p, by)
	text := confirmed.Outcome.String()
	if confirmed.Mapper != "" {
		text += " by " + confirmed.Mapper
	}
	var drop []string
	for _, held := range confirmed.Drop {
		if held.Piece == p {
			drop = append(drop, held.Mapper)
		} else {
			drop = append(drop, held.Mapper+" "+s.text(held.Piece))
		}
	}
	return join(text, listed("drop it", drop))
}

func (s *scenario) pass(text string) error {
	d, err := time.ParseDuration(text)
	s.now = s.now.Add(d)
	return err
}
