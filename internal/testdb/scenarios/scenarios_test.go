package scenarios

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestEveryFolderCanBeRead(t *testing.T) {
	all, err := Load(".")
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 60 {
		t.Errorf("%d scenarios, want 60", len(all))
	}
	pairs := map[string]int{}
	for _, s := range all {
		for _, source := range Engines {
			for _, target := range Engines {
				if s.For(source, target) {
					pairs[source+" to "+target]++
				}
			}
		}
	}
	for _, source := range Engines {
		for _, target := range Engines {
			if n := pairs[source+" to "+target]; n < 20 {
				t.Errorf("%d scenarios for %s to %s, want 20", n, source, target)
			}
		}
	}
}

func TestAScriptIsSplitIntoWhatItSays(t *testing.T) {
	got, err := parse(`-- a remark
CREATE TABLE t (
  id int -- its key
);
INSERT INTO t VALUES (1);
-- session b
-- fails
INSERT INTO t VALUES (1);
-- begin
CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW BEGIN
  SET @a = 1;
END;
-- end
-- copy t(id)
2

3
\.
`, false)
	if err != nil {
		t.Fatal(err)
	}
	want := []Statement{
		{Line: 2, Session: "a", SQL: "CREATE TABLE t (\n  id int -- its key\n)"},
		{Line: 5, Session: "a", SQL: "INSERT INTO t VALUES (1)"},
		{Line: 8, Session: "b", SQL: "INSERT INTO t VALUES (1)", Fails: true},
		{Line: 10, Session: "b", SQL: "CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW BEGIN\n  SET @a = 1;\nEND"},
		{Line: 14, Session: "b", SQL: "COPY t(id) FROM STDIN", Copy: []byte("2\n\n3\n")},
	}
	if len(got) != len(want) {
		t.Fatalf("%d statements: %+v", len(got), got)
	}
	for i := range want {
		g, w := got[i], want[i]
		if g.Line != w.Line || g.Session != w.Session || g.SQL != w.SQL || g.Fails != w.Fails || string(g.Copy) != string(w.Copy) {
			t.Errorf("statement %d is\n%+v, want\n%+v", i, g, w)
		}
	}
}

func TestRowsBelongToTheQueryAboveThem(t *testing.T) {
	got, err := parse("SELECT a, b\nFROM t;\n--> 1 | x\n--> 2 | NULL\nSELECT 1 WHERE false;\nSELECT '';\n-->\n", true)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 3 || strings.Join(got[0].Rows, ";") != "1 | x;2 | NULL" || len(got[1].Rows) != 0 || len(got[2].Rows) != 1 || got[2].Rows[0] != "" {
		t.Errorf("%+v", got)
	}
}

func TestAFolderThatCannotBeMeantIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		yaml, file, text, want string
	}{
		"unknown key":       {"says: x\npitfall: 6a.1\nsorces: [mysql]\n", "source.sql", "SELECT 1;\n", "sorces"},
		"unknown engine":    {"says: x\npitfall: 6a.1\nsources: [oracle]\n", "source.sql", "SELECT 1;\n", "oracle"},
		"unknown file":      {"says: x\npitfall: 6a.1\n", "sauce.sql", "SELECT 1;\n", "sauce.sql"},
		"no end":            {"says: x\npitfall: 6a.1\n", "source.sql", "SELECT 1\n", "semicolon"},
		"a row in source":   {"says: x\npitfall: 6a.1\n", "source.sql", "SELECT 1;\n--> 1\n", "a row without a query"},
		"matches and equal": {"says: x\npitfall: 6a.1\nmatches: x\n", "source.sql", "SELECT 1;\n", "matches"},
		"no guarantee":      {"pitfall: 6a.1\n", "source.sql", "SELECT 1;\n", "says"},
		"an open block":     {"says: x\npitfall: 6a.1\n", "source.sql", "-- begin\nSELECT 1;\n", "-- end"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "folder")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			for file, text := range map[string]string{"scenario.yaml": c.yaml, c.file: c.text} {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := read(dir); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one about %q", err, c.want)
			}
		})
	}
}
