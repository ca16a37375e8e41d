package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/crossfade-io/crossfade/internal/control"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

// The tests of this package run the program as its users do: as a process, against real servers.

// asProgram makes the test binary be the program.
const asProgram = "CROSSFADE_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	testdb.Main(m)
}

// rig is one migration between two servers.
type rig struct {
	t      *testing.T
	my     *testdb.MySQLDB
	pg     *testdb.PostgresDB
	dir    string
	config string
	name   string
	env    []string

	mu     sync.Mutex
	daemon *exec.Cmd
	done   chan struct{}
	log    bytes.Buffer
}

var rigs int

// newRig makes databases on the two servers and a configuration; more is appended to it.
func newRig(t *testing.T, my *testdb.MySQLServer, pg *testdb.PostgresServer, more string) *rig {
	t.Helper()
	rigs++
	r := &rig{t: t, my: my.Database(t), pg: pg.Database(t), dir: t.TempDir(), name: fmt.Sprintf("m%d-%d", os.Getpid()%10000, rigs)}
	r.my.Exec(t, "SET GLOBAL innodb_flush_log_at_trx_commit = 1, GLOBAL sync_binlog = 1") // the check wants a server that forgets nothing
	r.config = filepath.Join(r.dir, "crossfade.yaml")
	r.configure(r.my.URL(), r.pg.URL(), more)
	t.Cleanup(func() {
		r.stop()
		if t.Failed() {
			t.Logf("daemon's log:\n%s", tail(r.logs(), 12000))
		}
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if _, err := r.my.DB.ExecContext(ctx, "DROP DATABASE IF EXISTS unused_"+r.my.Name); err != nil {
			t.Logf("clean up: %v", err)
		}
	})
	return r
}

func (r *rig) configure(source, target, more string) {
	r.t.Helper()
	text := fmt.Sprintf("name: %s\nstate_dir: %s\nsource:\n  url: %s\n  tables: [\"%s.*\"]\ntarget:\n  url: %s\napi: {listen: \"\"}\n%s\n", r.name, filepath.Join(r.dir, "state"),
		source, r.my.Name, target, more)
	if err := os.WriteFile(r.config, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) command(args ...string) *exec.Cmd {
	c := exec.Command(os.Args[0], append(args, "-c", r.config)...)
	c.Env = append(append(os.Environ(), asProgram+"=1"), r.env...)
	if text, err := os.ReadFile(r.config); err == nil && !bytes.Contains(text, []byte("reverse")) {
		c.Env = append(c.Env, "CROSSFADE_CUTOVER_REVERSE=false") // a second stream costs time, and has tests of its own
	}
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	return c
}

// crossfade runs a verb to its end.
func (r *rig) crossfade(args ...string) (exit int, stdout, stderr string) {
	r.t.Helper()
	c := r.command(args...)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Start(); err != nil {
		r.t.Fatal(err)
	}
	timer := time.AfterFunc(3*time.Minute, func() { _ = c.Process.Kill() })
	defer timer.Stop()
	err := c.Wait()
	var ee *exec.ExitError
	if err != nil && !errors.As(err, &ee) {
		r.t.Fatal(err)
	}
	return c.ProcessState.ExitCode(), out.String(), errs.String()
}

// must runs a verb that has to end well, and returns what it printed.
func (r *rig) must(args ...string) string {
	r.t.Helper()
	exit, out, errs := r.crossfade(args...)
	if exit != 0 {
		r.t.Fatalf("crossfade %s: exit %d\n%s%s", strings.Join(args, " "), exit, out, errs)
	}
	return out
}

// start starts the daemon.
func (r *rig) start() {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.command("run")
	c.Stderr = &lockedWriter{r}
	// Pdeathsig follows the thread that starts the process; a thread of the runtime may end at any time.
	c.SysProcAttr.Pdeathsig = 0
	if err := c.Start(); err != nil {
		r.t.Fatal(err)
	}
	done := make(chan struct{})
	r.daemon, r.done = c, done
	go func() {
		_ = c.Wait() // its state is asked for
		close(done)
	}()
}

type lockedWriter struct{ r *rig }

func (w *lockedWriter) Write(b []byte) (int, error) {
	w.r.mu.Lock()
	defer w.r.mu.Unlock()
	return w.r.log.Write(b)
}

func (r *rig) logs() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.String()
}

// kill ends the daemon with SIGKILL.
func (r *rig) kill() { r.end(syscall.SIGKILL, 10*time.Second) }

// stop ends it as systemd does.
func (r *rig) stop() {
	if exit := r.end(syscall.SIGTERM, 30*time.Second); exit > 0 && !r.t.Failed() {
		r.t.Errorf("the daemon ended with exit code %d after SIGTERM", exit)
	}
}

func (r *rig) end(sig syscall.Signal, patience time.Duration) int {
	r.mu.Lock()
	c, done := r.daemon, r.done
	r.daemon = nil
	r.mu.Unlock()
	if c == nil {
		return 0
	}
	_ = c.Process.Signal(sig) // it may have ended
	select {
	case <-done:
	case <-time.After(patience):
		_ = c.Process.Kill()
		<-done
		r.t.Errorf("the daemon did not end within %s of %s", patience, sig)
	}
	return c.ProcessState.ExitCode()
}

// exited waits for the daemon to end by itself.
func (r *rig) exited(patience time.Duration) int {
	r.t.Helper()
	r.mu.Lock()
	c, done := r.daemon, r.done
	r.mu.Unlock()
	select {
	case <-done:
	case <-time.After(patience):
		r.t.Fatalf("the daemon still runs after %s", patience)
	}
	r.mu.Lock()
	r.daemon = nil
	r.mu.Unlock()
	return c.ProcessState.ExitCode()
}

func (r *rig) status() control.Status {
	r.t.Helper()
	var s control.Status
	if err := json.Unmarshal([]byte(r.must("status", "--json")), &s); err != nil {
		r.t.Fatal(err)
	}
	return s
}

// until polls the status until it satisfies f.
func (r *rig) until(what string, patience time.Duration, f func(control.Status) bool) control.Status {
	r.t.Helper()
	client := control.NewClient(r.socket())
	end := time.Now().Add(patience)
	var last control.Status
	var err error
	r.mu.Lock()
	done := r.done
	r.mu.Unlock()
	for time.Now().Before(end) {
		var s control.Status
		if s, err = client.Status(r.t.Context()); err == nil {
			last = s
			if f(s) {
				return s
			}
		}
		select {
		case <-done: // nil before the first start
			r.t.Fatalf("%s: the daemon has ended", what)
		default:
		}
		pause(20 * time.Millisecond)
	}
	text, _ := json.MarshalIndent(last, "", " ")
	r.t.Fatalf("%s: not within %s (%v); status %s", what, patience, err, text)
	return last
}

func (r *rig) socket() string { return filepath.Join(r.dir, "state", r.name, "sock") }

func (r *rig) waitReady() control.Status {
	r.t.Helper()
	return r.until("ready", 3*time.Minute, func(s control.Status) bool {
		if s.Error != nil {
			r.t.Fatalf("the migration stopped: %s", *s.Error)
		}
		return phaseOf(s) == "ready"
	})
}

// caughtUp waits until everything committed on the source before the call is applied: a row written after it arrives in the target.
func (r *rig) caughtUp(table string) {
	r.t.Helper()
	end := time.Now().Add(2 * time.Minute)
	for {
		a, b := r.rows(table), 0
		r.pg.Get(r.t, "SELECT count(*)::int FROM "+table, &b)
		s := r.status()
		if a == b && s.LagSeconds != nil && *s.LagSeconds == 0 && s.Stream.Applied == s.Stream.Last {
			return
		}
		if time.Now().After(end) {
			r.t.Fatalf("target has %d of %d rows of %s; status %+v", b, a, table, s)
		}
		pause(50 * time.Millisecond)
	}
}

func (r *rig) rows(table string) (n int) {
	r.t.Helper()
	if err := r.my.DB.QueryRowContext(r.t.Context(), "SELECT COUNT(*) FROM "+table).Scan(&n); err != nil {
		r.t.Fatal(err)
	}
	return n
}

// pause lets a little time pass between two looks at a condition.
func pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	<-t.C
}

// equal is the oracle. It shares no code with the program: both queries must give the same texts in the same order.
func (r *rig) equal(what, mysql, postgres string) {
	r.t.Helper()
	a, b := r.mysqlRows(mysql), r.postgresRows(postgres)
	if len(a) != len(b) {
		r.t.Errorf("%s: %d rows on the source, %d on the target", what, len(a), len(b))
	}
	shown := 0
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			r.t.Errorf("%s: row %d\n source %s\n target %s", what, i+1, a[i], b[i])
			if shown++; shown == 5 {
				return
			}
		}
	}
}

func (r *rig) mysqlRows(query string) []string {
	r.t.Helper()
	rows, err := r.my.DB.QueryContext(r.t.Context(), query)
	if err != nil {
		r.t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	cols, err := rows.Columns()
	if err != nil {
		r.t.Fatal(err)
	}
	values := make([]sql.NullString, len(cols))
	into := make([]any, len(cols))
	for i := range values {
		into[i] = &values[i]
	}
	var out []string
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			r.t.Fatal(err)
		}
		var b strings.Builder
		for _, v := range values {
			fmt.Fprintf(&b, "%v:%s|", v.Valid, v.String)
		}
		out = append(out, b.String())
	}
	if err := rows.Err(); err != nil {
		r.t.Fatal(err)
	}
	return out
}

func (r *rig) postgresRows(query string) []string {
	r.t.Helper()
	conn := r.pg.Connect(r.t)
	defer conn.Close(r.t.Context())
	rows, err := conn.Query(r.t.Context(), query, pgx.QueryResultFormats{pgx.TextFormatCode})
	if err != nil {
		r.t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var b strings.Builder
		for _, v := range rows.RawValues() {
			fmt.Fprintf(&b, "%v:%s|", v != nil, v)
		}
		out = append(out, b.String())
	}
	if err := rows.Err(); err != nil {
		r.t.Fatalf("%s: %v", query, err)
	}
	return out
}

func tail(s string, n int) string {
	if len(s) > n {
		return "..." + s[len(s)-n:]
	}
	return s
}
