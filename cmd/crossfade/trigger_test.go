package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/crossfade-io/crossfade/internal/testdb"
)

// Tables that were made by hand on a MySQL target may have triggers. The source's have done their work on the rows that are applied: the target's do theirs for the application
// only, from the cutover on, and after cleanup they are what they were.
func TestTriggersOfAMySQLTargetActForTheApplicationOnly(t *testing.T) {
	source, target := endOnMySQL(t, testdb.MySQL(t)), endOnMySQL(t, testdb.MariaDB(t, "11.8"))
	ddl := []string{"CREATE TABLE sale (id int PRIMARY KEY, v int)", "CREATE TABLE audit (id int AUTO_INCREMENT PRIMARY KEY, sale int)"}
	triggers := []string{"CREATE TRIGGER sale_b BEFORE INSERT ON sale FOR EACH ROW SET NEW.v = NEW.v * 10", "CREATE TRIGGER sale_a AFTER INSERT ON sale FOR EACH ROW INSERT INTO audit (sale) VALUES (NEW.id)"}
	for _, e := range []*end{source, target} {
		for _, q := range append(ddl, triggers...) {
			execOn(t, e, q)
		}
	}
	texts := func() string {
		return strings.Join(rowsOf(t, target, "SELECT TRIGGER_NAME, ACTION_ORDER, ACTION_STATEMENT, DEFINER FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = '"+target.schema+"' AND TRIGGER_NAME NOT LIKE 'crossfade%' ORDER BY 1"), "\n")
	}
	was := texts()
	execOn(t, source, "INSERT INTO sale VALUES (1, 1), (2, 2)")
	r := newPair(t, source, target, fmt.Sprintf("%q", source.tables), "")
	config, err := os.ReadFile(r.config)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(config), "  schema: "+target.schema+"\n", "  schema: "+target.schema+"\n  create: false\n", 1)
	if err := os.WriteFile(r.config, []byte(text+"cutover:\n  max_pause: 20s\n  switch:\n"+r.switchStep()), 0o600); err != nil {
		t.Fatal(err)
	}
	if exit, out, errs := r.crossfade("check"); exit != 0 || !strings.Contains(out+errs, "sale_b must not act on what is applied") {
		t.Fatalf("check: exit %d\n%s%s", exit, out, errs)
	}
	r.start()
	r.waitReady()
	execOn(t, source, "INSERT INTO sale VALUES (3, 3)")
	execOn(t, target, "CREATE TRIGGER late AFTER DELETE ON sale FOR EACH ROW INSERT INTO audit (sale) VALUES (OLD.id)")
	if exit, out, errs := r.crossfade("cutover"); exit != 3 || !strings.Contains(out+errs, "late") {
		t.Errorf("a cutover beside a trigger that acts on what is applied: exit %d\n%s%s", exit, out, errs)
	}
	execOn(t, target, "DROP TRIGGER late")
	r.must("cutover")
	user := target.open(target.user())
	if _, err := user.Exec("INSERT INTO sale VALUES (4, 4)"); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(rowsOf(t, target, "SELECT s.id, s.v, (SELECT COUNT(*) FROM audit a WHERE a.sale = s.id) FROM sale s ORDER BY 1"), ", "); got != "1 | 10 | 1, 2 | 20 | 1, 3 | 30 | 1, 4 | 40 | 1" {
		t.Errorf("the target has %s", got)
	}
	r.stop()
	r.must("cleanup")
	if now := texts(); now != was {
		t.Errorf("the triggers were\n%s\nand are\n%s", was, now)
	}
	if _, err := user.Exec("INSERT INTO sale VALUES (5, 5)"); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(rowsOf(t, target, "SELECT v FROM sale WHERE id = 5"), ""); got != "50" {
		t.Errorf("after cleanup a trigger makes %s of it", got)
	}
}
