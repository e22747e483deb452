package transform

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// A process has nothing of the mapper's environment but the time zone.
func TestJQProcessEnvironment(t *testing.T) {
	t.Setenv("NATS_PASSWORD", "canary")
	t.Setenv("CHUNKLINE_TEST_SECRET", "canary")
	t.Setenv("TZ", "America/St_Johns")
	tr := mustNew(t, `jq:def same: .; same`).(*jqProcess)
	mustRun(t, tr, body(`1`), nil, Options{})
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", tr.child.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "canary") || !strings.Contains(string(text), "TZ=America/St_Johns") {
		t.Errorf("environment %q", text)
	}
}
