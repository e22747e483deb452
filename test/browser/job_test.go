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

// job is a job in real processes; mappers come later.
type job struct {
	*proc.Job

	fetcher *proc.Process
	mappers map[string]*proc.Process // by name
}

// startJob starts nats-server, saver and fetcher over a source, in its folder,
// and waits for the page. More settings of the fetcher may follow. Pictures
// show the files' names, not their paths.
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

// order sends an order to the fetcher, as the page does; the code is 0 if there
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

// status is what the fetcher says.
func (j *job) status() report.Status {
	j.T.Helper()
	return j.fetcher.AwaitStatus("a status", func(report.Status) bool { return true })
}

// id waits until the fetcher knows a mapper by name, and says its ID.
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

// row is the selector of a mapper's row in a state.
func row(id, state string) string {
	return fmt.Sprintf(`#mappers tbody tr[data-mapper=%s][data-state=%s]`, quote(id), state)
}

// Mail addresses of users, which tell work what to do.
const (
	good = "ada@example.com"
	bad  = ""                 // is an error
	late = "late@example.com" // takes until there is the file that the mapper's GATE names
	step = "step@example.com" // takes as long as its STEP says
)

// objects writes a source of n users; mail says what each one is.
func objects(t *testing.T, n int, mail func(i int) string) string {
	t.Helper()
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, `{"n":%d,"name":"Ada %d","mail":%q}`+"\n", i, i, mail(i))
	}
	return file(t, "users.jsonl", text.String())
}

// work is the transform of objects. How long late ones and steps take is not part
// of it: all mappers do the same to an object.
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

// takes is the settings of a mapper: how long late objects take, and the seconds of steps.
func (j *job) takes(step string) []string { return []string{"GATE=" + j.gate(), "STEP=" + step} }

// gate is a file for which late objects wait; release makes it.
func (j *job) gate() string { return filepath.Join(j.Dir, "gate") }

// release lets late objects be done.
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
