package mysql

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/crossfade-io/crossfade/apply"
	"github.com/crossfade-io/crossfade/internal/change"
)

// What goes by LOAD DATA is what an INSERT writes, for every kind of value and every byte.
func TestRowsThatAreLoadedAreThoseThatAreInserted(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		const ddl = `CREATE TABLE %s (id int PRIMARY KEY, u bigint unsigned, d decimal(30,10), f float, g double, s varchar(300) COLLATE utf8mb4_bin, l varchar(300) CHARACTER SET latin1, b varbinary(300),
			x longblob, bits bit(64), at datetime(6), day date, span time(6), j json, e enum('a', 'b\'', ''), flags set('x', 'y'), y year, flag tinyint(1))`
		columns := func() []change.Column {
			c := func(name string, k change.Kind) change.Column {
				return change.Column{Name: name, Kind: k, Nullable: true}
			}
			return []change.Column{c("id", change.Int), c("u", change.Uint), c("d", change.Decimal), c("f", change.Float32), c("g", change.Float64), c("s", change.Text), c("l", change.Text), c("b", change.Bytes),
				c("x", change.Bytes), c("bits", change.Bits), c("at", change.DateTime), c("day", change.Date), c("span", change.Time), c("j", change.JSON), c("e", change.Text), c("flags", change.Text), {Name: "y", Type: "YEAR(4)", Kind: change.Int, Nullable: true}, c("flag", change.Bool)}
		}
		text := func(k change.Kind, s string) change.Value { return change.Value{Kind: k, B: []byte(s)} }
		null := change.Value{Kind: change.Null}
		every := make([]byte, 256)
		for i := range every {
			every[i] = byte(i)
		}
		var rows []change.Row
		texts := []string{"", `\N`, `\`, `\\N`, "N", "NULL", "a\tb\nc\rd\x00e\x1af", "'\"`;", "\t", "\n", "é€😀", "  ends with blanks  ", string(every[:128]), "a\\\tb", "\\\n"}
		for i, s := range texts {
			latin := strings.ReplaceAll(s, "😀", "")
			rows = append(rows, change.Row{change.NewInt(int64(i)), change.NewUint(math.MaxUint64 - uint64(i)), text(change.Decimal, fmt.Sprintf("-1234567890123456789.%010d", i)),
				change.NewFloat32([]float32{0, float32(math.Copysign(0, -1)), 1.1, math.MaxFloat32, math.SmallestNonzeroFloat32, 16777217}[i%6]),
				change.NewFloat64([]float64{0, math.Copysign(0, -1), 0.1, math.MaxFloat64, 1e-300, 1.0 / 3}[i%6]), text(change.Text, s), text(change.Text, latin), text(change.Bytes, string(every[i:])), text(change.Bytes, s),
				text(change.Bits, []string{strings.Repeat("1", 64), strings.Repeat("0", 64), strings.Repeat("10", 32)}[i%3]), text(change.DateTime, "2001-02-03 04:05:06.000007"), text(change.Date, []string{"0000-00-00", "2024-02-29"}[i%2]),
				text(change.Time, "-838:59:58.999999"), text(change.JSON, `{"a": "x\\ty\n\u0000", "b": [1.0, null]}`), text(change.Text, []string{"a", "b'", ""}[i%3]), text(change.Text, []string{"", "x,y"}[i%2]), change.NewInt([]int64{1999, 0, 1901, 2155, 2001}[i%5]), change.NewBool(i%2 == 0)})
		}
		nulls := change.Row{change.NewInt(900)}
		for range columns()[1:] {
			nulls = append(nulls, null)
		}
		rows = append(rows, nulls)
		s := w.s.(*session)
		if !s.infile {
			t.Fatal("the server does not take LOAD DATA LOCAL")
		}
		for _, table := range []string{"loaded", "inserted"} {
			w.Exec(t, fmt.Sprintf(ddl, table))
			w.shape = &change.Table{Engine: w.shape.Engine, Schema: w.Name, Name: table, Source: "s.t", Key: []int{0}, Columns: columns()}
			s.infile = table == "loaded"
			w.must(w.tx(apply.Step{Op: apply.CopyRows, Rows: rows}))
		}
		for _, c := range columns() {
			query := "SELECT CONCAT_WS('|', id, COALESCE(HEX(" + c.Name + "), '-'), COALESCE(HEX(CAST(" + c.Name + " AS CHAR)), '-')) FROM "
			loaded, inserted := strings.Split(w.list(query+"loaded ORDER BY id"), "\n"), strings.Split(w.list(query+"inserted ORDER BY id"), "\n")
			if len(loaded) != len(rows) || len(inserted) != len(rows) {
				t.Fatalf("%d rows loaded, %d inserted, of %d", len(loaded), len(inserted), len(rows))
			}
			for i := range loaded {
				if loaded[i] != inserted[i] {
					t.Errorf("%s: loaded %s, inserted %s", c.Name, loaded[i], inserted[i])
				}
			}
		}
	})
}

// A line of a load may be empty: the only column of a row, and an empty text.
func TestARowOfOneEmptyTextIsLoaded(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.Exec(t, "CREATE TABLE lone (k varchar(20) COLLATE utf8mb4_bin PRIMARY KEY)")
		w.shape = &change.Table{Engine: w.shape.Engine, Schema: w.Name, Name: "lone", Source: "s.t", Key: []int{0}, Columns: []change.Column{{Name: "k", Type: "varchar(20)", Kind: change.Text}}}
		for range 2 {
			w.must(w.tx(apply.Step{Op: apply.CopyRows, Rows: []change.Row{{change.NewText("a")}, {change.NewText("")}, {change.NewText("\n")}}}))
		}
		if got := w.list("SELECT COUNT(*) FROM lone"); got != "3" {
			t.Errorf("%s of 3 rows", got)
		}
	})
}

// A row that the server would leave out or change takes the whole load back, and is found by its key; rows that exist are replaced.
func TestALoadThatTheServerWarnsAboutIsTakenBackAndItsRowFound(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		chunk := func(bad change.Row) []change.Row {
			var rows []change.Row
			for i := range int64(50) {
				rows = append(rows, row(i, fmt.Sprint("name ", i), "1.50"))
			}
			rows[20] = bad
			return rows
		}
		w.must(w.tx(apply.Step{Op: apply.CopyRows, Rows: chunk(row(20, "was", "3"))}))
		for name, bad := range map[string]change.Row{"too long": row(20, strings.Repeat("x", 21), "1"), "out of range": row(20, "x", "123456789.00"), "rounded": row(20, "x", "1.005"), "no text": row(20, "\xff\xfe", "1")} {
			w.Exec(t, "DELETE FROM t WHERE id > 40")
			tx := w.tx(apply.Step{Op: apply.CopyRows, Rows: chunk(bad)})
			var refusal *apply.Refusal
			if err := w.s.Apply(t.Context(), tx); !errors.As(err, &refusal) || refusal.Row != -1 {
				t.Errorf("%s: %v", name, err)
			}
			if got := w.list("SELECT CONCAT(COUNT(*), ' ', SUM(name = 'was')) FROM t"); got != "41 1" {
				t.Errorf("%s: the target holds %s", name, got)
			}
			tx.Single = true
			if err := w.s.Apply(t.Context(), tx); !errors.As(err, &refusal) || refusal.Row != 20 {
				t.Errorf("%s, row by row: %v", name, err)
			}
		}
		w.must(w.tx(apply.Step{Op: apply.CopyRows, Rows: chunk(row(20, "new", "3"))}))
		w.Exec(t, "CREATE UNIQUE INDEX u ON t (name)") // from now on rows that exist are deleted first
		w.start()
		w.must(w.tx(apply.Step{Op: apply.CopyRows, Rows: chunk(row(20, "newer", "3"))}))
		if got := w.list("SELECT CONCAT(COUNT(*), ' ', SUM(name = 'newer')) FROM t"); got != "50 1" {
			t.Errorf("the target holds %s", got)
		}
		var refusal *apply.Refusal
		if err := w.s.Apply(t.Context(), w.tx(apply.Step{Op: apply.CopyRows, Rows: chunk(row(20, "name 7", "3"))})); !errors.As(err, &refusal) {
			t.Errorf("a value that must be unique: %v", err)
		}
	})
}

// What an INSERT refuses a chunk refuses too: a NULL for a column that takes none does not become the time of now, and a column that nobody fills does not become empty.
func TestAChunkGetsNoValueThatNobodyHasWritten(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.Exec(t, "ALTER TABLE t MODIFY n timestamp NOT NULL")
		w.start()
		rows := []change.Row{row(1, "a", "NULL"), row(2, "b", "NULL")}
		copyRows := func(rows []change.Row) error {
			return w.s.Apply(t.Context(), w.tx(apply.Step{Shape: w.shape, Op: apply.CopyRows, Rows: rows}))
		}
		var refusal *apply.Refusal
		if err := copyRows(rows); !errors.As(err, &refusal) {
			t.Errorf("a NULL for a column that takes none: %v", err)
		}
		w.holds()
		w.Exec(t, "ALTER TABLE t DROP COLUMN n, ADD COLUMN n decimal(10,2), ADD COLUMN must int NOT NULL")
		w.start()
		rows = []change.Row{row(1, "a", "1.00"), row(2, "b", "2.00")}
		if err := copyRows(rows); !errors.As(err, &refusal) {
			t.Errorf("a column that nobody fills: %v", err)
		}
		w.holds()
	})
}
