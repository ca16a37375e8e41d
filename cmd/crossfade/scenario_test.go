package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/crossfade-io/crossfade/internal/control"
	"github.com/crossfade-io/crossfade/internal/testdb"
	"github.com/crossfade-io/crossfade/internal/testdb/scenarios"
)

func loadScenarios(t *testing.T) []*scenarios.Scenario {
	t.Helper()
	dir, err := filepath.Abs("../../internal/testdb/scenarios")
	if err != nil {
		t.Fatal(err)
	}
	all, err := scenarios.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// play runs a script of a scenario on one end.
func play(t *testing.T, e *end, s *scenarios.Scenario, kind string) {
	t.Helper()
	script, err := s.Script(kind, e.engine)
	if err != nil {
		t.Fatal(err)
	}
	p := e.player()
	defer p.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := p.Play(ctx, script); err != nil {
		t.Fatalf("%s of %s on %s: %v", kind, s.Name, e.engine, err)
	}
}

// expect holds the target against what the scenario says of it.
func expect(t *testing.T, e *end, s *scenarios.Scenario) {
	t.Helper()
	script, err := s.Script("expect", e.engine)
	if err != nil {
		t.Fatal(err)
	}
	p := e.player()
	defer p.Close()
	wrong, err := p.Check(t.Context(), script)
	if err != nil {
		t.Errorf("%s on %s: %v", s.Name, e.engine, err)
	}
	for _, w := range wrong {
		t.Errorf("%s on %s: %s\n%s", s.Name, e.engine, w, s.Says)
	}
}

// A row of endTable is the last thing that the source commits: once it is in the target, so is the rest.
const endTable = "scenarios_end"

func makeEndTable(t *testing.T, e *end) {
	t.Helper()
	execOn(t, e, "CREATE TABLE "+endTable+" (id int PRIMARY KEY)")
}

func execOn(t *testing.T, e *end, sql string) {
	t.Helper()
	p := e.player()
	defer p.Close()
	if err := p.Play(t.Context(), []scenarios.Statement{{Session: "a", SQL: sql}}); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// arrived commits the last row and waits for it.
func arrived(t *testing.T, r *rig, source, target *end) {
	t.Helper()
	execOn(t, source, "INSERT INTO "+endTable+" VALUES (1)")
	p := target.player()
	defer p.Close()
	end := time.Now().Add(2 * time.Minute)
	for {
		rows, err := p.Rows(t.Context(), "SELECT id FROM "+endTable)
		if err == nil && len(rows) == 1 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the last row of the source did not arrive (%v); status %+v", err, r.status())
		}
		if s := r.status(); s.Error != nil {
			t.Fatalf("the migration stopped: %s", *s.Error)
		} else if len(s.Held) > 0 {
			t.Fatalf("a table is held: %+v", s.Held)
		}
		pause(50 * time.Millisecond)
	}
}

// TestScenarios moves, for each pair of engines, all scenarios that need nothing of their own by one daemon.
func TestScenarios(t *testing.T) {
	all := loadScenarios(t)
	for _, source := range scenarios.Engines {
		for _, target := range scenarios.Engines {
			t.Run(source+" to "+target, func(t *testing.T) {
				var together []*scenarios.Scenario
				for _, s := range all {
					if s.For(source, target) && !s.Alone() {
						together = append(together, s)
					}
				}
				runTogether(t, engines[source](t), engines[target](t), together)
			})
		}
	}
}

// TestOtherServerVersionsTakeTheTypesAndACutover is a smoke of the versions that the other tests do not use.
func TestOtherServerVersionsTakeTheTypesAndACutover(t *testing.T) {
	var types []*scenarios.Scenario
	for _, s := range loadScenarios(t) {
		if s.Types && !s.Alone() {
			types = append(types, s)
		}
	}
	postgres := func(major int) *end { return endOnPostgres(t, testdb.Postgres(t, major)) }
	mysql, mariadb := func() *end { return endOnMySQL(t, testdb.MySQL(t)) }, func() *end { return endOnMySQL(t, testdb.MariaDB(t, "10.11")) }
	for name, v := range map[string]struct{ source, target *end }{
		"MySQL to PostgreSQL 14":         {mysql(), postgres(14)},
		"MariaDB 10.11 to PostgreSQL 15": {mariadb(), postgres(15)},
		"MySQL to PostgreSQL 16":         {mysql(), postgres(16)},
		"MySQL to PostgreSQL 17":         {mysql(), postgres(17)},
		"PostgreSQL 14 to MySQL":         {postgres(14), mysql()},
		"PostgreSQL 15 to PostgreSQL 17": {postgres(15), postgres(17)},
		"PostgreSQL 16 to MariaDB 10.11": {postgres(16), mariadb()},
		"PostgreSQL 17 to PostgreSQL 14": {postgres(17), postgres(14)},
	} {
		t.Run(name, func(t *testing.T) {
			var all []*scenarios.Scenario
			for _, s := range types {
				if s.For(v.source.engine, v.target.engine) {
					all = append(all, s)
				}
			}
			r := moveTogether(t, v.source, v.target, all)
			if out := r.must("cutover"); !strings.Contains(out, "**completed**") {
				t.Errorf("cutover: %s", out)
			}
			execOn(t, v.target, "INSERT INTO "+endTable+" VALUES (2)")
		})
	}
}

func runTogether(t *testing.T, source, target *end, all []*scenarios.Scenario) {
	r := moveTogether(t, source, target, all)
	r.stop()
	r.must("cleanup") // which takes the gate away
	t.Run("and back", func(t *testing.T) { runBack(t, source, target, all) })
}

// moveTogether copies the rows of the scenarios, lets their workloads run, compares, and leaves the daemon running.
func moveTogether(t *testing.T, source, target *end, all []*scenarios.Scenario) *rig {
	makeEndTable(t, source)
	for _, s := range all {
		play(t, source, s, "source")
	}
	r := newPair(t, source, target, fmt.Sprintf("%q", source.tables), "")
	r.start()
	r.waitReady()
	for _, s := range all {
		play(t, source, s, "workload")
	}
	arrived(t, r, source, target)
	if exit, out, errs := r.crossfade("verify"); exit != 0 {
		t.Errorf("verify: exit %d\n%s%s", exit, out, errs)
	}
	for _, s := range all {
		t.Run(s.Name, func(t *testing.T) { expect(t, target, s) })
	}
	return r
}

// TestScenariosOfTheirOwn runs those that need a configuration or a server of their own, or do not end equal, each for the first target that it names.
func TestScenariosOfTheirOwn(t *testing.T) {
	for _, s := range loadScenarios(t) {
		if !s.Alone() {
			continue
		}
		for _, source := range s.Sources {
			t.Run(s.Name+" "+source+" to "+s.Targets[0], func(t *testing.T) { runAlone(t, s, source, s.Targets[0]) })
		}
	}
}

func runAlone(t *testing.T, s *scenarios.Scenario, sourceEngine, targetEngine string) {
	source, target := engines[sourceEngine](t), engines[targetEngine](t)
	if len(s.Server) > 0 {
		source = ownServer(t, sourceEngine, s.Server)
	}
	makeEndTable(t, source)
	play(t, source, s, "source")
	more := ""
	if len(s.Config) > 0 {
		b, err := yaml.Marshal(s.Config)
		if err != nil {
			t.Fatal(err)
		}
		more = string(b)
	}
	r := newPair(t, source, target, fmt.Sprintf("%q", source.tables), more)
	if s.Expect == scenarios.Refused {
		exit, _, errs := r.crossfade("run")
		if exit != 3 || !s.Match(errs) {
			t.Errorf("run: exit %d, want 3 and words like %q:\n%s", exit, s.Matches, errs)
		}
		return
	}
	r.start()
	r.waitReady()
	play(t, source, s, "workload")
	switch s.Expect {
	case scenarios.Stopped:
		r.until("stopped with "+s.Matches, time.Minute, func(st control.Status) bool { return st.State == "failed" && st.Error != nil && s.Match(*st.Error) })
	case scenarios.Held:
		r.until("held with "+s.Matches, time.Minute, func(st control.Status) bool {
			return slices.ContainsFunc(st.Held, func(h control.HeldTable) bool { return s.Match(h.Key + " " + h.Reason) })
		})
	default:
		arrived(t, r, source, target)
		if exit, out, errs := r.crossfade("verify"); exit != 0 {
			t.Errorf("verify: exit %d\n%s%s", exit, out, errs)
		}
		expect(t, target, s)
	}
}

// runBack moves the tables of the scenarios that say so back into tables like those that they came from, and compares every byte.
func runBack(t *testing.T, source, target *end, all []*scenarios.Scenario) {
	back := engines[source.engine](t)
	var names []string
	for _, s := range all {
		if !s.RoundTrip {
			continue
		}
		before := tablesOf(t, back)
		play(t, back, s, "source")
		for _, name := range tablesOf(t, back) {
			if !slices.Contains(before, name) {
				names = append(names, name)
				execOn(t, back, "DELETE FROM "+name)
				loosen(t, back, name)
			}
		}
	}
	if len(names) == 0 {
		t.Fatal("no scenario makes the round trip")
	}
	execOn(t, back, "CREATE TABLE "+endTable+" (id int PRIMARY KEY)")
	execOn(t, target, "DELETE FROM "+endTable)
	var tables []string
	for _, n := range append(names, endTable) {
		tables = append(tables, fmt.Sprintf("%q", target.schema+"."+n))
	}
	r := newPair(t, target, back, strings.Join(tables, ", "), backRules(t, target, back, names))
	r.start()
	r.waitReady()
	arrived(t, r, target, back)
	for _, name := range names {
		want, got := everyByte(t, source, name), everyByte(t, back, name)
		if len(want) != len(got) {
			t.Errorf("%s: %d rows came back of %d", name, len(got), len(want))
			continue
		}
		for i := range want {
			if want[i] != got[i] {
				t.Errorf("%s: a row came back as\n%s, it was\n%s", name, got[i], want[i])
				break
			}
		}
	}
}

// backRules gives each column the type that it came from, as whoever goes back would write it.
func backRules(t *testing.T, from, back *end, names []string) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("transform:\n  identifiers: keep\n  tables:\n")
	for _, name := range names {
		fmt.Fprintf(&b, "    - source: %s.%s\n      columns:\n", from.schema, name)
		query := "SELECT column_name, column_type FROM information_schema.columns WHERE table_schema = '" + back.schema + "' AND table_name = '" + name + "' ORDER BY ordinal_position"
		if back.engine == "postgres" {
			query = "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = '" + name + "'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
		}
		for _, c := range rowsOf(t, back, query) {
			column, typ, _ := strings.Cut(c, " | ")
			if back.engine == "postgres" && from.engine != "postgres" && strings.HasSuffix(typ, "with time zone") && strings.HasPrefix(typ, "timestamp") {
				typ += " at UTC"
			}
			fmt.Fprintf(&b, "        - {source: %q, as: %q}\n", column, typ)
		}
	}
	return b.String()
}

// loosen takes away what must not be there before the rows: unique indexes besides the key, and foreign keys.
func loosen(t *testing.T, e *end, table string) {
	t.Helper()
	if e.engine == "postgres" {
		for _, name := range rowsOf(t, e, "SELECT quote_ident(conname) FROM pg_constraint WHERE conrelid = '"+table+"'::regclass AND contype IN ('u', 'f', 'x')") {
			execOn(t, e, "ALTER TABLE "+table+" DROP CONSTRAINT "+name+" CASCADE")
		}
		for _, name := range rowsOf(t, e, "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = '"+table+"'::regclass AND indisunique AND NOT indisprimary") {
			execOn(t, e, "DROP INDEX "+name)
		}
		return
	}
	where := " WHERE table_schema = '" + e.schema + "' AND table_name = '" + table + "'"
	for _, name := range rowsOf(t, e, "SELECT constraint_name FROM information_schema.table_constraints"+where+" AND constraint_type = 'FOREIGN KEY'") {
		execOn(t, e, "ALTER TABLE "+table+" DROP FOREIGN KEY `"+name+"`")
	}
	for _, name := range rowsOf(t, e, "SELECT DISTINCT index_name FROM information_schema.statistics"+where+" AND non_unique = 0 AND index_name <> 'PRIMARY'") {
		execOn(t, e, "ALTER TABLE "+table+" DROP INDEX `"+name+"`")
	}
}

func rowsOf(t *testing.T, e *end, query string) []string {
	t.Helper()
	p := e.player()
	defer p.Close()
	rows, err := p.Rows(t.Context(), query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return rows
}

func tablesOf(t *testing.T, e *end) []string {
	t.Helper()
	return rowsOf(t, e, "SELECT table_name FROM information_schema.tables WHERE table_schema = '"+e.schema+"' ORDER BY 1")
}

// everyByte are the rows of a table in a form that leaves nothing out.
func everyByte(t *testing.T, e *end, table string) []string {
	t.Helper()
	if e.engine == "postgres" {
		return rowsOf(t, e, "SELECT t::text FROM "+table+" AS t ORDER BY 1")
	}
	var columns []string
	for _, c := range rowsOf(t, e, "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = '"+e.schema+"' AND table_name = '"+table+"' ORDER BY ordinal_position") {
		name, kind, _ := strings.Cut(c, " | ")
		name = "`" + name + "`"
		switch kind {
		case "float":
			name = "CAST(" + name + " AS double)"
		case "char", "varchar", "text", "longtext", "mediumtext", "tinytext", "blob", "longblob", "mediumblob", "tinyblob", "binary", "varbinary", "bit", "enum", "set":
			name = "HEX(" + name + ")"
		}
		columns = append(columns, name)
	}
	return rowsOf(t, e, "SELECT "+strings.Join(columns, ", ")+" FROM `"+table+"` ORDER BY 1")
}
