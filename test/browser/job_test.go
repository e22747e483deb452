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
	"slices"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/internal/bus"

	"github.com/chunkline/chunkline/test/loopback"
	"github.com/chunkline/chunkline/test/proc"
)

const jobName = "users"

// job is a job in real processes; mappers come later.
type job struct {
	t       *testing.T
	dir     string
	nats    string // URL
	address string // of the page
	common  []string
	fetcher *proc.Process
	saver   *proc.Process
	mappers map[string]*proc.Process // by name
}

// startJob starts nats-server, saver and fetcher over a source, in its folder,
// and waits for the page. More settings of the fetcher may follow.
func startJob(t *testing.T, source string, settings ...string) *job {
	t.Helper()
	j := &job{t: t, dir: filepath.Dir(source), address: loopback.Address(), mappers: map[string]*proc.Process{}}
	_, j.nats = proc.NATS(t, j.dir)
	j.common = []string{"NATS_URL=" + j.nats, "JOB=" + jobName, "HTTP_ADDR=", "LOG_FORMAT=json"}
	j.saver = j.start("saver", "saver", "SINK=out")
	j.fetcher = j.start("fetcher", "fetcher", append([]string{"SOURCE=" + filepath.Base(source), "HTTP_ADDR=" + j.address}, settings...)...)
	j.awaitPage()
	return j
}

func (j *job) start(label, program string, settings ...string) *proc.Process {
	j.t.Helper()
	return proc.Start(j.t, proc.Spec{
		Dir: j.dir, Label: label, Program: program, Env: append(slices.Clone(j.common), settings...),
		Prefix: []string{"env", "-C", j.dir}, // so that pictures show names, not paths
	})
}

// mapper starts a mapper with one worker.
func (j *job) mapper(name, transform string, settings ...string) *proc.Process {
	j.t.Helper()
	j.mappers[name] = j.start("mapper-"+name, "mapper", append([]string{
		"MAPPER_NAME=" + name, "VERSION=1.4.2", "WORKERS=1", "TRANSFORM=" + transform,
	}, settings...)...)
	return j.mappers[name]
}

// awaitPage waits until the fetcher answers over HTTP.
func (j *job) awaitPage() {
	j.t.Helper()
	ctx, cancel := context.WithTimeout(j.t.Context(), patience)
	defer cancel()
	proc.Eventually(ctx, j.t, "the page", func() bool {
		select {
		case <-j.fetcher.Exited():
			j.t.Fatal("the fetcher has ended")
		default:
		}
		code, _ := j.ask(http.MethodGet, "/", "", "")
		return code == http.StatusOK
	})
}

// ask sends a request to the fetcher; the code is 0 if nobody answered.
func (j *job) ask(method, path, token, body string) (code int, answer string) {
	j.t.Helper()
	ctx, cancel := context.WithTimeout(j.t.Context(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, "http://"+j.address+path, strings.NewReader(body))
	if err != nil {
		j.t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
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
func (j *job) status() bus.Status {
	j.t.Helper()
	code, text := j.ask(http.MethodGet, "/api/status", "", "")
	var s bus.Status
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		j.t.Fatalf("status: %d %.200q: %v", code, text, err)
	}
	return s
}

// awaitStatus polls the fetcher until it says so.
func (j *job) awaitStatus(what string, done func(bus.Status) bool) {
	j.t.Helper()
	ctx, cancel := context.WithTimeout(j.t.Context(), patience)
	defer cancel()
	proc.Eventually(ctx, j.t, what, func() bool { return done(j.status()) })
}

// id waits until the fetcher knows a mapper by name, and says its ID.
func (j *job) id(name string) (id string) {
	j.t.Helper()
	j.awaitStatus("mapper "+name, func(s bus.Status) bool {
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

// Mail addresses of users, which tell work.sh what to do.
const (
	good = "ada@example.com"
	bad  = ""                 // is an error
	late = "late@example.com" // takes as long as the mapper's first argument says
	step = "step@example.com" // takes as long as its second argument says
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

// work is the transform of objects: seconds for late ones, and for steps.
func work(t *testing.T, late, step string) string {
	t.Helper()
	return fmt.Sprintf("exec:sh %s %s %s", file(t, "work.sh", `while IFS= read -r object; do
	case $object in
	*'"mail":"late@'*) sleep "$1" ;;
	*'"mail":"step@'*) sleep "$2" ;;
	esac
	case $object in
	*'"mail":""'*) echo '! the user has no mail address' ;;
	*) printf '%s\n' "$object" ;;
	esac
done
`), late, step)
}

func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}
