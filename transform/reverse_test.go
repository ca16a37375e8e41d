package transform

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/change"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

// wayBack writes down what a plan fills from what.
func wayBack(p *Plan) string {
	var b strings.Builder
	for _, t := range p.Tables() {
		fmt.Fprintf(&b, "%s to %s one lane %v\n", t.Source, t.Target, t.OneLane)
		for i, c := range t.Target.Columns {
			from := t.Source.Columns[t.Columns[i].Source]
			fmt.Fprintf(&b, "  %s %s to %s %s\n", from.Name, from.Type.Full, c.Name, c.Type)
		}
		fmt.Fprintf(&b, "  key %v\n", t.Target.Key)
	}
	return b.String()
}

// The way back fills what the way there has read, with the types that it has, and what it will be is known before the target is made.
func TestTheWayBackEndsInTheColumnsThatTheWayThereCameFrom(t *testing.T) {
	tables := source(t, sourceDDL)
	p := compile(t, Rules{Schema: "store"}, tables...)
	planned, err := Reverse(p, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	conn := testdb.Postgres(t, 18).Database(t).Connect(t)
	run(t, conn, p.DDL(Before))
	run(t, conn, p.DDL(After))
	real, err := catalog.Postgres(t.Context(), conn, func(schema, _ string) bool { return schema == "store" })
	if err != nil {
		t.Fatal(err)
	}
	back, err := Reverse(p, real, false)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := wayBack(planned), wayBack(back); a != b {
		t.Errorf("with the tables of the database\n%s\nwithout\n%s", b, a)
	}
	for i, b := range back.Tables() {
		s := tables[i]
		for _, c := range b.Target.Columns {
			at := s.Column(c.Name)
			if at < 0 || s.Columns[at].Generated != "" || !alikeMySQL(c.Type, s.Columns[at].Type.Full) {
				t.Errorf("%s.%s is filled as %s", s, c.Name, c.Type)
			}
		}
		if want := len(s.Columns) - strings.Count(fmt.Sprint(s.Name), "users"); len(b.Target.Columns) != want { // one is generated
			t.Errorf("%s: %d columns of %d are filled", s, len(b.Target.Columns), want)
		}
		if !slices.Equal(keyNames(b.Target), keyNames(s.Shape())) {
			t.Errorf("%s: key %v", s, keyNames(b.Target))
		}
		if b.OneLane != p.Tables()[i].OneLane {
			t.Errorf("%s: one lane is %v, on the way there %v", s, b.OneLane, p.Tables()[i].OneLane)
		}
	}
}

func keyNames(t *change.Table) (out []string) {
	for _, k := range t.Key {
		out = append(out, t.Columns[k].Name)
	}
	return out
}

// A row that goes there and back is what it was.
func TestARowThatGoesThereAndBackIsTheSame(t *testing.T) {
	src := tables("id bigint unsigned", "n int unsigned", "d decimal(10,2)", "w datetime(3)", "m timestamp", "s varchar(20)", "b varbinary(9)", "e enum('a','b')", "f bit(3)", "y year", "t time(2)")
	row := change.Row{change.NewUint(1<<64 - 1), change.NewUint(1<<32 - 1), val(change.Decimal, "-1.50"), val(change.DateTime, "2024-02-29 23:59:59.123"), val(change.Timestamp, "2024-02-29 23:59:59"),
		text("x\ny"), val(change.Bytes, "\x00\xff"), text("b"), val(change.Bits, "101"), change.NewInt(1999), val(change.Time, "-100:00:01.50")}
	for _, engine := range []change.Engine{change.Postgres, change.MySQL, change.MariaDB} {
		p := compile(t, Rules{Engine: engine}, src...)
		back, err := Reverse(p, nil, false)
		if err != nil {
			t.Fatalf("%s: %v", engine, err)
		}
		there, err := p.Mapper().Map(&change.Change{Table: src[0].Shape(), Op: change.Insert, After: row})
		if err != nil || len(there) != 1 || there[0].Op != change.Insert {
			t.Fatalf("%s: %v %v", engine, there, err)
		}
		if len(there[0].After) != len(row) {
			t.Fatalf("%s: %d columns", engine, len(there[0].After))
		}
		shape, arrived := back.Tables()[0].Source.Shape(), there[0].After.Clone()
		for i, v := range arrived { // as it will be read there
			if shape.Columns[i].Kind == change.Decimal {
				arrived[i] = val(change.Decimal, v.String())
			}
		}
		again, err := back.Mapper().Map(&change.Change{Table: shape, Op: change.Insert, After: arrived})
		if err != nil || len(again) != 1 {
			t.Fatalf("%s: back: %v", engine, err)
		}
		if again[0].Op != change.Insert {
			t.Fatalf("%s: back: %s", engine, again[0].Err)
		}
		for i, v := range again[0].After {
			if v.String() != row[i].String() {
				t.Errorf("%s: %s came back as %s %s, it was %s %s", engine, src[0].Columns[i].Name, v.Kind, v, row[i].Kind, row[i])
			}
		}
	}
}

// What the mapping has renamed, dropped and added is undone as far as it can be; a dropped column is not written.
func TestTheWayBackLeavesAloneWhatTheWayThereHasNotTaken(t *testing.T) {
	src := tables("id int", "a int", "old varchar(9) null", "n int")
	p := compile(t, Rules{Tables: []TableRule{{Source: Name{"shop", "t"}, Target: Name{"new", "things"}, Columns: []ColumnRule{
		{Source: "a", Target: "b"}, {Source: "old", Drop: true}, {Target: "twice", Value: "n * 2"}, {Target: "why", Value: "'x'"}}}}}, src...)
	back, err := Reverse(p, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	want := "new.things to shop.t one lane false\n  id integer to id int\n  b integer to a int\n  n integer to n int\n  key [0]\n"
	if got := wayBack(back); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestWhatHasNoWayBackIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		columns []string
		rule    TableRule
		want    string
	}{
		"a dropped column that has to be filled": {[]string{"id int", "a int"}, TableRule{Columns: []ColumnRule{{Source: "a", Drop: true}}}, "shop.t.a: rollback is not possible: no target column takes it over"},
		"a condition":                            {[]string{"id int", "a int"}, TableRule{Where: "a > 1"}, "shop.t: rollback is not possible: it has a condition"},
		"a constant in the key":                  {[]string{"id int"}, TableRule{Columns: []ColumnRule{{Target: "tenant", Value: "'acme'", Key: true}}}, "the constant tenant"},
		"a calculated value":                     {[]string{"id int", "a int"}, TableRule{Columns: []ColumnRule{{Source: "a", Value: "a + 1"}}}, "shop.t.a: rollback is not possible"},
		"a wall clock that became an instant":    {[]string{"id int", "a timestamp"}, TableRule{Columns: []ColumnRule{{Source: "a", As: "timestamp at UTC"}}}, "a datetime has no zone"},
	} {
		t.Run(name, func(t *testing.T) {
			c.rule.Source = Name{"shop", "t"}
			p := compile(t, Rules{Tables: []TableRule{c.rule}}, tables(c.columns...)...)
			if _, err := Reverse(p, nil, false); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
