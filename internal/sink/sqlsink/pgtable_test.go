//go:build postgres

package sqlsink_test

import (
	"database/sql"
	"errors"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/chunkline/chunkline/internal/postgrestest"
	"github.com/chunkline/chunkline/internal/sink"
)

// PostgreSQL converts JSON by the types of the columns, and values that do not fit become dead letters.
func testPostgresTable(t *testing.T, server *postgrestest.Server) {
	url := server.NewDatabase(t)
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	testTable(t, url+"&", db)
	testKeys(t, url+"&", db)
	testBegunSettings(t, url+"&", db)
	testOddOutputs(t, url+"&", db)

	server.Exec(t, url, `CREATE SCHEMA "My ""App"; CREATE TABLE "My ""App".typed (
		big bigint PRIMARY KEY, exact numeric, at timestamptz, raw bytea, doc jsonb, tags text[], short varchar(3), "select" boolean)`)
	spec := url + `&table=My%20%22App.typed&columns=big,exact,at,raw,doc,tags,short,select&key=big`
	w := openTable(t, spec, "typed")
	w.commit(
		`{"big":9223372036854775807,"exact":123456789012345678901234567890.123456789,"at":"2026-01-02T03:04:05.678901+02:00","raw":"\\x00ff","doc":{"a":[1,null]},"tags":["x","y, z"],"short":"abc","select":true}`,
		`{"big":2}`,
		`{"big":3,"short":"abcd"}`,
		`{"big":4,"doc":"\u0000"}`,
		`{"big":5,"tags":"none"}`,
	)
	w.wantDead(map[uint64]string{2: "value too long for type character varying(3)", 3: "unsupported Unicode escape sequence", 4: "malformed array literal"})
	var row string
	if err := db.QueryRow(`SELECT concat_ws('|', big, exact, at AT TIME ZONE 'UTC', raw, doc, tags[2], short, "select") FROM "My ""App".typed WHERE short IS NOT NULL`).Scan(&row); err != nil {
		t.Fatal(err)
	}
	if want := `9223372036854775807|123456789012345678901234567890.123456789|2026-01-02 01:04:05.678901|\x00ff|{"a": [1, null]}|y, z|abc|t`; row != want {
		t.Errorf("row is %s, want %s", row, want)
	}
	if n := count(t, db, `SELECT count(*) FROM "My ""App".typed`); n != 2 {
		t.Errorf("table has %d rows, want 2", n)
	}
	server.Exec(t, url, `CREATE VIEW view_of AS SELECT 1 AS big`)
	if _, err := openSpec(t, url+"&table=view_of&columns=big", "views"); !errors.Is(err, sink.ErrSettings) || !strings.Contains(err.Error(), "is not a table") {
		t.Errorf("open with a view: %v", err)
	}
}

// Constraints that PostgreSQL does not allow for ON CONFLICT are refused before the first row, and the error has the
// statement that mends them. Other deferrable constraints do not matter.
func testDeferrableArbiters(t *testing.T, server *postgrestest.Server) {
	url := server.NewDatabase(t)
	server.Exec(t, url, `CREATE TABLE "Seats" (row int, seat int, guest text UNIQUE DEFERRABLE, CONSTRAINT "One each" PRIMARY KEY (row, seat) DEFERRABLE INITIALLY DEFERRED);
		CREATE TABLE spans (id int PRIMARY KEY, n int, CONSTRAINT apart EXCLUDE USING btree (n WITH =) DEFERRABLE)`)
	const seats, oneEach = "table=Seats&columns=row,seat,guest", `"Seats" DROP CONSTRAINT "One each", ADD CONSTRAINT "One each" PRIMARY KEY ("row", seat)`
	refused := func(settings, fix string) {
		t.Helper()
		s, err := openSpec(t, url+"&"+settings, "refused")
		if !errors.Is(err, sink.ErrSettings) || !strings.Contains(err.Error(), fix+", or use mode=insert") {
			t.Errorf("open with %s: %v, want ErrSettings with %q", settings, err, fix)
		}
		if err == nil {
			_ = s.Close()
		}
	}
	refused(seats+"&key=seat,row&mode=upsert", oneEach)
	refused(seats+"&key=row,seat&mode=ignore", oneEach)
	refused(seats+"&mode=ignore", oneEach) // any constraint
	refused("table=spans&columns=id,n&mode=ignore", `"spans" DROP CONSTRAINT apart, ADD CONSTRAINT apart EXCLUDE USING btree (n WITH =)`)
	openTable(t, url+"&"+seats+"&key=row,seat", "insert").commit(`{"row":1,"seat":1,"guest":"Ada"}`)
	openTable(t, url+"&table=spans&columns=id,n&key=id&mode=upsert", "spans").commit(`{"id":1,"n":1}`)

	server.Exec(t, url, "ALTER TABLE "+oneEach)
	w := openTable(t, url+"&"+seats+"&key=row,seat&mode=upsert", "upsert")
	w.commit(`{"row":1,"seat":1,"guest":"Bo"}`)
	w.wantDead(nil)
	refused(seats+"&mode=ignore", `CONSTRAINT "Seats_guest_key" UNIQUE (guest)`)
}

// A constraint that PostgreSQL would check when it commits makes dead letters of the objects that break it, and of no
// others.
func testDeferredConstraints(t *testing.T, server *postgrestest.Server) {
	url := server.NewDatabase(t)
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	testForeignKeys(t, url+"&", "violates foreign key constraint", db)
	testReferredRows(t, url+"&", `violates foreign key constraint "pets_`, db)

	server.Exec(t, url, `CREATE TABLE ranks (id int PRIMARY KEY, rank int UNIQUE DEFERRABLE INITIALLY DEFERRED)`)
	w := openTable(t, url+"&table=ranks&columns=id,rank&key=id", "ranks")
	w.commit(`{"id":1,"rank":1}`, `{"id":2,"rank":2}`, `{"id":3,"rank":1}`, `{"id":4,"rank":4}`)
	w.wantDead(map[uint64]string{2: "Key (rank)=(1) already exists"})
	w = openTable(t, url+"&table=ranks&columns=id,rank&key=id&mode=upsert", "ranks2")
	w.commit(`{"id":1,"rank":2}`, `{"id":2,"rank":1}`, `{"id":4,"rank":1}`, `{"id":5,"rank":5}`)
	if n := count(t, db, "SELECT count(*) FROM ranks"); n != 4 || w.last[0].DeadCount == 0 {
		t.Errorf("%d rows and %d dead letters, want 4 and some", n, w.last[0].DeadCount)
	}

	// The trigger writes a child before its parent, which a deferred foreign key allows, also after halving.
	server.Exec(t, url, `CREATE TABLE parents (id int PRIMARY KEY); CREATE TABLE children (id int REFERENCES parents DEFERRABLE INITIALLY DEFERRED);
		CREATE TABLE families (id int PRIMARY KEY, odd int CHECK (odd > 0));
		CREATE FUNCTION family() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			INSERT INTO children VALUES (NEW.id);
			IF NEW.id <> 4 THEN INSERT INTO parents VALUES (NEW.id); END IF;
			RETURN NULL;
		END $$;
		CREATE TRIGGER family AFTER INSERT ON families FOR EACH ROW EXECUTE FUNCTION family();
		CREATE FUNCTION polite() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF NEW.id = 6 THEN RAISE EXCEPTION 'six is refused'; END IF;
			RETURN NULL;
		END $$;
		CREATE CONSTRAINT TRIGGER polite AFTER INSERT ON families DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION polite()`)
	w = openTable(t, url+"&table=families&columns=id,odd&key=id", "families")
	w.commit(`{"id":1}`, `{"id":2,"odd":-1}`, `{"id":3}`, `{"id":4}`, `{"id":5}`, `{"id":6}`, `{"id":7}`)
	w.wantDead(map[uint64]string{1: "check constraint", 3: "violates foreign key constraint", 5: "six is refused"})
}
