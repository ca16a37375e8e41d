package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"

	"github.com/crossfade-io/crossfade/internal/control"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

// move is one cutover or rollback under load, as crossfade reports it and as the application saw it.
type move struct {
	Verb        string        `json:"verb"`
	WritePause  time.Duration `json:"write_pause_ns"`  // from the fence to the opening
	ClientPause time.Duration `json:"client_pause_ns"` // from the first effect on clients to the last
	Predicted   time.Duration `json:"predicted_ns"`
	Silence     time.Duration `json:"silence_ns"` // the longest time in which no write of anybody was acknowledged
	Slowest     time.Duration `json:"slowest_ns"` // the longest that a transaction took which was
	Failed      int           `json:"failed"`     // transactions
}

// series are the moves of one pair of databases of one size.
type series struct {
	Pair  string  `json:"pair"`
	Rows  int     `json:"rows"`
	Peak  float64 `json:"peak_per_s"` // transactions of the application without a limit
	Rate  float64 `json:"rate_per_s"` // during the moves
	Moves []move  `json:"moves"`
}

// smaller is how much smaller the smaller of the two databases is.
const smaller = 20

// moves measures pauses: each pair with a database, and with one that is 20 times as large.
func (b *bench) moves(ctx context.Context, r *result) error {
	for _, rows := range []int{max(b.Rows/smaller, 1), b.Rows} {
		for _, open := range []func(context.Context, int) (*pair, error){b.postgresPair, b.mysqlPair} {
			p, err := open(ctx, rows)
			if err != nil {
				return err
			}
			s, err := p.measure(ctx, b.Moves)
			if err = errors.Join(err, p.close()); err != nil {
				return fmt.Errorf("%s, %d rows: %w", p.name, rows, err)
			}
			r.Pauses = append(r.Pauses, s)
		}
	}
	return nil
}

// pair is two databases between which the writes move, and the application that writes.
type pair struct {
	*bench
	name   string
	rows   int
	daemon *daemon
	app    *application
	ids    func(ctx context.Context, side string) (map[int64]bool, error) // the keys that the application has written, on a side
	ends   []func() error
}

func (p *pair) close() (err error) {
	for i := len(p.ends) - 1; i >= 0; i-- {
		err = errors.Join(err, p.ends[i]())
	}
	return err
}

const (
	appUser     = "app"
	appPassword = "app"
)

// newPostgresSide makes a database that the application may write to; with rows, else for them to come.
func (b *bench) newPostgresSide(ctx context.Context, s *testdb.PostgresServer, name string, rows int) error {
	if err := execPostgres(ctx, s, "postgres", "CREATE DATABASE "+name, "DO $$ BEGIN CREATE ROLE "+appUser+" LOGIN PASSWORD '"+appPassword+"'; EXCEPTION WHEN duplicate_object THEN NULL; END $$"); err != nil {
		return err
	}
	if err := execPostgres(ctx, s, name, "ALTER DEFAULT PRIVILEGES GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO "+appUser); err != nil {
		return err
	}
	if rows == 0 {
		return nil
	}
	return onPostgres(ctx, s, name, func(conn *pgx.Conn) error {
		if _, err := conn.Exec(ctx, postgresTable); err != nil {
			return err
		}
		return copyRows(ctx, conn, rows)
	})
}

// postgresPair leads from PostgreSQL to PostgreSQL, with a PgBouncer before both.
func (b *bench) postgresPair(ctx context.Context, rows int) (*pair, error) {
	p := &pair{bench: b, name: "PostgreSQL to PostgreSQL, PgBouncer", rows: rows}
	name := fmt.Sprintf("pooled_%d", rows)
	if err := b.newPostgresSide(ctx, b.publisher, name, rows); err != nil {
		return p, err
	}
	if err := b.newPostgresSide(ctx, b.target, name, 0); err != nil {
		return p, err
	}
	u, err := url.Parse(b.publisher.URL(name))
	if err != nil {
		return p, err
	}
	bouncer, err := testdb.StartPgBouncer(ctx, b.log, testdb.PgBouncerConfig{Users: map[string]string{appUser: appPassword},
		Databases: []string{fmt.Sprintf("shop = host=127.0.0.1 port=%s dbname=%s", u.Port(), name)}})
	if err != nil {
		return p, err
	}
	p.app = &application{rows: int64(rows), dial: func(ctx context.Context) (session, error) {
		return dialPostgres(ctx, bouncer.URL(appUser, appPassword, "shop"))
	}}
	p.ids = func(ctx context.Context, side string) (map[int64]bool, error) {
		s := b.publisher
		if side == "target" {
			s = b.target
		}
		return postgresIDs(ctx, s, name, rows)
	}
	return p, p.configure(b.publisher.URL(name), "public.orders", b.target.URL(name), map[string]any{"pgbouncer": map[string]any{"admin": bouncer.AdminURL(), "database": "shop", "ini": bouncer.Ini()}})
}

// mysqlPair leads from MySQL to PostgreSQL; a file says where the application is to write.
func (b *bench) mysqlPair(ctx context.Context, rows int) (*pair, error) {
	p := &pair{bench: b, name: "MySQL to PostgreSQL, exec", rows: rows}
	name := fmt.Sprintf("switched_%d", rows)
	if _, err := b.db.ExecContext(ctx, "CREATE DATABASE "+name+"; CREATE USER IF NOT EXISTS "+appUser+" IDENTIFIED BY '"+appPassword+"'; GRANT SELECT, INSERT, UPDATE, DELETE ON "+name+".* TO "+appUser); err != nil {
		return p, err
	}
	db, err := b.source.Open(name)
	if err != nil {
		return p, err
	}
	p.ends = append(p.ends, db.Close)
	if err := loadMySQL(ctx, db, rows); err != nil {
		return p, err
	}
	if err := b.newPostgresSide(ctx, b.target, name, 0); err != nil {
		return p, err
	}
	point, where, file := filepath.Join(b.dir, name+"-point"), filepath.Join(b.dir, name+"-where"), filepath.Join(b.dir, name+"-active")
	for path, text := range map[string]string{point: fmt.Sprintf("#!/bin/sh\necho $CROSSFADE_ACTIVE >%[1]s.new && mv %[1]s.new %[1]s\n", file), where: "#!/bin/sh\ncat " + file + "\n", file: "source\n"} {
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			return p, err
		}
	}
	login, err := loginTo(b.source.URL(name))
	if err != nil {
		return p, err
	}
	there, err := url.Parse(b.target.URL(name))
	if err != nil {
		return p, err
	}
	there.User = url.UserPassword(appUser, appPassword)
	p.app = &application{rows: int64(rows), dial: func(ctx context.Context) (session, error) {
		if at, err := os.ReadFile(file); err != nil {
			return nil, err
		} else if string(at) == "target\n" {
			return dialPostgres(ctx, there.String())
		}
		return dialMySQL(ctx, func() (*sql.DB, error) { return sql.Open("mysql", login) })
	}}
	p.ids = func(ctx context.Context, side string) (map[int64]bool, error) {
		if side == "target" {
			return postgresIDs(ctx, b.target, name, rows)
		}
		return mysqlIDs(ctx, db, rows)
	}
	return p, p.configure(b.source.URL(name)+"?sslmode=disable", name+".orders", b.target.URL(name), map[string]any{"exec": map[string]any{"command": []string{point}, "status": []string{where}}})
}

// loginTo is the application's login in the form of the driver.
func loginTo(raw string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return "", err
	}
	c := mysql.NewConfig()
	c.User, c.Passwd, c.Net, c.Addr, c.DBName, c.MultiStatements, c.Logger = appUser, appPassword, "tcp", u.Host, u.Path[1:], true, &mysql.NopLogger{}
	return c.FormatDSN(), nil
}

// configure writes the configuration of a migration with a way back.
func (p *pair) configure(source, tables, target string, step map[string]any) error {
	name := fmt.Sprintf("moves-%d-%d", len(p.name), p.rows)
	state := filepath.Join(p.dir, name)
	p.daemon = &daemon{program: p.program, config: filepath.Join(p.dir, name+".yaml"), socket: filepath.Join(state, name, "sock"), verbose: p.verbose}
	text, err := json.Marshal(map[string]any{
		"name": name, "state_dir": state, "api": map[string]any{"listen": ""},
		"source":  map[string]any{"url": source, "tables": []string{tables}},
		"target":  map[string]any{"url": target},
		"cutover": map[string]any{"reverse": true, "max_pause": "20s", "switch": []any{step}},
	})
	if err != nil {
		return err
	}
	return os.WriteFile(p.daemon.config, text, 0o600)
}

// measure finds the peak of the application, and then moves its writes forth and back at half of that.
func (p *pair) measure(ctx context.Context, times int) (s series, err error) {
	s = series{Pair: p.name, Rows: p.rows}
	if err := p.daemon.start(); err != nil {
		return s, err
	}
	p.ends = append(p.ends, p.daemon.stop)
	if err := p.until(ctx, "ready"); err != nil {
		return s, err
	}
	if s.Peak, err = p.peak(ctx); err != nil {
		return s, err
	}
	s.Rate = s.Peak / 2
	p.say("%s, %d rows: peak %.0f transactions/s, moving at %.0f", p.name, p.rows, s.Peak, s.Rate)
	writing, stop := context.WithCancel(ctx)
	var wait sync.WaitGroup
	wait.Go(func() { p.app.run(writing, time.Duration(float64(connections)/s.Rate*float64(time.Second))) })
	err = p.moveOften(ctx, times, &s)
	stop()
	wait.Wait()
	if err != nil {
		return s, err
	}
	if err := p.nothingLost(ctx); err != nil {
		return s, err
	}
	if err := p.daemon.stop(); err != nil {
		return s, err
	}
	out, err := exec.CommandContext(ctx, p.program, "cleanup", "-c", p.daemon.config).CombinedOutput() // its slots would keep the servers' logs
	if err != nil {
		err = fmt.Errorf("cleanup: %w: %s", err, out)
	}
	return s, err
}

// peak is how many transactions a second the application gets through without a limit.
func (p *pair) peak(ctx context.Context) (float64, error) {
	const warm = 500 * time.Millisecond
	writing, stop := context.WithTimeout(ctx, warm+p.Peak)
	defer stop()
	from := time.Now().Add(warm)
	p.app.run(writing, 0)
	if n := p.app.failures(); n > 0 {
		return 0, fmt.Errorf("%d transactions failed while nothing moved, the last with %w", n, p.app.last)
	}
	return float64(len(p.app.since(from))-1) / p.Peak.Seconds(), ctx.Err()
}

func (p *pair) moveOften(ctx context.Context, times int, s *series) error {
	for range times {
		for _, turn := range []struct{ phase, verb string }{{"ready", "cutover"}, {"soak", "rollback"}} {
			if err := p.until(ctx, turn.phase); err != nil {
				return err
			}
			m, err := p.move(ctx, turn.verb)
			if err != nil {
				return fmt.Errorf("%s: %w", turn.verb, err)
			}
			s.Moves = append(s.Moves, m)
			p.say("%s: %-8s write pause %4d ms, clients wait %4d ms", p.name, turn.verb, m.WritePause.Milliseconds(), m.Silence.Milliseconds())
		}
	}
	return p.until(ctx, "ready")
}

// move runs a verb and looks at it from both sides.
func (p *pair) move(ctx context.Context, verb string) (m move, err error) {
	failed, from := p.app.failures(), time.Now()
	out, err := control.NewClient(p.daemon.socket).Post(ctx, verb, control.Request{})
	if err != nil {
		return m, err
	}
	var report struct {
		WritePauseMS     int64 `json:"write_pause_ms"`
		ClientPauseMS    int64 `json:"client_pause_ms"`
		PredictedPauseMS int64 `json:"predicted_pause_ms"`
	}
	if err := json.Unmarshal(out, &report); err != nil {
		return m, err
	}
	done := time.Now()
	for len(p.app.since(done)) < 1+connections { // they write there
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			return m, err
		}
		if time.Since(done) > time.Minute {
			return m, fmt.Errorf("the application does not write any more: %w", p.app.last)
		}
	}
	m = move{Verb: verb, WritePause: time.Duration(report.WritePauseMS) * time.Millisecond, ClientPause: time.Duration(report.ClientPauseMS) * time.Millisecond,
		Predicted: time.Duration(report.PredictedPauseMS) * time.Millisecond, Failed: p.app.failures() - failed}
	m.Silence, m.Slowest = silence(p.app.since(from))
	return m, nil
}

// until waits until the migration may be moved: in phase ready to the target, in phase soak back.
func (p *pair) until(ctx context.Context, phase string) error {
	client := control.NewClient(p.daemon.socket)
	for {
		if err := p.daemon.alive(); err != nil {
			return err
		}
		s, err := client.Status(ctx)
		if err == nil && s.Error != nil {
			return fmt.Errorf("crossfade has stopped: %s", *s.Error)
		}
		if err == nil && s.Phase != nil && *s.Phase == phase && s.Reverse != nil &&
			(phase == "ready" && s.LagSeconds != nil || phase == "soak" && s.Reverse.State == "applying" && s.Reverse.LastCleanAt != nil && s.Reverse.LagSeconds != nil) {
			return nil
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

// nothingLost is an error when a write that was acknowledged is not in both databases.
func (p *pair) nothingLost(ctx context.Context) error {
	for began := time.Now(); ; {
		source, err := p.ids(ctx, "source")
		if err != nil {
			return err
		}
		target, err := p.ids(ctx, "target")
		if err != nil {
			return err
		}
		lost := 0
		for _, a := range p.app.acks {
			if !source[a.id] || !target[a.id] {
				lost++
			}
		}
		if lost == 0 {
			return nil
		}
		if time.Since(began) > time.Minute {
			return fmt.Errorf("%d of %d acknowledged writes are not in both databases", lost, len(p.app.acks))
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}

func postgresIDs(ctx context.Context, s *testdb.PostgresServer, name string, above int) (ids map[int64]bool, err error) {
	err = onPostgres(ctx, s, name, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, "SELECT id FROM orders WHERE id > $1", above)
		if err != nil {
			return err
		}
		list, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		ids = setOf(list)
		return err
	})
	return ids, err
}

func mysqlIDs(ctx context.Context, db *sql.DB, above int) (map[int64]bool, error) {
	rows, err := db.QueryContext(ctx, "SELECT id FROM orders WHERE id > ?", above)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		list = append(list, id)
	}
	return setOf(list), rows.Err()
}

func setOf(list []int64) map[int64]bool {
	out := make(map[int64]bool, len(list))
	for _, id := range list {
		out[id] = true
	}
	return out
}
