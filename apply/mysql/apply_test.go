package mysql

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/crossfade-io/crossfade/apply"
	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/change"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

func TestMain(m *testing.M) { testdb.Main(m) }

// world is a target with the table t(id, name, n), its ledger of two lanes, and a session.
type world struct {
	*testdb.MySQLDB
	t      testing.TB
	target *Target
	shape  *change.Table
	token  int64
	at     uint64 // frame that lane 0 stands on
	s      apply.Session
}

// onBoth runs a test on MySQL and on MariaDB.
func onBoth(t *testing.T, test func(t *testing.T, w *world)) {
	t.Run("MySQL", func(t *testing.T) { test(t, newWorld(t, testdb.MySQL(t), change.MySQL)) })
	t.Run("MariaDB", func(t *testing.T) { test(t, newWorld(t, testdb.MariaDB(t, "10.11"), change.MariaDB)) })
}

func newWorld(t testing.TB, server *testdb.MySQLServer, engine change.Engine) *world {
	t.Helper()
	d := server.Database(t)
	d.Exec(t, "CREATE TABLE t (id int PRIMARY KEY, name varchar(20) COLLATE utf8mb4_bin, n decimal(10,2) DEFAULT 7)")
	u, err := url.Parse(server.URL(""))
	if err != nil {
		t.Fatal(err)
	}
	pw, _ := u.User.Password()
	w := &world{MySQLDB: d, t: t, shape: &change.Table{Engine: engine, Schema: d.Name, Name: "t", Source: "s.t", Key: []int{0}, Columns: []change.Column{
		{Name: "id", Type: "int", Kind: change.Int}, {Name: "name", Type: "varchar(20)", Kind: change.Text, Nullable: true}, {Name: "n", Type: "decimal(10,2)", Kind: change.Decimal, Nullable: true}}}}
	w.target, err = Open(t.Context(), Config{Engine: engine, Addr: u.Host, User: u.User.Username(), Password: pw, Migration: d.Name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.target.Remove(context.Background()); err != nil {
			t.Error(err)
		}
		w.target.Close()
	})
	if err := w.target.Setup(t.Context(), []apply.TableSetup{{Source: "s.t", Target: w.shape}}); err != nil {
		t.Fatal(err)
	}
	w.start()
	return w
}

// start takes a new token and opens a session.
func (w *world) start() {
	w.t.Helper()
	d, err := w.target.Start(w.t.Context(), 2)
	if err != nil {
		w.t.Fatal(err)
	}
	w.token = d.Token
	if w.s, err = w.target.Session(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(w.s.Close)
}

// row is id, name, n; nil is absent, "NULL" is null.
func row(id int64, name, n string) change.Row {
	out := change.Row{change.NewInt(id), {}, {}}
	for i, s := range []string{name, n} {
		switch s {
		case "":
		case "NULL":
			out[i+1] = change.Value{Kind: change.Null}
		default:
			out[i+1] = change.Value{Kind: []change.Kind{change.Text, change.Decimal}[i], B: []byte(s)}
		}
	}
	return out
}

// tx is a transaction of lane 0 from where it stands to the next frame.
func (w *world) tx(steps ...apply.Step) *apply.Tx {
	for i := range steps {
		steps[i].Shape = w.shape
	}
	return &apply.Tx{Token: w.token, Lanes: 2, From: w.at, To: apply.Place{Seq: w.at + 1, Sum: 77, Time: 5}, Stream: "stream", Steps: steps, Counts: []apply.Count{{Source: "s.t"}}}
}

func (w *world) must(tx *apply.Tx) {
	w.t.Helper()
	if err := w.s.Apply(w.t.Context(), tx); err != nil {
		w.t.Fatal(err)
	}
	w.at = tx.To.Seq
}

// holds compares the table with rows written as id:name:n.
func (w *world) holds(want ...string) {
	w.t.Helper()
	rows, err := w.DB.QueryContext(w.t.Context(), "SELECT CONCAT_WS(':', id, COALESCE(name, 'NULL'), COALESCE(n, 'NULL')) FROM t ORDER BY id")
	if err != nil {
		w.t.Fatal(err)
	}
	defer rows.Close()
	var got []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			w.t.Fatal(err)
		}
		got = append(got, s)
	}
	if rows.Err() != nil || !slices.Equal(got, want) {
		w.t.Errorf("the table holds %q, want %q (%v)", got, want, rows.Err())
	}
}

func (w *world) ledger() apply.LaneRow {
	w.t.Helper()
	rows, err := w.target.Ledger(w.t.Context())
	if err != nil || len(rows) != 2 {
		w.t.Fatalf("%v, %v", rows, err)
	}
	return rows[0]
}

func TestEveryStepChangesItsRowsAndTheLedgerTogether(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.must(w.tx(apply.Step{Op: apply.InsertRows, Exact: true, Tally: apply.TallyInserted, Rows: []change.Row{row(1, "a", "1.50"), row(2, "it's\n\\", "NULL"), row(3, "c", "3.00")}}))
		w.holds("1:a:1.50", "2:it's\n\\:NULL", "3:c:3.00")
		tx := w.tx(
			apply.Step{Op: apply.UpdateRows, Exact: true, Tally: apply.TallyUpdated, Keys: []change.Row{row(1, "", ""), row(3, "", "")}, Rows: []change.Row{row(1, "x", ""), row(3, "y", "")}},
			apply.Step{Op: apply.RekeyRows, Exact: true, Tally: apply.TallyUpdated, Keys: []change.Row{row(3, "", "")}, Rows: []change.Row{row(30, "", "9.00")}},
			apply.Step{Op: apply.PutRows, Tally: apply.TallyInserted, Rows: []change.Row{row(1, "put", ""), row(4, "new", "")}},
			apply.Step{Op: apply.DeleteRows, Exact: true, Tally: apply.TallyDeleted, Keys: []change.Row{row(2, "", "")}},
		)
		w.must(tx)
		w.holds("1:put:7.00", "4:new:7.00", "30:y:9.00") // what a put row does not carry gets its default
		if c := tx.Counts[0]; c.Inserted != 2 || c.Updated != 3 || c.Deleted != 1 {
			t.Errorf("counted %+v", c)
		}
		l := w.ledger()
		if l.Seq != 2 || l.Sum != 77 || l.Stream != "stream" || l.SourceTime != 5 || l.Counter < 3 {
			t.Errorf("the ledger stands on %+v", l)
		}
		w.must(w.tx(apply.Step{Op: apply.EmptyTable, Tally: apply.TallyDeleted}))
		w.holds()
		counts, err := w.target.Counts(t.Context())
		if err != nil || len(counts) != 1 || counts[0].Inserted != 5 || counts[0].Deleted != 4 {
			t.Errorf("counts %+v, %v", counts, err)
		}
	})
}

func TestAZombieChangesNothingOnMySQL(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		old, oldToken := w.s, w.token
		w.start()
		tx := w.tx(apply.Step{Op: apply.InsertRows, Rows: []change.Row{row(1, "a", "1.00")}})
		tx.Token = oldToken
		if err := old.Apply(t.Context(), tx); !errors.Is(err, apply.ErrMoved) {
			t.Errorf("an old token: %v", err)
		}
		tx = w.tx(apply.Step{Op: apply.InsertRows, Rows: []change.Row{row(1, "a", "1.00")}})
		tx.From = 5
		if err := w.s.Apply(t.Context(), tx); !errors.Is(err, apply.ErrMoved) {
			t.Errorf("another place: %v", err)
		}
		w.holds()
		w.must(w.tx(apply.Step{Op: apply.InsertRows, Rows: []change.Row{row(1, "a", "1.00")}}))
		w.holds("1:a:1.00")
	})
}

func TestARowThatTheTargetRefusesIsNamedAndNothingIsCommitted(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.must(w.tx(apply.Step{Op: apply.InsertRows, Rows: []change.Row{row(1, "a", "1.00"), row(2, "b", "2.00")}}))
		w.Exec(t, "CREATE UNIQUE INDEX u ON t (name)")
		if err := w.s.Exec(t.Context(), "CREATE UNIQUE INDEX u ON "+quoteTable(w.shape)+" (name)"); err != nil { // it is there
			t.Errorf("an index that is there: %v", err)
		}
		for name, c := range map[string]struct {
			step      apply.Step
			single    bool
			duplicate bool
			unique    bool
			row       int
			words     string
		}{
			"the key is there":          {apply.Step{Op: apply.InsertRows, Rows: []change.Row{row(5, "e", "1.00"), row(1, "f", "1.00")}}, false, true, true, -1, "Duplicate"},
			"named row by row":          {apply.Step{Op: apply.InsertRows, Rows: []change.Row{row(5, "e", "1.00"), row(1, "f", "1.00")}}, true, true, true, 1, "Duplicate"},
			"another has the value":     {apply.Step{Op: apply.PutRows, Rows: []change.Row{row(1, "b", "1.00")}}, false, false, true, 0, "Duplicate"},
			"an update to a value":      {apply.Step{Op: apply.UpdateRows, Keys: []change.Row{row(2, "", ""), row(1, "", "")}, Rows: []change.Row{row(2, "z", ""), row(1, "z", "")}}, false, false, true, 1, "Duplicate"},
			"too long":                  {apply.Step{Op: apply.InsertRows, Rows: []change.Row{row(9, strings.Repeat("x", 21), "1.00")}}, false, false, false, 0, "too long"},
			"what would be rounded":     {apply.Step{Op: apply.InsertRows, Rows: []change.Row{row(9, "r", "1.005")}}, false, false, false, 0, "warns"},
			"rounded among many":        {apply.Step{Op: apply.UpdateRows, Keys: []change.Row{row(1, "", ""), row(2, "", "")}, Rows: []change.Row{row(1, "", "1.10"), row(2, "", "1.005")}}, false, false, false, -1, "warns"},
			"rounded, named row by row": {apply.Step{Op: apply.UpdateRows, Keys: []change.Row{row(1, "", ""), row(2, "", "")}, Rows: []change.Row{row(1, "", "1.10"), row(2, "", "1.005")}}, true, false, false, 1, "warns"},
		} {
			tx := w.tx(c.step)
			tx.Single = c.single
			err := w.s.Apply(t.Context(), tx)
			var r *apply.Refusal
			if !errors.As(err, &r) || r.Duplicate != c.duplicate || r.Unique != c.unique || r.Row != c.row || !strings.Contains(r.Reason, c.words) {
				t.Errorf("%s: %+v, %v", name, r, err)
			}
			w.holds("1:a:1.00", "2:b:2.00")
		}
		for name, st := range map[string]apply.Step{
			"update": {Op: apply.UpdateRows, Exact: true, Keys: []change.Row{row(8, "", "")}, Rows: []change.Row{row(8, "x", "")}},
			"delete": {Op: apply.DeleteRows, Exact: true, Keys: []change.Row{row(8, "", "")}},
		} {
			var m *apply.Mismatch
			if err := w.s.Apply(t.Context(), w.tx(st)); !errors.As(err, &m) || m.Want != 1 || m.Got != 0 || m.Row != 0 {
				t.Errorf("an exact %s of a row that is not there: %+v", name, m)
			}
		}
		w.must(w.tx(apply.Step{Op: apply.PutRows, Rows: []change.Row{row(1, "aa", "1.00")}}, apply.Step{Op: apply.PutRows, Rows: []change.Row{row(3, "c", "")}})) // with a second unique index
		w.holds("1:aa:1.00", "2:b:2.00", "3:c:7.00")
		if l := w.ledger(); l.Seq != 2 {
			t.Errorf("the ledger stands on %d", l.Seq)
		}
	})
}

func TestALostConnectionLeavesNothingBehind(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		id := w.s.(*session).conn.GetConnectionID()
		w.Exec(t, fmt.Sprintf("KILL %d", id))
		err := w.s.Apply(t.Context(), w.tx(apply.Step{Op: apply.InsertRows, Rows: []change.Row{row(1, "a", "1.00")}}))
		var lost *apply.LostError
		if !errors.As(err, &lost) || !w.s.Broken() {
			t.Errorf("broken %v: %v", w.s.Broken(), err)
		}
		w.holds()
		w.start()
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := w.s.Apply(ended, w.tx(apply.Step{Op: apply.InsertRows, Rows: []change.Row{row(1, "a", "1.00")}})); err == nil {
			t.Error("applied although it was told to stop")
		}
	})
}

// What is written reads back as the same bytes, whatever is in it.
func TestLiteralsAreExact(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.Exec(t, "CREATE TABLE v (id int PRIMARY KEY, f float, d double, t longtext COLLATE utf8mb4_bin, b longblob, bits bit(64), dt datetime(6), tm time(6), n decimal(65,30), u bigint unsigned)")
		kinds := []change.Kind{change.Int, change.Float32, change.Float64, change.Text, change.Bytes, change.Bits, change.DateTime, change.Time, change.Decimal, change.Int}
		shape := &change.Table{Engine: w.shape.Engine, Schema: w.Name, Name: "v", Source: "s.v", Key: []int{0}}
		for i, n := range []string{"id", "f", "d", "t", "b", "bits", "dt", "tm", "n", "u"} {
			shape.Columns = append(shape.Columns, change.Column{Name: n, Kind: kinds[i]})
		}
		all := make([]byte, 256)
		for i := range all {
			all[i] = byte(i)
		}
		text := "\x00\x01\b\t\n\r\x1a\"'\\%_` äöü 😀 \u2028 end\\"
		bits := strings.Repeat("10", 32)
		rows := []change.Row{}
		for i, d := range []float64{0, 0.1, -0.30000000000000004, 5e-324, math.MaxFloat64, 2.2250738585072014e-308, 1e21, 123456789012345680} {
			rows = append(rows, change.Row{change.NewInt(int64(i)), change.NewFloat32([]float32{0, 0.1, math.MaxFloat32, 1.1754944e-38, -3.14159, 16777216, 1e-30, 7}[i]), change.NewFloat64(d),
				{Kind: change.Text, B: []byte(text)}, {Kind: change.Bytes, B: all[:i*32]}, {Kind: change.Bits, B: []byte(bits)}, {Kind: change.DateTime, B: []byte("2024-02-29 23:59:59.999999")},
				{Kind: change.Time, B: []byte("-838:59:59.000000")}, {Kind: change.Decimal, B: []byte("-12345678901234567890123456789012345.678901234567890123456789012345")}, change.NewUint(math.MaxUint64)})
		}
		tx := w.tx()
		tx.Steps = []apply.Step{{Op: apply.InsertRows, Shape: shape, Rows: rows, Exact: true}}
		w.must(tx)
		for i, r := range rows {
			var f, d float64
			var tx, b, bi, dt, tm, n, u string
			err := w.DB.QueryRowContext(t.Context(), "SELECT f*1e0, d*1e0, t, HEX(b), BIN(bits), CAST(dt AS CHAR), CAST(tm AS CHAR), CAST(n AS CHAR), CAST(u AS CHAR) FROM v WHERE id = ?", i).Scan(&f, &d, &tx, &b, &bi, &dt, &tm, &n, &u)
			if err != nil {
				t.Fatal(err)
			}
			if float32(f) != r[1].Float32() || d != r[2].Float64() || tx != text || b != strings.ToUpper(fmt.Sprintf("%x", r[4].B)) || bi != bits || dt != string(r[6].B) || tm != string(r[7].B) || n != string(r[8].B) || u != "18446744073709551615" {
				t.Errorf("row %d came back as %v %v %q %s %s %s %s %s %s", i, f, d, tx, b, bi, dt, tm, n, u)
			}
		}
	})
}

func TestTheListsOfTheLedgerAreKept(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		tx := w.tx()
		tx.Recopy = []apply.RecopyKey{{Source: "s.t", Key: []byte{1, 2}, Seq: 4}, {Source: "s.t", Key: []byte{3}, Seq: 5}}
		tx.Hold = []apply.Held{{Lane: 0, Source: "s.t", From: 3, Key: "(id=\xff)", Reason: "it's", Remedy: "mend"}}
		tx.Progress = []apply.Progress{{Source: "s.t", Next: []byte{0, 255}, Seq: 1, Rows: 12}}
		tx.States = []apply.StateChange{{Source: "s.t", Strict: true, OneLane: true, Seq: 9, Shape: math.MaxUint64}}
		w.must(tx)
		keys, err := w.target.Recopy(t.Context(), "s.t")
		if err != nil || len(keys) != 2 || keys[0].Seq != 4 || string(keys[1].Key) != "\x03" {
			t.Errorf("%v, %v", keys, err)
		}
		tx = w.tx()
		tx.Recopied = []apply.RecopyKey{{Source: "s.t", Key: []byte{1, 2}, Seq: 4}, {Source: "s.t", Key: []byte{3}, Seq: 4}} // listed later: it stays
		w.must(tx)
		if n, err := w.s.RecopyPending(t.Context(), "s.t"); n != 1 || err != nil {
			t.Errorf("%d wait, %v", n, err)
		}
		held, err := w.target.Held(t.Context())
		if err != nil || len(held) != 1 || held[0].From != 3 || held[0].Reason != "it's" || held[0].Key != `"(id=\xff)"` || held[0].Since.IsZero() {
			t.Errorf("%+v, %v", held, err)
		}
		tables, err := w.target.Tables(t.Context())
		if err != nil || len(tables) != 1 || !tables[0].Strict || !tables[0].OneLane || tables[0].StrictSeq != 9 || tables[0].Shape != math.MaxUint64 || string(tables[0].Next) != "\x00\xff" || tables[0].RowsCopied != 12 || tables[0].Copied {
			t.Errorf("%+v, %v", tables, err)
		}
		if err := w.target.Relane(t.Context(), w.token, 4); err == nil {
			t.Error("lanes change while a table is held and lanes stand apart")
		}
	})
}

func TestLanesOfAMySQLLedgerChangeWhereAllStand(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		tx := w.tx()
		tx.Lane = apply.AllLanes
		w.must(tx)
		for _, n := range []int{5, 1, 3} {
			if err := w.target.Relane(t.Context(), w.token, n); err != nil {
				t.Fatal(err)
			}
			rows, err := w.target.Ledger(t.Context())
			if err != nil || len(rows) != n || rows[n-1].Seq != 1 || rows[n-1].Lanes != n || rows[n-1].Token != w.token {
				t.Errorf("%+v, %v", rows, err)
			}
		}
		if err := w.target.Relane(t.Context(), w.token-1, 2); !errors.Is(err, apply.ErrRevoked) {
			t.Errorf("with an old token: %v", err)
		}
	})
}

func TestWhatKeepsAMySQLTargetFromBeingFilledIsFound(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.Exec(t, "CREATE TABLE m (id int PRIMARY KEY) ENGINE=MyISAM; CREATE TABLE nokey (id int)")
		setup := []apply.TableSetup{{Source: "s.t", Target: w.shape}}
		for _, name := range []string{"m", "nokey", "gone"} {
			setup = append(setup, apply.TableSetup{Source: "s." + name, Target: &change.Table{Engine: w.shape.Engine, Schema: w.Name, Name: name, Key: []int{0}, Columns: w.shape.Columns[:1]}})
		}
		found, err := w.target.Check(t.Context(), setup)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"target_storage " + w.Name + ".m", "target_shape " + w.Name + ".nokey"} {
			if !slices.ContainsFunc(found, func(f catalog.Finding) bool { return f.Severity == "error" && f.Code+" "+f.Object == want }) {
				t.Errorf("no %s in %+v", want, found)
			}
		}
		if found, err := w.target.CheckCreate(t.Context(), []string{w.Name, w.Name + "_new"}); err != nil || len(found) > 0 {
			t.Errorf("%+v, %v", found, err)
		}
		var left int
		if err := w.DB.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ?", w.Name+"_new").Scan(&left); err != nil || left != 0 {
			t.Errorf("the check left %d databases behind, %v", left, err)
		}
	})
}

// A column that the server sets to the time of every update keeps its value when the source's update does not carry it: what foreign keys do, and images in part, do not.
func TestAnUpdateLeavesAColumnThatTheServerWouldSet(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.Exec(t, "ALTER TABLE t MODIFY n decimal(10,2), ADD at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP")
		w.shape.Columns = append(w.shape.Columns, change.Column{Name: "at", Type: "timestamp", Kind: change.Timestamp})
		with := func(r change.Row, at string) change.Row {
			v := change.Value{}
			if at != "" {
				v = change.Value{Kind: change.Timestamp, B: []byte(at)}
			}
			return append(r, v)
		}
		w.must(w.tx(apply.Step{Op: apply.InsertRows, Exact: true, Rows: []change.Row{with(row(1, "a", "1.50"), "2001-02-03 04:05:06"), with(row(2, "b", "1.50"), "2001-02-03 04:05:06")}}))
		w.must(w.tx(apply.Step{Op: apply.UpdateRows, Exact: true, Keys: []change.Row{with(row(1, "", ""), ""), with(row(2, "", ""), "")}, Rows: []change.Row{with(row(1, "x", ""), ""), with(row(2, "y", ""), "")}},
			apply.Step{Op: apply.RekeyRows, Exact: true, Keys: []change.Row{with(row(2, "", ""), "")}, Rows: []change.Row{with(row(3, "", ""), "")}}))
		var same int
		if err := w.DB.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM t WHERE CONVERT_TZ(at, @@session.time_zone, '+00:00') = '2001-02-03 04:05:06' AND name IN ('x', 'y')").Scan(&same); err != nil || same != 2 {
			t.Errorf("%d of 2 rows kept their time (%v)", same, err)
		}
	})
}
