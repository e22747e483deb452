//go:build cluster

package cluster

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/test/loopback"
)

// TestQuickstart: the manifest on one page does its job of 100,000 objects as
// it is, in a namespace like any other.
func TestQuickstart(t *testing.T) {
	parallel(t, 300, 120)
	const objects = 100_000
	l := emptyLab(t)
	l.kubectl("label", "namespace", l.ns, "pod-security.kubernetes.io/enforce=baseline", "--overwrite")
	l.kubectl("apply", "--validate=strict", "-f", "../../deploy/quickstart.yaml")
	for _, name := range []string{"nats", "saver", "fetcher", "mapper"} {
		l.up("deployment/" + name)
	}
	var s report.Status
	l.until("the job to be done", func() bool {
		pod := l.kubectl("get", "pods", "-l", "app=fetcher", "-o", "jsonpath={.items[0].metadata.name}")
		err := look(t.Context(), fmt.Sprintf("/api/v1/namespaces/%s/pods/%s:3541/proxy/api/status", l.ns, pod), &s)
		return err == nil && s.State == report.StateDone
	})
	if s.Objects.Saved != objects || len(s.Mappers) != 10 {
		t.Errorf("%d objects saved by %d mappers, want %d by 10", s.Objects.Saved, len(s.Mappers), objects)
	}
	if lines := l.export("deployment/saver"); lines != objects {
		t.Errorf("%d lines were exported, want %d", lines, objects)
	}
	l.kubectl("scale", "deployment/saver", "--replicas=0") // a folder is open once
	l.kubectl("wait", "--for=delete", "pod", "-l", "app=saver", "--timeout=120s")
	l.kubectlWith(quickVerify, "apply", "-f", "-")
	l.until("verify to end", func() bool {
		return l.kubectl("get", "job/verify", "-o", "jsonpath={.status.succeeded}{.status.failed}") == "1"
	})
	want := fmt.Sprintf("%d objects in %d chunks: %d outputs, 0 dead letters, 0 problems\n", objects, objects/100, objects)
	if got := l.kubectl("logs", "job/verify", "-c", "verify"); got != want {
		t.Errorf("verify: got %q, want %q", got, want)
	}
}

// export downloads the result through a port-forward, as docs/operations.md
// says, and returns how many lines it has.
func (l *lab) export(saver string) (lines int) {
	l.t.Helper()
	address := loopback.Address()
	_, port, _ := strings.Cut(address, ":")
	ctx, cancel := context.WithTimeout(l.t.Context(), patience)
	defer cancel()
	forward := exec.CommandContext(ctx, "kubectl", "--namespace", l.ns, "port-forward", saver, port+":3541")
	said, err := forward.StdoutPipe()
	if err == nil {
		err = forward.Start()
	}
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() { cancel(); _ = forward.Wait() }()                   // it is killed
	if _, err := bufio.NewReader(said).ReadString('\n'); err != nil { // it says where it listens
		l.t.Fatalf("port-forward %s: %v", saver, err)
	}
	file := filepath.Join(l.t.TempDir(), "result.jsonl")
	out, err := exec.CommandContext(ctx, "go", "run", "../../cmd/chunkline", "export", "--from", "http://"+address, "-o", file).CombinedOutput()
	if err != nil {
		l.t.Fatalf("export: %v\n%s", err, out)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		l.t.Fatal(err)
	}
	return bytes.Count(text, []byte("\n"))
}

const quickVerify = `
apiVersion: batch/v1
kind: Job
metadata: {name: verify}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      securityContext: {fsGroup: 65532}
      initContainers:
        - name: source
          image: chunkline/chunkline:0.1.0
          args: [generate, users, -n, "100000", -o, /source/users.jsonl]
          volumeMounts: [{name: source, mountPath: /source}]
      containers:
        - name: verify
          image: chunkline/chunkline:0.1.0
          args: [verify, -o, /data, -i, /source/users.jsonl]
          volumeMounts: [{name: source, mountPath: /source}, {name: data, mountPath: /data}]
      volumes:
        - {name: source, emptyDir: {}}
        - {name: data, persistentVolumeClaim: {claimName: data}}
`
