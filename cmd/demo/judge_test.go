package main

import (
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-io/crossfade/internal/control"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

// printedItem is an item as a database prints it.
func printedItem(order, line, version int, quantity string) []string {
	return []string{strconv.Itoa(order), strconv.Itoa(line), "00112233445566778899aabbccddeeff", quantity, "1.50", "3.00", "1", strconv.Itoa(version)}
}

// asRows gives rows as a database does: every one in the memory of the one before. Afterwards comes err.
func asRows(t table, err error, list ...[]string) iter.Seq2[row, error] {
	return func(yield func(row, error) bool) {
		texts := make([][]byte, len(printed[t]))
		for _, r := range list {
			for i, s := range r {
				texts[i] = append(texts[i][:0], s...)
			}
			if r, err := newRow(t, texts); !yield(r, err) {
				return
			}
		}
		if err != nil {
			yield(row{}, err)
		}
	}
}

type list = [][]string

func TestTheJudgeFindsWhatDiffersAndWhatIsLost(t *testing.T) {
	item := printedItem
	one, gone := itemKey(1, 1), state{gone: true}
	for name, test := range map[string]struct {
		old, fresh        list
		ledger            ledger
		equal, since      int64
		differences, lost int64
		example           string
	}{
		"nothing wrong":           {old: list{item(1, 1, 1, "2"), item(1, 2, 1, "2"), item(2, 1, 1, "2")}, fresh: list{item(1, 1, 1, "2"), item(1, 2, 1, "2"), item(2, 1, 1, "2")}, equal: 3},
		"a value":                 {old: list{item(1, 1, 1, "2")}, fresh: list{item(1, 1, 1, "3")}, differences: 1, example: `items 1 line 1: quantity is "2" in MySQL, "3" in PostgreSQL`},
		"a missing row":           {old: list{item(1, 1, 1, "2"), item(1, 2, 1, "2"), item(1, 3, 1, "2")}, fresh: list{item(1, 1, 1, "2"), item(1, 3, 1, "2")}, equal: 2, differences: 1, example: "items 1 line 2 is missing"},
		"the last row is missing": {old: list{item(1, 1, 1, "2"), item(9, 1, 1, "2")}, fresh: list{item(1, 1, 1, "2")}, equal: 1, differences: 1},
		"all rows are missing":    {old: list{item(1, 1, 1, "2"), item(9, 1, 1, "2")}, differences: 2},
		"a row too many":          {old: list{item(2, 1, 1, "2")}, fresh: list{item(1, 1, 1, "2"), item(2, 1, 1, "2")}, equal: 1, differences: 1, example: "items 1 line 1 is in PostgreSQL only"},

		"as acknowledged": {old: list{item(1, 1, 3, "2")}, fresh: list{item(1, 1, 3, "2")}, ledger: ledger{one: {now: state{version: 3}}}, equal: 1},
		"an older state than acknowledged, in both": {old: list{item(1, 1, 2, "2")}, fresh: list{item(1, 1, 2, "2")}, ledger: ledger{one: {now: state{version: 3}}}, equal: 1, lost: 1,
			example: "lost: items 1 line 1, acknowledged version 3, found version 2"},
		"a newer state than acknowledged": {old: list{item(1, 1, 4, "2")}, fresh: list{item(1, 1, 4, "2")}, ledger: ledger{one: {now: state{version: 3}}}, equal: 1, lost: 1},
		"an insert is lost, in both":      {ledger: ledger{one: {now: state{version: 1}}}, lost: 1, example: "found deleted"},
		"a deletion is lost":              {old: list{item(1, 1, 1, "2")}, fresh: list{item(1, 1, 1, "2")}, ledger: ledger{one: {now: gone}}, equal: 1, lost: 1},
		"a deletion":                      {ledger: ledger{one: {now: gone}}},

		"since the switch":           {old: list{item(1, 1, 1, "2")}, fresh: list{item(1, 1, 2, "3")}, ledger: ledger{one: {now: state{version: 2}, onTarget: true}}, since: 1},
		"since the switch, and lost": {old: list{item(1, 1, 1, "2")}, fresh: list{item(1, 1, 1, "2")}, ledger: ledger{one: {now: state{version: 2}, onTarget: true}}, since: 1, lost: 1},
		"inserted since":             {fresh: list{item(1, 1, 1, "2")}, ledger: ledger{one: {now: state{version: 1}, onTarget: true}}, since: 1},
		"inserted since, and lost":   {ledger: ledger{one: {now: state{version: 1}, onTarget: true}}, since: 1, lost: 1},
		"deleted since":              {old: list{item(1, 1, 1, "2")}, ledger: ledger{one: {now: gone, onTarget: true}}, since: 1},
		"deleted since, and back":    {old: list{item(1, 1, 1, "2")}, fresh: list{item(1, 1, 1, "2")}, ledger: ledger{one: {now: gone, onTarget: true}}, since: 1, lost: 1},
		"of another table":           {ledger: ledger{numbered(orders, 1): {now: state{version: 1}}}},

		"in doubt, did not happen": {old: list{item(1, 1, 1, "2")}, fresh: list{item(1, 1, 1, "2")}, ledger: ledger{one: {now: state{version: 1}, maybe: &state{version: 2}}}, equal: 1},
		"in doubt, happened":       {old: list{item(1, 1, 2, "2")}, fresh: list{item(1, 1, 2, "2")}, ledger: ledger{one: {now: state{version: 1}, maybe: &state{version: 2}}}, equal: 1},
		"in doubt, neither":        {old: list{item(1, 1, 3, "2")}, fresh: list{item(1, 1, 3, "2")}, ledger: ledger{one: {now: state{version: 1}, maybe: &state{version: 2}}}, equal: 1, lost: 1},
	} {
		t.Run(name, func(t *testing.T) {
			var v verdict
			if err := v.compare(items, asRows(items, nil, test.old...), asRows(items, nil, test.fresh...), test.ledger); err != nil {
				t.Fatal(err)
			}
			got := [4]int64{v.equal.Load(), v.since.Load(), v.differences.Load(), v.lost.Load()}
			if want := [4]int64{test.equal, test.since, test.differences, test.lost}; got != want {
				t.Errorf("equal, since, differences, lost: %v, want %v", got, want)
			}
			if text := strings.Join(v.examples, "\n"); !strings.Contains(text, test.example) || (text == "") != (test.differences+test.lost == 0) {
				t.Errorf("examples %q, want %q", text, test.example)
			}
		})
	}
}

func TestTheJudgeGivesNoVerdictOnRowsThatItCannotRead(t *testing.T) {
	good := list{printedItem(1, 1, 1, "2"), printedItem(2, 1, 1, "2")}
	broken := errors.New("connection lost")
	for name, test := range map[string]struct {
		rows iter.Seq2[row, error]
		want string
	}{
		"an error at the end": {asRows(items, broken, good...), "connection lost"},
		"an error at once":    {asRows(items, broken), "connection lost"},
		"out of order":        {asRows(items, nil, good[1], good[0]), "items 1 line 1 comes after items 2 line 1"},
		"a row twice":         {asRows(items, nil, good[0], good[0]), "comes after"},
		"no key":              {asRows(items, nil, printedItem(1, -1, 1, "2")), "key of a row of items"},
		"no version":          {asRows(items, nil, printedItem(1, 1, -1, "2")), "version of a row of items"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, sides := range [][2]iter.Seq2[row, error]{{test.rows, asRows(items, nil, good...)}, {asRows(items, nil, good...), test.rows}, {test.rows, asRows(items, nil)}} {
				var v verdict
				if err := v.compare(items, sides[0], sides[1], nil); err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("error %v, want %q", err, test.want)
				}
			}
		})
	}
}

func TestTheJudgeSeesEveryColumnOfBothDatabases(t *testing.T) {
	old, fresh := testdb.MySQL(t).Database(t), testdb.Postgres(t, postgresMajor).Database(t)
	for _, s := range shopSchema {
		old.Exec(t, s)
	}
	for name, columns := range printed {
		var list []string
		for _, c := range columns {
			list = append(list, c.name+" text")
		}
		fresh.Exec(t, "CREATE TABLE "+table(name).String()+" ("+strings.Join(list, ", ")+")")
	}
	conn := fresh.Connect(t)
	if err := whole(t.Context(), old.DB, conn); err != nil {
		t.Fatal(err)
	}
	for _, change := range []struct {
		exec       func(t testing.TB, query string, args ...any)
		make, undo string
	}{
		{old.Exec, "ALTER TABLE items ADD unseen int", "ALTER TABLE items DROP unseen"},
		{fresh.Exec, "ALTER TABLE items ADD unseen int", "ALTER TABLE items DROP unseen"},
		{old.Exec, "CREATE TABLE unseen (id int)", "DROP TABLE unseen"},
		{fresh.Exec, "CREATE TABLE unseen (id int)", "DROP TABLE unseen"},
		{fresh.Exec, "ALTER TABLE items RENAME gift TO present", "ALTER TABLE items RENAME present TO gift"},
	} {
		change.exec(t, change.make)
		if err := whole(t.Context(), old.DB, conn); err == nil {
			t.Errorf("%s: not seen", change.make)
		}
		change.exec(t, change.undo)
	}
}

func TestKeysAreReadInTheOrderOfTheDatabases(t *testing.T) {
	small := "00000000000000000000000000000001"
	for _, pair := range [][2]struct {
		t     table
		texts []string
	}{
		{{orders, []string{"9"}}, {orders, []string{"10"}}},
		{{orders, []string{"255"}}, {orders, []string{"18446744073709551615"}}},
		{{items, []string{"9", "2"}}, {items, []string{"9", "10"}}},
		{{items, []string{"9", "3"}}, {items, []string{"10", "1"}}},
		{{products, []string{small}}, {products, []string{"80000000000000000000000000000000"}}},
	} {
		var keys [2]rowKey
		for i, p := range pair {
			var texts [][]byte
			for _, s := range append(p.texts, "1") {
				texts = append(texts, []byte(s))
			}
			r, err := newRow(p.t, texts)
			if err != nil {
				t.Fatal(err)
			}
			keys[i] = r.key
		}
		if keys[0].compare(keys[1]) >= 0 || keys[1].compare(keys[0]) <= 0 || keys[0].compare(keys[0]) != 0 {
			t.Errorf("%s is not before %s", keys[0], keys[1])
		}
	}
}

func TestValuesAreComparedAsTheyArePrinted(t *testing.T) {
	for _, test := range []struct {
		c     column
		a, b  string
		equal bool
	}{
		{same("price"), "1.50", "1.5", false},
		{same("name"), "a", "a ", false},
		{double("rate"), "0.00001", "1e-05", true},
		{double("rate"), "0.1", "0.10000000000000002", false},
		{double("rate"), "", "", false}, // not a number
	} {
		if got := test.c.equal([]byte(test.a), []byte(test.b)); got != test.equal {
			t.Errorf("%s: %q and %q: %v", test.c.name, test.a, test.b, got)
		}
		if test.c.equal(nil, []byte(test.b)) || test.c.equal([]byte(test.a), nil) || !test.c.equal(nil, nil) {
			t.Errorf("%s: NULL equals NULL only", test.c.name)
		}
	}
}

// concluded is the end of a demo that went well, with something changed.
func concluded(change func(*demo)) (string, error) {
	var out strings.Builder
	d := &demo{screen: newScreen(&out), app: &application{sales: newTimeline()}, report: report{Verdict: "completed", WritePauseMS: 120, PredictedPauseMS: 150}}
	d.rate = 100
	d.status.Store(&control.Status{Tables: []control.TableStatus{{RowsCopied: 1234, Inserted: 7, Updated: 5, Deleted: 3}}})
	d.app.sales.note(source)
	d.app.sales.note(target)
	d.verdict.equal.Add(1000)
	change(d)
	err := d.conclude(time.Minute)
	return out.String(), err
}

func TestTheDemoFailsWhenAnyProofFails(t *testing.T) {
	out, err := concluded(func(*demo) {})
	if err != nil || !strings.Contains(out, "MOVED: nothing is lost, nothing differs.") || strings.Contains(out, "✗") {
		t.Fatalf("error %v though nothing is wrong:\n%s", err, out)
	}
	for name, change := range map[string]func(*demo){
		"cutover":                  func(d *demo) { d.report.Verdict = "aborted" },
		"differences":              func(d *demo) { d.verdict.differences.Add(1) },
		"acknowledged writes lost": func(d *demo) { d.verdict.lost.Add(1) },
		"old database":             func(d *demo) { d.verdict.accepted = []string{"update of orders"} },
	} {
		out, err := concluded(change)
		if !errors.Is(err, errVerdict) || strings.Contains(out, "MOVED") || !strings.Contains(out, "✗ "+name) || strings.Count(out, "✗ "+name) != strings.Count(out, "✗")-1 {
			t.Errorf("%s: error %v:\n%s", name, err, out)
		}
	}
}

func TestTheScreenKeepsItsPlace(t *testing.T) {
	line := (&brush{colour: true}).paint(green, "━━━") + "äöü"
	for wide, want := range map[int]string{6: line, 9: line, 4: "\x1b[32m━━━\x1b[mä\x1b[m", 2: "\x1b[32m━━\x1b[m"} {
		if got := clip(line, wide); got != want {
			t.Errorf("clip to %d: %q, want %q", wide, got, want)
		}
	}
}

func TestThePictureFitsAnOrdinaryTerminal(t *testing.T) {
	d := &demo{app: &application{sales: newTimeline()}}
	d.rate = 300
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "judge"} {
		d.scenes = append(d.scenes, &scene{name: name})
	}
	d.scenes[0].begin()
	d.scenes[0].advance(1, 0)
	d.open.Store(true)
	var s control.Status
	for _, n := range tableNames {
		s.Tables = append(s.Tables, control.TableStatus{Source: "shop." + n, RowsCopied: 999_999, Inserted: 99_999, Updated: 99_999, Deleted: 99_999, RowsVerified: 999_999})
	}
	d.status.Store(&s)
	lines := d.picture(&brush{wide: 80})
	if len(lines) > 23 {
		t.Errorf("%d lines on a terminal that has 24", len(lines))
	}
	for _, l := range lines {
		if l != clip(l, 79) {
			t.Errorf("too wide: %q", l)
		}
	}
}

func TestAnySaleIsSeenInAPlot(t *testing.T) {
	bins := []bin{{}, {old: 1}, {fresh: 50}, {old: 100}, {old: 1000}}
	if got, want := fmt.Sprintf("%q", columns(&brush{}, bins, 2, 100)), `["   ██" " ▁███"]`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
