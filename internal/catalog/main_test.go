package catalog

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/crossfade-io/crossfade/internal/testdb"
)

func TestMain(m *testing.M) { testdb.Main(m) }

// find returns the table of that name.
func find(t *testing.T, tables []*Table, name string) *Table {
	t.Helper()
	for _, x := range tables {
		if x.Name == name {
			return x
		}
	}
	t.Fatalf("table %s is missing among %v", name, tables)
	return nil
}

func column(t *testing.T, table *Table, name string) Column {
	t.Helper()
	i := table.Column(name)
	if i < 0 {
		t.Fatalf("%s has no column %s", table, name)
	}
	return table.Columns[i]
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		g, _ := json.Marshal(got)
		w, _ := json.Marshal(want)
		t.Errorf("%s:\n got %s\nwant %s", what, g, w)
	}
}

func text(s string) *string { return &s }

func names(key []int, t *Table) []string {
	var out []string
	for _, k := range key {
		out = append(out, t.Columns[k].Name)
	}
	return out
}
