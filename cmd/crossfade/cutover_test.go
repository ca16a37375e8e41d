package main

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/crossfade-io/crossfade/cutover"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

// switchStep is an exec step that writes where traffic goes into a file.
func (r *rig) switchStep() string {
	r.t.Helper()
	file := filepath.Join(r.dir, "active")
	if err := os.WriteFile(file, []byte("source"), 0o600); err != nil {
		r.t.Fatal(err)
	}
	write := func(name, text string) string {
		p := filepath.Join(r.dir, name)
		if err := os.WriteFile(p, []byte("#!/bin/sh\n"+text), 0o700); err != nil {
			r.t.Fatal(err)
		}
		return p
	}
	point := write("point-app", fmt.Sprintf("test -e %s.broken && exit 1\necho \"$CROSSFADE_ACTIVE\" > %s\n", file, file))
	where := write("where-is-app", fmt.Sprintf("test -e %s.mute && exit 1\ncat %s\n", file, file))
	return fmt.Sprintf("    - exec: {command: [%s], status: [%s], timeout: 5s}\n", point, where)
}

func (r *rig) active() string {
	b, err := os.ReadFile(filepath.Join(r.dir, "active"))
	if err != nil {
		r.t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// report runs the newest attempt's report.
func (r *rig) report() cutover.Report {
	r.t.Helper()
	var rep cutover.Report
	if err := json.Unmarshal([]byte(r.must("report", "--json")), &rep); err != nil {
		r.t.Fatal(err)
	}
	return rep
}

// reportCounts says that the rows that the report names, which nobody counted under the fence, are those that are there.
func (r *rig) reportCounts() {
	r.t.Helper()
	tables := r.report().Tables
	if len(tables) != 5 {
		r.t.Errorf("the report names %d tables", len(tables))
	}
	for _, d := range tables {
		var n int64
		_, name, _ := strings.Cut(d.Source, ".")
		if r.pg.Get(r.t, "SELECT count(*) FROM "+name, &n); d.Differences != 0 || d.SourceRows != int64(r.rows(name)) || d.TargetRows != n {
			r.t.Errorf("report of %s: %+v; there are %d and %d rows", d.Source, d, r.rows(name), n)
		}
	}
}

// goOn writes to the target as the application does after the switch.
func (r *rig) goOn(url string) (acked []int64, refused error) {
	r.t.Helper()
	db, err := sql.Open("pgx", url)
	if err != nil {
		r.t.Fatal(err)
	}
	defer db.Close()
	for i := range int64(50) {
		id := 1_000_000_000 + i
		if _, err := db.ExecContext(r.t.Context(), "INSERT INTO op VALUES ($1, 0, 1, 1)", id); err != nil {
			return acked, err
		}
		acked = append(acked, id)
	}
	return acked, nil
}

// writeSource tries a write on the source as the application.
func (r *rig) writeSource(url string) error {
	r.t.Helper()
	db := openMySQL(r.t, url)
	defer db.Close()
	_, err := db.ExecContext(r.t.Context(), "INSERT INTO op VALUES (?, 0, 1, 1)", -time.Now().UnixNano())
	return err
}

func openMySQL(t *testing.T, rawURL string) *sql.DB {
	t.Helper()
	u, err := url.Parse(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	c := mysql.NewConfig()
	c.Net, c.Addr, c.DBName, c.User = "tcp", u.Host, strings.TrimPrefix(u.Path, "/"), u.User.Username()
	c.Passwd, _ = u.User.Password()
	c.InterpolateParams = true
	connector, err := mysql.NewConnector(c)
	if err != nil {
		t.Fatal(err)
	}
	return sql.OpenDB(connector)
}

func (r *rig) workloadAs(url string, workers int, each time.Duration) *workload {
	return startWorkload(r.t, openMySQL(r.t, url), workers, each)
}

var _ = stdlib.GetDefaultDriver // registers pgx for database/sql

func TestTenCutoversUnderLoadLoseNothing(t *testing.T) {
	my, pg := testdb.NewMySQL(t), testdb.NewPostgres(t, 15)
	for i := range 10 {
		t.Run(fmt.Sprint(i+1), func(t *testing.T) { cutOver(t, my, pg) })
	}
}

func TestACutoverFromMariaDBUnderLoadLosesNothing(t *testing.T) {
	for _, version := range []string{"10.11", "11.8"} {
		t.Run(version, func(t *testing.T) { cutOver(t, testdb.NewMariaDB(t, version), testdb.Postgres(t, 18)) })
	}
}

func cutOver(t *testing.T, my *testdb.MySQLServer, pg *testdb.PostgresServer) {
	r := newRig(t, my, pg, "")
	r.seed(3000)
	probe := r.my.User(t, "", "app pw/1", "SELECT, INSERT, UPDATE, DELETE")
	app := r.pg.Role(t, "", "app pw/2")
	r.configure(r.my.URL(), r.pg.URL(), "cutover:\n  switch:\n"+r.switchStep())
	w := r.workloadAs(probe, 4, 2*time.Millisecond)
	r.start()
	r.waitReady()
	r.pg.Exec(t, "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO PUBLIC")
	if _, err := r.goOn(app); err == nil || !strings.Contains(err.Error(), "crossfade") {
		t.Fatalf("the target took an application's write before the decision (%v)", err)
	}
	before := w.count()
	exit, out, errs := r.crossfade("cutover", "--json")
	if exit != 0 {
		t.Fatalf("cutover: exit %d\n%s%s", exit, out, errs)
	}
	acked := w.stop()
	rep := r.report()
	t.Logf("write pause %d ms (predicted %d), %d writes acknowledged, %d during the cutover", rep.WritePauseMS, rep.PredictedPauseMS, len(acked), len(acked)-before)
	if rep.Verdict != "completed" || r.active() != "target" {
		t.Errorf("verdict %s, traffic at %s", rep.Verdict, r.active())
	}
	if err := r.writeSource(probe); err == nil {
		t.Error("the source took a write after the decision")
	}
	r.allEqual()
	r.noneLost(acked)
	r.reportCounts()
	after, err := r.goOn(app)
	if err != nil {
		t.Fatalf("the target refuses the application after the decision: %v", err)
	}
	m := map[int64]bool{}
	for _, id := range after {
		m[id] = true
	}
	r.noneLost(m)
	s := r.status()
	if s.State != "completed" || phaseOf(s) != "soak" {
		t.Errorf("state %s, phase %s", s.State, phaseOf(s))
	}
}
