package mysql

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-io/crossfade/capture"
	"github.com/crossfade-io/crossfade/internal/change"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

func TestOpenNamesWhatIsWrongAndTheRemedy(t *testing.T) {
	server := testdb.MySQL(t)
	d := server.Database(t)
	good := config(t, d.URL())
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := closed.Addr().String()
	closed.Close()
	locked := config(t, d.User(t, "", "pw"))
	d.Exec(t, "ALTER USER '"+locked.User+"' ACCOUNT LOCK")
	for name, c := range map[string]struct {
		change func(*Config)
		want   []string
	}{
		"wrong password":   {func(c *Config) { c.Password = "wrong" }, []string{good.Host, "Access denied", "password of source.url"}},
		"unknown user":     {func(c *Config) { c.User = "nobody" }, []string{good.Host, "nobody", "source.url"}},
		"unknown database": {func(c *Config) { c.Database = "nowhere" }, []string{"nowhere", "database of source.url"}},
		"unreachable host": {func(c *Config) { c.Host = nobody }, []string{nobody, "refused", "host and port of source.url"}},
		"unknown name":     {func(c *Config) { c.Host = "no-such-host.invalid:3306" }, []string{"no-such-host.invalid", "name is not known"}},
		"locked account":   {func(c *Config) { *c = locked }, []string{locked.User, "locked", "ACCOUNT UNLOCK"}},
		"unknown authority": {func(c *Config) { c.TLS = &tls.Config{ServerName: "127.0.0.1", RootCAs: x509.NewCertPool()} },
			[]string{good.Host, "certificate", "sslrootcert"}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := good
			c.change(&cfg)
			s, err := Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
			if err == nil {
				s.Close()
				t.Fatal("it opened")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not say %q: %v", want, err)
				}
			}
			if c.want[0] == good.Host && strings.Contains(err.Error(), good.Password) {
				t.Errorf("the error shows the password: %v", err)
			}
		})
	}
}

func TestConnectionsAreEncryptedWhenAsked(t *testing.T) {
	server := testdb.MySQL(t)
	d := server.Database(t)
	pem, err := os.ReadFile(server.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		t.Fatal("no certificate")
	}
	cfg := config(t, d.User(t, "", "pw", "SELECT", "SELECT ON performance_schema.*"))
	d.Exec(t, "ALTER USER '"+cfg.User+"' REQUIRE SSL")
	if s, err := Open(t.Context(), cfg, slog.New(slog.DiscardHandler)); err == nil {
		s.Close()
		t.Error("a user that requires TLS came in without")
	}
	cfg.TLS = &tls.Config{ServerName: "127.0.0.1", RootCAs: pool}
	s, err := Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	err = s.readers.with(t.Context(), silent, func(w *wire) error {
		cipher, _, err := w.one("SELECT VARIABLE_VALUE FROM performance_schema.session_status WHERE VARIABLE_NAME = 'Ssl_cipher'")
		if err == nil && cipher == "" {
			err = errors.New("the reading session is not encrypted")
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestPresetsOfTheServerDoNotChangeWhatIsRead(t *testing.T) {
	d := scratch.get(t).Database(t)
	d.Exec(t, `SET SESSION sql_mode = '', time_zone = '+00:00';
		CREATE TABLE p (k varchar(9) CHARACTER SET utf8mb4 PRIMARY KEY, c char(5) CHARACTER SET utf8mb4, ts timestamp NULL, d date);
		INSERT INTO p VALUES ('a''\\', 'é', '2024-01-02 03:04:05', '0000-00-00'), ('b', 'x', NULL, NULL)`)
	table := tables(t, d)["p"]
	for name, value := range map[string]string{
		"sql_mode": "'PAD_CHAR_TO_FULL_LENGTH,ANSI_QUOTES,NO_BACKSLASH_ESCAPES,REAL_AS_FLOAT,HIGH_NOT_PRECEDENCE'", "time_zone": "'+05:30'",
		"character_set_server": "latin1", "transaction_isolation": "'READ-UNCOMMITTED'", "autocommit": "0", "sql_select_limit": "1", "max_execution_time": "1",
		"sql_big_selects": "0", "max_join_size": "1", "init_connect": "'SET NAMES latin1'",
	} {
		global(t, d, name, value)
	}
	s := open(t, d)
	want := []string{`text a'\ | text é | timestamp 2024-01-02 03:04:05 | date 0000-00-00`, "text b | text x | null | null"}
	rows := readAll(t, s, table)
	if len(rows) != 2 || write(rows[0]) != want[0] || write(rows[1]) != want[1] {
		t.Errorf("read %d rows: %s", len(rows), write(rows[0]))
	}
	var found []string
	err := s.ReadKeys(t.Context(), now(t, s), table, []change.Row{{rows[0][0]}, {rows[1][0]}}, func(r change.Row) error { found = append(found, write(r)); return nil })
	if err != nil || len(found) != 2 {
		t.Errorf("%d rows by key, %v", len(found), err)
	}
	if err := s.Heartbeat(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestSetupMayBeRepeatedAndHeartbeatMovesThePosition(t *testing.T) {
	d := testdb.MySQL(t).Database(t)
	s := open(t, d)
	if err := s.Setup(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	id, err := s.Identity(t.Context())
	if err != nil || len(id) != 36 {
		t.Errorf("identity %q, %v", id, err)
	}
	for range 3 {
		before := now(t, s)
		if err := s.Heartbeat(t.Context()); err != nil {
			t.Fatal(err)
		}
		after := now(t, s)
		for _, c := range []struct {
			at, p string
			want  bool
		}{{after, before, true}, {before, after, false}, {before, before, true}} {
			if got, err := s.Covers(c.at, c.p); err != nil || got != c.want {
				t.Errorf("%s covers %s: %t, %v", c.at, c.p, got, err)
			}
		}
		if err := s.Contains(t.Context(), after); err != nil {
			t.Error(err)
		}
	}
}

func server(t *testing.T, gtidMode string) *testdb.MySQLServer {
	t.Helper()
	if gtidMode == "OFF" {
		return withoutGTID.get(t)
	}
	return scratch.get(t)
}

// D16: what the stream holds must be in the source, and all after it must still be there.
func TestAPositionThatTheServerDoesNotHaveIsRefused(t *testing.T) {
	for _, mode := range []string{"ON", "OFF"} {
		t.Run("gtid "+mode, func(t *testing.T) {
			d := server(t, mode).Database(t)
			s := open(t, d)
			old := now(t, s)
			if err := s.Contains(t.Context(), old); err != nil {
				t.Fatal(err)
			}
			d.Exec(t, "FLUSH BINARY LOGS; CREATE TABLE x (id int PRIMARY KEY); FLUSH BINARY LOGS")
			last := now(t, s)
			if mode == "ON" {
				id, err := s.Identity(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				refused(t, s, "gtid:"+id+":1-999999", "lacks transactions", "new snapshot")
				refused(t, s, last+";in="+id+":999999;row=3", "lacks transactions", "new snapshot")
				refused(t, s, last+",11111111-2222-3333-4444-555555555555:1", "lacks transactions", "new snapshot")
				refused(t, s, "file:binlog.000001:4", "gtid_mode was changed", "set gtid_mode back")
			} else {
				refused(t, s, "file:binlog.000001:99999999", "was read up to", "new snapshot")
				end, err := parsePosition(now(t, s))
				if err != nil {
					t.Fatal(err)
				}
				end.row = 3 // of a transaction that was lost
				refused(t, s, end.String(), "was read up to", "new snapshot")
				refused(t, s, "gtid:11111111-2222-3333-4444-555555555555:1", "gtid_mode was changed", "set gtid_mode back")
			}
			d.Exec(t, "PURGE BINARY LOGS TO '"+lastBinlog(t, d)+"'")
			refused(t, s, old, "purged", "binlog_expire_logs_seconds")
			if err := s.Contains(t.Context(), last); err != nil {
				t.Errorf("the position after what was purged is refused: %v", err)
			}
			if err := s.Contains(t.Context(), "nonsense"); err == nil {
				t.Error("nonsense is contained")
			}
		})
	}
}

func lastBinlog(t *testing.T, d *testdb.MySQLDB) (name string) {
	t.Helper()
	rows, err := d.DB.QueryContext(t.Context(), "SHOW BINARY LOGS")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	into := []any{&name, new(string)}
	if !isMariaDB(d) {
		into = append(into, new(string))
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
	}
	return name
}

func refused(t *testing.T, s *Source, position, reason, remedy string) {
	t.Helper()
	err := s.Contains(t.Context(), position)
	var stop *capture.Stop
	if !errors.As(err, &stop) || !strings.Contains(stop.Reason, reason) || !strings.Contains(stop.Remedy, remedy) || stop.Position != position {
		t.Errorf("%s: %v; want a stop with %q and %q", position, err, reason, remedy)
	}
}

// invisible leaves a committed row of table r in the log that no session sees yet, as a busy server does for some milliseconds; here for as long as an
// acknowledgement of a replica that does not exist is waited for.
func invisible(t *testing.T, d *testdb.MySQLDB, s *Source) (proof string, wait func()) {
	t.Helper()
	d.Exec(t, `CREATE TABLE r (id int PRIMARY KEY); INSTALL PLUGIN rpl_semi_sync_source SONAME 'semisync_source.so'`)
	t.Cleanup(func() {
		if _, err := d.DB.ExecContext(context.Background(), "UNINSTALL PLUGIN rpl_semi_sync_source"); err != nil {
			t.Error(err)
		}
	})
	d.Exec(t, `SET GLOBAL rpl_semi_sync_source_timeout = 2500, GLOBAL rpl_semi_sync_source_wait_no_replica = ON, GLOBAL rpl_semi_sync_source_enabled = ON`)
	_, before, err := s.fileStatus(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	proof = now(t, s)
	done := make(chan error, 1)
	go func() {
		_, err := d.DB.Exec("INSERT INTO r VALUES (1)")
		done <- err
	}()
	var after uint64
	eventually(t, "the row is in the log", func() bool {
		if _, after, err = s.fileStatus(t.Context()); err != nil {
			t.Fatal(err)
		}
		return after > before
	})
	var n int
	if err := d.DB.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM r").Scan(&n); err != nil || n != 0 {
		t.Fatalf("%d rows are visible, %v: the test shows nothing", n, err)
	}
	if s.gtid {
		p, err := parsePosition(proof)
		if err != nil {
			t.Fatal(err)
		}
		id, err := s.Identity(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		p.in.uuid, err = parseUUID(id)
		if err != nil {
			t.Fatal(err)
		}
		at, _ := p.set.find(p.in.uuid, "")
		spans := p.set.sources[at].spans
		p.in.n = spans[len(spans)-1].last + 1
		p.row = 1
		proof = p.String()
	} else {
		proof = now(t, s)
	}
	return proof, func() {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// Under load rows are visible up to milliseconds before gtid_executed has their transaction, and until then the server owns its GTID. A table that became
// strict by a position without it would meet the row's insert as an error. So what is owned is waited for.
func TestAPositionCoversWhatIsBeingCommitted(t *testing.T) {
	d := scratch.get(t).Database(t)
	s := open(t, d)
	d.Exec(t, "CREATE TABLE r (id int PRIMARY KEY)")
	conn, err := d.DB.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Raw(func(any) error { return driver.ErrBadConn })
	const id = "11111111-2222-3333-4444-666666666666"
	if _, err := conn.ExecContext(t.Context(), "SET gtid_next = '"+id+":7'; BEGIN; INSERT INTO r VALUES (1)"); err != nil {
		t.Fatal(err)
	}
	s.proofWait = 0
	if p, err := s.Position(t.Context()); !errors.Is(err, capture.ErrNotVisible) || !strings.Contains(err.Error(), id) {
		t.Errorf("the position is %s (%v) while a transaction is being committed", p, err)
	}
	s.proofWait = proofWait
	position := make(chan string, 1)
	go func() {
		p, err := s.Position(t.Context())
		if err != nil {
			t.Error(err)
		}
		position <- p
	}()
	if _, err := conn.ExecContext(t.Context(), "COMMIT; SET gtid_next = 'AUTOMATIC'"); err != nil {
		t.Fatal(err)
	}
	if p := <-position; !strings.Contains(p, id+":7") {
		t.Errorf("the position %s lacks the transaction", p)
	}
	// One that was rolled back is no part of it.
	if _, err := conn.ExecContext(t.Context(), "SET gtid_next = '"+id+":8'; BEGIN; INSERT INTO r VALUES (2); ROLLBACK; SET gtid_next = 'AUTOMATIC'"); err != nil {
		t.Fatal(err)
	}
	if p := now(t, s); strings.Contains(p, id+":8") || strings.Contains(p, id+":7-8") {
		t.Errorf("the position %s has a transaction that was rolled back", p)
	}
}

// D23: a change that has been read from the log may not be visible yet. A read under its proof waits for it.
func TestAReadSeesEverythingUpToItsProof(t *testing.T) {
	for _, mode := range []string{"ON", "OFF"} {
		t.Run("gtid "+mode, func(t *testing.T) {
			d := server(t, mode).Database(t)
			s := open(t, d)
			proof, wait := invisible(t, d, s)
			defer wait()
			if n := len(rangeUnder(t, s, proof, d, "r")); n != 1 {
				t.Errorf("%d rows read under the proof %s, one is in the log", n, proof)
			}
		})
	}
}

func rangeUnder(t *testing.T, s *Source, proof string, d *testdb.MySQLDB, name string) (rows []change.Row) {
	t.Helper()
	err := s.ReadRange(t.Context(), proof, tables(t, d)[name], nil, nil, func(r change.Row) error {
		rows = append(rows, r.Clone())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestAProofThatDoesNotComeIsSaidAndLeavesNothing(t *testing.T) {
	d := testdb.MySQL(t).Database(t)
	s := open(t, d)
	s.proofWait = time.Second
	d.Exec(t, "CREATE TABLE r (id int PRIMARY KEY); INSERT INTO r VALUES (1)")
	table := tables(t, d)["r"]
	id, err := s.Identity(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	never := now(t, s) + ";in=" + id + ":999999;row=1"
	emitted := 0
	emit := func(change.Row) error { emitted++; return nil }
	for name, read := range map[string]func() error{
		"range": func() error { return s.ReadRange(t.Context(), never, table, nil, nil, emit) },
		"keys":  func() error { return s.ReadKeys(t.Context(), never, table, []change.Row{{change.NewInt(1)}}, emit) },
		"count": func() error { _, err := s.Count(t.Context(), never, table); return err },
	} {
		if err := read(); !errors.Is(err, capture.ErrNotVisible) || emitted != 0 {
			t.Errorf("%s: %v after %d rows", name, err, emitted)
		}
	}
	if n, err := s.Count(t.Context(), now(t, s), table); err != nil || n != 1 {
		t.Errorf("count %d, %v", n, err)
	}
}

func TestWithoutGTIDAnUnorderedServerIsRefused(t *testing.T) {
	d := withoutGTID.get(t).Database(t)
	global(t, d, "binlog_order_commits", "OFF")
	s := open(t, d)
	d.Exec(t, "CREATE TABLE r (id int PRIMARY KEY); INSERT INTO r VALUES (1)")
	table := tables(t, d)["r"]
	var stop *capture.Stop
	err := s.ReadRange(t.Context(), now(t, s), table, nil, nil, func(change.Row) error { return nil })
	if !errors.As(err, &stop) || !strings.Contains(stop.Remedy, "binlog_order_commits") {
		t.Errorf("a read without a proof: %v", err)
	}
	d.Exec(t, "SET GLOBAL binlog_order_commits = ON")
	if n := len(readAll(t, s, table)); n != 1 {
		t.Errorf("%d rows", n)
	}
	err = s.ReadRange(t.Context(), "file:binlog.000999:4", table, nil, nil, func(change.Row) error { return nil })
	if !errors.As(err, &stop) || !strings.Contains(stop.Reason, "before what has been read") {
		t.Errorf("a proof past the end of the log: %v", err)
	}
}

// A session that waits on the server does not notice that its client is gone: it is killed.
func TestAReadEndsOnTheServerWhenItsContextDoes(t *testing.T) {
	d := testdb.MySQL(t).Database(t)
	s := open(t, d)
	d.Exec(t, "CREATE TABLE r (id int PRIMARY KEY, v longtext); INSERT INTO r VALUES (1, REPEAT('x', 30000000)), (2, REPEAT('x', 30000000))")
	table := tables(t, d)["r"]
	id, err := s.Identity(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sessions := func(like string) (n int) {
		if err := d.DB.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE ? AND ID <> CONNECTION_ID()", like).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- s.ReadRange(ctx, now(t, s)+";in="+id+":999999;row=1", table, nil, nil, func(change.Row) error { return nil })
	}()
	eventually(t, "the read waits on the server", func() bool { return sessions("SELECT WAIT_FOR%") == 1 })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled read returned %v", err)
	}
	began := time.Now()
	eventually(t, "its session is gone", func() bool { return sessions("SELECT WAIT_FOR%") == 0 })
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("its session lived on for %s", took)
	}
	// In the middle of a result, too.
	ctx, cancel = context.WithCancel(t.Context())
	err = s.ReadRange(ctx, now(t, s), table, nil, nil, func(change.Row) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a read cancelled in its middle returned %v", err)
	}
	eventually(t, "its session is gone", func() bool { return sessions("SELECT `id`%") == 0 })
	if n := len(readAll(t, s, table)); n != 2 {
		t.Errorf("%d rows after it", n)
	}
}

func TestAnErrorOfTheReceiverEndsTheRead(t *testing.T) {
	d := testdb.MySQL(t).Database(t)
	s := open(t, d)
	d.Exec(t, "CREATE TABLE r (id int PRIMARY KEY); INSERT INTO r VALUES (1), (2), (3)")
	table := tables(t, d)["r"]
	mine := errors.New("mine")
	emitted := 0
	err := s.ReadRange(t.Context(), now(t, s), table, nil, nil, func(change.Row) error { emitted++; return fmt.Errorf("no: %w", mine) })
	if !errors.Is(err, mine) || emitted != 1 {
		t.Errorf("%v after %d rows", err, emitted)
	}
	if n := len(readAll(t, s, table)); n != 3 {
		t.Errorf("%d rows after it", n)
	}
}

func TestReadsGoOnAfterTheServerWasRestarted(t *testing.T) {
	server := scratch.get(t)
	d := server.Database(t)
	s := open(t, d)
	d.Exec(t, "CREATE TABLE r (id int PRIMARY KEY); INSERT INTO r VALUES (1)")
	table := tables(t, d)["r"]
	proof := now(t, s)
	if n := len(readAll(t, s, table)); n != 1 {
		t.Fatalf("%d rows", n)
	}
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	// A session from before may have died unnoticed; that is an error which is tried again, not another answer.
	var err error
	for range 3 {
		if err = s.ReadRange(t.Context(), proof, table, nil, nil, func(change.Row) error { return nil }); err == nil {
			break
		}
		var stop *capture.Stop
		if errors.As(err, &stop) {
			t.Fatalf("a lost connection needs an operator: %v", err)
		}
	}
	if err != nil {
		t.Error(err)
	}
}
