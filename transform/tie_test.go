package transform

import (
	"slices"
	"strings"
	"testing"

	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/change"
)

func foreignKey(columns, table, ref, onDelete, onUpdate string) catalog.ForeignKey {
	return catalog.ForeignKey{Name: "fk_" + columns, Columns: strings.Split(columns, ","), RefSchema: "shop", RefTable: table, RefColumns: strings.Split(ref, ","), OnDelete: onDelete, OnUpdate: onUpdate}
}

func family() (parent, child, leaf *catalog.Table) {
	parent = table("shop.parent", "id bigint unsigned", "code int null")
	child = table("shop.child", "id int", "parent bigint unsigned null", "note varchar(20) null")
	child.ForeignKeys = []catalog.ForeignKey{foreignKey("parent", "parent", "id", "CASCADE", "SET NULL")}
	child.Indexes = []catalog.Index{{Name: "by_parent", Method: "BTREE", Visible: true, Columns: []catalog.IndexColumn{{Name: "parent"}, {Name: "note"}}},
		{Name: "by_note", Method: "BTREE", Visible: true, Columns: []catalog.IndexColumn{{Name: "note"}}}}
	leaf = table("shop.leaf", "id int", "child int null")
	leaf.ForeignKeys = []catalog.ForeignKey{foreignKey("child", "child", "id", "SET NULL", "RESTRICT")}
	return parent, child, leaf
}

// The tables that cascades tie go through one lane in one group, in the order in which cascades reach them; and the index that finds children is there from the beginning.
func TestForeignKeysThatTheLogDoesNotNameTieTables(t *testing.T) {
	for _, engine := range []change.Engine{change.Postgres, change.MySQL} {
		parent, child, leaf := family()
		alone := table("shop.alone", "id int", "parent bigint unsigned null")
		alone.ForeignKeys = []catalog.ForeignKey{foreignKey("parent", "parent", "id", "RESTRICT", "NO ACTION")}
		p := compile(t, Rules{Engine: engine, Cascades: true}, parent, child, leaf, alone)
		for name, want := range map[string]string{"shop.parent": "shop.child", "shop.child": "shop.child", "shop.leaf": "shop.child", "shop.alone": ""} {
			if got := p.Table(name).Group; got != want {
				t.Errorf("%s to %s is in group %q, want %q", name, engine, got, want)
			}
		}
		ties := p.Table("shop.parent").Ties
		if len(ties) != 1 || ties[0].Child.Source != child || !slices.Equal(ties[0].Columns, []int{1}) || ties[0].OnDelete != "CASCADE" || ties[0].OnUpdate != "SET NULL" {
			t.Errorf("to %s the parent has ties %+v", engine, ties)
		}
		if got := p.CopiedAfter("shop.leaf"); !slices.Equal(got, []string{"shop.child"}) || p.CopiedAfter("shop.child") != nil {
			t.Errorf("to %s leaf is copied after %v, child after %v", engine, got, p.CopiedAfter("shop.child"))
		}
		if got := p.Reached("shop.child"); !slices.Equal(got, []string{"shop.leaf"}) || p.Reached("shop.parent") != nil {
			t.Errorf("to %s cascades reach %v through child", engine, got)
		}
		var early []string
		for _, s := range p.DDL(Before) {
			if s.Kind == IndexStatement {
				early = append(early, s.SQL)
			}
		}
		if len(early) != 1 || !strings.Contains(early[0], "by_parent") {
			t.Errorf("to %s these indexes are made before the rows: %q", engine, early)
		}
		if p = compile(t, Rules{Engine: engine}, parent, child, leaf, alone); p.Table("shop.child").Group != "" || p.Table("shop.parent").Ties != nil {
			t.Errorf("to %s tables are tied although the log names what cascades do", engine)
		}
	}
}

// Tables that refer to each other in a circle wait for no other.
func TestACircleOfForeignKeysHasNoOrder(t *testing.T) {
	a, b := table("shop.a", "id int", "b int null"), table("shop.b", "id int", "a int null")
	a.ForeignKeys = []catalog.ForeignKey{foreignKey("b", "b", "id", "CASCADE", "RESTRICT")}
	b.ForeignKeys = []catalog.ForeignKey{foreignKey("a", "a", "id", "CASCADE", "RESTRICT")}
	tree := table("shop.tree", "id int", "up int null")
	tree.ForeignKeys = []catalog.ForeignKey{foreignKey("up", "tree", "id", "CASCADE", "RESTRICT")}
	p := compile(t, Rules{Cascades: true}, a, b, tree)
	for _, name := range []string{"shop.a", "shop.b", "shop.tree"} {
		if got := p.CopiedAfter(name); got != nil {
			t.Errorf("%s waits for %v", name, got)
		}
	}
}

// What could not be carried out exactly is refused, with the reason.
func TestAForeignKeyThatCannotBeCarriedOutExactlyIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(parent, child *catalog.Table, r *Rules)
		reason string
	}{
		"a parent that is not moved": {func(_, child *catalog.Table, _ *Rules) { child.ForeignKeys[0].RefTable = "other" }, "shop.other is not moved"},
		"not the key":                {func(_, child *catalog.Table, _ *Rules) { child.ForeignKeys[0].RefColumns = []string{"code"} }, "not to the whole key"},
		"SET DEFAULT":                {func(_, child *catalog.Table, _ *Rules) { child.ForeignKeys[0].OnDelete = "SET DEFAULT" }, "SET DEFAULT"},
		"a condition": {func(_, _ *catalog.Table, r *Rules) {
			r.Tables = []TableRule{{Source: Name{"shop", "child"}, Where: "id > 1"}}
		}, "has a condition"},
		"the column dropped": {func(_, _ *catalog.Table, r *Rules) {
			r.Tables = []TableRule{{Source: Name{"shop", "child"}, Columns: []ColumnRule{{Source: "parent", Drop: true}}}}
		}, "is not taken over"},
		"two types": {func(_, _ *catalog.Table, r *Rules) {
			r.Tables = []TableRule{{Source: Name{"shop", "child"}, Columns: []ColumnRule{{Source: "parent", As: "bigint"}}}}
		}, "becomes"},
		"a value made of it": {func(_, _ *catalog.Table, r *Rules) {
			r.Tables = []TableRule{{Source: Name{"shop", "child"}, Columns: []ColumnRule{{Target: "twice", Value: "parent"}}}}
		}, "is made of parent"},
		"a generated column":             {func(_, child *catalog.Table, _ *Rules) { child.Columns[2].Generated = "parent + 1" }, "is generated by the source"},
		"a key that cannot be read back": {func(_, child *catalog.Table, _ *Rules) { child.Columns[0].Type = typ("double") }, "key column id"},
		"text that is equal in two forms": {func(parent, child *catalog.Table, _ *Rules) {
			parent.Columns[0].Type, child.Columns[1].Type = typ("varchar(9)"), typ("varchar(9)")
		}, "texts are equal that the target tells apart"},
	} {
		parent, child, leaf := family()
		leaf.ForeignKeys = nil
		r := Rules{Cascades: true}
		c.change(parent, child, &r)
		found := mistakes(t, r, parent, child, leaf)
		if !slices.ContainsFunc(found, func(f catalog.Finding) bool {
			return strings.Contains(f.Code, "cascade") && strings.Contains(f.Reason, c.reason)
		}) {
			t.Errorf("%s: %+v", name, found)
		}
	}
}
