package gate_test

import (
	"context"
	"database/sql"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/crossfade-io/crossfade/cutover"
	"github.com/crossfade-io/crossfade/cutover/gate"
	"github.com/crossfade-io/crossfade/cutover/protocol"
	"github.com/crossfade-io/crossfade/internal/change"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

func TestMain(m *testing.M) { testdb.Main(m) }

// login takes a test server's URL apart.
func login(t testing.TB, raw string) gate.Login {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	pw, _ := u.User.Password()
	return gate.Login{Addr: u.Host, User: u.User.Username(), Password: pw}
}

// open connects as a user of the application.
func open(t testing.TB, raw string) *sql.DB {
	t.Helper()
	l := login(t, raw)
	c := mysql.NewConfig()
	c.Net, c.Addr, c.User, c.Passwd = "tcp", l.Addr, l.User, l.Password
	c.DBName = raw[strings.LastIndexByte(raw, '/')+1:]
	c.InterpolateParams = true
	connector, err := mysql.NewConnector(c)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// mariadb is the version of MariaDB that the tests of a MySQL source run on; empty: on MySQL.
var mariadb string

func server(t testing.TB) *testdb.MySQLServer {
	t.Helper()
	if mariadb != "" {
		return testdb.MariaDB(t, mariadb)
	}
	return testdb.MySQL(t)
}

func ownServer(t testing.TB) *testdb.MySQLServer {
	t.Helper()
	if mariadb != "" {
		return testdb.NewMariaDB(t, mariadb)
	}
	return testdb.NewMySQL(t)
}

// source is a MySQL database with a table t(id, n), its gate and an application.
type source struct {
	*testdb.MySQLDB
	gate *gate.MySQL
	app  *sql.DB
	url  string // of the application
}

func engine() change.Engine {
	if mariadb != "" {
		return change.MariaDB
	}
	return change.MySQL
}

// migration names a migration after the test's database, so that tests sharing a server do not meet.
func migration(db string) string {
	return strings.ToLower(strings.ReplaceAll(db, ".", "_"))[:min(len(db), 60)]
}

func newSource(t testing.TB, on *testdb.MySQLServer, ddl string, tables ...string) *source {
	t.Helper()
	db := on.Database(t)
	db.Exec(t, ddl)
	s := &source{MySQLDB: db, url: db.User(t, "", "app")}
	s.app = open(t, s.url)
	probe := login(t, s.url)
	cfg := gate.MySQLConfig{Engine: engine(), Migration: migration(db.Name), Login: login(t, on.URL("")), Probe: &probe}
	for _, n := range tables {
		cfg.Tables = append(cfg.Tables, cutover.Table{Source: cutover.Name{Schema: db.Name, Table: n}})
	}
	s.gate = openGate(t, cfg)
	if err := s.gate.Setup(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	return s
}

func openGate(t testing.TB, cfg gate.MySQLConfig) *gate.MySQL {
	t.Helper()
	g, err := gate.OpenMySQL(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	return g
}

// do runs a statement and fails the test unless its outcome is the one wanted.
func do(t testing.TB, side cutover.Side, act protocol.Act, epoch int64, want bool) {
	t.Helper()
	rule, ok := protocol.RuleOf(act)
	if !ok {
		t.Fatalf("%s is not a statement", act)
	}
	var got bool
	var err error
	within(t, 10*time.Second, string(act), func() bool {
		got, err = side.Do(t.Context(), cutover.Call{Rule: rule, Epoch: epoch, Timeout: time.Minute, Reason: "test"})
		return !isBusy(err)
	})
	if err != nil || got != want {
		t.Fatalf("%s %d: changed %v, want %v; error %v", act, epoch, got, want, err)
	}
}

// within polls until f holds.
func within(t testing.TB, d time.Duration, what string, f func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	for !f() {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("%s: not within %v", what, d)
		}
	}
}
