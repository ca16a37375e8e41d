package catalog

import (
	"testing"

	"github.com/crossfade-io/crossfade/internal/change"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

func TestMariaDBTablesAreReadAsTheyAre(t *testing.T) {
	for _, version := range []string{"10.11", "11.8"} {
		t.Run(version, func(t *testing.T) {
			db := testdb.MariaDB(t, version).Database(t)
			db.Exec(t, `CREATE TABLE t (
				id int unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,
				a varchar(20) DEFAULT 'it''s \\ "x"',
				b int DEFAULT -5,
				c timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3),
				d uuid DEFAULT uuid(),
				e inet6, f inet4 NOT NULL DEFAULT '1.2.3.4',
				g decimal(6,2) DEFAULT 1.50,
				h bit(4) DEFAULT b'101',
				i binary(3) DEFAULT 'a',
				j json, k text DEFAULT 'long', l int GENERATED ALWAYS AS (b + 1) STORED, m int INVISIBLE DEFAULT 3,
				q varchar(9) DEFAULT x'41', r varbinary(9) DEFAULT x'4100', s varchar(9) DEFAULT 5, t bigint DEFAULT b'101',
				n varchar(5) CHECK (n <> 'x'), o varchar(9) NOT NULL DEFAULT '',
				UNIQUE KEY u (b, a(3)), KEY x (g) IGNORED, CONSTRAINT positive CHECK (b < 100)
			) COMMENT 'about'`)
			db.Exec(t, "CREATE TABLE v (id int PRIMARY KEY) WITH SYSTEM VERSIONING")
			db.Exec(t, "CREATE SEQUENCE s")
			all, err := MySQL(t.Context(), db.DB, func(schema, _ string) bool { return schema == db.Name })
			if err != nil {
				t.Fatal(err)
			}
			if len(all) != 2 || all[0].Name != "t" || all[1].Name != "v" || all[0].Versioned || !all[1].Versioned {
				t.Fatalf("tables %v", all)
			}
			table := all[0]
			if table.Engine != change.MariaDB || table.Storage != "InnoDB" || table.Comment != "about" || table.AutoIncrement != 1 {
				t.Errorf("table %+v", table)
			}
			text := func(name string) string {
				c := &table.Columns[table.Column(name)]
				switch {
				case c.Default == nil:
					return "none"
				case c.DefaultIsExpr:
					return "expression " + *c.Default
				}
				return *c.Default
			}
			for name, want := range map[string]string{"id": "none", "a": `it's \ "x"`, "b": "-5", "c": "expression CURRENT_TIMESTAMP(3)", "d": "expression uuid()", "e": "none", "f": "1.2.3.4",
				"g": "1.50", "h": "b'101'", "i": "0x610000", "j": "none", "k": "long", "m": "3", "n": "none", "o": "", "q": "A", "r": "0x4100", "s": "5"} {
				if got := text(name); got != want {
					t.Errorf("default of %s is %q, want %q", name, got, want)
				}
			}
			kinds := map[string]change.Kind{"id": change.Int, "d": change.Text, "e": change.Text, "f": change.Text, "j": change.Text, "h": change.Bits}
			for name, want := range kinds {
				c := &table.Columns[table.Column(name)]
				if got, ok := c.Type.Kind(table.Engine); !ok || got != want {
					t.Errorf("kind of %s (%s) is %s, want %s", name, c.Type.Full, got, want)
				}
			}
			l, m, c := table.Columns[table.Column("l")], table.Columns[table.Column("m")], table.Columns[table.Column("c")]
			if l.Generated == "" || !l.GeneratedStored || !m.Invisible || !c.OnUpdateNow || !table.Columns[0].AutoIncrement || !table.Columns[0].Type.Unsigned {
				t.Errorf("l %+v, m %+v, c %+v", l, m, c)
			}
			if len(table.Indexes) != 3 || !table.Indexes[0].Primary || table.Indexes[1].Name != "u" || table.Indexes[1].Columns[1].Prefix != 3 || table.Indexes[2].Visible {
				t.Errorf("indexes %+v", table.Indexes)
			}
			names := map[string]bool{}
			for _, c := range table.Checks {
				names[c.Name] = true
			}
			if !names["positive"] || !names["t_n"] || !names["t_j"] || len(table.Key) != 1 || table.Key[0] != 0 {
				t.Errorf("checks %+v, key %v", table.Checks, table.Key)
			}
		})
	}
}
