package catalog

import (
	"testing"

	"github.com/crossfade-io/crossfade/internal/testdb"
)

func TestPostgresTablesAreReadWhole(t *testing.T) {
	for _, major := range []int{15, 18} {
		t.Run(map[int]string{15: "15", 18: "18"}[major], func(t *testing.T) {
			d := testdb.Postgres(t, major).Database(t)
			d.Exec(t, `CREATE SCHEMA s; CREATE TYPE s.mood AS ENUM ('b', 'a'); CREATE DOMAIN s.pos AS int NOT NULL CHECK (value > 0);
				CREATE TABLE s.a (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "Se" serial, n numeric(20,0), n2 numeric(10,3) DEFAULT 1.5, n3 numeric,
					v varchar(7) COLLATE "C" DEFAULT 'x', c char(3), b bit(5), ts timestamp(3), tz timestamptz DEFAULT now(), iv interval(2), m s.mood, d s.pos,
					g int GENERATED ALWAYS AS (id::int * 2) STORED, gone int, j jsonb, "Mixed Case" text UNIQUE DEFERRABLE,
					EXCLUDE USING btree (n WITH =), CONSTRAINT chk CHECK (n2 > 0));
				ALTER TABLE s.a DROP COLUMN gone;
				ALTER TABLE s.a ADD CONSTRAINT loose CHECK (n > 0) NOT VALID;
				CREATE UNIQUE INDEX ux ON s.a (v DESC, "Se") INCLUDE (n) WHERE "Se" > 5;
				CREATE INDEX ex ON s.a (lower(v));
				COMMENT ON COLUMN s.a.n IS 'a number';
				CREATE UNLOGGED TABLE s.p (x int NOT NULL, y int NOT NULL, r bigint REFERENCES s.a ON DELETE CASCADE ON UPDATE SET NULL, UNIQUE (x, y)) ;
				CREATE TABLE s.parts (k int PRIMARY KEY) PARTITION BY RANGE (k);
				CREATE TABLE s.part1 PARTITION OF s.parts FOR VALUES FROM (0) TO (100);
				INSERT INTO s.parts SELECT generate_series(0, 99); ANALYZE s.parts;
				CREATE FUNCTION s.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
				CREATE TRIGGER tr BEFORE INSERT ON s.a FOR EACH ROW EXECUTE FUNCTION s.f()`)
			tables, err := Postgres(t.Context(), d.Connect(t), func(schema, _ string) bool { return schema == "s" })
			if err != nil {
				t.Fatal(err)
			}
			if len(tables) != 3 {
				t.Errorf("tables %v, want a, p and the root of parts", tables)
			}
			a := find(t, tables, "a")
			for _, want := range []Column{
				{Name: "id", Type: Type{Name: "bigint", Full: "bigint"}, AutoIncrement: true, Identity: "always", Sequence: "s.a_id_seq"},
				{Name: "Se", Type: Type{Name: "integer", Full: "integer"}, Default: text(`nextval('s."a_Se_seq"'::regclass)`), DefaultIsExpr: true, AutoIncrement: true,
					Sequence: `s."a_Se_seq"`},
				{Name: "n", Type: Type{Name: "numeric", Full: "numeric(20,0)", Precision: 20}, Nullable: true, Comment: "a number"},
				{Name: "n2", Type: Type{Name: "numeric", Full: "numeric(10,3)", Precision: 10, Scale: 3}, Nullable: true, Default: text("1.5"), DefaultIsExpr: true},
				{Name: "n3", Type: Type{Name: "numeric", Full: "numeric"}, Nullable: true},
				{Name: "v", Type: Type{Name: "character varying", Full: "character varying(7)", Length: 7, Collation: "C"}, Nullable: true,
					Default: text("'x'::character varying"), DefaultIsExpr: true},
				{Name: "c", Type: Type{Name: "character", Full: "character(3)", Length: 3}, Nullable: true},
				{Name: "b", Type: Type{Name: "bit", Full: "bit(5)", Length: 5}, Nullable: true},
				{Name: "ts", Type: Type{Name: "timestamp without time zone", Full: "timestamp(3) without time zone", Fraction: 3}, Nullable: true},
				{Name: "tz", Type: Type{Name: "timestamp with time zone", Full: "timestamp with time zone", Fraction: 6}, Nullable: true, Default: text("now()"), DefaultIsExpr: true},
				{Name: "iv", Type: Type{Name: "interval", Full: "interval(2)", Fraction: 2}, Nullable: true},
				{Name: "m", Type: Type{Name: "s.mood", Full: "s.mood", Labels: []string{"b", "a"}}, Nullable: true},
				{Name: "d", Type: Type{Name: "s.pos", Full: "s.pos", Domain: &Domain{Base: "integer", NotNull: true, Checks: []string{"CHECK ((VALUE > 0))"}}}},
				{Name: "g", Type: Type{Name: "integer", Full: "integer"}, Nullable: true, Generated: "((id)::integer * 2)", GeneratedStored: true},
				{Name: "j", Type: Type{Name: "jsonb", Full: "jsonb"}, Nullable: true},
			} {
				got := column(t, a, want.Name)
				if len(got.Type.Labels) == 0 {
					got.Type.Labels = nil
				}
				equal(t, want.Name, got, want)
			}
			if a.Column("gone") >= 0 {
				t.Error("a dropped column is still there")
			}
			equal(t, "indexes", a.Indexes, []Index{
				{Name: "a_pkey", Unique: true, Primary: true, Columns: []IndexColumn{{Name: "id"}}, Method: "btree", Visible: true, Def: "btree (id)"},
				{Name: "a_Mixed Case_key", Unique: true, Columns: []IndexColumn{{Name: "Mixed Case"}}, Method: "btree", Visible: true, Deferrable: true, Def: `btree ("Mixed Case")`},
				{Name: "a_n_excl", Columns: []IndexColumn{{Name: "n"}}, Method: "btree", Visible: true, Exclusion: true, Def: "btree (n)"},
				{Name: "ex", Columns: []IndexColumn{{Expr: "lower(v::text)"}}, Method: "btree", Visible: true, Def: "btree (lower((v)::text))"},
				{Name: "ux", Unique: true, Columns: []IndexColumn{{Name: "v", Desc: true}, {Name: "Se"}}, Method: "btree", Visible: true, Where: `("Se" > 5)`, Def: `btree (v DESC, "Se") INCLUDE (n) WHERE ("Se" > 5)`},
			})
			equal(t, "checks", a.Checks, []Check{{Name: "chk", Expr: "(n2 > (0)::numeric)", Enforced: true}, {Name: "loose", Expr: "(n > (0)::numeric)"}})
			equal(t, "triggers", a.Triggers, []string{"tr"})
			equal(t, "key", names(a.Key, a), []string{"id"})
			p := find(t, tables, "p")
			equal(t, "foreign keys", p.ForeignKeys, []ForeignKey{{Name: "p_r_fkey", Columns: []string{"r"}, RefSchema: "s", RefTable: "a", RefColumns: []string{"id"},
				OnDelete: "CASCADE", OnUpdate: "SET NULL"}})
			if equal(t, "key", names(p.Key, p), []string{"x", "y"}); !p.Unlogged || p.KeyIsPrimary {
				t.Errorf("%+v", p)
			}
			if parts := find(t, tables, "parts"); !parts.Partitioned || parts.RowsEstimate != 100 || parts.Bytes == 0 || a.RowsEstimate != -1 {
				t.Errorf("sizes: %d rows in %d bytes of parts, %d rows of a", parts.RowsEstimate, parts.Bytes, a.RowsEstimate)
			}
		})
	}
}

func TestPostgresKeyIsOneThatCanBeUpsertedBy(t *testing.T) {
	d := testdb.Postgres(t, 18).Database(t)
	for _, c := range []struct {
		name, ddl string
		key       []string
	}{
		{"deferred", "a int PRIMARY KEY DEFERRABLE, b int NOT NULL UNIQUE", []string{"b"}},
		{"none", "a int UNIQUE", nil},
		{"virtual", "a int NOT NULL, v int GENERATED ALWAYS AS (a + 1) VIRTUAL, UNIQUE (a)", []string{"a"}},
	} {
		d.Exec(t, "CREATE TABLE "+c.name+" ("+c.ddl+")")
		tables, err := Postgres(t.Context(), d.Connect(t), func(_, table string) bool { return table == c.name })
		if err != nil {
			t.Fatal(err)
		}
		table := find(t, tables, c.name)
		equal(t, c.name, names(table.Key, table), c.key)
		if c.name == "virtual" && (column(t, table, "v").Generated != "(a + 1)" || column(t, table, "v").GeneratedStored) {
			t.Errorf("virtual column: %+v", column(t, table, "v"))
		}
	}
}
