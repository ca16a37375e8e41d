package transform

import (
	"strings"
	"testing"

	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/change"
)

func sequenceOf(schema, name string) catalog.Sequence {
	return catalog.Sequence{Schema: schema, Name: name, Text: schema + "." + name, Type: "bigint", Start: 1, Increment: 1, Min: 1, Max: 1<<63 - 1, Cache: 1}
}

// A sequence that no column owns is made where the tables of its schema go, before the tables, and defaults take their numbers from it there.
func TestSequencesThatNoColumnOwnsAreMadeWithWhatTheyAre(t *testing.T) {
	used, called, theirs := sequenceOf("shop", "used"), sequenceOf("shop", "Called"), "nextval('other.theirs'::regclass)"
	used.Text, used.Used = "shop.used", true
	called.Text, called.Type, called.Increment, called.Min, called.Max, called.Start, called.Cache, called.Cycle = `shop."Called"`, "integer", -2, -9, 8, 7, 3, true
	s := pgTable("shop.t", "id bigint", "code text", "n bigint", "x bigint")
	for i, def := range []string{"nextval('shop.used'::regclass)", `('c'::text || nextval('shop."Called"'::regclass))`, "nextval('shop.used'::regclass)", theirs} {
		s.Columns[i].Default, s.Columns[i].DefaultIsExpr = &def, true
	}
	p := compile(t, Rules{Schemas: []SchemaRule{{"shop", "store"}}, Sequences: []catalog.Sequence{used, called}}, s)
	var before, undo []string
	for _, st := range p.DDL(Before) {
		before = append(before, st.SQL)
	}
	for _, st := range p.DDL(Undo) {
		undo = append(undo, st.SQL)
	}
	got := strings.Join(before, "\n")
	at := 0
	for _, want := range []string{
		`CREATE SCHEMA IF NOT EXISTS "store"`,
		`CREATE SEQUENCE IF NOT EXISTS "store"."used" AS bigint INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1 NO CYCLE`,
		`CREATE SEQUENCE IF NOT EXISTS "store"."Called" AS integer INCREMENT BY -2 MINVALUE -9 MAXVALUE 8 START WITH 7 CACHE 3 CYCLE`,
		`"id" bigint DEFAULT nextval('"store"."used"') NOT NULL`, `"code" text DEFAULT ('c'::text || nextval('"store"."Called"')) NOT NULL`, `"n" bigint DEFAULT nextval('"store"."used"') NOT NULL`, `"x" bigint NOT NULL`,
	} {
		i := strings.Index(got[at:], want)
		if i < 0 {
			t.Fatalf("no %s there in\n%s", want, got)
		}
		at += i
	}
	if end := strings.Join(undo[len(undo)-2:], ";"); end != `DROP SEQUENCE IF EXISTS "store"."used";DROP SEQUENCE IF EXISTS "store"."Called"` {
		t.Errorf("undo %v", undo)
	}
	found := map[string]string{}
	for _, f := range p.Findings() {
		found[f.Object] = f.Reason
	}
	if len(found) != 2 || !strings.Contains(found["shop.Called"], "CYCLE") || !strings.Contains(found["shop.t.x"], theirs) {
		t.Errorf("findings %v", p.Findings())
	}
	if all := p.Sequences(); len(all) != 2 || all[1].Target != (Name{"store", "Called"}) || all[1].Source.Increment != -2 {
		t.Errorf("%+v", all)
	}
	if m := mistakes(t, Rules{Sequences: []catalog.Sequence{sequenceOf("shop", "t")}, Tables: []TableRule{{Source: Name{"shop", "u"}, Target: Name{"shop", "t"}}}}, pgTable("shop.u", "id bigint")); len(m) != 1 || m[0].Object != "shop.t" {
		t.Errorf("%+v", m)
	}
}

// Nothing of MySQL goes on with them: that is said once, where the default that needs one is, or else for the sequence.
func TestASequenceThatNothingInMySQLGoesOnWithIsNamed(t *testing.T) {
	used := sequenceOf("shop", "used")
	used.Used = true
	s := pgTable("shop.t", "id bigint")
	def := "nextval('shop.used'::regclass)"
	s.Columns[0].Default, s.Columns[0].DefaultIsExpr = &def, true
	for _, engine := range []change.Engine{change.MySQL, change.MariaDB} {
		p := compile(t, Rules{Engine: engine, Sequences: []catalog.Sequence{used, sequenceOf("shop", "called")}}, s)
		var objects []string
		for _, f := range p.Findings() {
			if f.Severity == catalog.Warning {
				objects = append(objects, f.Object)
			}
		}
		if strings.Join(objects, " ") != "shop.t.id shop.called" || len(p.Sequences()) != 0 {
			t.Errorf("%s: %v", engine, p.Findings())
		}
	}
}

// Sequences of MariaDB are not moved, so a default that uses one is not either.
func TestADefaultOfASequenceOfMariaDBIsLeftOut(t *testing.T) {
	s := table("shop.t", "id bigint", "n bigint")
	s.Engine = change.MariaDB
	def := "nextval(`shop`.`s`)"
	s.Columns[1].Default, s.Columns[1].DefaultIsExpr = &def, true
	for _, engine := range []change.Engine{change.MariaDB, change.MySQL, change.Postgres} {
		p := compile(t, Rules{Engine: engine}, s)
		for _, st := range p.DDL(Before) {
			if strings.Contains(st.SQL, "nextval") {
				t.Errorf("%s: %s", engine, st.SQL)
			}
		}
		if f := p.Findings(); len(f) != 1 || f[0].Object != "shop.t.n" || !strings.Contains(f[0].Reason, def) {
			t.Errorf("%s: %v", engine, f)
		}
	}
}
