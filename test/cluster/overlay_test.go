//go:build cluster

package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/internal/report"
)

// TestManifests: the API server accepts every kustomization with strict validation and no
// warning, Pod Security included. All are applied over one another, to a namespace in
// which no pod may start.
func TestManifests(t *testing.T) {
	parallel(t, 0, 120)
	l := emptyLab(t)
	apply := []string{"--namespace", l.ns, "apply", "--validate=strict"}
	for _, file := range l.manifests() {
		apply = append(apply, "--filename="+file)
	}
	// One kubectl, because each reads the description of the whole API first.
	if out, err := exec.CommandContext(t.Context(), "kubectl", apply...).CombinedOutput(); err != nil || strings.Contains(string(out), "Warning") {
		t.Errorf("kubectl apply: %v\n%s", err, out)
	}
}

// manifests renders every kustomization of deploy/ to a file, and keeps pods from starting
// in the namespace. CI checks that deploy/plain/base.yaml has the same text as the base.
func (l *lab) manifests() (files []string) {
	l.t.Helper()
	l.kubectl("create", "quota", "none", "--hard=pods=0")
	folder := l.t.TempDir()
	for _, pattern := range []string{"base", "overlays/*", "drills/*"} {
		dirs, err := filepath.Glob("../../deploy/" + pattern)
		if err != nil {
			l.t.Fatal(err)
		}
		for _, dir := range dirs {
			text, err := os.ReadFile(filepath.Join(dir, "kustomization.yaml"))
			if err != nil || !strings.Contains(string(text), "kind: Kustomization") { // releases of the drills, and components
				continue
			}
			file := filepath.Join(folder, filepath.Base(filepath.Dir(dir))+"-"+filepath.Base(dir)+".yaml")
			if err := os.WriteFile(file, []byte(l.kubectl("kustomize", dir)), 0o600); err != nil {
				l.t.Fatal(err)
			}
			files = append(files, file)
		}
	}
	if len(files) < 24 {
		l.t.Errorf("found only %v", files)
	}
	return files
}

// TestFetcherJob: a fetcher that runs as a Job is Complete when every object is saved.
// Its eviction or deletion before does not count as a failure.
func TestFetcherJob(t *testing.T) {
	parallel(t, 470, 130)
	const objects = 20_000
	l := newLab(t, "overlays/fetcher-job", 3, fmt.Sprintf("OBJECTS=%d", objects), "RATE=20", "TRANSFORM=users?duration=100ms") // for 1,000 s, unless the rate is lifted
	goes := []func(pod string){l.evict, func(pod string) { l.kubectl("delete", "pod", pod) }}
	for i, goes := range goes {
		l.job("a fetcher at work", func(s report.Status) bool { return s.Epoch == uint64(i+1) && s.State == report.StateRunning })
		var working pod
		l.until("its pod to be seen running", func() bool { // the kubelet reports it later than the fetcher
			pods := l.pods("fetcher")
			i := slices.IndexFunc(pods, func(p pod) bool { return p.Status.Phase == "Running" && !p.leaving() })
			if i >= 0 {
				working = pods[i]
			}
			return i >= 0
		})
		goes(working.Metadata.Name)
	}
	l.job("a third fetcher", func(s report.Status) bool { return s.Epoch == uint64(len(goes)+1) && s.State == report.StateRunning })
	l.control("rate", "0")
	l.kubectl("wait", "--for=condition=Complete", "job/fetcher", "--timeout=240s")
	if failed := l.kubectl("get", "job/fetcher", "-o", "jsonpath={.status.failed}"); failed != "" {
		t.Errorf("%s failures are counted, want none", failed)
	}
	l.verify(objects, 0)
	l.logs.explained(awayTexts...)
}

// TestTLS: roles with TLS settings trust the server by its certificate authority.
func TestTLS(t *testing.T) {
	parallel(t, 470, 80)
	l := emptyLab(t)
	dir := t.TempDir()
	certificate, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	out, err := exec.CommandContext(t.Context(), "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
		"-days", "30", "-subj", "/CN=nats", "-addext", "subjectAltName=DNS:nats,DNS:*.nats", "-keyout", key, "-out", certificate).CombinedOutput()
	if err != nil {
		t.Fatalf("openssl: %v\n%s", err, out)
	}
	l.kubectl("create", "secret", "generic", "nats-tls", "--from-file="+certificate, "--from-file="+key, "--from-file=ca.crt="+certificate)
	l.apply("overlays/nats-tls", 3, "OBJECTS=2000", "TRANSFORM=users")
	l.done()
	l.healthy()
	l.verify(2000, 0)
	if _, err := l.chunkline("status", "--nats-url", "tls://nats-0.nats:4222"); err != nil {
		t.Error(err)
	}
	l.logs.explained(awayTexts...)
}

// TestNATSCluster: the job survives the loss of each of three servers, one after the other.
func TestNATSCluster(t *testing.T) {
	parallel(t, 670, 150)
	const objects = 20_000
	l := newLab(t, "overlays/nats-cluster", 3, fmt.Sprintf("OBJECTS=%d", objects), "RATE=20", "TRANSFORM=users?duration=100ms") // for 1,000 s, until finish
	l.up("statefulset/nats")
	for i := range 3 {
		s := l.job("work to go on", func(s report.Status) bool { return s.State == report.StateRunning && s.Chunks.Saved > 0 })
		l.kubectl("delete", "pod", fmt.Sprintf("nats-%d", i), "--wait")
		l.job("work to go on", func(now report.Status) bool { return now.Chunks.Saved > s.Chunks.Saved })
		l.up("statefulset/nats")
	}
	if s := l.finish(); s.Epoch != 1 || s.Objects.Saved != objects {
		t.Errorf("done in epoch %d with %d objects saved", s.Epoch, s.Objects.Saved)
	}
	l.healthy()
	l.verify(objects, 0)
	if !slices.Contains(strings.Fields(l.kubectl("get", "poddisruptionbudgets", "-o", "jsonpath={.items[*].metadata.name}")), "nats") {
		t.Error("no disruption budget for NATS")
	}
	l.logs.explained(awayTexts...)
}
