//go:build cluster

package cluster

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestUpdates runs a Kubernetes course's commands for updates of a Deployment.
func TestUpdates(t *testing.T) { course(t, "updates.sh", 350) }

// course runs a script against an unchanged deploy/quickstart.yaml, which counts every object at the end.
func course(t *testing.T, script string, seconds int) {
	parallel(t, 300, seconds)
	l := emptyLab(t)
	l.kubectl("label", "namespace", l.ns, "pod-security.kubernetes.io/enforce=baseline", "--overwrite")
	l.script("course/" + script)
}

// script runs a script that uses kubectl with the lab's namespace as the current context's.
func (l *lab) script(name string) {
	l.t.Helper()
	config := filepath.Join(l.t.TempDir(), "kubeconfig")
	text := l.kubectl("config", "view", "--raw", "--minify", "--flatten")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		l.t.Fatal(err)
	}
	l.kubectl("--kubeconfig", config, "config", "set-context", "--current", "--namespace", l.ns)
	script := exec.CommandContext(l.t.Context(), "./"+filepath.Base(name))
	script.Dir = filepath.Dir(name)
	script.Env = append(os.Environ(), "KUBECONFIG="+config)
	out, err := script.CombinedOutput()
	l.t.Logf("%s:\n%s", name, strings.TrimSpace(string(out)))
	if err != nil {
		l.t.Fatalf("%s: %v", name, err)
	}
}
