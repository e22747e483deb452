package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// What plays the same part on both sides has the same label.
const (
	labelServer = "nats-server"
	labelReader = "fetcher / publisher"
	labelMapper = "mapper / forwarder"
	labelWriter = "saver / receiver"
)

// bench is what all runs share.
type bench struct {
	settings
	programs map[string]string
	dir      string
	input    string
	want     fingerprint
}

// side is one of the two contestants.
type side struct {
	name string
	// run starts the roles, waits until the result is durable and returns the
	// result's file.
	run func(ctx context.Context, b *bench, ps *processes, url, dir string) (output string, err error)
	// ordered: the output has the order of the input.
	ordered bool
}

var (
	chunklineSide = side{name: "chunkline", run: runChunkline, ordered: true}
	bareSide      = side{name: "bare", run: runBare}
)

// measure runs one side once, in a folder and with a nats-server of its own.
func (b *bench) measure(ctx context.Context, s side) (m measured, err error) {
	dir, err := os.MkdirTemp(b.dir, s.name+"-")
	if err != nil {
		return m, fmt.Errorf("make folder of the run: %w", err)
	}
	ps := newProcesses()
	defer func() {
		err = errors.Join(err, ps.kill(), os.RemoveAll(dir))
	}()
	server, err := ps.start(labelServer, b.programs["nats-server"], []string{"-a", "127.0.0.1", "-p", "-1"}, nil)
	if err != nil {
		return m, err
	}
	address, err := ps.await(ctx, server, `client connections on (127\.0\.0\.1:\d+)`)
	if err != nil {
		return m, err
	}
	begin := time.Now()
	output, err := s.run(ctx, b, ps, "nats://"+address, dir)
	if err != nil {
		return m, err
	}
	took := time.Since(begin)
	if err := ps.stop(ctx); err != nil {
		return m, err
	}
	got, err := fingerprintOf(output)
	if err != nil {
		return m, err
	}
	if err := b.want.check(got, s.ordered); err != nil {
		return m, fmt.Errorf("the result is wrong: %w", err)
	}
	return newMeasured(b.objects, took, ps.all), nil
}

// runChunkline runs the three roles as they are.
func runChunkline(ctx context.Context, b *bench, ps *processes, url, dir string) (string, error) {
	role := func(label, program, ready string, env ...string) (*process, error) {
		env = append(env, "NATS_URL="+url, "JOB=bench", "HTTP_ADDR=", "LOG_FORMAT=json")
		p, err := ps.start(label, b.programs[program], nil, env)
		if err == nil && ready != "" {
			_, err = ps.await(ctx, p, "("+ready+")")
		}
		return p, err
	}
	if _, err := role(labelWriter, "saver", "saver serves", "SINK=folder:"+filepath.Join(dir, "out")); err != nil {
		return "", err
	}
	fetcher, err := role(labelReader, "fetcher", "fetcher serves", "SOURCE="+b.input, "ON_DONE=exit")
	if err != nil {
		return "", err
	}
	for i := range b.mappers {
		if _, err := role(labelMapper, "mapper", "", "TRANSFORM=users", "WORKERS=1", "MAPPER_NAME=mapper-"+strconv.Itoa(i)); err != nil {
			return "", err
		}
	}
	if err := ps.wait(ctx, fetcher); err != nil {
		return "", err
	}
	return ps.await(ctx, fetcher, `"output":"([^"]+)"`)
}

// runBare runs this program in its other roles.
func runBare(ctx context.Context, b *bench, ps *processes, url, dir string) (string, error) {
	role := func(label, name, file string) (*process, error) {
		return ps.start(label, b.programs["bench"], []string{"-role", name, "-url", url, "-file", file}, nil)
	}
	output := filepath.Join(dir, "received.jsonl")
	receiver, err := role(labelWriter, roleReceiver, output)
	if err != nil {
		return "", err
	}
	waiting := []*process{receiver}
	for range b.mappers {
		forwarder, err := role(labelMapper, roleForwarder, "")
		if err != nil {
			return "", err
		}
		waiting = append(waiting, forwarder)
	}
	for _, p := range waiting { // what is published before they listen is lost
		if _, err := ps.await(ctx, p, "("+readyText+")"); err != nil {
			return "", err
		}
	}
	if _, err := role(labelReader, rolePublisher, b.input); err != nil {
		return "", err
	}
	return output, ps.wait(ctx, receiver)
}
