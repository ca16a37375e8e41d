package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/crossfade-io/crossfade/internal/control"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

// stopsWith starts the daemon, which must not go on: it either ends with the exit code, or stays up and says in its status why it has stopped.
func (r *rig) stopsWith(words ...string) {
	r.t.Helper()
	r.start()
	s := r.until("stopped", time.Minute, func(s control.Status) bool { return s.State == "failed" && s.Error != nil })
	says(r.t, "status", *s.Error, words...)
	if exit, _, errs := r.crossfade("wait", "--for", "streaming"); exit != 1 || !strings.Contains(errs, *s.Error) {
		r.t.Errorf("wait does not end at once with the reason: exit %d, %s", exit, errs)
	}
	r.stop()
}

func (r *rig) streamDir() string { return filepath.Join(r.dir, "state", r.name, "stream") }

// behind makes changes that are in the stream and not in the target, and stops the daemon.
func (r *rig) behind(from, rows int) {
	r.t.Helper()
	r.must("pause")
	for i := range rows {
		r.my.Exec(r.t, fmt.Sprintf("INSERT INTO users VALUES (%d, REPEAT('x', 20))", from+i))
	}
	before := r.status().Stream.Last
	r.my.Exec(r.t, fmt.Sprintf("INSERT INTO users VALUES (%d, 'last')", from+rows))
	r.until("in the stream", time.Minute, func(s control.Status) bool { return s.Stream.Last > before && s.Stream.Applied < s.Stream.Last })
	r.must("resume") // of the pause only: the daemon is stopped before
	r.stop()
}

// purgeBinlogs leaves the source with an empty binlog alone. One that a session still reads is not purged, and the daemon's session may end after it.
func (r *rig) purgeBinlogs() {
	r.t.Helper()
	r.my.Exec(r.t, "FLUSH BINARY LOGS")
	end := time.Now().Add(time.Minute)
	for {
		files := r.mysqlRows("SHOW BINARY LOGS")
		if len(files) == 1 {
			return
		}
		if time.Now().After(end) {
			r.t.Fatalf("binlogs are not purged: %v", files)
		}
		r.killTail()
		r.my.Exec(r.t, "PURGE BINARY LOGS TO '"+strings.Split(strings.TrimPrefix(files[len(files)-1], "true:"), "|")[0]+"'")
	}
}

// TestAPausedMigrationIsNotCompared: the target would have to be level with the source, and verify would wait for as long as the pause lasts.
func TestAPausedMigrationIsNotCompared(t *testing.T) {
	r := smallRig(t, testdb.MySQL(t), "")
	r.start()
	r.waitReady()
	r.must("pause")
	if exit, _, errs := r.crossfade("verify"); exit != 3 || !strings.Contains(errs, "crossfade resume") {
		t.Errorf("verify of a paused migration: exit %d, %s", exit, errs)
	}
	r.must("resume")
	r.must("verify")
}

func TestPurgedBinlogsStopTheMigrationWithTheRemedy(t *testing.T) {
	r := smallRig(t, testdb.MySQL(t), "")
	r.start()
	r.waitReady()
	r.stop()
	r.my.Exec(t, "INSERT INTO users VALUES (3, 'cid')")
	r.purgeBinlogs()
	r.stopsWith("purged", "new snapshot", "binlog_expire_logs_seconds")
}

func TestAnotherServerOrMappingThanAtTheStartIsRefused(t *testing.T) {
	r := smallRig(t, testdb.MySQL(t), "")
	r.start()
	r.waitReady()
	r.start2(t)
	r.stop()
	source, target := r.my.URL(), r.pg.URL()
	refused := func(what string, words ...string) {
		t.Helper()
		r.start()
		if exit := r.exited(time.Minute); exit != 3 {
			t.Errorf("%s: exit %d, want 3", what, exit)
		}
		says(t, what, r.logs(), words...)
	}
	r.configure(source, target, fmt.Sprintf("transform: {tables: [{source: %s.users, columns: [{source: name, target: label}]}]}", r.my.Name))
	refused("another mapping", "the mapping of the tables has changed", "restore transform and source.tables", "crossfade cleanup")

	other := testdb.NewMySQL(t)
	admin, err := other.Open("")
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	for _, s := range []string{"CREATE DATABASE " + r.my.Name, "CREATE TABLE " + r.my.Name + ".users (id INT PRIMARY KEY, name VARCHAR(20))"} {
		if _, err := admin.ExecContext(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	r.configure(other.URL(r.my.Name), target, "")
	refused("another server", "the source is another server", "lacks transactions that have been read", "connect it to a server that has them")

	r.configure(source, other.URL("x"), "")
	refused("another target", "the mapping of the tables has changed")
	r.configure(source, target, "") // and what it was goes on
	r.my.Exec(t, "INSERT INTO users VALUES (3, 'cid')")
	r.start()
	r.waitReady()
	r.caughtUp("users")
}

// start2 tries a second daemon beside the one that runs.
func (r *rig) start2(t *testing.T) {
	t.Helper()
	exit, _, errs := r.crossfade("run")
	if exit != 1 {
		t.Errorf("a second daemon: exit %d, want 1", exit)
	}
	says(t, "the second daemon", errs, "in the hands of another process", filepath.Join(r.dir, "state", r.name), "stop that one first")
	if s := r.status(); s.State != "running" {
		t.Errorf("the first daemon is %s", s.State)
	}
}

func TestAStreamRestoredFromAnOlderCopyIsRefused(t *testing.T) {
	r := smallRig(t, testdb.MySQL(t), "")
	r.start()
	r.waitReady()
	r.stop()
	old := filepath.Join(r.dir, "old")
	if err := os.CopyFS(old, os.DirFS(r.streamDir())); err != nil {
		t.Fatal(err)
	}
	r.my.Exec(t, "INSERT INTO users VALUES (3, 'cid')")
	r.start()
	r.waitReady()
	r.caughtUp("users")
	r.stop()
	if err := os.RemoveAll(r.streamDir()); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(old, r.streamDir()); err != nil {
		t.Fatal(err)
	}
	r.stopsWith("restored", "cleanup")
	var n int
	r.pg.Get(t, "SELECT count(*)::int FROM users", &n)
	if n != 3 {
		t.Errorf("%d rows on the target, want 3", n)
	}
}

func TestADamagedFrameIsRefused(t *testing.T) {
	r := smallRig(t, testdb.MySQL(t), "")
	r.start()
	r.waitReady()
	r.behind(1000, 20)
	blocks, err := filepath.Glob(filepath.Join(r.streamDir(), "jetstream", "*", "streams", "*frames*", "msgs", "*.blk"))
	if err != nil || len(blocks) == 0 {
		t.Fatalf("no block files: %v", err)
	}
	mark := []byte("xxxxxxxxxxxxxxxxxxxx")
	damaged := 0
	for _, b := range blocks {
		text, err := os.ReadFile(b)
		if err != nil {
			t.Fatal(err)
		}
		if i := bytes.Index(text, mark); i >= 0 {
			text[i] = 'y'
			damaged++
			if err := os.WriteFile(b, text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if damaged == 0 {
		t.Fatal("no frame was found to damage")
	}
	r.stopsWith("lost data", "cleanup")
	var n int
	r.pg.Get(t, "SELECT count(*)::int FROM users WHERE name LIKE '%y%'", &n)
	if n != 0 {
		t.Error("a damaged row is in the target")
	}
}

// TestATargetThatAnswersAgainIsNotShownAsLost: what a crash of the target leaves in the status would refuse every cutover.
func TestATargetThatAnswersAgainIsNotShownAsLost(t *testing.T) {
	r := newRig(t, testdb.MySQL(t), testdb.NewPostgres(t, 15), "")
	r.my.Exec(t, "CREATE TABLE users (id INT PRIMARY KEY, name VARCHAR(20))")
	r.configure(r.my.URL(), r.pg.URL(), "cutover:\n  switch:\n"+r.switchStep())
	r.start()
	r.waitReady()
	if err := r.pg.Server.Kill(); err != nil {
		t.Fatal(err)
	}
	r.my.Exec(t, "INSERT INTO users VALUES (3, 'cid')")
	lost := func(s control.Status) bool {
		return slices.ContainsFunc(s.Links, func(l control.LinkStatus) bool { return l.To == "target" })
	}
	r.until("the loss is shown", time.Minute, lost)
	if err := r.pg.Server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.until("the target answers", time.Minute, func(s control.Status) bool { return !lost(s) })
	r.caughtUp("users")
	r.must("cutover")
}

// killTail ends the sessions in which the source's log is followed.
func (r *rig) killTail() {
	r.t.Helper()
	rows, err := r.my.DB.QueryContext(r.t.Context(), "SELECT id FROM performance_schema.processlist WHERE command LIKE 'Binlog Dump%'")
	if err != nil {
		r.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			r.t.Fatal(err)
		}
		const noSuchThread = 1094 // it has ended by itself
		var e *mysql.MySQLError
		if _, err := r.my.DB.ExecContext(r.t.Context(), fmt.Sprintf("KILL %d", id)); err != nil && !(errors.As(err, &e) && e.Number == noSuchThread) {
			r.t.Fatal(err)
		}
	}
	if err := rows.Err(); err != nil {
		r.t.Fatal(err)
	}
}

func TestAFullStreamHoldsCaptureUntilThereIsRoomAndLosesNothing(t *testing.T) {
	r := smallRig(t, testdb.MySQL(t), "stream: {max_bytes: 4MiB, keep: 1s}")
	r.my.Exec(t, "CREATE TABLE big (id INT PRIMARY KEY, v MEDIUMTEXT)")
	r.start()
	r.waitReady()
	r.must("pause")
	for i := range 24 {
		r.my.Exec(t, fmt.Sprintf("INSERT INTO big VALUES (%d, REPEAT('v', 400000))", i))
	}
	s := r.until("full", time.Minute, func(s control.Status) bool { return s.Stream.Full })
	if s.State != "running" || s.Error != nil || s.Stream.Bytes > s.Stream.MaxBytes || s.Stream.MaxBytes != 4<<20 {
		t.Errorf("status %+v", s)
	}
	says(t, "status", r.must("status"), "of 4.0 MiB, full: capture waits for room")
	r.killTail() // what is queued must not be published again by the next try
	r.until("trying again", time.Minute, func(control.Status) bool { return strings.Contains(r.logs(), "connection lost, trying again") })
	r.must("resume")
	r.caughtUp("big")
	r.equal("big", "SELECT id, LENGTH(v), SHA2(v, 256) FROM big ORDER BY id", "SELECT id, length(v), encode(sha256(v::bytea), 'hex') FROM big ORDER BY id")
	s = r.status()
	if s.Stream.Full || s.Error != nil || len(s.Held) > 0 {
		t.Errorf("status %+v", s)
	}
	if b := s.Tables[0]; b.Source != r.my.Name+".big" || b.RowsCopied+b.Inserted != 24 {
		t.Errorf("24 rows were written, and came as %+v", b)
	}
}
