package catalog

import (
	"encoding/json"
	"testing"

	"github.com/crossfade-io/crossfade/internal/change"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

func readMySQL(t *testing.T, d *testdb.MySQLDB) []*Table {
	t.Helper()
	tables, err := MySQL(t.Context(), d.DB, func(schema, _ string) bool { return schema == d.Name })
	if err != nil {
		t.Fatal(err)
	}
	return tables
}

func TestMySQLColumnsAreReadWhole(t *testing.T) {
	d := testdb.MySQL(t).Database(t)
	d.Exec(t, `CREATE TABLE everything (
		id bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY COMMENT 'the ''key''',
		small smallint(5) unsigned zerofill,
		tiny1 tinyint(1) NOT NULL DEFAULT 1,
		v varchar(10) CHARACTER SET latin1 DEFAULT 'it''s',
		e enum('a','b,c','d''q','ü','') DEFAULT 'b,c',
		s set('x','y y','it''s unsigned'),
		b bit(5) DEFAULT b'101',
		bn binary(4) DEFAULT 'ab',
		vb varbinary(10) DEFAULT 0x00ff,
		nothing varbinary(10) DEFAULT '',
		dt datetime(3) DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3),
		ex int DEFAULT (1+2),
		quoted varchar(99) DEFAULT ('a\'b\\c\nd'),
		slashes varchar(99) DEFAULT 'a''b\\c',
		inv int INVISIBLE DEFAULT 7,
		g int GENERATED ALWAYS AS (ex*2) VIRTUAL,
		gs varchar(20) AS (concat(v, '\'x')) STORED,
		dc decimal(65,30) DEFAULT 1.5,
		f float, d double(10,2), y year, j json, tx mediumtext, geo point SRID 4326, ts timestamp(6) NULL, tm time(2), da date
	) COMMENT 'hi ''there'`)
	table := find(t, readMySQL(t, d), "everything")
	for _, want := range []Column{
		{Name: "id", Type: Type{Name: "bigint", Full: "bigint unsigned", Unsigned: true, Precision: 20}, AutoIncrement: true, Comment: "the 'key'"},
		{Name: "small", Type: Type{Name: "smallint", Full: "smallint(5) unsigned zerofill", Unsigned: true, Precision: 5}, Nullable: true},
		{Name: "tiny1", Type: Type{Name: "tinyint", Full: "tinyint(1)", Precision: 3}, Default: text("1")},
		{Name: "v", Type: Type{Name: "varchar", Full: "varchar(10)", Length: 10, Charset: "latin1", Collation: "latin1_swedish_ci"}, Nullable: true, Default: text("it's")},
		{Name: "e", Type: Type{Name: "enum", Full: "enum('a','b,c','d''q','ü','')", Length: 3, Labels: []string{"a", "b,c", "d'q", "ü", ""},
			Charset: "utf8mb4", Collation: "utf8mb4_0900_ai_ci"}, Nullable: true, Default: text("b,c")},
		{Name: "s", Type: Type{Name: "set", Full: "set('x','y y','it''s unsigned')", Length: 19, Labels: []string{"x", "y y", "it's unsigned"},
			Charset: "utf8mb4", Collation: "utf8mb4_0900_ai_ci"}, Nullable: true},
		{Name: "b", Type: Type{Name: "bit", Full: "bit(5)", Length: 5}, Nullable: true, Default: text("b'101'")},
		{Name: "bn", Type: Type{Name: "binary", Full: "binary(4)", Length: 4}, Nullable: true, Default: text("0x61620000")},
		{Name: "vb", Type: Type{Name: "varbinary", Full: "varbinary(10)", Length: 10}, Nullable: true, Default: text("0x00ff")},
		{Name: "nothing", Type: Type{Name: "varbinary", Full: "varbinary(10)", Length: 10}, Nullable: true, Default: text("0x")},
		{Name: "dt", Type: Type{Name: "datetime", Full: "datetime(3)", Fraction: 3}, Nullable: true, Default: text("CURRENT_TIMESTAMP(3)"), DefaultIsExpr: true, OnUpdateNow: true},
		{Name: "ex", Type: Type{Name: "int", Full: "int", Precision: 10}, Nullable: true, Default: text("(1 + 2)"), DefaultIsExpr: true},
		{Name: "quoted", Type: Type{Name: "varchar", Full: "varchar(99)", Length: 99, Charset: "utf8mb4", Collation: "utf8mb4_0900_ai_ci"}, Nullable: true,
			Default: text(`_utf8mb4'a\'b\\c\nd'`), DefaultIsExpr: true},
		{Name: "slashes", Type: Type{Name: "varchar", Full: "varchar(99)", Length: 99, Charset: "utf8mb4", Collation: "utf8mb4_0900_ai_ci"}, Nullable: true, Default: text(`a'b\c`)},
		{Name: "inv", Type: Type{Name: "int", Full: "int", Precision: 10}, Nullable: true, Default: text("7"), Invisible: true},
		{Name: "g", Type: Type{Name: "int", Full: "int", Precision: 10}, Nullable: true, Generated: "(`ex` * 2)"},
		{Name: "gs", Type: Type{Name: "varchar", Full: "varchar(20)", Length: 20, Charset: "utf8mb4", Collation: "utf8mb4_0900_ai_ci"}, Nullable: true,
			Generated: "concat(`v`,_utf8mb4'\\'x')", GeneratedStored: true},
		{Name: "dc", Type: Type{Name: "decimal", Full: "decimal(65,30)", Precision: 65, Scale: 30}, Nullable: true, Default: text("1.500000000000000000000000000000")},
		{Name: "d", Type: Type{Name: "double", Full: "double(10,2)", Precision: 10, Scale: 2}, Nullable: true},
		{Name: "tx", Type: Type{Name: "mediumtext", Full: "mediumtext", Length: 16777215, Charset: "utf8mb4", Collation: "utf8mb4_0900_ai_ci"}, Nullable: true},
		{Name: "ts", Type: Type{Name: "timestamp", Full: "timestamp(6)", Fraction: 6}, Nullable: true},
		{Name: "tm", Type: Type{Name: "time", Full: "time(2)", Fraction: 2}, Nullable: true},
	} {
		equal(t, want.Name, column(t, table, want.Name), want)
	}
	if len(table.Columns) != 27 || table.Columns[14].Name != "inv" {
		t.Errorf("%d columns, the 15th is %s: invisible ones must stand in their place", len(table.Columns), table.Columns[14].Name)
	}
	if table.Comment != "hi 'there" || table.Storage != "InnoDB" || table.Charset != "utf8mb4" || table.AutoIncrement != 1 {
		t.Errorf("table: %+v", table)
	}
}

func TestMySQLKeysIndexesAndConstraintsAreRead(t *testing.T) {
	d := testdb.MySQL(t).Database(t)
	d.Exec(t, `CREATE TABLE parent (id int NOT NULL AUTO_INCREMENT PRIMARY KEY, a int, t varchar(50), tx text,
			KEY pre (t(3)), KEY fx ((a+1)), KEY ds (a DESC, t), FULLTEXT KEY ft (tx), UNIQUE KEY hidden (a) INVISIBLE,
			CONSTRAINT lax CHECK (a < 100) NOT ENFORCED, CONSTRAINT quote CHECK (t <> 'it''s'));
		CREATE TABLE child (a int NOT NULL, p int, q int,
			CONSTRAINT c1 FOREIGN KEY (p) REFERENCES parent (id) ON DELETE CASCADE ON UPDATE SET NULL);
		CREATE TRIGGER second BEFORE UPDATE ON child FOR EACH ROW SET NEW.a = NEW.a;
		CREATE TRIGGER first BEFORE INSERT ON child FOR EACH ROW SET NEW.a = NEW.a;
		CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY HASH (id) PARTITIONS 3;
		CREATE VIEW v AS SELECT 1;
		INSERT INTO parent (id) VALUES (41)`)
	tables := readMySQL(t, d)
	if len(tables) != 3 {
		t.Errorf("tables %v, want three: views are none", tables)
	}
	parent, child := find(t, tables, "parent"), find(t, tables, "child")
	equal(t, "indexes", parent.Indexes, []Index{
		{Name: "PRIMARY", Unique: true, Primary: true, Columns: []IndexColumn{{Name: "id"}}, Method: "BTREE", Visible: true},
		{Name: "ds", Columns: []IndexColumn{{Name: "a", Desc: true}, {Name: "t"}}, Method: "BTREE", Visible: true},
		{Name: "ft", Columns: []IndexColumn{{Name: "tx"}}, Method: "FULLTEXT", Visible: true},
		{Name: "fx", Columns: []IndexColumn{{Expr: "(`a` + 1)"}}, Method: "BTREE", Visible: true},
		{Name: "hidden", Unique: true, Columns: []IndexColumn{{Name: "a"}}, Method: "BTREE"},
		{Name: "pre", Columns: []IndexColumn{{Name: "t", Prefix: 3}}, Method: "BTREE", Visible: true},
	})
	equal(t, "checks", parent.Checks, []Check{{Name: "lax", Expr: "(`a` < 100)"}, {Name: "quote", Expr: `(` + "`t`" + ` <> _utf8mb4'it\'s')`, Enforced: true}})
	equal(t, "foreign keys", child.ForeignKeys, []ForeignKey{{Name: "c1", Columns: []string{"p"}, RefSchema: d.Name, RefTable: "parent", RefColumns: []string{"id"},
		OnDelete: "CASCADE", OnUpdate: "SET NULL"}})
	equal(t, "triggers", child.Triggers, []string{"first", "second"})
	if parent.AutoIncrement != 42 {
		t.Errorf("next auto_increment %d, want 42: it must not come from cached statistics", parent.AutoIncrement)
	}
	if !find(t, tables, "parts").Partitioned || parent.Partitioned {
		t.Error("partitioned tables are not told apart")
	}
}

func TestMySQLKeyIsThePrimaryElseAWholeUniqueOne(t *testing.T) {
	d := testdb.MySQL(t).Database(t)
	for _, c := range []struct {
		name, ddl string
		key       []string
	}{
		{"pk", "b int NOT NULL, a int NOT NULL, u int NOT NULL UNIQUE, PRIMARY KEY (b, a)", []string{"b", "a"}},
		{"none", "a int, KEY (a)", nil},
		{"nullable", "a int UNIQUE", nil},
		{"prefix", "a varchar(50) NOT NULL, UNIQUE (a(10))", nil},
		{"expr", "a int NOT NULL, UNIQUE ((a+1))", nil},
		{"uniq", "a int NOT NULL, b int NOT NULL, UNIQUE k (b, a)", []string{"b", "a"}},
		{"shortest", "a int NOT NULL, b int NOT NULL, UNIQUE k1 (a, b), UNIQUE k2 (b)", []string{"b"}},
		{"binaryfirst", "a varchar(9) NOT NULL, b int NOT NULL, c int NOT NULL, UNIQUE k1 (a), UNIQUE k2 (b, c)", []string{"b", "c"}},
		{"onlytext", "a varchar(9) NOT NULL, UNIQUE (a)", []string{"a"}},
		{"invisible", "a int NOT NULL, b int NOT NULL, UNIQUE k1 (a), UNIQUE k2 (b) INVISIBLE", []string{"a"}},
	} {
		d.Exec(t, "CREATE TABLE "+c.name+" ("+c.ddl+")")
		table := find(t, readMySQL(t, d), c.name)
		equal(t, c.name, names(table.Key, table), c.key)
		if table.KeyIsPrimary != (c.name == "pk") {
			t.Errorf("%s: key is primary: %t", c.name, table.KeyIsPrimary)
		}
	}
}

func TestMySQLOnlyMatchingTablesAreRead(t *testing.T) {
	d := testdb.MySQL(t).Database(t)
	d.Exec(t, "CREATE TABLE yes (id int PRIMARY KEY, o int, FOREIGN KEY (o) REFERENCES yes (id)); CREATE TABLE no (id int PRIMARY KEY, CHECK (id > 0))")
	tables, err := MySQL(t.Context(), d.DB, func(schema, table string) bool { return schema == d.Name && table == "yes" })
	if err != nil {
		t.Fatal(err)
	}
	if len(tables) != 1 || tables[0].String() != d.Name+".yes" {
		t.Errorf("read %v", tables)
	}
}

func TestTableKeepsItsShapeThroughJSON(t *testing.T) {
	d := testdb.MySQL(t).Database(t)
	d.Exec(t, `CREATE TABLE kinds (a bigint unsigned PRIMARY KEY, b float, c double, d decimal(5,2), e varchar(3), f blob, g bit(9), h date, i datetime, j time,
		k timestamp NULL, l json, m year, n enum('x'), o geometry, p vector(3))`)
	table := find(t, readMySQL(t, d), "kinds")
	shape := table.Shape()
	want := []change.Kind{change.Int, change.Float32, change.Float64, change.Decimal, change.Text, change.Bytes, change.Bits, change.Date, change.DateTime,
		change.Time, change.Timestamp, change.JSON, change.Int, change.Text, change.Bytes, change.Absent}
	for i, c := range shape.Columns {
		if c.Kind != want[i] {
			t.Errorf("%s (%s) has kind %s, want %s", c.Name, c.Type, c.Kind, want[i])
		}
	}
	if _, ok := table.Columns[15].Type.Kind(table.Engine); ok {
		t.Error("vector has a canonical form: nobody decodes it")
	}
	b, err := json.Marshal(table)
	if err != nil {
		t.Fatal(err)
	}
	var back Table
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if back.Shape().ID() != shape.ID() || table.Shape() != shape {
		t.Error("the shape changed")
	}
}

func TestLabelsAreReadWithTheirQuotes(t *testing.T) {
	for full, want := range map[string][]string{
		`enum('a')`:             {"a"},
		`enum('','''',',',')')`: {"", "'", ",", ")"},
		`set('a\','b')`:         {`a\`, "b"},
	} {
		got, err := parseLabels(full)
		if err != nil {
			t.Errorf("%s: %v", full, err)
		}
		equal(t, full, got, want)
	}
	for _, bad := range []string{"enum", "enum(", "enum('a'", "enum('a'x)", "enum('a"} {
		if got, err := parseLabels(bad); err == nil {
			t.Errorf("%s read as %v", bad, got)
		}
	}
}
