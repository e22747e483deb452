package sqlsink_test

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chunkline/chunkline/internal/chunk"
	"github.com/chunkline/chunkline/internal/sink"
	"github.com/chunkline/chunkline/internal/sink/sinktest"
	"github.com/chunkline/chunkline/internal/sink/sqlsink"
)

func openSpec(t *testing.T, spec, job string) (*sqlsink.Sink, error) {
	return sqlsink.Open(t.Context(), spec, job, sqlsink.Options{})
}

// writer commits outputs, one chunk per commit.
type writer struct {
	t *testing.T
	*sqlsink.Sink
	chunk   chunk.ID
	ordinal uint64
	last    []sink.Result
}

func openTable(t *testing.T, spec, job string) *writer {
	t.Helper()
	s, err := openSpec(t, spec, job)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if _, err := s.Claim(t.Context(), sinktest.Plan("a"), "f1"); err != nil {
		t.Fatal(err)
	}
	return &writer{t: t, Sink: s}
}

// commit commits one chunk whose objects have these outputs; line feeds separate several outputs of an object.
func (w *writer) commit(objects ...string) {
	w.t.Helper()
	r := w.result(objects...)
	w.chunk, w.ordinal = w.chunk+1, w.ordinal+uint64(len(objects))
	w.last = []sink.Result{r}
	outcomes, err := w.Commit(w.t.Context(), w.last)
	if err != nil || outcomes[0] != sink.Committed {
		w.t.Fatalf("commit: %v, %v", outcomes, err)
	}
}

func (w *writer) result(objects ...string) sink.Result {
	r := sink.Result{
		Chunk: w.chunk, Of: len(objects), First: w.ordinal, Objects: len(objects), Digest: sinktest.Digest(w.chunk, "source"),
		Attempt: 1, Mapper: "m", Version: "v1", Transform: "jq:.",
	}
	for _, o := range objects {
		n := 0
		if o != "" {
			n = strings.Count(o, "\n") + 1
			r.Outputs = append(r.Outputs, o+"\n"...)
		}
		r.Counts = append(r.Counts, n)
	}
	return r
}

// wantDead checks the dead letters of the last commit against parts of their errors, by index in the chunk.
func (w *writer) wantDead(want map[uint64]string) {
	w.t.Helper()
	r := w.last[0]
	got := map[uint64]chunk.DeadLetter{}
	for line := range bytes.Lines(r.Dead) {
		d, err := chunk.ParseDeadLetter(line)
		if err != nil {
			w.t.Fatal(err)
		}
		got[d.Ordinal-r.First] = d
	}
	if len(got) != len(want) || r.DeadCount != len(want) {
		w.t.Errorf("%d dead letters, %d counted: %s; want %d", len(got), r.DeadCount, r.Dead, len(want))
	}
	for i, text := range want {
		if d := got[i]; !strings.Contains(d.Error, text) || len(d.Outputs) == 0 || d.Object != nil {
			w.t.Errorf("object %d: dead letter is %+v, want an error with %q", i, d, text)
		}
		if r.Counts[i] != 0 {
			w.t.Errorf("object %d is dead and has %d outputs", i, r.Counts[i])
		}
	}
	looked, err := w.Look(w.t.Context(), r.Chunk)
	if err != nil || len(looked) != 1 || !bytes.Equal(looked[0].Dead, r.Dead) || !bytes.Equal(looked[0].Outputs, r.Outputs) {
		w.t.Errorf("the sink holds %+v (%v), want what the commit says", looked, err)
	}
}

func count(t *testing.T, db *sql.DB, query string) (n int) {
	t.Helper()
	if err := db.QueryRow(query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// newSQLite makes an empty SQLite database. spec is the setting of a sink in it, without options.
func newSQLite(t testing.TB) (spec string, db *sql.DB) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "app.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() }) // the file is removed anyway
	return "sqlite:" + path, db
}

func TestSQLiteTable(t *testing.T) {
	sqlite, db := newSQLite(t)
	testTable(t, sqlite+"?", db)
	testKeys(t, sqlite+"?", db)
	testBegunSettings(t, sqlite+"?", db)
	testOddOutputs(t, sqlite+"?", db)
}

// testTable tests a table of the user, on both databases. spec ends where its settings begin.
func testTable(t *testing.T, spec string, db *sql.DB) {
	exec := func(query string) {
		t.Helper()
		if _, err := db.Exec(query); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
	exec(`CREATE TABLE people (id bigint PRIMARY KEY, full_name text NOT NULL, age int CHECK (age >= 0), extra text, seen text DEFAULT 'yes')`)
	people := func() string {
		t.Helper()
		rows, err := db.Query(`SELECT id, full_name, COALESCE(extra, 'null'), seen FROM people ORDER BY id`)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		var all []string
		for rows.Next() {
			var id int
			var name, extra, seen string
			if err := rows.Scan(&id, &name, &extra, &seen); err != nil {
				t.Fatal(err)
			}
			all = append(all, fmt.Sprintln(id, name, extra, seen))
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(strings.ReplaceAll(strings.Join(all, ""), "\n", " "))
	}
	const columns = "table=people&columns=id,name:full_name,age,extra&key=id"

	t.Run("insert", func(t *testing.T) {
		exec(`INSERT INTO people (id, full_name) VALUES (7, 'mine')`)
		w := openTable(t, spec+columns, "insert")
		w.commit(
			`{"id":1,"name":"Ada","age":36,"extra":{"b": [1, 2]},"more":true}`,
			`{"id":2}`, // NOT NULL
			`{"id":3,"name":"Cy"}`+"\n"+`{"id":4,"name":"Di","age":-1}`, // the second output fails, so neither is inserted
			`[1]`,
			`{"id":7,"name":"twice"}`, // exists already
			``,
			`{"id":5,"name":"O'Brien \"x\""}`,
		)
		w.wantDead(map[uint64]string{1: "full_name", 2: "", 3: "not a JSON object", 4: ""})
		if got, want := people(), `1 Ada {"b": [1, 2]} yes 5 O'Brien "x" null yes 7 mine null yes`; got != want {
			t.Errorf("the table has %s, want %s", got, want)
		}
		sum, err := w.Finish(t.Context(), 1, 7)
		if err != nil || sum.Outputs != 2 || sum.Dead != 4 || !strings.HasPrefix(sum.Output, "table people of ") {
			t.Errorf("finish: %+v, %v", sum, err)
		}

		// The dead letters are mapped again: only their rows are inserted.
		mended := w.last[0]
		mended.Counts, mended.Outputs, mended.Dead, mended.DeadCount = slices.Clone(mended.Counts), nil, nil, 0
		for i, line := range []string{`{"id":1,"name":"Ada","age":36,"extra":{"b": [1, 2]},"more":true}`, `{"id":2,"name":"Bo"}`, ``, `{"id":3,"name":"Cy"}`, `{"id":7,"name":"again"}`, ``, `{"id":5,"name":"O'Brien \"x\""}`} {
			mended.Counts[i] = 0
			if line != "" {
				mended.Counts[i] = 1
				mended.Outputs = append(mended.Outputs, line+"\n"...)
			}
		}
		exec(`UPDATE people SET seen = 'touched' WHERE id = 1`)
		results := []sink.Result{mended}
		if err := w.Replace(t.Context(), sink.RecordOf(&w.last[0]), results...); err != nil {
			t.Fatal(err)
		}
		if results[0].DeadCount != 1 || results[0].Counts[4] != 0 {
			t.Errorf("the results of the retry have %d dead letters and the counts %v, want one of object 4", results[0].DeadCount, results[0].Counts)
		}
		if got, want := people(), `1 Ada {"b": [1, 2]} touched 2 Bo null yes 3 Cy null yes 5 O'Brien "x" null yes 7 mine null yes`; got != want {
			t.Errorf("after the retry the table has %s, want %s", got, want)
		}
		if sum := w.Summary(); sum.Dead != 1 || sum.Outputs != 4 || sum.Output != "" {
			t.Errorf("after the retry the summary is %+v, want 4 outputs and 1 dead letter", sum)
		}

		done, err := w.Redo(t.Context(), "v1")
		if err != nil || done.Objects != 7 || done.Outputs != 4 {
			t.Errorf("redo: %+v, %v", done, err)
		}
		if got, want := people(), "7 mine null yes"; got != want {
			t.Errorf("after redo the table has %s, want %s", got, want)
		}
		if sum := w.Summary(); sum != (sink.Summary{}) {
			t.Errorf("after redo the summary is %+v", sum)
		}
	})

	t.Run("ignore", func(t *testing.T) {
		w := openTable(t, spec+columns+"&mode=ignore", "ignore")
		w.commit(`{"id":7,"name":"other"}`, `{"id":8,"name":"Eve"}`)
		w.wantDead(nil)
		if got, want := people(), "7 mine null yes 8 Eve null yes"; got != want {
			t.Errorf("the table has %s, want %s", got, want)
		}
		if _, err := w.Redo(t.Context(), "v1"); !errors.Is(err, sink.ErrSettings) {
			t.Errorf("redo: %v, want ErrSettings", err)
		}
		w.commit(`{"id":9,"name":"Fay"}`) // the sink still works
	})

	t.Run("upsert", func(t *testing.T) {
		w := openTable(t, spec+columns+"&mode=upsert", "upsert")
		w.commit(`{"id":7,"name":"new"}`, `{"id":10,"name":"Gus"}`, `{"id":10,"name":"Hal"}`, `{"id":11}`)
		w.wantDead(map[uint64]string{3: "full_name"})
		if got, want := people(), "7 new null yes 8 Eve null yes 9 Fay null yes 10 Hal null yes"; got != want {
			t.Errorf("the table has %s, want %s", got, want)
		}
	})

	t.Run("wrong settings", func(t *testing.T) {
		for settings, says := range map[string]string{
			"table=people":                                                "columns is not set",
			"table=people&columns=id,nam":                                 "has no column nam; it has id, full_name, age, extra, seen",
			"table=nobody&columns=id":                                     "there is no table",
			"table=people&columns=id,full_name&key=age":                   "column age is not among columns",
			"table=people&columns=id,id&key=id":                           "each column once",
			"table=people&columns=id&mode=replace":                        "use insert, ignore or upsert",
			"table=people&columns=id&mode=upsert":                         "mode=upsert needs key",
			"table=people&columns=id,full_name&key=full_name&mode=upsert": "cannot be written to",
			"columns=id": "add table=NAME",
		} {
			s, err := openSpec(t, spec+settings, "wrong")
			if !errors.Is(err, sink.ErrSettings) || !strings.Contains(err.Error(), says) {
				t.Errorf("open with %s: %v, want ErrSettings with %q", settings, err, says)
			}
			if err == nil {
				_ = s.Close()
			}
		}
		if s, err := openSpec(t, strings.TrimRight(spec, "?&"), "insert"); !errors.Is(err, sink.ErrSettings) || !strings.Contains(err.Error(), "was begun with table=people, and this has no table") {
			t.Errorf("open the job without its table: %v, want ErrSettings", err)
			if err == nil {
				_ = s.Close()
			}
		}
	})
}

// testBegunSettings tests that a job keeps the settings that it was begun with, so that redo deletes no row that was
// there before.
func testBegunSettings(t *testing.T, spec string, db *sql.DB) {
	if _, err := db.Exec(`CREATE TABLE begun (id bigint PRIMARY KEY, name text UNIQUE, age int); INSERT INTO begun VALUES (7, 'mine', 1)`); err != nil {
		t.Fatal(err)
	}
	open := func(job, settings string, o sqlsink.Options) error {
		s, err := sqlsink.Open(t.Context(), spec+"table=begun&"+settings, job, o)
		if err == nil {
			err = s.Close()
		}
		return err
	}
	w := openTable(t, spec+"table=begun&columns=id,name,age&mode=ignore", "ignoring")
	w.commit(`{"id":7,"name":"other","age":2}`)
	for job, begun := range map[string]string{
		"ignoring": "columns=id,name,age&mode=ignore", "inserting": "columns=id,name", "keyed": "columns=id,name&key=id", "upserting": "columns=id,name&key=id&mode=upsert",
	} {
		if err := open(job, begun, sqlsink.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct{ job, settings, says string }{
		{"ignoring", "columns=id,name,age&key=id", "mode=ignore, and this has mode=insert"},
		{"ignoring", "columns=id,name,age&key=id&mode=ignore", "no key, and this has key=id"},
		{"inserting", "columns=id,name&key=id&mode=upsert", "mode=insert, and this has mode=upsert"},
		{"inserting", "columns=age:id,name&key=id", "columns=id,name, and this has columns=age:id,name"},
		{"keyed", "columns=id,name&key=name", "key=id, and this has key=name"},
		{"keyed", "columns=id,name", "key=id, and this has no key"},
		{"upserting", "columns=id,name&key=name&mode=upsert", "key=id, and this has key=name"},
		{"inserting", "columns=id:id,name&key=id", ""}, // redo asks for the key
		{"upserting", "columns=name,id&key=id&mode=upsert", ""},
	} {
		for command, o := range map[string]sqlsink.Options{"run": {}, "redo": {Existing: true}} {
			err := open(test.job, test.settings, o)
			if test.says == "" && err != nil || test.says != "" && (!errors.Is(err, sink.ErrSettings) || !strings.Contains(err.Error(), "job "+test.job+" was begun with "+test.says+": use")) {
				t.Errorf("%s of job %s with %s: %v, want an error with %q", command, test.job, test.settings, err, test.says)
			}
		}
		if err := open(test.job, test.settings, sqlsink.Options{ReadOnly: true, Existing: true}); err != nil {
			t.Errorf("read job %s with %s: %v", test.job, test.settings, err)
		}
	}
	if _, err := db.Exec(`UPDATE chunkline_jobs SET target = 'begun' WHERE job = 'keyed'`); err != nil {
		t.Fatal(err)
	}
	if err := open("keyed", "columns=id,name&key=id", sqlsink.Options{}); !errors.Is(err, sink.ErrFormat) || !strings.Contains(err.Error(), "use another --job") {
		t.Errorf("open a job without recorded settings: %v, want ErrFormat", err)
	}
}

// A piece that another process replaced or removed is not called damaged by one that has its old record.
func TestChangedWhileRead(t *testing.T) {
	sqlite, db := newSQLite(t)
	if _, err := db.Exec(`CREATE TABLE people (id int PRIMARY KEY)`); err != nil {
		t.Fatal(err)
	}
	for name, spec := range map[string]string{"own tables": sqlite, "people": sqlite + "?table=people&columns=id&key=id"} {
		t.Run(name, func(t *testing.T) {
			w := openTable(t, spec, strings.ReplaceAll(name, " ", "-"))
			w.commit(`{"id":1}`, `{"id":2}`)
			var old sink.Record
			for r, err := range w.Records(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				old = r
			}
			wantChanged := func(what string) {
				t.Helper()
				if _, err := w.Outputs(nil, old); err == nil || errors.Is(err, sink.ErrDamaged) || !strings.Contains(err.Error(), "replaced or removed meanwhile") {
					t.Errorf("read outputs after %s: %v, want an error that says so", what, err)
				}
			}
			w.chunk, w.ordinal = 0, 0
			if err := sinktest.Replace(t, w, w.result(`{"id":1}`, `{"id":3}`)); err != nil {
				t.Fatal(err)
			}
			wantChanged("Replace")
			if _, err := w.Redo(t.Context(), "v1"); err != nil {
				t.Fatal(err)
			}
			wantChanged("Redo")
		})
	}
	w := openTable(t, sqlite, "damaged")
	w.commit(`{"id":1}`)
	if _, err := db.Exec(`UPDATE outputs SET value = '{}' WHERE job = 'damaged'`); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Look(t.Context(), 0); !errors.Is(err, sink.ErrDamaged) {
		t.Errorf("look at rows that somebody changed: %v, want ErrDamaged", err)
	}
	if done, err := w.Redo(t.Context(), "v1"); err != nil || done.Outputs != 1 {
		t.Errorf("redo of rows that somebody changed: %+v, %v", done, err)
	}
}

// testKeys tests that redo removes the job's rows and no others, and that it is refused where the key cannot do that.
func testKeys(t *testing.T, spec string, db *sql.DB) {
	if _, err := db.Exec(`CREATE TABLE notes (id bigint UNIQUE, note text)`); err != nil {
		t.Fatal(err)
	}
	t.Run("key without a unique constraint", func(t *testing.T) {
		s, err := openSpec(t, spec+"table=notes&columns=id,note&key=note", "not-unique")
		if err == nil {
			_ = s.Close()
		}
		if !errors.Is(err, sink.ErrSettings) || !strings.Contains(err.Error(), "key=note") || !strings.Contains(err.Error(), "UNIQUE") {
			t.Errorf("open with a key that several rows may share: %v, want ErrSettings", err)
		}
	})
	for settings, says := range map[string]string{
		"":                    "without a key",
		"&key=id":             "has no id",
		"&key=id&mode=upsert": "has no id",
	} {
		t.Run("rows that cannot be found"+settings, func(t *testing.T) {
			spec := spec + "table=notes&columns=id,note" + settings
			w := openTable(t, spec, "lost"+strings.NewReplacer("&", "-", "=", "-").Replace(settings))
			w.commit(`{"note":"no id"}`, `[1]`)
			w.wantDead(map[uint64]string{1: "not a JSON object"})
			before := count(t, db, "SELECT count(*) FROM notes")
			if _, err := w.Redo(t.Context(), "v1"); !errors.Is(err, sink.ErrSettings) || errors.Is(err, sink.ErrBroken) || !strings.Contains(err.Error(), says) {
				t.Errorf("redo: %v, want ErrSettings with %q", err, says)
			}
			w.chunk, w.ordinal = 0, 0
			mended := w.result(`{"note":"no id"}`, `{"note":"mended"}`)
			if err := sinktest.Replace(t, w, mended); err != nil {
				t.Errorf("map the dead letter again: %v", err)
			}
			if got := count(t, db, "SELECT count(*) FROM notes"); got != before+1 {
				t.Errorf("the table has %d rows, want %d", got, before+1)
			}
		})
	}
}
