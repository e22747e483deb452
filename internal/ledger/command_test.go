package ledger

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/chunkline/chunkline/internal/chunk"
)

// run carries out one command of a scenario and returns what it prints.
//
// What a mapper holds and asks is tracked; held=1,2 asking=3 seq=4 change its
// view ("-" is none).
func (s *scenario) run(args []string) (string, error) {
	command, args := args[0], args[1:]
	name := ""
	if len(args) > 0 {
		name = args[0]
	}
	switch command {
	case "config": // careful=2 attempts=4 speculate=false
		return s.configure(args), nil
	case "add": // N chunks
		for range number(name) {
			s.ledger.Add(s.now)
		}
	case "addsaved": // N chunks that the sink holds
		for range number(name) {
			s.ledger.AddSaved()
		}
	case "restart": // the fetcher; mappers live on
		s.ledger = New(s.ledger.cfg)
	case "beat", "goodbye", "keep": // keep: it is sent, and arrives with "late"
		return s.report(command, name, args), nil
	case "late":
		return s.hear(s.late[name]), nil
	case "ask": // a request that is not answered yet
		s.open(name)
		return s.hear(*s.mapper(name)), nil
	case "answer", "answerlost": // a request, q=1
		return s.lease(name, uint64(number(option(args, "q"))), command == "answer"), nil
	case "take", "takelost": // ask and answer at once; or the mapper gives up waiting for the answer
		q := s.open(name)
		heard := s.hear(*s.mapper(name))
		given := s.lease(name, q, command == "take")
		m := s.mapper(name)
		m.Asking = slices.DeleteFunc(m.Asking, func(o uint64) bool { return o == q })
		return join(heard, given), nil
	case "done": // a mapper's chunk is saved and confirmed
		s.release(name, chunkID(args[1]))
		return s.confirm(chunkID(args[1]), name), nil
	case "release": // a mapper's chunk, unconfirmed so far
		s.release(name, chunkID(args[1]))
	case "saved": // by=m1; without it nobody says whose result it is
		return s.confirm(chunkID(name), option(args, "by")), nil
	case "unconfirmed":
		return listed("unconfirmed", s.ledger.Unconfirmed()), nil
	case "notsaved": // the sink holds none of the unconfirmed chunks
		var answers []string
		for _, d := range s.ledger.Unconfirmed() {
			s.ledger.NotSaved(d)
			answers = append(answers, fmt.Sprintf("chunk %d is %s", d, s.ledger.open[d].state))
		}
		return join(answers...), nil
	case "answered": // the same for one chunk, late
		s.ledger.NotSaved(chunkID(name))
	case "takedead":
		if d, ok := s.ledger.TakeDead(); ok {
			return fmt.Sprintf("chunk %d", d), nil
		}
		return "none", nil
	case "vanish":
		return listed("took down", s.ledger.Vanish(name)), nil
	case "pass": // time, without a look at the mappers
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
		m.Held = numbers[chunk.ID](v)
	}
	if v := option(args, "asking"); v != "" {
		m.Asking = numbers[uint64](v)
	}
	m.Seq++
	r := *m
	r.Held, r.Asking = slices.Sorted(slices.Values(m.Held)), slices.Sorted(slices.Values(m.Asking))
	if v := option(args, "seq"); v != "" {
		r.Seq = uint64(number(v))
	}
	if of, index, ok := strings.Cut(option(args, "doing"), "/"); ok {
		r.Doing = &Doing{Chunk: chunkID(of), Index: number(index)}
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

// open numbers a request of a mapper.
func (s *scenario) open(name string) uint64 {
	m := s.mapper(name)
	m.Seq++
	m.Asking = append(slices.Clone(m.Asking), m.Seq)
	return m.Seq
}

func (s *scenario) release(name string, c chunk.ID) {
	m := s.mapper(name)
	m.Held = slices.DeleteFunc(m.Held, func(held chunk.ID) bool { return held == c })
}

func (s *scenario) confirm(c chunk.ID, by string) string {
	confirmed := s.ledger.Saved(s.now, c, by)
	text := confirmed.Outcome.String()
	if confirmed.Mapper != "" {
		text += " by " + confirmed.Mapper
	}
	return join(text, listed("drop it", confirmed.Others))
}

func (s *scenario) pass(text string) error {
	d, err := time.ParseDuration(text)
	s.now = s.now.Add(d)
	return err
}
