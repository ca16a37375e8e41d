package mysql

import (
	"context"
	"log/slog"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/change"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

func TestMain(m *testing.M) { testdb.Main(m) }

var mariadbVersionsTested = []string{"10.11", "11.8"}

// servers are those of all tests of this package that change what belongs to a whole server; each test puts it back.
type serverOnce struct {
	once    sync.Once
	server  *testdb.MySQLServer
	err     error
	options []string
}

var scratch, withoutGTID = serverOnce{}, serverOnce{options: []string{"--gtid-mode=OFF", "--enforce-gtid-consistency=OFF"}}

func (s *serverOnce) get(t testing.TB) *testdb.MySQLServer {
	t.Helper()
	s.once.Do(func() {
		options := append([]string{"--innodb-flush-log-at-trx-commit=2", "--sync-binlog=0"}, s.options...)
		s.server, s.err = testdb.StartMySQL(context.Background(), "", os.Stderr, options...)
	})
	if s.err != nil {
		t.Fatal(s.err)
	}
	return s.server
}

// global sets a global variable for the time of a test.
func global(t testing.TB, d *testdb.MySQLDB, name, value string) {
	t.Helper()
	var before string
	if err := d.DB.QueryRowContext(t.Context(), "SELECT @@GLOBAL."+name).Scan(&before); err != nil {
		t.Fatal(err)
	}
	d.Exec(t, "SET GLOBAL "+name+" = "+value)
	t.Cleanup(func() {
		stmt := "SET GLOBAL " + name + " = '" + before + "'"
		if _, err := strconv.ParseUint(before, 10, 64); err == nil {
			stmt = "SET GLOBAL " + name + " = " + before
		}
		if _, err := d.DB.ExecContext(context.Background(), stmt); err != nil {
			t.Error(err)
		}
	})
}

// config reads a test server's URL.
func config(t testing.TB, raw string) Config {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	password, _ := u.User.Password()
	return Config{Engine: change.Engine(u.Scheme), Host: u.Host, User: u.User.Username(), Password: password, Database: strings.TrimPrefix(u.Path, "/"), Migration: "test",
		ServerID: 990001, Heartbeat: time.Second, ReadTimeout: 30 * time.Second, Selected: func(schema, _ string) bool { return schema != ownSchema }}
}

// open opens a source on a test database, with crossfade's tables.
func open(t testing.TB, d *testdb.MySQLDB) *Source {
	t.Helper()
	s, err := Open(t.Context(), config(t, d.URL()), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.Setup(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return s
}

func isMariaDB(d *testdb.MySQLDB) bool { return strings.HasPrefix(d.URL(), "mariadb:") }

// tables reads the catalog of a test database.
func tables(t testing.TB, d *testdb.MySQLDB) map[string]*catalog.Table {
	t.Helper()
	all, err := catalog.MySQL(t.Context(), d.DB, func(schema, _ string) bool { return schema == d.Name })
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]*catalog.Table{}
	for _, x := range all {
		byName[x.Name] = x
	}
	return byName
}

func now(t testing.TB, s *Source) string {
	t.Helper()
	p, err := s.Position(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// eventually polls until cond holds.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("it did not come to this: %s", what)
		}
		<-tick.C
	}
}

// write shows a row for comparison: kind and value of each column.
func write(row change.Row) string {
	var b strings.Builder
	for i, v := range row {
		if i > 0 {
			b.WriteString(" | ")
		}
		b.WriteString(v.Kind.String())
		if v.Kind != change.Null {
			b.WriteByte(' ')
			b.WriteString(v.String())
		}
	}
	return b.String()
}
