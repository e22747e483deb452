//go:build postgres

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/chunkline/chunkline/internal/postgrestest"
	"github.com/chunkline/chunkline/test/proc"
)

const (
	events      = 1050
	ghosts      = 400 // each of so many events has no actor
	eventsToken = "canary-events-51c0de"
)

// TestPostgresFromAPI runs the commands of "From an API into a table of yours" in docs/sinks.md as printed, at an API
// that asks for a pause and breaks a connection. The program fails on some events; mended, it maps only those again.
func TestPostgresFromAPI(t *testing.T) {
	t.Parallel()
	code, commands := walk(t)
	api := serveEvents(t)
	database := postgrestest.Start(t).NewDatabase(t)
	address, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	address.User = url.User(address.User.Username()) // the password is in PGPASSWORD
	address.RawQuery = "sslmode=disable"
	dir := t.TempDir()
	env := append(os.Environ(), "PATH="+filepath.Dir(proc.Path("chunkline"))+":"+os.Getenv("PATH"), "SOURCE_TOKEN="+eventsToken, "PGPASSWORD="+postgrestest.Password,
		"events="+api+"/repos/me/app/events?per_page=100", "table="+address.String()+"&table=events&columns=id,type,login,created&key=id")

	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), code.table); err != nil {
		t.Fatal(err)
	}
	said := ""
	for i, want := range []struct {
		program string
		code    int
		rows    int
	}{
		{code.program, 4, events - events/ghosts - 1},
		{strings.Replace(code.program, `event["actor"]["login"]`, code.mended, 1), 0, events},
		{code.program, 0, events},
	} {
		if err := os.WriteFile(filepath.Join(dir, "event.py"), []byte(want.program), 0o644); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), "sh", "-c", commands[i])
		cmd.Dir, cmd.Env = dir, env
		output, err := cmd.CombinedOutput()
		if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		said += string(output)
		if got := cmd.ProcessState.ExitCode(); got != want.code {
			t.Fatalf("%s ended with %d, want %d: %s", commands[i], got, want.code, output)
		}
		rows := 0
		if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM events").Scan(&rows); err != nil || rows != want.rows {
			t.Fatalf("after %s there are %d rows, want %d: %v", commands[i], rows, want.rows, err)
		}
	}
	if !strings.HasSuffix(said, fmt.Sprintf("%d outputs, 0 dead letters, 0 problems\n", events)) {
		t.Errorf("verify ended with %s", said)
	}
	right := 0
	if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM generate_series(0, $1) AS i LEFT JOIN events ON id = 9007199254740993 + i
		WHERE type = 'PushEvent' AND login = CASE WHEN i % $2 = 0 THEN 'ghost' ELSE 'user-' || i END AND created = '2026-01-02T03:04:05Z'`, events-1, ghosts).Scan(&right); err != nil || right != events {
		t.Errorf("%d rows are as the API says, want %d: %v", right, events, err)
	}
	for _, secret := range []string{eventsToken, postgrestest.Password} {
		if strings.Contains(said, secret) {
			t.Errorf("a command says %s: %s", secret, said)
		}
	}
}

// printed is the code that the page shows beside its commands.
type printed struct{ program, table, mended string }

// walk returns what the page shows.
func walk(t *testing.T) (code printed, commands []string) {
	t.Helper()
	page, err := os.ReadFile("../../docs/sinks.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "### From an API into a table of yours\n")
	section, _, _ = strings.Cut(section, "\n## ")
	find := func(pattern string) string {
		found := regexp.MustCompile(pattern).FindStringSubmatch(section)
		if found == nil {
			t.Fatalf("the page has nothing like %s", pattern)
		}
		return found[1]
	}
	code = printed{find("(?s)```python\n(.*?)```"), find("`(CREATE TABLE [^`]*)`"), find("`(\\(event[^`]*)`")}
	commands = regexp.MustCompile("(?m)^chunkline .*$").FindAllString(section, -1)
	if len(commands) != 3 {
		t.Fatalf("the page has the commands %q", commands)
	}
	return code, commands
}

// serveEvents serves pages of events to clients that have the token, and returns its address. The third page answers at
// first that it is too early, and the answer with the fifth page breaks off once. Each page links to the next one.
func serveEvents(t *testing.T) (address string) {
	t.Helper()
	var early, broken atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		page, _ := strconv.Atoi(query.Get("page"))
		size, _ := strconv.Atoi(query.Get("per_page"))
		switch {
		case r.Header.Get("Authorization") != "Bearer "+eventsToken:
			http.Error(w, "bad credentials", http.StatusUnauthorized)
			return
		case page == 3 && !early.Swap(true):
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		first := max(page-1, 0) * size
		last := min(first+size, events)
		list := make([]json.RawMessage, 0, size)
		for i := first; i < last; i++ {
			actor := fmt.Sprintf(`{"login":"user-%d"}`, i)
			if i%ghosts == 0 {
				actor = "null"
			}
			list = append(list, fmt.Appendf(nil, `{"id":"%d","type":"PushEvent","actor":%s,"created_at":"2026-01-02T03:04:05Z"}`, 9007199254740993+i, actor))
		}
		body, _ := json.Marshal(list)
		if last < events {
			w.Header().Set("Link", fmt.Sprintf(`<http://%s%s?per_page=%d&page=%d>; rel="next"`, r.Host, r.URL.Path, size, max(page, 1)+1))
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		if page == 5 && !broken.Swap(true) {
			body = body[:len(body)/2] // net/http closes the connection
		}
		_, _ = w.Write(body) // the client notices
	}))
	t.Cleanup(server.Close)
	return server.URL
}
