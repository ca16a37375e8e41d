package transform

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/crossfade-io/crossfade/internal/catalog"
)

func ptr(s string) *string { return &s }

// shop is a schema with what a source can have.
func shop() []*catalog.Table {
	users := table("shop.Users", "id bigint unsigned auto", "Email varchar(255)", "status enum('new','it''s','')", "kind enum('a','b') null", "score decimal(10,2)", "bio text null",
		"token binary(4)", "created datetime(3)", "updated timestamp", "born date null", "flags bit(4)", "active tinyint(1)", "ratio double", "doc json null", "initial char(1) null", "span time", "up varchar(300)")
	users.Comment = `People, "as they are"; it's \ all`
	set := func(t *catalog.Table, column string, f func(c *catalog.Column)) {
		for i := range t.Columns {
			if t.Columns[i].Name == column {
				f(&t.Columns[i])
			}
		}
	}
	def := func(t *catalog.Table, column, value string, expr bool) {
		set(t, column, func(c *catalog.Column) { c.Default, c.DefaultIsExpr = ptr(value), expr })
	}
	set(users, "status", func(c *catalog.Column) { c.Type.Labels = []string{"new", "it's", ""} })
	set(users, "Email", func(c *catalog.Column) { c.Comment = "unique" })
	set(users, "updated", func(c *catalog.Column) { c.OnUpdateNow = true })
	set(users, "up", func(c *catalog.Column) { c.Generated, c.GeneratedStored = "upper(`Email`)", true })
	def(users, "status", "new", false)
	def(users, "score", "1.5", false)
	def(users, "token", "0x61", false)
	def(users, "created", "CURRENT_TIMESTAMP(3)", true)
	def(users, "updated", "CURRENT_TIMESTAMP", true)
	def(users, "born", "0000-00-00", false)
	def(users, "flags", "b'101'", false)
	def(users, "active", "1", false)
	def(users, "ratio", "0.5", false)
	def(users, "doc", "json_object()", true)
	def(users, "initial", "x", false)
	def(users, "span", "-01:00:00", false)
	users.Indexes = []catalog.Index{
		{Name: "PRIMARY", Unique: true, Primary: true, Method: "BTREE", Visible: true, Columns: []catalog.IndexColumn{{Name: "id"}}},
		{Name: "email", Unique: true, Method: "BTREE", Visible: true, Columns: []catalog.IndexColumn{{Name: "Email"}}},
		{Name: "users_bio", Method: "BTREE", Visible: true, Columns: []catalog.IndexColumn{{Name: "bio", Prefix: 10}, {Name: "score", Desc: true}}},
		{Name: "tok", Unique: true, Method: "HASH", Visible: true, Columns: []catalog.IndexColumn{{Name: "token", Prefix: 2}, {Name: "born"}}},
		{Name: "words", Method: "FULLTEXT", Visible: true, Columns: []catalog.IndexColumn{{Name: "bio"}}},
		{Name: "low", Unique: true, Method: "BTREE", Visible: true, Columns: []catalog.IndexColumn{{Expr: "lower(`Email`)"}}},
	}
	users.Checks = []catalog.Check{{Name: "positive", Expr: "(`score` > 0)", Enforced: true}}
	users.Triggers = []string{"audit"}

	orders := table("shop.orders", "id int auto", "user_id bigint unsigned null", "email varchar(255) null", "ref binary(16)", "legacy_id int null", "note varchar(20)")
	def(orders, "note", "concat('a','b')", true)
	def(orders, "ref", "uuid_to_bin(uuid())", true)
	orders.ForeignKeys = []catalog.ForeignKey{
		{Name: "fk_user", Columns: []string{"user_id"}, RefSchema: "shop", RefTable: "Users", RefColumns: []string{"id"}, OnDelete: "CASCADE", OnUpdate: "NO ACTION"},
		{Name: "fk_email", Columns: []string{"email"}, RefSchema: "shop", RefTable: "Users", RefColumns: []string{"Email"}, OnDelete: "SET NULL", OnUpdate: "CASCADE"},
		{Name: "fk_legacy", Columns: []string{"legacy_id"}, RefSchema: "old", RefTable: "legacy", RefColumns: []string{"id"}, OnDelete: "NO ACTION", OnUpdate: "NO ACTION"},
		{Name: "fk_note", Columns: []string{"email"}, RefSchema: "shop", RefTable: "Users", RefColumns: []string{"up"}, OnDelete: "NO ACTION", OnUpdate: "NO ACTION"},
	}
	orders.Indexes = []catalog.Index{
		{Name: "PRIMARY", Unique: true, Primary: true, Method: "BTREE", Visible: true, Columns: []catalog.IndexColumn{{Name: "id"}}},
		{Name: strings.Repeat("n", 60), Method: "BTREE", Visible: true, Columns: []catalog.IndexColumn{{Name: "note"}}},
	}
	clash := table("shop.orders_id_seq", "id int", "at datetime null")
	def(clash, "at", "2024-01-31 10:00:00", false)
	return []*catalog.Table{users, orders, clash}
}

func shopRules() Rules {
	return Rules{
		Schema: "store",
		Tables: []TableRule{{Source: Name{"shop", "orders"}, Columns: []ColumnRule{{Target: "tenant", Value: "'acme'"}, {Source: "ref", As: "uuid"}}}},
		Types:  []TypeRule{{Match: "mysql:tinyint(1)", As: "boolean"}, {Match: "mysql:date", ZeroDate: "null"}},
	}
}

func TestGoldenDDL(t *testing.T) {
	p := compile(t, shopRules(), shop()...)
	var b strings.Builder
	for phase, name := range []string{"before", "after", "undo"} {
		fmt.Fprintf(&b, "-- %s\n\n", name)
		for _, s := range p.DDL(Phase(phase)) {
			fmt.Fprintf(&b, "-- %s %s %s\n%s;\n\n", s.Kind, s.Object, s.Table, s.SQL)
		}
	}
	golden(t, "ddl.sql", b.String())
	b.Reset()
	for _, f := range p.Findings() {
		fmt.Fprintf(&b, "%s %s %s\n  %s\n  %s\n", f.Severity, f.Code, f.Object, f.Reason, f.Remedy)
	}
	golden(t, "findings.txt", b.String())
}

// golden compares with a file of testdata, which CROSSFADE_UPDATE=1 writes.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got == string(want) {
		return
	}
	g, w := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range max(len(g), len(w)) {
		if i >= len(g) || i >= len(w) || g[i] != w[i] {
			t.Fatalf("%s differs from line %d on (CROSSFADE_UPDATE=1 go test writes it):\n%s", name, i+1, strings.Join(g[i:min(i+5, len(g))], "\n"))
		}
	}
}

func TestForeignKeysOfTwoTypesAreAMistake(t *testing.T) {
	parent, child := table("shop.p", "id bigint unsigned"), table("shop.c", "id int", "p_id bigint unsigned")
	child.ForeignKeys = []catalog.ForeignKey{{Name: "fk", Columns: []string{"p_id"}, RefSchema: "shop", RefTable: "p", RefColumns: []string{"id"}}}
	m := mistakes(t, Rules{Types: []TypeRule{{Match: "mysql:bigint unsigned", Column: glob("shop.p.id"), As: "bigint"}}}, parent, child)
	if len(m) != 1 || m[0].Object != "shop.c.fk" || !strings.Contains(m[0].Reason, "p_id is numeric(20,0), shop.p.id is bigint") {
		t.Errorf("%v", m)
	}
}

func TestNamesThatAreDerivedFitAndDiffer(t *testing.T) {
	n := namespace{"a": true}
	seen := map[string]bool{"a": true}
	for i := range 50 {
		name := n.take(strings.Repeat("é", 40), fmt.Sprint("from ", i))
		if len(name) > 63 || seen[name] || strings.ContainsRune(name, '\uFFFD') {
			t.Fatalf("%q, %d bytes", name, len(name))
		}
		seen[name] = true
	}
	if got := n.take("a", "x"); !strings.HasPrefix(got, "a_") || len(got) != 10 {
		t.Errorf("%q", got)
	}
	if got := n.take("b", "x"); got != "b" {
		t.Errorf("%q", got)
	}
	if a, b := (namespace{"a": true}).take("a", "x"), (namespace{"a": true}).take("a", "x"); a != b {
		t.Errorf("%q and %q", a, b)
	}
}
