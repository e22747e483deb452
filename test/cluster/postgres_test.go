//go:build cluster && full

package cluster

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/internal/report"
)

// TestPostgres: savers write to a PostgreSQL server that crashes in the middle of the job, and comes back with its
// volume. Nothing that the fetcher knew to be saved is lost. A saver is killed, too. At the end the table has the
// outputs of every object exactly once.
func TestPostgres(t *testing.T) {
	parallel(t, 720, 150)
	const objects = 20_000
	l := emptyLab(t)
	l.applied(myPostgres)
	l.up("statefulset/postgres")
	settings := overlaid("overlays/postgres", 3, fmt.Sprintf("OBJECTS=%d", objects), "RATE=20", "TRANSFORM=users?duration=100ms")
	l.applied(l.kustomize(settings + "secretGenerator:\n- name: chunkline-postgres\n  behavior: merge\n  literals: [password=" + myPassword + "]\n"))
	before := l.job("some work to be saved", func(s report.Status) bool { return s.Objects.Saved > 0 })
	l.up("deployment/saver")
	for range 2 {
		before = l.job("work to go on", func(s report.Status) bool { return s.Objects.Saved > before.Objects.Saved })
		l.kubectl("delete", "pod", "postgres-0", "--grace-period=1", "--wait")
		rows, err := strconv.Atoi(l.sql("SELECT count(*) FROM outputs"))
		if err != nil || uint64(rows) < before.Objects.Saved {
			t.Errorf("after the crash the table has %d rows (%v), and %d objects were saved before", rows, err, before.Objects.Saved)
		}
	}
	before = l.job("work to go on", func(s report.Status) bool { return s.Objects.Saved > before.Objects.Saved })
	l.kubectl("delete", "pod", l.pods("saver")[0].Metadata.Name, "--grace-period=0", "--force", "--wait")
	l.job("work to go on", func(s report.Status) bool { return s.Objects.Saved > before.Objects.Saved })
	l.up("deployment/saver")

	if s := l.finish(); s.Epoch != 1 || s.Objects.Saved != objects || s.Objects.Dead != 0 {
		t.Errorf("done in epoch %d with %d objects saved, %d dead letters; want epoch 1, %d and none", s.Epoch, s.Objects.Saved, s.Objects.Dead, objects)
	}
	l.healthy()
	for query, want := range map[string]string{
		"SELECT count(*), count(DISTINCT ordinal), min(ordinal), max(ordinal) FROM outputs": fmt.Sprintf("%d|%d|0|%d", objects, objects, objects-1),
		"SELECT count(DISTINCT value ->> 'id') FROM outputs":                                strconv.Itoa(objects),
		"SELECT count(*) FROM dead_letters":                                                 "0",
		"SELECT sum(objects) FROM progress":                                                 strconv.Itoa(objects),
	} {
		if got := l.sql(query); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	want := fmt.Sprintf("%d objects in %d chunks: %d outputs, 0 dead letters, 0 problems\n", objects, objects/100, objects)
	if got := l.ended("verify", l.jobFrom("verify")); got != want { // while the savers run
		t.Errorf("verify: got %q, want %q", got, want)
	}
	l.logs.explained(append(awayTexts, "sink cannot be reached: results wait until it answers", "the database takes no connection")...)
}

// sql returns what a query prints, which is repeated until the server answers.
func (l *lab) sql(query string) (result string) {
	l.t.Helper()
	l.until("an answer to "+query, func() bool {
		out, err := l.try(l.t.Context(), "", "exec", "postgres-0", "--", "psql", "--host=/tmp", "--username=chunkline", "--no-align", "--tuples-only", "--command="+query)
		result = strings.TrimSpace(out)
		return err == nil
	})
	return result
}

const myPassword = "canary-pg-71d0"

// myPostgres is a server that a deleted pod leaves as a crash does: its shell ignores the signals that ask it to stop,
// so the grace period ends with SIGKILL. Its volume stays. The user nobody runs it, because initdb needs one that the
// image knows, and the namespace allows no root.
const myPostgres = `
apiVersion: v1
kind: Service
metadata: {name: postgres}
spec:
  selector: {app: postgres}
  ports: [{port: 5432}]
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: postgres}
spec:
  serviceName: postgres
  selector: {matchLabels: {app: postgres}}
  template:
    metadata: {labels: {app: postgres}}
    spec:
      securityContext: {runAsNonRoot: true, runAsUser: 65534, runAsGroup: 65534, fsGroup: 65534, seccompProfile: {type: RuntimeDefault}}
      containers:
      - name: postgres
        image: postgres:15
        command: [sh, -ec]
        args:
        - |
          trap '' INT TERM
          if [ ! -s "$PGDATA/PG_VERSION" ]; then
            echo "$POSTGRES_PASSWORD" | initdb -U chunkline --pwfile=/dev/stdin --auth-host=scram-sha-256 --auth-local=trust -E UTF8 --locale=C.UTF-8
            echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
            echo 'CREATE DATABASE chunkline' | postgres --single -D "$PGDATA" postgres
          fi
          postgres -c listen_addresses='*' -c unix_socket_directories=/tmp
          exit 1 # with a command after it, the server is not the process that gets the signals
        env:
        - {name: PGDATA, value: /var/lib/postgresql/data/pgdata}
        - {name: POSTGRES_PASSWORD, value: ` + myPassword + `}
        ports: [{containerPort: 5432}]
        readinessProbe:
          exec: {command: [pg_isready, --host=/tmp, --username=chunkline]}
          periodSeconds: 2
          timeoutSeconds: 10
        resources: {requests: {cpu: 50m, memory: 64Mi}}
        securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
        volumeMounts: [{name: data, mountPath: /var/lib/postgresql/data}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec:
      accessModes: [ReadWriteOnce]
      resources: {requests: {storage: 1Gi}}
`
