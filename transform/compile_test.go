package transform

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/change"
)

func TestDefaultTypes(t *testing.T) {
	for in, want := range map[string]string{
		"tinyint": "smallint int", "tinyint(1)": "smallint int", "tinyint unsigned": "smallint int", "smallint": "smallint int", "smallint unsigned": "integer int",
		"mediumint": "integer int", "mediumint unsigned": "integer int", "int": "integer int", "int unsigned": "bigint int", "bigint": "bigint int",
		"bigint unsigned": "numeric(20,0) int", "year": "smallint int", "decimal(65,30)": "numeric(65,30) decimal", "decimal(10,0)": "numeric(10,0) decimal",
		"float": "real float32", "double": "double precision float64", "char(36)": "character varying(36) text", "varchar(255)": "character varying(255) text",
		"varchar(0)": "text text", "text": "text text", "longtext": "text text", "enum('a','b')": "text text", "set('a','b')": "text text",
		"binary(16)": "bytea bytes", "varbinary(10)": "bytea bytes", "blob": "bytea bytes", "longblob": "bytea bytes", "geometry": "bytea bytes", "point": "bytea bytes",
		"bit(1)": "bit(1) bits", "bit(64)": "bit(64) bits", "date": "date date", "datetime": "timestamp(0) without time zone datetime",
		"datetime(6)": "timestamp(6) without time zone datetime", "timestamp(3)": "timestamp(3) with time zone timestamp", "time(2)": "interval time", "json": "jsonb json",
	} {
		p := compile(t, Rules{}, table("shop.t", "id int", "c "+in))
		c := p.Tables()[0].Target.Columns[1]
		if got := c.Type + " " + c.Kind.String(); got != want {
			t.Errorf("%s becomes %s, want %s", in, got, want)
		}
	}
}

func glob(want string) func(schema, table, column string) bool {
	return func(schema, table, column string) bool { return schema+"."+table+"."+column == want }
}

func TestTheFirstTypeRuleThatMatchesWins(t *testing.T) {
	rules := Rules{Types: []TypeRule{
		{Match: "mysql:datetime", Column: glob("shop.t.utc"), Pattern: "shop.t.utc", As: "timestamptz at UTC"},
		{Match: "mysql:datetime(3)", As: "timestamp(6)"},
		{Match: "mysql:datetime", As: "text"},
		{Match: "mysql:tinyint(1)", As: "bool"},
		{Match: "mysql:bigint unsigned", As: "bigint"},
		{Match: "mysql:binary(16)", As: "uuid"},
		{Match: "mysql:decimal", As: "numeric"},
	}}
	p := compile(t, rules, table("shop.t", "id binary(16)", "utc datetime(2)", "a datetime(3)", "b datetime", "flag tinyint(1)", "tiny tinyint", "big bigint unsigned", "d decimal(10,2)", "n bigint"))
	var got []string
	for _, c := range p.Tables()[0].Target.Columns {
		got = append(got, c.Type)
	}
	want := "uuid|timestamp(2) with time zone|timestamp(6) without time zone|text|boolean|smallint|bigint|numeric(10,2)|bigint"
	if strings.Join(got, "|") != want {
		t.Errorf("types %s\nwant  %s", strings.Join(got, "|"), want)
	}
	if len(p.Findings()) != 0 {
		t.Errorf("findings %v", p.Findings())
	}
}

func TestNamesAndOrder(t *testing.T) {
	rules := Rules{
		Schemas: []SchemaRule{{Source: "shop", Target: "store"}},
		Tables: []TableRule{
			{Source: Name{"shop", "Users"}, Target: Name{"", "Accounts"}, Columns: []ColumnRule{
				{Source: "ID", Target: "account_id"},
				{Target: "tenant_id", Value: "'acme'", Key: true},
				{Source: "Secret", Drop: true},
				{Source: "Name", Target: "first"}, {Source: "Name", Target: "shout", Value: "upper(Name)"},
				{Source: "Score", Value: "Score * 2"},
			}},
		},
	}
	p := compile(t, rules, table("shop.Users", "ID int", "Name varchar(20)", "Secret blob", "Score int null", "Rest int"), table("other.T", "ID int"))
	u := p.Table("shop.Users")
	var got []string
	for _, c := range u.Target.Columns {
		n := ""
		if c.Nullable {
			n = "?"
		}
		got = append(got, c.Name+n)
	}
	if want := "account_id first shout score? rest tenant_id"; strings.Join(got, " ") != want {
		t.Errorf("columns %v, want %s", got, want)
	}
	if u.Target.String() != "store.Accounts" || u.Target.Source != "shop.Users" || !slices.Equal(u.Target.Key, []int{0, 5}) {
		t.Errorf("target %s of %s, key %v", u.Target, u.Target.Source, u.Target.Key)
	}
	if o := p.Table("other.T"); o.Target.String() != "public.t" {
		t.Errorf("target %s", o.Target)
	}
	if k := compile(t, Rules{Identifiers: Keep}, table("shop.Users", "ID int")).Table("shop.Users").Target; k.Name != "Users" || k.Columns[0].Name != "ID" {
		t.Errorf("keep: %s %v", k, k.Columns)
	}
}

func TestAllMistakesAreReportedAtOnceWithARemedy(t *testing.T) {
	long := strings.Repeat("n", 64)
	rules := Rules{
		Identifiers: "upper",
		Schemas:     []SchemaRule{{Source: "sys", Target: "crossfade"}, {Source: "cat", Target: "pg_catalog"}},
		Tables: []TableRule{
			{Source: Name{"shop", "missing"}},
			{Source: Name{"shop", "USERS"}},
			{Source: Name{"shop", "users"}, Where: "age > 'x'", Columns: []ColumnRule{
				{Source: "id", Drop: true},
				{Source: "Nam", Target: "n"},
				{Source: "NAME", Target: "n"},
				{Source: "age", Mask: "hmac"},
				{Source: "born", Target: "email"},
				{Target: "name", Value: "'x'"},
				{Target: "calc", Value: "age + name"},
				{Target: "calc2", Value: "age", As: "monies"},
				{Target: "calc3", Value: "'x'", As: "interval"},
				{Target: "calc4", Value: "nil"},
				{Target: "none"},
				{Source: "blob", Drop: true, Target: "x"},
				{Source: "doc", Target: long},
				{Source: "doc", Target: "ctid"},
				{Source: "sp", As: "timestamp"},
				{Source: "kk", Key: true, Target: "kk"},
				{Target: "k2", Value: "age", Key: true},
			}},
			{Source: Name{"shop", "keys"}, Columns: []ColumnRule{{Source: "a", Value: "a + 1"}, {Source: "b", As: "integer"}}},
			{Source: Name{"shop", "a"}, Target: Name{"public", "same"}},
			{Source: Name{"shop", "b"}, Target: Name{"public", "same"}},
			{Source: Name{"shop", "c"}, Columns: []ColumnRule{{Source: "x", Drop: true}, {Source: "x", Target: "y"}}},
		},
		Types: []TypeRule{
			{Match: "mysql:datetme", As: "text"},
			{Match: "postgres:text", As: "text"},
			{Match: "mysql:datetime", As: "monies", ZeroDate: "never", NUL: "drop"},
			{Match: "mysql:date", ZeroDate: "null"},
			{Match: "mysql:time", As: "bigint"},
			{Match: "mysql:timestamp", As: "timestamp"},
			{Match: "mysql:char", NUL: "strip"},
		},
	}
	keys := table("shop.keys", "a int", "b varchar(10)", "d date", "c char(3)")
	keys.Key = []int{0, 1, 2, 3}
	keyless := table("shop.keyless", "a int")
	keyless.Key = nil
	users := table("shop.users", "id int", "name text", "age int", "born year", "email text", "blob blob", "doc json", "sp datetime", "kk int", "t time", "ts timestamp", "vec vector")
	m := mistakes(t, rules, users, keys, keyless, table("sys.t", "id int"), table("cat.t", "id int"), table("shop.a", "id int"), table("shop.b", "id int"),
		table("shop.c", "id int", "x int"), table("shop."+long, "id int"), table("shop.d", "id int", "Foo int", "foo int", "xmin int"))
	var got []string
	for _, f := range m {
		got = append(got, strings.TrimPrefix(f.Code, "mapping.")+" "+f.Object+": "+f.Reason)
	}
	all := strings.Join(got, "\n")
	for _, want := range []string{
		`identifiers transform.identifiers: "upper"`,
		`unknown_table shop.missing: a rule names this table, which is not among those selected`,
		`unknown_table shop.USERS: a rule names this table, which is not among those selected (there is shop.users)`,
		`where shop.users: where: age > 'x': at character 5: integer and text do not go together`,
		`key_dropped shop.users.id: a key column is dropped`,
		`unknown_column shop.users.Nam: a rule names this column`,
		`unknown_column shop.users.NAME: a rule names this column, which the table does not have (there is name)`,
		`column_rule shop.users.age: mask is not built yet`,
		`collision shop.users.email: it and born both become column "email"`,
		`column_rule shop.users.name: a value for a column that also passes through`,
		`value shop.users.calc: value: age + name: at character 5: + between integer and text`,
		`type shop.users.calc2: as: "monies" is not a type`,
		`value shop.users.calc3: value: 'x': text cannot become interval`,
		`value shop.users.calc4: value: nil: a value of type nil`,
		`column_rule shop.users.none: a rule has target only`,
		`column_rule shop.users.blob: drop stands beside`,
		`name shop.users.doc: its target name "` + long + `" has 64 bytes`,
		`name shop.users.doc: "ctid" is the name of a system column`,
		`key shop.users.kk: key: true on a column of the source`,
		`key shop.users.k2: key: true on a value that is not a constant`,
		`type shop.users.vec: its type vector cannot be moved`,
		`cast shop.users.t: time as bigint: a time cannot become bigint`,
		`cast shop.users.ts: timestamp as timestamp(0) without time zone: a timestamp is an instant`,
		`value shop.keys.a: value: a + 1: a key column is calculated`,
		`key_cast shop.keys.b: it is part of the key, and as integer different keys could become one`,
		`key_policy shop.keys.d: it is part of the key, and by "zero_date: null" different keys could become one`,
		`key_policy shop.keys.c: it is part of the key, and by "nul: strip" different keys could become one`,
		`no_key shop.keyless: it has neither a primary key nor a unique key`,
		`schema sys.t: its target schema "crossfade" is crossfade's own`,
		`schema cat.t: its target schema "pg_catalog" is the server's own`,
		`collision shop.b: it and shop.a both become public.same`,
		`column_rule shop.c.x: it is dropped and has another rule`,
		`name shop.` + long + `: its target name`,
		`collision shop.d.foo: it and Foo both become column "foo"`,
		`name shop.d.xmin: "xmin" is the name of a system column`,
		`type_rule transform.types mysql:datetme: "mysql:datetme" is not a type of MySQL`,
		`type_rule transform.types postgres:text: "postgres:text" is not a type of MySQL`,
		`type transform.types mysql:datetime: as: "monies" is not a type`,
		`zero_date transform.types mysql:datetime: zero_date "never" is neither`,
		`nul transform.types mysql:datetime: nul "drop" is neither`,
	} {
		if !strings.Contains(all, want) {
			t.Errorf("no mistake %q", want)
		}
	}
	if t.Failed() {
		t.Log("\n" + all)
	}
	if text := m.Error(); !strings.Contains(text, fmt.Sprintf("%d mistakes", len(m))) || !strings.Contains(text, m[0].Remedy) {
		t.Errorf("as an error: %s", text)
	}
}

func TestDatetimeBecomesAnInstantOnlyWhenUTCIsDeclared(t *testing.T) {
	m := mistakes(t, Rules{Types: []TypeRule{{Match: "mysql:datetime", As: "timestamptz"}}}, table("shop.t", "id int", "d datetime"))
	if len(m) != 1 || !strings.Contains(m[0].Reason, `"as: timestamptz at UTC"`) {
		t.Errorf("%v", m)
	}
	p := compile(t, Rules{Types: []TypeRule{{Match: "mysql:datetime", As: "timestamptz at UTC"}, {Match: "mysql:timestamp", As: "timestamp(6) at utc"}}}, table("shop.t", "id int", "d datetime(3)", "ts timestamp"))
	out, ok, err := p.Mapper().Row(p.Tables()[0], change.Row{change.NewInt(1), val(change.DateTime, "2024-01-31 10:00:00.123"), val(change.Timestamp, "2024-01-31 10:00:00")})
	if err != nil || !ok || out[1].Kind != change.Timestamp || out[1].String() != "2024-01-31 10:00:00.123" || out[2].Kind != change.DateTime || out[2].String() != "2024-01-31 10:00:00.000000" {
		t.Errorf("%v %v %v", out, ok, err)
	}
}

func TestLanesAndOrderFollowTheKey(t *testing.T) {
	for key, want := range map[string]string{
		"int": "hash order", "bigint unsigned": "hash order", "year": "hash order", "binary(16)": "hash order", "varbinary(20)": "hash order", "date": "hash order",
		"datetime(3)": "lane order", "timestamp": "lane order", "decimal(10,2)": "lane order", "double": "lane order", "time": "lane order", "bit(3)": "lane order",
		"varchar(10)": "lane", "char(3)": "lane", "enum('a')": "lane",
	} {
		tab := compile(t, Rules{}, table("shop.t", "k "+key, "v int")).Tables()[0]
		got := "lane"
		if tab.KeyHashable {
			got = "hash"
		}
		if tab.KeyHashable == tab.OneLane {
			t.Errorf("%s: hashable %v, one lane %v", key, tab.KeyHashable, tab.OneLane)
		}
		if tab.Ordered {
			got += " order"
		}
		if got != want {
			t.Errorf("a key of type %s: %s, want %s", key, got, want)
		}
	}
	s := table("shop.t", "k int", "v int")
	s.Indexes = []catalog.Index{{Name: "u", Unique: true, Method: "BTREE", Visible: true, Columns: []catalog.IndexColumn{{Name: "v"}}}}
	if tab := compile(t, Rules{}, s).Tables()[0]; !tab.Unique || !tab.OneLane || !tab.KeyHashable {
		t.Errorf("with a unique index: %+v", tab)
	}
	s.Indexes[0].Columns = []catalog.IndexColumn{{Name: "v"}, {Name: "k"}}
	if tab := compile(t, Rules{}, s).Tables()[0]; tab.Unique || tab.OneLane {
		t.Errorf("with a unique index that the key implies: %+v", tab)
	}
}

func TestNullDatesMakeANotNullColumnNullableWithAWarning(t *testing.T) {
	p := compile(t, Rules{Types: []TypeRule{{Match: "mysql:datetime", ZeroDate: "null"}}}, table("shop.t", "id int", "d datetime", "e datetime null"))
	cols := p.Tables()[0].Target.Columns
	if !cols[1].Nullable || !cols[2].Nullable {
		t.Errorf("%v", cols)
	}
	if f := p.Findings(); len(f) != 1 || f[0].Object != "shop.t.d" || f[0].Severity != catalog.Warning {
		t.Errorf("findings %v", f)
	}
	if l := p.Lossy(); len(l) != 2 || l[0] != (Lossy{Table: "shop.t", Column: "d", Rule: "zero_date: null"}) {
		t.Errorf("lossy %v", l)
	}
}

func TestAnUnusedTypeRuleIsAWarning(t *testing.T) {
	p := compile(t, Rules{Types: []TypeRule{{Match: "mysql:datetime", As: "text", Pattern: "shop.*.created"}}}, table("shop.t", "id int"))
	if f := p.Findings(); len(f) != 1 || f[0].Code != "mapping.type_rule_unused" || !strings.Contains(f[0].Object, "shop.*.created") {
		t.Errorf("findings %v", f)
	}
}

func TestShapeDependsOnTheRulesOnly(t *testing.T) {
	rules := Rules{Tables: []TableRule{{Source: Name{"shop", "t"}, Columns: []ColumnRule{{Target: "x", Value: "id + 1"}}}}}
	a := compile(t, rules, table("shop.t", "id int", "v json")).Tables()[0].Target
	b := compile(t, rules, table("shop.t", "id int", "v json")).Tables()[0].Target
	if a.ID() != b.ID() || a == b {
		t.Error("the same rules give another shape")
	}
}

// The new image of an update in MariaDB's log does not have the new value of a generated column: what reads it is refused, wherever it reads it.
func TestAGeneratedColumnOfMariaDBIsReadByNothing(t *testing.T) {
	of := func(engine change.Engine, rule TableRule) string {
		s := table("shop.t", "id int", "a int", "g int")
		s.Engine, s.Columns[2].Generated = engine, "a + 1"
		rule.Source = Name{"shop", "t"}
		if _, err := Compile(Rules{Tables: []TableRule{rule}}, []*catalog.Table{s}); err != nil {
			return err.Error()
		}
		return ""
	}
	drop := ColumnRule{Source: "g", Drop: true}
	for name, c := range map[string]struct {
		rule    TableRule
		refused bool
	}{
		"taken over": {TableRule{}, true},
		"dropped":    {TableRule{Columns: []ColumnRule{drop}}, false},
		"in a value": {TableRule{Columns: []ColumnRule{{Source: "g", Target: "h", Value: "g * 2"}}}, true},
		"in another": {TableRule{Columns: []ColumnRule{drop, {Target: "h", Value: "a * 2 + g"}}}, true},
		"in where":   {TableRule{Where: "g > 3", Columns: []ColumnRule{drop}}, true},
		"recomputed": {TableRule{Columns: []ColumnRule{drop, {Target: "h", Value: "a + 1"}}}, false},
	} {
		if got := of(change.MariaDB, c.rule); strings.Contains(got, "shop.t.g: it is generated") != c.refused || !c.refused && got != "" {
			t.Errorf("%s: %q", name, got)
		}
		if got := of(change.MySQL, c.rule); got != "" {
			t.Errorf("%s on MySQL: %s", name, got)
		}
	}
}
