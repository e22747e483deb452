package e2e

import (
	"encoding/json"
	"net/http"
	"syscall"
	"testing"

	"github.com/chunkline/chunkline/internal/bus"
	"github.com/chunkline/chunkline/test/loopback"
	"github.com/chunkline/chunkline/test/proc"
)

// TestShadow: a version that makes other things of some objects, and dies of none,
// shadows a job: what it changes is counted and shown, and none of it is saved.
func TestShadow(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, url := proc.NATS(t, dir)
	j := newJob(t, url)
	source, web := proc.Users(t, j.dir, 3000), loopback.Address()
	saver := j.saver()
	fetcher := j.start("fetcher", "fetcher", "SOURCE="+source, "ON_DONE=stay", "HTTP_ADDR="+web, "SHADOW=v2=0.5", "RATE=2000")
	stable := j.start("stable", "mapper", "TRANSFORM=jq:{id: .uuid}", "VERSION=v1", "WORKERS=1")
	shadow := j.start("shadow", "mapper", `TRANSFORM=jq:if (.uuid | endswith("7")) then {id: "wrong"} else {id: .uuid} end`, "VERSION=v2", "WORKERS=1")
	fetcher.Await("job done")

	var report bus.ShadowReport
	response, err := http.Get("http://" + web + "/api/shadow") //nolint:noctx // a test's own server
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if err := json.NewDecoder(response.Body).Decode(&report); err != nil {
		t.Fatal(err)
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
	for _, p := range []*proc.Process{fetcher, stable, shadow, saver} {
		p.Signal(syscall.SIGTERM)
		if code := p.Exit(); code != 0 {
			t.Errorf("exit code %d after SIGTERM, want 0: %s", code, p.Tail())
		}
	}
	j.verify()
	if stdout, _, _ := proc.Run(t, nil, "chunkline", "redo", "-o", j.out, "--version", "v2", "--json"); stdout != "{\"chunks\":0,\"objects\":0,\"outputs\":0,\"dead\":0}\n" {
		t.Errorf("results of the shadow are saved: %s", stdout)
	}
}
