//go:build browser

package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/internal/report"
	"github.com/chunkline/chunkline/test/proc"
)

// job is a job in real processes; the tests add the mappers.
type job struct {
	*proc.Job

	fetcher *proc.Process
	mappers map[string]*proc.Process // by name
}

// startJob starts nats-server, saver and fetcher (with additional settings) in the
// source's folder, and waits for the page. So screenshots show names of files, not paths.
func startJob(t *testing.T, source string, settings ...string) *job {
	t.Helper()
	j := &job{Job: proc.NewJob(t, "users"), mappers: map[string]*proc.Process{}}
	j.Dir, j.Source, j.Out = filepath.Dir(source), filepath.Base(source), "out"
	j.NATS()
	j.Saver()
	j.fetcher = j.Fetcher(append([]string{proc.HTTP()}, settings...)...)
	j.fetcher.AwaitCode("/", http.StatusOK)
	return j
}

// mapper starts a mapper with one worker.
func (j *job) mapper(name, transform string, settings ...string) *proc.Process {
	j.T.Helper()
	j.mappers[name] = j.Mapper(name, transform, append([]string{"VERSION=1.4.2", "WORKERS=1"}, settings...)...)
	return j.mappers[name]
}

// order sends an order to the fetcher as the page does. The code is 0 if there
// was no answer.
func (j *job) order(token, body string) (code int, answer string) {
	j.T.Helper()
	ctx, cancel := context.WithTimeout(j.T.Context(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+j.fetcher.Address()+"/api/control", strings.NewReader(body))
	if err != nil {
		j.T.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, ""
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, ""
	}
	return response.StatusCode, string(text)
}

// status returns the fetcher's status.
func (j *job) status() report.Status {
	j.T.Helper()
	return j.fetcher.AwaitStatus("a status", func(report.Status) bool { return true })
}

// id waits until the fetcher knows a mapper of that name, and returns its ID.
func (j *job) id(name string) (id string) {
	j.T.Helper()
	j.fetcher.AwaitStatus("mapper "+name, func(s report.Status) bool {
		for _, m := range s.Mappers {
			if m.Name == name {
				id = m.ID
			}
		}
		return id != ""
	})
	return id
}

// row returns the selector of a mapper's row in a state.
func row(id, state string) string {
	return fmt.Sprintf(`#mappers tbody tr[data-mapper=%s][data-state=%s]`, quote(id), state)
}

// Mail addresses of users, which determine what work does.
const (
	good = "ada@example.com"
	bad  = ""                 // is an error
	late = "late@example.com" // waits until the file in the mapper's GATE exists
	step = "step@example.com" // takes the seconds in the mapper's STEP
)

// objects writes a source of n users; mail returns each one's address.
func objects(t *testing.T, n int, mail func(i int) string) string {
	t.Helper()
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, `{"n":%d,"name":"Ada %d","mail":%q}`+"\n", i, i, mail(i))
	}
	return file(t, "users.jsonl", text.String())
}

// work is the transform of the source that objects writes. GATE and STEP change only how
// long it takes, so all mappers have the same transform.
var work = func() string {
	command, err := json.Marshal([]string{"sh", "-c", `while IFS= read -r object; do
	case $object in
	*'"mail":"late@'*) until test -e "$GATE"; do sleep 0.2; done ;;
	*'"mail":"step@'*) sleep "$STEP" ;;
	esac
	case $object in
	*'"mail":""'*) echo '! the user has no mail address' ;;
	*) printf '%s\n' "$object" ;;
	esac
done
`})
	if err != nil {
		panic(err)
	}
	return "exec:" + string(command)
}()

// takes returns a mapper's settings GATE and STEP.
func (j *job) takes(step string) []string { return []string{"GATE=" + j.gate(), "STEP=" + step} }

// gate is the file that late objects wait for; release creates it.
func (j *job) gate() string { return filepath.Join(j.Dir, "gate") }

// release ends the wait of late objects.
func (j *job) release() {
	j.T.Helper()
	if err := os.WriteFile(j.gate(), nil, 0o666); err != nil {
		j.T.Fatal(err)
	}
}

func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}
