package process

import (
	"fmt"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

const reaperName = "subreaper"

// TestMain is also the process that orphans are handed to.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == reaperName {
		if err := reaper(); err != nil {
			panic(err)
		}
		return
	}
	m.Run()
}

// TestStart: the owner of a process gets its status although orphans are reaped
// meanwhile, and nothing watches for orphans after the last process.
func TestStart(t *testing.T) {
	t.Parallel()
	if out, err := exec.CommandContext(t.Context(), os.Args[0], reaperName).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

func reaper() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return err
	}
	cmd := exec.Command("sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do (: &); done; exit 3") //nolint:noctx // the command ends by itself
	if err := Start(cmd); err != nil {
		return err
	}
	AwaitExit(cmd.Process.Pid)
	err := cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 3 {
		return fmt.Errorf("status %d, want 3, that of the program: %w", code, err)
	}
	Ended(cmd.Process.Pid)
	if n := len(processes.pids); n > 0 || processes.stop != nil {
		return fmt.Errorf("%d processes are waited for at the end, want none", n)
	}
	return nil
}
