package gate_test

import (
	"strings"
	"testing"

	"github.com/crossfade-io/crossfade/cutover"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

// lacking are the statements that would give the application what it does not have.
func lacking(t *testing.T, ask cutover.Side) string {
	t.Helper()
	all, err := ask.Privileges(t.Context())
	if err != nil || all.As == "" {
		t.Fatalf("%+v, %v", all, err)
	}
	var out []string
	for _, list := range all.Tables {
		for _, p := range list {
			if !p.Has {
				out = append(out, p.Grant)
			}
		}
	}
	return strings.Join(out, "; ")
}

func TestWhatTheApplicationLacksOnPostgresIsNamedAndTheGrantGivesIt(t *testing.T) {
	d := newTarget(t, testdb.Postgres(t, 18))
	d.Exec(t, `CREATE TABLE "S x" (id serial PRIMARY KEY, n int); REVOKE USAGE ON SCHEMA public FROM PUBLIC`)
	if l := lacking(t, d.gate); !strings.Contains(l, "GRANT USAGE ON SCHEMA public TO ") {
		t.Errorf("without the schema: %s", l)
	}
	d.Exec(t, "GRANT USAGE ON SCHEMA public TO PUBLIC")
	if l := lacking(t, d.gate); l != "" {
		t.Errorf("with all of it: %s", l)
	}
	cfg := d.cfg
	cfg.Tables = []cutover.Table{{Source: cutover.Name{Schema: "s", Table: "x"}, Target: cutover.Name{Schema: "public", Table: "S x"}}}
	cfg.Probe = d.Role(t, "", "bare", "SELECT (id, n), UPDATE (n) ON \"S x\"")
	g := openTarget(t, cfg)
	l := lacking(t, g)
	for _, want := range []string{`GRANT INSERT ON "public"."S x" TO`, `GRANT UPDATE ON "public"."S x" TO`, `GRANT DELETE ON "public"."S x" TO`, `GRANT USAGE ON SEQUENCE public."S x_id_seq" TO`} {
		if !strings.Contains(l, want) {
			t.Errorf("%s is not in %s", want, l)
		}
	}
	if strings.Contains(l, "SELECT") {
		t.Errorf("every column may be read: %s", l)
	}
	d.Exec(t, l)
	if l := lacking(t, g); l != "" {
		t.Errorf("after the statements: %s", l)
	}
}

func TestWhatTheApplicationLacksOnMySQLIsNamedAndTheGrantGivesIt(t *testing.T) {
	onEachTarget(t, func(t *testing.T, d *entered) {
		if l := lacking(t, d.gate); l != "" {
			t.Errorf("with all of it: %s", l)
		}
		cfg := d.cfg
		bare := login(t, d.User(t, "", "bare", "SELECT, DELETE"))
		cfg.Probe = &bare
		g := openGate(t, cfg)
		l := lacking(t, g)
		for _, table := range []string{"t", "child"} {
			for _, p := range []string{"INSERT", "UPDATE"} {
				if want := "GRANT " + p + " ON `" + d.Name + "`.`" + table + "` TO '"; !strings.Contains(l, want) {
					t.Errorf("%s is not in %s", want, l)
				}
			}
		}
		if strings.Contains(l, "SELECT") || strings.Contains(l, "DELETE") {
			t.Errorf("what it has: %s", l)
		}
		d.Exec(t, l)
		if l := lacking(t, g); l != "" {
			t.Errorf("after the statements: %s", l)
		}
		var n int
		if err := d.DB.QueryRow("SELECT COUNT(*) FROM t").Scan(&n); err != nil || n != 2 {
			t.Errorf("asking has left %d rows, %v", n, err)
		}
	})
}
