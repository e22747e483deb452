package e2e

import (
	"testing"

	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/test/proc"
)

// TestShadow: a version that maps some objects differently, without failures, shadows a
// job. The differences are counted and shown, and none of its results is saved.
func TestShadow(t *testing.T) {
	t.Parallel()
	j := newJob(t, 20_000)
	saver := j.Saver()
	fetcher := j.Fetcher("ON_DONE=stay", proc.HTTP(), "SHADOW=v2=0.5", "RATE=500") // so that the shadow starts in time
	stable := j.Mapper("stable", "users", "VERSION=v1", "WORKERS=1")
	shadow := j.Mapper("shadow", `jq:if (.uuid | endswith("7")) then {id: "wrong"} else {id: .uuid, name: (.fn + " " + .ln)} end`, "VERSION=v2", "WORKERS=1")
	var compared report.ShadowReport
	proc.Eventually(t, "five chunks to be compared", func() bool {
		compared = report.ShadowReport{}
		return fetcher.GetJSON("/api/shadow", &compared) && len(compared.Versions) > 0 && compared.Versions[0].Chunks >= 5
	})
	j.Control("rate", "0")
	fetcher.Await("job done")

	v := compared.Versions[0]
	if len(compared.Versions) != 1 || v.Version != "v2" {
		t.Fatalf("compared %+v, want v2", compared.Versions)
	}
	if share := float64(v.Different) / float64(v.Objects); share < 0.02 || share > 0.15 || v.Failed != 0 {
		t.Errorf("%+v, want about one in sixteen different", v)
	}
	for _, d := range compared.Differences {
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
