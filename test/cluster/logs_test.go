//go:build cluster

package cluster

import (
	"bufio"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// logs collects the output of every container of the roles in a namespace, even of deleted
// pods: it finds new containers each second and follows each to its end.
type logs struct {
	t      *testing.T
	ns     string
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu    sync.Mutex
	lines []line // guarded by mu
}

type line struct {
	pod            string
	Level, Message string
	text           string
}

func follow(t *testing.T, ns string) *logs {
	ctx, cancel := context.WithCancel(context.Background()) // ends in the test's Cleanup
	l := &logs{t: t, ns: ns, cancel: cancel}
	l.wg.Go(func() { l.watch(ctx) })
	return l
}

func (l *logs) stop() {
	l.cancel()
	l.wg.Wait()
}

// watch starts a follower for each pod, and another after a container's restart.
func (l *logs) watch(ctx context.Context) {
	known := map[string]bool{}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		var pods podList
		_ = look(ctx, podsPath(l.ns, "app.kubernetes.io/component in (fetcher, mapper, saver)"), &pods) // tried again each second
		for _, p := range pods.Items {
			if len(p.Status.ContainerStatuses) == 0 {
				continue
			}
			container := p.Status.ContainerStatuses[0].ContainerID
			if container == "" || known[container] {
				continue
			}
			known[container] = true
			l.wg.Go(func() { l.read(ctx, p.Metadata.Name) })
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (l *logs) read(ctx context.Context, pod string) {
	out, err := open(ctx, "/api/v1/namespaces/"+l.ns+"/pods/"+pod+"/log?follow=true")
	if err != nil {
		return // the pod is already deleted
	}
	defer out.Close()
	for reader := bufio.NewReader(out); ; {
		text, err := reader.ReadString('\n')
		if text != "" {
			l.take(pod, text)
		}
		if err != nil {
			return
		}
	}
}

func (l *logs) take(pod, text string) {
	one := line{pod: pod, text: strings.TrimSpace(text)}
	if json.Unmarshal([]byte(text), &one) != nil { // not a log line: the error that ends a process
		one.Level = "text"
	}
	if strings.HasPrefix(one.text, "unable to retrieve container logs") { // from the kubelet, about a deleted container
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, one)
}

// explained expects every line above info to have one of these texts.
func (l *logs) explained(texts ...string) {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.lines) == 0 {
		l.t.Error("no log was collected")
	}
	for _, one := range l.lines {
		if one.Level == "info" || one.Level == "debug" {
			continue
		}
		if !slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(one.text, text) }) {
			l.t.Errorf("%s logged an unexpected line: %s", one.pod, one.text)
		}
	}
}

// fellSilent reports whether the fetcher declared a connected mapper dead. On a node
// that stalls, such a mapper may be alive, and its chunks are redelivered anyway.
func (l *logs) fellSilent() bool { return l.count("mapper fell silent") > 0 }

// count returns the number of lines with a text.
func (l *logs) count(text string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, one := range l.lines {
		if strings.Contains(one.text, text) {
			n++
		}
	}
	return n
}
