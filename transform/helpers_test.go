package transform

import (
	"errors"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/change"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

func TestMain(m *testing.M) {
	if os.Getenv("CROSSFADE_UPDATE") != "" {
		update = true
	}
	testdb.Main(m)
}

var (
	update   bool
	typeForm = regexp.MustCompile(`^([a-z]+)(?:\(([^)]*)\))?(.*)$`)
)

// typ makes the description of a MySQL type, as the catalog reads it, from its text.
func typ(full string) catalog.Type {
	m := typeForm.FindStringSubmatch(full)
	t := catalog.Type{Name: m[1], Full: full, Unsigned: strings.Contains(m[3], "unsigned")}
	var mods []int
	for _, s := range strings.Split(m[2], ",") {
		n, _ := strconv.Atoi(s)
		mods = append(mods, n)
	}
	switch t.Name {
	case "char", "varchar":
		t.Length, t.Charset, t.Collation = mods[0], "utf8mb4", "utf8mb4_0900_ai_ci"
	case "text", "longtext", "mediumtext", "tinytext":
		t.Charset, t.Collation = "utf8mb4", "utf8mb4_0900_ai_ci"
	case "binary", "varbinary", "bit":
		t.Length = mods[0]
	case "decimal":
		t.Precision = mods[0]
		if len(mods) > 1 {
			t.Scale = mods[1]
		}
	case "datetime", "timestamp", "time":
		t.Fraction = mods[0]
	case "enum", "set":
		for _, l := range strings.Split(m[2], ",") {
			t.Labels = append(t.Labels, strings.Trim(l, "'"))
		}
	}
	return t
}

// table makes a table of columns written as "name type [null] [auto]"; the first is the primary key unless key is given.
func table(name string, columns ...string) *catalog.Table {
	schema, name, _ := strings.Cut(name, ".")
	t := &catalog.Table{Schema: schema, Name: name, Engine: change.MySQL, Storage: "InnoDB", Key: []int{0}, KeyName: "PRIMARY", KeyIsPrimary: true}
	for _, text := range columns {
		c := catalog.Column{}
		c.Name, text, _ = strings.Cut(text, " ")
		text, c.Nullable = strings.CutSuffix(text, " null")
		text, c.AutoIncrement = strings.CutSuffix(text, " auto")
		c.Type = typ(text)
		t.Columns = append(t.Columns, c)
	}
	return t
}

func compile(t *testing.T, rules Rules, tables ...*catalog.Table) *Plan {
	t.Helper()
	p, err := Compile(rules, tables)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// mistakes compiles what must not compile.
func mistakes(t *testing.T, rules Rules, tables ...*catalog.Table) Mistakes {
	t.Helper()
	_, err := Compile(rules, tables)
	var m Mistakes
	if !errors.As(err, &m) {
		t.Fatalf("no mistakes but %v", err)
	}
	for _, f := range m {
		if f.Code == "" || f.Object == "" || f.Reason == "" || f.Remedy == "" || f.Severity != catalog.Error {
			t.Errorf("an incomplete finding: %+v", f)
		}
	}
	return m
}

func val(k change.Kind, s string) change.Value { return change.Value{Kind: k, B: []byte(s)} }

func text(s string) change.Value { return val(change.Text, s) }

var null = change.Value{Kind: change.Null}

// show writes a change for comparison: op before -> after.
func show(c *change.Change) string {
	row := func(r change.Row) string {
		if r == nil {
			return "-"
		}
		var parts []string
		for _, v := range r {
			switch v.Kind {
			case change.Absent:
				parts = append(parts, "?")
			case change.Null:
				parts = append(parts, "NULL")
			default:
				parts = append(parts, v.String())
			}
		}
		return "(" + strings.Join(parts, " ") + ")"
	}
	s := c.Op.String() + " " + c.Table.String() + " " + row(c.Before) + " -> " + row(c.After)
	if c.Err != "" {
		s += " !" + c.Err
	}
	return s
}

// tables makes the one table shop.t.
func tables(columns ...string) []*catalog.Table { return []*catalog.Table{table("shop.t", columns...)} }
