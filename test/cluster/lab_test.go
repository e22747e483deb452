//go:build cluster

package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chunkline/chunkline/internal/report"
)

// A lab is a namespace with a job in it.
type lab struct {
	t    *testing.T
	ns   string
	logs *logs
	// patience bounds the wait for a state.
	patience time.Duration
}

// patience is the bound of most labs. No test fails for being slow within it.
const patience = 4 * time.Minute

var (
	notLower   = regexp.MustCompile(`[^a-z0-9]+`)
	cpuRequest = regexp.MustCompile(`cpu: \d+m`)
)

// newLab applies an overlay of deploy/ with additional settings to a namespace of
// its own, and cleans up after the test. With 0 mappers it keeps the overlay's
// number of replicas.
func newLab(t *testing.T, overlay string, mappers int, settings ...string) *lab {
	t.Helper()
	l := emptyLab(t)
	l.apply(overlay, mappers, settings...)
	return l
}

func emptyLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{t: t, patience: patience, ns: "chunkline" + strings.TrimRight(notLower.ReplaceAllString(strings.ToLower(strings.TrimPrefix(t.Name(), "Test")), "-"), "-")}
	l.recycle() // after a run that was interrupted
	l.kubectl("create", "namespace", l.ns)
	l.kubectl("label", "namespace", l.ns, "pod-security.kubernetes.io/enforce=restricted")
	l.logs = follow(t, l.ns)
	t.Cleanup(func() {
		if t.Failed() {
			l.dump()
		}
		l.logs.stop()
		l.recycle()
	})
	return l
}

// apply applies an overlay with additional settings, with strict validation.
func (l *lab) apply(overlay string, mappers int, settings ...string) {
	l.t.Helper()
	l.applied(l.render(overlay, mappers, settings...))
}

// applied applies a manifest. Its pods request half of the processor time that it says, so that twice as many tests fit
// on the node: they mostly wait.
func (l *lab) applied(manifest string) {
	l.t.Helper()
	manifest = cpuRequest.ReplaceAllStringFunc(manifest, func(request string) string {
		var millicores int
		if _, err := fmt.Sscanf(request, "cpu: %dm", &millicores); err != nil {
			l.t.Fatalf("%s: %v", request, err)
		}
		return fmt.Sprintf("cpu: %dm", millicores/2)
	})
	l.kubectlWith(manifest, "apply", "--validate=strict", "-f", "-")
}

// render builds an overlay of deploy/ with additional settings.
func (l *lab) render(overlay string, mappers int, settings ...string) string {
	l.t.Helper()
	return l.kustomize(overlaid(overlay, mappers, settings...))
}

// overlaid returns a kustomization that adds settings to an overlay of deploy/.
func overlaid(overlay string, mappers int, settings ...string) string {
	text := fmt.Sprintf("resources: [deploy/%s]\n", overlay)
	if mappers > 0 {
		text += fmt.Sprintf("replicas: [{name: mapper, count: %d}]\n", mappers)
	}
	if len(settings) > 0 {
		text += "configMapGenerator:\n- name: chunkline\n  behavior: merge\n  literals:\n"
		for _, s := range settings {
			text += fmt.Sprintf("  - %q\n", s)
		}
	}
	return text
}

// kustomize builds a kustomization whose paths are relative to the folder of deploy/.
func (l *lab) kustomize(text string) string {
	l.t.Helper()
	dir := l.t.TempDir()
	root, err := filepath.Abs("../..")
	if err == nil {
		root, err = filepath.Rel(dir, root) // kustomize wants relative paths
	}
	if err == nil {
		text = strings.ReplaceAll(text, "deploy/", root+"/deploy/")
		err = os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(text), 0o600)
	}
	if err != nil {
		l.t.Fatal(err)
	}
	return l.kubectl("kustomize", dir)
}

// try runs kubectl in the namespace and returns what it printed.
func (l *lab) try(ctx context.Context, stdin string, args ...string) (string, error) {
	c := exec.CommandContext(ctx, "kubectl", append([]string{"--namespace", l.ns}, args...)...)
	c.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); err != nil {
		return out.String(), fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}

func (l *lab) kubectlWith(stdin string, args ...string) string {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience) // also in Cleanup, where t.Context has ended
	defer cancel()
	out, err := l.try(ctx, stdin, args...)
	if err != nil {
		l.t.Fatal(err)
	}
	return out
}

func (l *lab) kubectl(args ...string) string {
	l.t.Helper()
	return l.kubectlWith("", args...)
}

// until waits for a state of the cluster.
func (l *lab) until(what string, reached func() bool) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), l.patience)
	defer cancel()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for !reached() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			l.t.Fatalf("timed out waiting for %s", what)
		}
	}
}

// chunkline runs the chunkline command in the toolbox.
func (l *lab) chunkline(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(l.t.Context(), time.Minute)
	defer cancel()
	return l.try(ctx, "", append([]string{"exec", "deploy/toolbox", "--", "/usr/local/bin/chunkline"}, args...)...)
}

// control sends the job an order until the fetcher accepts it. A job that is done accepts none, and needs none.
func (l *lab) control(args ...string) {
	l.t.Helper()
	l.until("an order to be taken: "+strings.Join(args, " "), func() bool {
		if _, err := l.chunkline(append([]string{"control"}, args...)...); err == nil {
			return true
		}
		s, ok := l.status()
		return ok && s.State == report.StateDone
	})
}

// status reads the fetcher's status from its JSON API; ok is false if there is no answer.
func (l *lab) status() (s report.Status, ok bool) {
	return s, look(l.t.Context(), l.service("fetcher", 3541)+"/api/status", &s) == nil
}

// service returns the API's proxy path to a port of a service of the namespace.
func (l *lab) service(name string, port int) string {
	return fmt.Sprintf("/api/v1/namespaces/%s/services/%s:%d/proxy", l.ns, name, port)
}

// job waits until the job's status is as wanted, and returns it.
func (l *lab) job(what string, wanted func(report.Status) bool) report.Status {
	l.t.Helper()
	var s report.Status
	l.until(what, func() bool {
		var ok bool
		s, ok = l.status()
		return ok && wanted(s)
	})
	return s
}

// finish lifts the limit on the rate and waits until the job is done.
func (l *lab) finish() report.Status {
	l.t.Helper()
	l.control("rate", "0")
	return l.done()
}

// done waits until the job is done.
func (l *lab) done() report.Status {
	l.t.Helper()
	return l.job("the job to be done", func(s report.Status) bool { return s.State == report.StateDone })
}

// rollout waits for the end of a rollout and returns an error if it failed.
func (l *lab) rollout(what string) error {
	ctx, cancel := context.WithTimeout(l.t.Context(), patience)
	defer cancel()
	_, err := l.try(ctx, "", "rollout", "status", what)
	return err
}

// up waits until a rollout has succeeded, even after its deadline on a slow machine.
func (l *lab) up(what string) {
	l.t.Helper()
	l.until(what+" to be rolled out", func() bool { return l.rollout(what) == nil })
}

// runJob starts a Job from one of deploy's CronJobs and returns its log.
func (l *lab) runJob(name string) string {
	l.t.Helper()
	return l.alone(name, l.jobFrom(name))
}

// jobFrom returns the manifest of the Job that a CronJob would create.
func (l *lab) jobFrom(name string) (manifest string) {
	l.t.Helper()
	return l.kubectl("create", "job", name+fmt.Sprint(time.Now().UnixMilli()), "--from=cronjob/"+name, "--dry-run=client", "-o", "yaml")
}

// redo requeues every chunk that a version produced, as docs/updates.md says.
func (l *lab) redo(version string) string {
	l.t.Helper()
	patch := fmt.Sprintf(`[{"op": "replace", "path": "/spec/template/spec/containers/0/args", "value": ["redo", "-o", "/data", "--version", %q]}]`, version)
	return l.alone("dead-retry", l.kubectlWith(l.jobFrom("dead-retry"), "patch", "--local", "-f", "-", "--type=json", "-o", "yaml", "-p", patch))
}

// alone stops the saver, runs a Job that needs the saver's folder to itself, and returns the
// log of its container.
func (l *lab) alone(container, manifest string) string {
	l.t.Helper()
	l.kubectl("scale", "statefulset/saver", "--replicas=0")
	l.kubectl("wait", "--for=delete", "pod/saver-0", "--timeout=120s")
	out := l.ended(container, manifest)
	l.kubectl("scale", "statefulset/saver", "--replicas=1")
	l.up("statefulset/saver")
	return out
}

// ended runs a Job to its end, and returns the log of its container.
func (l *lab) ended(container, manifest string) string {
	l.t.Helper()
	job := strings.TrimSpace(l.kubectlWith(manifest, "apply", "-f", "-", "-o", "name"))
	var ended struct {
		Status struct {
			Conditions []struct{ Type string }
		}
	}
	_, name, _ := strings.Cut(job, "/")
	is := func(condition string) bool {
		return slices.ContainsFunc(ended.Status.Conditions, func(c struct{ Type string }) bool { return c.Type == condition })
	}
	l.until(job+" to end", func() bool {
		err := look(l.t.Context(), "/apis/batch/v1/namespaces/"+l.ns+"/jobs/"+name, &ended)
		return err == nil && (is("Complete") || is("Failed")) // other conditions come first
	})
	out := l.kubectl("logs", job, "-c", container)
	if !is("Complete") {
		l.t.Fatalf("%s failed: %s", job, out)
	}
	l.kubectl("delete", job, "--wait")
	return out
}

// verify counts source and sink inside the cluster.
func (l *lab) verify(objects, dead int) {
	l.t.Helper()
	want := fmt.Sprintf("%d objects in %d chunks: %d outputs, %d dead letters, 0 problems\n", objects, (objects+99)/100, objects-dead, dead)
	if got := l.runJob("verify"); got != want {
		l.t.Errorf("verify: got %q, want %q", got, want)
	}
}

// dump logs the state of the namespace after a test has failed.
func (l *lab) dump() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, args := range [][]string{
		{"get", "all", "-o", "wide"}, {"get", "events", "--sort-by=.lastTimestamp"}, {"logs", "deploy/toolbox"}, {"logs", "deploy/fetcher", "--tail=20"},
	} {
		out, err := l.try(ctx, "", args...)
		l.t.Logf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// errorOf returns err's text, "none" for nil.
func errorOf(err error) string {
	if err == nil {
		return "none"
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return fmt.Sprintf("exit %d: %v", exit.ExitCode(), err)
	}
	return err.Error()
}
