package transform

import (
	"math"
	"strings"
	"testing"

	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/change"
)

// pgTable makes a table of PostgreSQL; a column is "name type [null]". The first is the key.
func pgTable(name string, columns ...string) *catalog.Table {
	schema, name, _ := strings.Cut(name, ".")
	t := &catalog.Table{Engine: change.Postgres, Schema: schema, Name: name, Key: []int{0}, KeyName: name + "_pkey", KeyIsPrimary: true}
	for _, text := range columns {
		c := catalog.Column{}
		c.Name, text, _ = strings.Cut(text, " ")
		text, c.Nullable = strings.CutSuffix(text, " null")
		c.Type = pgCatalogType(text)
		t.Columns = append(t.Columns, c)
	}
	return t
}

func pgCatalogType(full string) catalog.Type {
	t := catalog.Type{Name: full, Full: full}
	i, j := strings.IndexByte(full, '('), strings.IndexByte(full, ')')
	var a, b int
	if i > 0 {
		t.Name = full[:i] + full[j+1:]
		mods := strings.Split(full[i+1:j], ",")
		a = atoi(mods[0])
		if len(mods) > 1 {
			b = atoi(mods[1])
		}
	}
	switch t.Name {
	case "numeric":
		t.Precision, t.Scale = a, b
	case "character", "character varying", "bit", "bit varying":
		t.Length = a
	case "timestamp without time zone", "timestamp with time zone", "time without time zone":
		if t.Fraction = 6; i > 0 {
			t.Fraction = a
		}
	}
	return t
}

func atoi(s string) (n int) {
	for _, c := range s {
		n = 10*n + int(c-'0')
	}
	return n
}

func TestDefaultTypesOfPostgresInMySQL(t *testing.T) {
	for in, want := range map[string]string{
		"smallint": "smallint int", "integer": "int int", "bigint": "bigint int", "numeric(10,2)": "decimal(10,2) decimal", "numeric": "decimal(65,30) decimal",
		"numeric(80,40)": "decimal(65,30) decimal", "real": "float float32", "double precision": "double float64", "boolean": "tinyint(1) int", "character varying(20)": "varchar(20) text",
		"character varying(5000)": "longtext text", "character(6)": "char(6) text", "text": "longtext text", "bytea": "longblob bytes", "date": "date date",
		"timestamp(3) without time zone": "datetime(3) datetime", "timestamp without time zone": "datetime(6) datetime", "timestamp with time zone": "datetime(6) datetime",
		"time without time zone": "time(6) time", "interval": "longtext text", "bit(8)": "bit(8) bits", "bit varying(8)": "longtext text", "jsonb": "json json", "uuid": "char(36) text",
		"integer[]": "longtext text", "int4range": "longtext text", "inet": "longtext text", "shop.thing": "longtext text",
	} {
		p := compile(t, Rules{Engine: change.MySQL}, pgTable("shop.t", "id integer", "c "+in))
		c := p.Tables()[0].Target.Columns[1]
		if got := c.Type + " " + c.Kind.String(); got != want {
			t.Errorf("%s becomes %s, want %s", in, got, want)
		}
	}
	p := compile(t, Rules{Engine: change.MariaDB}, pgTable("shop.t", "id text", "c jsonb"))
	if c := p.Tables()[0].Target.Columns; c[0].Type != "varchar(700)" || c[1].Type != "longtext" || c[1].Kind != change.JSON {
		t.Errorf("on MariaDB: %+v", c)
	}
}

// mapped is the value that a column of the type has in the target, or why its row is refused.
func mapped(t *testing.T, engine change.Engine, column, as string, v change.Value) (change.Value, string) {
	t.Helper()
	rules := Rules{Engine: engine}
	if as != "" {
		rules.Tables = []TableRule{{Source: Name{"shop", "t"}, Columns: []ColumnRule{{Source: "c", As: as}}}}
	}
	p := compile(t, rules, pgTable("shop.t", "id integer", "c "+column+" null"))
	m := p.Mapper()
	out, err := m.Map(&change.Change{Table: p.Tables()[0].Source.Shape(), Op: change.Insert, After: change.Row{change.NewInt(1), v}})
	if err != nil {
		t.Fatal(err)
	}
	if out[0].Op == change.Refused {
		return change.Value{}, out[0].Err
	}
	return out[0].After[1].Clone(), ""
}

func TestWhatMySQLCannotHoldIsRefusedAndTheRestIsExact(t *testing.T) {
	of := func(k change.Kind, s string) change.Value { return change.Value{Kind: k, B: []byte(s)} }
	for _, c := range []struct {
		column, as string
		in         change.Value
		want       string // the value, or with a ! words of the refusal
	}{
		{"numeric", "", of(change.Decimal, "NaN"), "!not a decimal number"},
		{"numeric", "", of(change.Decimal, "-1.50"), "-1.500000000000000000000000000000"},
		{"numeric", "", of(change.Decimal, "1e"), "!not a decimal number"},
		{"numeric", "", of(change.Decimal, strings.Repeat("9", 36)), "!does not fit"},
		{"numeric(10,2)", "", of(change.Decimal, "12.30"), "12.30"},
		{"double precision", "", change.NewFloat64(math.NaN()), "!which MySQL does not have"},
		{"double precision", "", change.NewFloat64(math.Inf(-1)), "!which MySQL does not have"},
		{"double precision", "", change.NewFloat64(1e300), "1e+300"},
		{"real", "", change.NewFloat32(0.1), "0.1"},
		{"boolean", "", change.NewBool(true), "1"},
		{"date", "", of(change.Date, "infinity"), "!outside the years"},
		{"date", "", of(change.Date, "0044-03-15 BC"), "!outside the years"},
		{"date", "", of(change.Date, "10000-01-01"), "!outside the years"},
		{"date", "", of(change.Date, "2024-02-29"), "2024-02-29"},
		{"timestamp without time zone", "", of(change.DateTime, "2024-02-29 10:00:00.5"), "2024-02-29 10:00:00.500000"},
		{"timestamp with time zone", "", of(change.Timestamp, "2124-02-29 10:00:00"), "2124-02-29 10:00:00.000000"},
		{"timestamp with time zone", "timestamp(6)", of(change.Timestamp, "2124-02-29 10:00:00"), "!outside the years"},
		{"timestamp with time zone", "timestamp(6)", of(change.Timestamp, "2024-02-29 10:00:00"), "2024-02-29 10:00:00.000000"},
		{"timestamp with time zone", "datetime(0)", of(change.Timestamp, "2024-02-29 10:00:00.25"), "!more than the 0 digits"},
		{"time without time zone", "", of(change.Time, "24:00:00"), "24:00:00.000000"},
		{"integer", "tinyint", change.NewInt(128), "!does not fit into tinyint"},
		{"integer", "tinyint unsigned", change.NewInt(255), "255"},
		{"integer", "bigint unsigned", change.NewInt(-1), "!does not fit"},
		{"text", "varchar(3)", of(change.Text, "äöü"), "äöü"},
		{"text", "varchar(3)", of(change.Text, "äöüß"), "!4 characters do not fit"},
		{"text", "char(5)", of(change.Text, "ab "), "!blanks at the end"},
		{"character(5)", "", of(change.Text, "ab   "), "ab"},
		{"text", "enum('a','b')", of(change.Text, "c"), "!is no label"},
		{"text", "tinytext", of(change.Text, strings.Repeat("x", 256)), "!256 bytes do not fit"},
		{"bytea", "binary(4)", of(change.Bytes, "abc"), "!fills them up"},
		{"bytea", "varbinary(2)", of(change.Bytes, "abc"), "!3 bytes do not fit"},
		{"jsonb", "", of(change.JSON, `{"a": 18446744073709551615, "b": -0.1e3, "c": "1e999"}`), `{"a": 18446744073709551615, "b": -0.1e3, "c": "1e999"}`},
		{"jsonb", "", of(change.JSON, `{"a": 18446744073709551616000001}`), "!MySQL would change it"},
		{"jsonb", "", of(change.JSON, `[0.12345678901234567890123]`), "!MySQL would change it"},
		{"jsonb", "longtext", of(change.JSON, `[0.12345678901234567890123]`), `[0.12345678901234567890123]`},
		{"interval", "time(0)", of(change.Text, "-838:59:59"), "-838:59:59"},
		{"interval", "time(0)", of(change.Text, "1 day 00:00:00"), "!has days or months"},
		{"interval", "", of(change.Text, "1 year 2 mons 3 days"), "1 year 2 mons 3 days"},
	} {
		v, refused := mapped(t, change.MySQL, c.column, c.as, c.in)
		words, want := strings.CutPrefix(c.want, "!")
		switch {
		case want && !strings.Contains(refused, words):
			t.Errorf("%s as %q of %s: %q %s, want a refusal with %q", c.column, c.as, c.in, v, refused, words)
		case !want && (refused != "" || v.String() != c.want):
			t.Errorf("%s as %q of %s: %q %s, want %q", c.column, c.as, c.in, v, refused, c.want)
		}
	}
}

func TestTypesOfMySQLAreReadAsPeopleWriteThem(t *testing.T) {
	for in, want := range map[string]string{
		"INT": "int", "integer": "int", "BIGINT UNSIGNED": "bigint unsigned", "int(11)": "int", "int(10) unsigned": "int unsigned", "tinyint(1)": "tinyint(1)", "bool": "tinyint(1)",
		"decimal": "decimal(10,0)", "numeric(12, 2)": "decimal(12,2)", "varchar(20)": "varchar(20)", "char": "char(1)", "datetime": "datetime", "datetime(6)": "datetime(6)", "double precision": "double",
		"enum('A','b''c')": "enum('A','b''c')", "bit": "bit(1)", "int(6) unsigned zerofill": "int unsigned", "json": "json",
	} {
		if got, err := parseMySQL(in); err != nil || got.Full != want {
			t.Errorf("%s is %q, %v; want %q", in, got.Full, err, want)
		}
	}
	for _, in := range []string{"", "varchar", "integer[]", "decimal(66,2)", "decimal(10,31)", "datetime(7)", "bit(65)", "enum()", "enum('a", "enum(a)", "int(x)", "uuidd"} {
		if got, err := parseMySQL(in); err == nil {
			t.Errorf("%q is %s", in, got.Full)
		}
	}
}

func TestStatementsOfAMySQLTarget(t *testing.T) {
	s := pgTable("shop.orders", "id bigint", "customer integer", "note text null", "code character varying(20)", "at timestamp(3) with time zone")
	s.Columns[0].AutoIncrement, s.Comment = true, "it's"
	now, code := "now()", "'it''s'::character varying"
	s.Columns[4].Default, s.Columns[4].DefaultIsExpr, s.Columns[3].Default, s.Columns[3].DefaultIsExpr = &now, true, &code, true
	s.Indexes = []catalog.Index{
		{Name: "orders_code_key", Unique: true, Method: "btree", Columns: []catalog.IndexColumn{{Name: "code"}}},
		{Name: "by_note", Method: "btree", Columns: []catalog.IndexColumn{{Name: "note"}}},
		{Name: "some", Method: "btree", Where: "note IS NULL", Columns: []catalog.IndexColumn{{Name: "code"}}},
	}
	customers := pgTable("shop.customers", "id integer")
	s.ForeignKeys = []catalog.ForeignKey{{Name: "fk", Columns: []string{"customer"}, RefSchema: "shop", RefTable: "customers", RefColumns: []string{"id"}, OnDelete: "CASCADE", OnUpdate: "NO ACTION"}}
	p := compile(t, Rules{Engine: change.MySQL, Schema: "shop2"}, s, customers)
	var all []string
	for _, phase := range []Phase{Before, After} {
		for _, st := range p.DDL(phase) {
			all = append(all, st.SQL)
		}
	}
	got := strings.Join(all, "\n")
	for _, want := range []string{
		"CREATE DATABASE IF NOT EXISTS `shop2`",
		"`id` bigint NOT NULL AUTO_INCREMENT",
		"`code` varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin NOT NULL DEFAULT 'it''s'",
		"`at` datetime(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3)",
		"PRIMARY KEY (`id`)",
		"ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin COMMENT='it''s'",
		"CREATE UNIQUE INDEX `orders_code_key` ON `shop2`.`orders` (`code`)",
		"CREATE INDEX `by_note` ON `shop2`.`orders` (`note`)",
		"ALTER TABLE `shop2`.`orders` ADD CONSTRAINT `fk` FOREIGN KEY (`customer`) REFERENCES `shop2`.`customers` (`id`) ON DELETE CASCADE",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
	if strings.Contains(got, "some") {
		t.Errorf("a partial index is built: %s", got)
	}
	var codes []string
	for _, f := range p.Findings() {
		codes = append(codes, f.Code+" "+f.Object)
	}
	if len(codes) != 1 || codes[0] != "mapping.index shop.orders.some" {
		t.Errorf("findings %v", codes)
	}
	if len(p.DDL(Undo)) == 0 || !p.Tables()[0].OneLane {
		t.Error("no way back, or a table with a unique index in many lanes")
	}
}

func TestAConstraintCheckedAtCommitIsRefusedForMySQL(t *testing.T) {
	s := pgTable("shop.t", "id integer", "pos integer")
	s.Indexes = []catalog.Index{{Name: "u", Unique: true, Deferrable: true, Method: "btree", Columns: []catalog.IndexColumn{{Name: "pos"}}}}
	if _, err := Compile(Rules{Engine: change.MySQL}, []*catalog.Table{s}); err == nil || !strings.Contains(err.Error(), "shop.t.u: it is checked at commit") {
		t.Errorf("%v", err)
	}
	p := compile(t, Rules{}, s)
	if len(p.Findings()) != 1 || p.Tables()[0].Unique {
		t.Errorf("to PostgreSQL: %+v, unique %v", p.Findings(), p.Tables()[0].Unique)
	}
}

func TestPostgresStaysPostgres(t *testing.T) {
	s := pgTable("shop.Users", "Id uuid", "mood shop.mood null", "tags text[]", "n numeric(12,-2)", "g integer", "at timestamp(3) with time zone")
	s.Columns[1].Type.Labels = []string{"happy", "it's"}
	s.Columns[4].Generated = "(n * 2)"
	def, fn := "'happy'::shop.mood", "shop.next_tag()"
	s.Columns[1].Default, s.Columns[1].DefaultIsExpr, s.Columns[2].Default, s.Columns[2].DefaultIsExpr = &def, true, &fn, true
	s.Checks = []catalog.Check{{Name: "ok", Expr: "(n > (0)::numeric)", Enforced: true}, {Name: "theirs", Expr: "shop.good(n)", Enforced: true}, {Name: "loose", Expr: "(n < 5)"}}
	s.Indexes = []catalog.Index{
		{Name: "Users_lower", Unique: true, Method: "btree", Columns: []catalog.IndexColumn{{Expr: "lower(tags::text)"}}, Def: "btree (lower((tags)::text)) WHERE (n > (0)::numeric)", Where: "x"},
		{Name: "swap", Unique: true, Deferrable: true, Method: "btree", Columns: []catalog.IndexColumn{{Name: "n"}}, Def: "btree (n)"},
	}
	p := compile(t, Rules{Schema: "public"}, s)
	var all []string
	for _, phase := range []Phase{Before, After} {
		for _, st := range p.DDL(phase) {
			all = append(all, st.SQL)
		}
	}
	got := strings.Join(all, "\n")
	for _, want := range []string{
		"CREATE TYPE public.mood AS ENUM ('happy', 'it''s')", `"Id" uuid NOT NULL`, `"mood" public.mood DEFAULT 'happy'`, `"tags" text[] NOT NULL`, `"n" numeric(12,-2) NOT NULL`,
		`"g" integer GENERATED ALWAYS AS ((n * 2)) STORED`, `CREATE UNIQUE INDEX IF NOT EXISTS "Users_lower" ON "public"."Users" USING btree (lower((tags)::text)) WHERE (n > (0)::numeric)`,
		`ADD CONSTRAINT "ok" CHECK ((n > (0)::numeric)) NOT VALID`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
	for _, no := range []string{"next_tag", "good(", "loose", "swap"} {
		if strings.Contains(got, no) {
			t.Errorf("%s in\n%s", no, got)
		}
	}
	table := p.Tables()[0]
	if !table.KeyHashable || !table.Unique || len(table.Target.Columns) != 5 || len(p.Findings()) != 4 {
		t.Errorf("hashable %v, unique %v, columns %v, findings %+v", table.KeyHashable, table.Unique, table.Target.Columns, p.Findings())
	}
}
