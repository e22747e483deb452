package e2e

import (
	"testing"

	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/test/proc"
)

// TestShadow: a version that makes other things of some objects, and dies of none,
// shadows a job: what it changes is counted and shown, and none of it is saved.
func TestShadow(t *testing.T) {
	t.Parallel()
	j := newJob(t, 3000)
	saver := j.Saver()
	fetcher := j.Fetcher("ON_DONE=stay", proc.HTTP(), "SHADOW=v2=0.5", "RATE=2000")
	stable := j.Mapper("stable", "users", "VERSION=v1", "WORKERS=1")
	shadow := j.Mapper("shadow", `jq:if (.uuid | endswith("7")) then {id: "wrong"} else {id: .uuid, name: (.fn + " " + .ln)} end`, "VERSION=v2", "WORKERS=1")
	fetcher.Await("job done")

	var report report.ShadowReport
	if !fetcher.GetJSON("/api/shadow", &report) {
		t.Fatal("the fetcher tells nothing of the shadow")
	}
	if len(report.Versions) != 1 || report.Versions[0].Version != "v2" || report.Versions[0].Chunks < 5 {
		t.Fatalf("compared %+v, want about half of 30 chunks of v2", report.Versions)
	}
	v := report.Versions[0]
	if share := float64(v.Different) / float64(v.Objects); share < 0.02 || share > 0.15 || v.Failed != 0 {
		t.Errorf("%+v, want about one in sixteen different", v)
	}
	for _, d := range report.Differences {
		if d.Shadow.Outputs != "{\"id\":\"wrong\"}\n" || d.Saved.Version != "v1" || d.Saved.Outputs == d.Shadow.Outputs {
			t.Errorf("difference %+v", d)
		}
	}
	proc.End(t, fetcher, stable, shadow, saver)
	j.Verify("")
	if stdout, _, _ := proc.Run(t, nil, "chunkline", "redo", "-o", j.Out, "--version", "v2", "--json"); stdout != "{\"chunks\":0,\"objects\":0,\"outputs\":0,\"dead\":0}\n" {
		t.Errorf("results of the shadow are saved: %s", stdout)
	}
}
