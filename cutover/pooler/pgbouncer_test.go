package pooler_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/crossfade-io/crossfade/cutover"
	"github.com/crossfade-io/crossfade/cutover/pooler"
	"github.com/crossfade-io/crossfade/cutover/protocol"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

func TestMain(m *testing.M) { testdb.Main(m) }

type rig struct {
	source, target *testdb.PostgresDB
	pool           *testdb.PgBouncerServer
	app            string // URL of the application
	step           *pooler.PgBouncer
	cfg            pooler.Config
}

func newRig(t *testing.T) *rig {
	t.Helper()
	pg := testdb.Postgres(t, 15)
	r := &rig{source: pg.Database(t), target: pg.Database(t)}
	admin, err := url.Parse(r.source.URL())
	if err != nil {
		t.Fatal(err)
	}
	password, _ := admin.User.Password()
	r.pool = testdb.NewPgBouncer(t, testdb.PgBouncerConfig{Databases: []string{
		"; where the application goes",
		fmt.Sprintf("shop = host=127.0.0.1 port=%d dbname=%s pool_size=7", pg.Port(), r.source.Name),
		fmt.Sprintf("other = host=127.0.0.1 port=%d dbname=%s", pg.Port(), r.source.Name)}})
	r.app = r.pool.URL(admin.User.Username(), password, "shop")
	at := func(d *testdb.PostgresDB) pooler.Address {
		return pooler.Address{Host: "127.0.0.1", Port: uint16(pg.Port()), Database: d.Name}
	}
	r.cfg = pooler.Config{Label: "1-pgbouncer", Admin: r.pool.AdminURL(), Database: "shop", Ini: r.pool.Ini(), Source: at(r.source), Target: at(r.target)}
	r.step = r.new(t, r.cfg)
	return r
}

func (r *rig) new(t *testing.T, cfg pooler.Config) *pooler.PgBouncer {
	t.Helper()
	p, err := pooler.NewPgBouncer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (r *rig) connect(t *testing.T) *pgx.Conn {
	t.Helper()
	c, err := pgx.ParseConfig(r.app)
	if err != nil {
		t.Fatal(err)
	}
	c.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	conn, err := pgx.ConnectConfig(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) }) // the pooler may be gone
	return conn
}

func (r *rig) stands(t *testing.T, what string, side protocol.Side, paused bool) {
	t.Helper()
	at, p, err := r.step.Standing(t.Context())
	if at != side || p != paused || err != nil {
		t.Errorf("%s: it leads to the %s, paused %v, %v; want the %s, %v", what, at, p, err, side, paused)
	}
}

// noSessions waits for the server to end those that a paused pooler has let go.
func (r *rig) noSessions(t *testing.T, database string) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		var n int
		r.source.Get(t, "SELECT count(*) FROM pg_stat_activity WHERE datname = '"+database+"' AND pid <> pg_backend_pid() AND backend_type = 'client backend'", &n)
		if n == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d sessions of the paused pooler", n)
		}
	}
}

func to(side protocol.Side) cutover.SwitchEnv {
	return cutover.SwitchEnv{Migration: "shop", Epoch: 1, Direction: "forward", Active: side}
}

func TestAClientThatWaitsFindsItselfAtTheOtherSide(t *testing.T) {
	r := newRig(t)
	before, err := os.Stat(r.pool.Ini())
	if err != nil {
		t.Fatal(err)
	}
	conn := r.connect(t)
	ask := func() (name string) {
		if err := conn.QueryRow(context.Background(), "SELECT current_database()").Scan(&name); err != nil {
			t.Error(err)
		}
		return name
	}
	if at := ask(); at != r.source.Name {
		t.Fatalf("the client is in %s", at)
	}
	for _, side := range []protocol.Side{protocol.Target, protocol.Source} { // and back
		from, want := r.source.Name, r.target.Name
		if side == protocol.Source {
			from, want = want, from
		}
		if err := r.step.Pause(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.stands(t, "paused", side.Other(), true)
		if _, err := r.step.Active(t.Context(), to(side)); err == nil || !strings.Contains(err.Error(), "is paused") {
			t.Errorf("where does a paused pooler lead: %v", err)
		}
		got := make(chan string, 1)
		go func() { got <- ask() }()
		r.noSessions(t, from)
		for range 2 { // it may be repeated
			if err := r.step.Run(t.Context(), to(side)); err != nil {
				t.Fatal(err)
			}
		}
		if at := <-got; at != want {
			t.Errorf("the client that waited is in %s, want %s", at, want)
		}
		r.stands(t, "moved", side, false)
		if at, err := r.step.Active(t.Context(), to(side)); at != side || err != nil {
			t.Errorf("active: %s, %v", at, err)
		}
	}
	after, err := os.Stat(r.pool.Ini())
	if err != nil {
		t.Fatal(err)
	}
	if before.Mode() != after.Mode() || before.Sys().(*syscall.Stat_t).Uid != after.Sys().(*syscall.Stat_t).Uid {
		t.Errorf("the file changed from %v to %v", before, after)
	}
}

func TestAPauseThatAClientHoldsUpIsTakenBack(t *testing.T) {
	r := newRig(t)
	busy, idle := r.connect(t), r.connect(t)
	if _, err := busy.Exec(t.Context(), "BEGIN; SELECT 1"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	err := r.step.Pause(ctx)
	if err == nil || !strings.Contains(err.Error(), "clients did not end their transactions in time") {
		t.Fatalf("pause: %v", err)
	}
	r.stands(t, "taken back", protocol.Source, false)
	for _, c := range []*pgx.Conn{idle, busy} {
		if _, err := c.Exec(t.Context(), "SELECT 1"); err != nil {
			t.Error(err)
		}
	}
	if _, err := busy.Exec(t.Context(), "COMMIT"); err != nil {
		t.Error(err)
	}
	if err := r.step.Pause(t.Context()); err != nil { // nothing is left of the first
		t.Error(err)
	}
	if err := r.step.Resume(t.Context()); err != nil {
		t.Error(err)
	}
	if err := r.step.Resume(t.Context()); err != nil {
		t.Errorf("again: %v", err)
	}
	r.stands(t, "resumed", protocol.Source, false)
}

func TestAPoolerThatCannotBeTrustedIsAnErrorWithoutPasswords(t *testing.T) {
	r := newRig(t)
	console, err := pgx.ParseConfig(r.pool.AdminURL())
	if err != nil {
		t.Fatal(err)
	}
	refused := func(what, want string, f func(p *pooler.PgBouncer) error, change func(*pooler.Config)) {
		t.Helper()
		cfg := r.cfg
		change(&cfg)
		err := f(r.new(t, cfg))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), console.Password) || strings.Contains(err.Error(), "wrong one") {
			t.Errorf("%s: %v, want %q", what, err, want)
		}
	}
	active := func(p *pooler.PgBouncer) error { _, err := p.Active(t.Context(), to(protocol.Source)); return err }
	run := func(p *pooler.PgBouncer) error { return p.Run(t.Context(), to(protocol.Target)) }
	elsewhere := filepath.Join(t.TempDir(), "shop.ini")
	if err := os.WriteFile(elsewhere, []byte("[databases]\nshop = host=h\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused("no such entry", `has no entry "nothing"`, active, func(c *pooler.Config) { c.Database = "nothing" })
	refused("neither side", "neither the source", active, func(c *pooler.Config) { c.Source.Port++ })
	refused("another file", "does PgBouncer read the file", run, func(c *pooler.Config) { c.Ini = elsewhere })
	refused("a command that fails", "exit status 1", run, func(c *pooler.Config) { c.Ini, c.Exec = "", []string{"/bin/false"} })
	refused("a wrong password", "PgBouncer at 127.0.0.1", active, func(c *pooler.Config) {
		u, err := url.Parse(c.Admin)
		if err != nil {
			t.Fatal(err)
		}
		u.User = url.UserPassword(u.User.Username(), "wrong one")
		c.Admin = u.String()
	})
	r.stands(t, "after what was refused", protocol.Source, false)
	if err := r.pool.Kill(); err != nil {
		t.Fatal(err)
	}
	refused("a dead one", "connect to the console", active, func(*pooler.Config) {})
	refused("a dead one", "connect to the console", func(p *pooler.PgBouncer) error { return p.Pause(t.Context()) }, func(*pooler.Config) {})
}

func TestACommandMayRewriteTheFile(t *testing.T) {
	r := newRig(t)
	cfg := r.cfg
	cfg.Exec = []string{"/bin/sh", "-c", `test "$CROSSFADE_ACTIVE" = target && sed -i 's/dbname=` + r.source.Name + ` pool_size/dbname=` + r.target.Name + ` pool_size/' ` + cfg.Ini +
		` && chmod 644 ` + cfg.Ini}
	cfg.Ini = ""
	step := r.new(t, cfg)
	if step.Repeatable() || !r.step.Repeatable() {
		t.Error("what a command does is not known")
	}
	if err := step.Run(t.Context(), to(protocol.Target)); err != nil {
		t.Fatal(err)
	}
	r.stands(t, "by a command", protocol.Target, false)
}
