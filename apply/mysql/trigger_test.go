package mysql

import (
	"context"
	"database/sql"
	"net/url"
	"strings"
	"testing"

	"github.com/crossfade-io/crossfade/apply"
	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/change"
)

// triggerText is everything that there is to say about the triggers of a database.
func (w *world) triggerText() string {
	w.t.Helper()
	text := w.list("SELECT CONCAT_WS('|', TRIGGER_NAME, ACTION_TIMING, EVENT_MANIPULATION, ACTION_ORDER, DEFINER, ACTION_STATEMENT, SQL_MODE, CHARACTER_SET_CLIENT, COLLATION_CONNECTION, DATABASE_COLLATION) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = '" + w.Name + "' ORDER BY ACTION_TIMING, EVENT_MANIPULATION, ACTION_ORDER")
	for _, name := range strings.Split(w.list("SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = '"+w.Name+"' ORDER BY 1"), "\n") {
		var create string // the list shows literals of MySQL without their escapes
		var mode string
		var rest [5]any
		for i := range rest {
			rest[i] = new(any)
		}
		if err := w.DB.QueryRowContext(w.t.Context(), "SHOW CREATE TRIGGER `"+name+"`").Scan(rest[0], &mode, &create, rest[1], rest[2], rest[3], rest[4]); err != nil {
			w.t.Fatal(err)
		}
		body, err := triggerBody(create, mode) // its header may name the database
		if err != nil {
			w.t.Fatal(err)
		}
		text += "\n" + body
	}
	return text
}

// trustCreators lets users make triggers beside the binlog.
func (w *world) trustCreators() {
	w.t.Helper()
	w.Exec(w.t, "SET GLOBAL log_bin_trust_function_creators = 1")
	w.t.Cleanup(func() {
		if _, err := w.DB.ExecContext(context.Background(), "SET GLOBAL log_bin_trust_function_creators = 0"); err != nil {
			w.t.Error(err)
		}
	})
}

func (w *world) list(query string) string {
	w.t.Helper()
	rows, err := w.DB.QueryContext(w.t.Context(), query)
	if err != nil {
		w.t.Fatal(err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			w.t.Fatal(err)
		}
		out = append(out, s)
	}
	if err := rows.Err(); err != nil {
		w.t.Fatal(err)
	}
	return strings.Join(out, "\n")
}

func openURL(t *testing.T, raw, database string) *sql.DB {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	password, _ := u.User.Password()
	db, err := sql.Open("mysql", u.User.Username()+":"+password+"@tcp("+u.Host+")/"+database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// each runs statements on one connection.
func each(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	for _, q := range statements {
		if _, err := conn.ExecContext(t.Context(), q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
}

// The triggers of a target do not act on what is applied and act on what the application writes, in the same order; and afterwards they are what they were, to the
// letter, whatever cut the way there and back off.
func TestTriggersOfTheTargetActForTheApplicationOnlyAndComeBackAsTheyWere(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.trustCreators()
		app := openURL(t, w.User(t, "", "app"), w.Name)
		each(t, app, "CREATE TABLE seen (id int AUTO_INCREMENT PRIMARY KEY, what varchar(40))",
			"CREATE TRIGGER z BEFORE INSERT ON t FOR EACH ROW SET NEW.name = CONCAT(COALESCE(NEW.name, ''), '1') -- first; or not",
			"SET SESSION sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES', collation_connection = utf8mb4_unicode_ci",
			`CREATE TRIGGER "a b" BEFORE INSERT ON t FOR EACH ROW work: BEGIN DECLARE "x y" varchar(9) DEFAULT '2\é'; IF NEW.id = 0 THEN LEAVE work; END IF; SET NEW.name = CONCAT(NEW.name, "x y"); END work`,
			"SET SESSION sql_mode = '', character_set_client = latin1",
			"CREATE TRIGGER after_update AFTER UPDATE ON t FOR EACH ROW INSERT INTO seen (what) VALUES (CONCAT(OLD.name, ' to ', NEW.name))",
			`CREATE TRIGGER escapes BEFORE UPDATE ON t FOR EACH ROW SET NEW.name = IF(NEW.name = 'p'' ''q\\\\', HEX('x\\\\ny'), NEW.name)`,
			"CREATE TRIGGER after_delete AFTER DELETE ON t FOR EACH ROW BEGIN\n  INSERT INTO seen (what) VALUES ('gone');\nEND")
		was := w.triggerText()
		setup := []apply.TableSetup{{Source: "s.t", Target: w.shape}}
		found, err := w.target.Check(t.Context(), setup)
		if err != nil {
			t.Fatal(err)
		}
		warned := 0
		for _, f := range found {
			if f.Code == "target_triggers" && f.Severity == catalog.Warning {
				warned++
			} else if f.Severity == catalog.Error {
				t.Errorf("%+v", f)
			}
		}
		if warned != 5 {
			t.Errorf("%d triggers are named", warned)
		}
		for range 2 { // the second time nothing is left to do
			if err := w.target.Setup(t.Context(), setup); err != nil {
				t.Fatal(err)
			}
			// cut off between dropping a trigger and making it: its note says so
			w.Exec(t, "DROP TRIGGER after_delete; UPDATE crossfade.triggers SET changing = true WHERE name = 'after_delete' AND migration = '"+w.Name+"'")
		}
		if err := w.target.Setup(t.Context(), setup); err != nil {
			t.Fatal(err)
		}
		w.must(w.tx(apply.Step{Op: apply.InsertRows, Exact: true, Rows: []change.Row{row(1, "a", "1.50"), row(2, "b", "1.50")}}, apply.Step{Op: apply.UpdateRows, Exact: true, Keys: []change.Row{row(1, "", "")}, Rows: []change.Row{row(1, "c", "")}},
			apply.Step{Op: apply.DeleteRows, Exact: true, Keys: []change.Row{row(2, "", "")}}))
		if got := w.list("SELECT CONCAT_WS(' ', id, name) FROM t UNION ALL SELECT what FROM seen"); got != "1 c" {
			t.Errorf("after what was applied: %q", got)
		}
		each(t, app, "INSERT INTO t VALUES (3, 'a', 1)", "UPDATE t SET name = 'q' WHERE id = 3", "DELETE FROM t WHERE id = 3")
		if got := w.list("SELECT what FROM seen ORDER BY id"); got != `a12\é to q`+"\ngone" {
			t.Errorf("what the application did: %q", got)
		}
		w.Exec(t, "UPDATE crossfade.triggers SET changing = true WHERE name = 'z' AND migration = '"+w.Name+"'")
		if err := w.target.Remove(t.Context()); err != nil {
			t.Fatal(err)
		}
		if now := w.triggerText(); now != was {
			t.Errorf("the triggers were\n%s\nand are\n%s", was, now)
		}
	})
}

// A trigger that belongs to another is only touched when it can be made again.
func TestATriggerThatCannotBeMadeAgainIsLeftAndNamed(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.trustCreators()
		w.Exec(t, "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW SET NEW.n = 1")
		was := w.triggerText()
		u, err := url.Parse(w.User(t, "", "mover", "ALL ON `"+w.Name+"`.*", "ALL ON crossfade.*"))
		if err != nil {
			t.Fatal(err)
		}
		password, _ := u.User.Password()
		target, err := Open(t.Context(), Config{Engine: w.shape.Engine, Addr: u.Host, User: u.User.Username(), Password: password, Migration: w.Name + "2"})
		if err != nil {
			t.Fatal(err)
		}
		defer target.Close()
		setup := []apply.TableSetup{{Source: "s.t", Target: w.shape}}
		found, err := target.Check(t.Context(), setup)
		if err != nil {
			t.Fatal(err)
		}
		named := false
		for _, f := range found {
			named = named || f.Code == "target_triggers" && f.Severity == catalog.Error && strings.Contains(f.Remedy, "GRANT SET")
		}
		if !named {
			t.Errorf("%+v", found)
		}
		if err := target.Setup(t.Context(), setup); err == nil || !strings.Contains(err.Error(), "GRANT SET") {
			t.Errorf("setup: %v", err)
		}
		if now := w.triggerText(); now != was {
			t.Errorf("the triggers were\n%s\nand are\n%s", was, now)
		}
		if err := target.Remove(context.Background()); err != nil {
			t.Error(err)
		}
		if now := w.triggerText(); now != was {
			t.Errorf("after the removal the triggers are\n%s", now)
		}
	})
}
