package verify

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/crossfade-io/crossfade/internal/canonical"
	"github.com/crossfade-io/crossfade/internal/change"
)

// Postgres reads a PostgreSQL target and keeps the checkpoint there.
type Postgres struct {
	pool      *pgxpool.Pool
	migration string
	side      string // that is filled
}

// SessionParameters are what the sessions of the pool must be opened with: the text forms that canonical reads.
var SessionParameters = map[string]string{
	"TimeZone": "UTC", "DateStyle": "ISO, YMD", "IntervalStyle": "postgres", "extra_float_digits": "1", "bytea_output": "hex",
	"lc_monetary": "C", "xmlbinary": "base64", "client_encoding": "UTF8", "application_name": "crossfade verify",
}

// NewPostgres returns the filled side of one migration. The pool's sessions have [SessionParameters].
func NewPostgres(pool *pgxpool.Pool, migration, side string) *Postgres {
	return &Postgres{pool: pool, migration: migration, side: side}
}

// OpenPostgres connects to the target of one migration.
func OpenPostgres(ctx context.Context, url, migration, side string) (*Postgres, error) {
	pc, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("%s.url: %w", side, err)
	}
	for k, v := range SessionParameters {
		pc.ConnConfig.RuntimeParams[k] = v
	}
	pc.ConnConfig.ConnectTimeout = 10 * time.Second
	pc.MaxConns = 12
	// A session that the server has ended must not answer for one that lives: a cutover would be refused because of it.
	pc.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return true }
	pool, err := pgxpool.NewWithConfig(ctx, pc)
	if err != nil {
		return nil, err
	}
	ping, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	if err := pool.Ping(ping); err != nil {
		pool.Close()
		return nil, fmt.Errorf("connect to PostgreSQL at %s:%d: %w; check %s.url, the password and pg_hba.conf", pc.ConnConfig.Host, pc.ConnConfig.Port, err, side)
	}
	return NewPostgres(pool, migration, side), nil
}

// Close ends the sessions.
func (p *Postgres) Close() { p.pool.Close() }

// Begun reports whether a checkpoint can be there.
func (p *Postgres) Begun(ctx context.Context) (begun bool, err error) {
	if err := p.pool.QueryRow(ctx, "SELECT to_regclass('crossfade.touched') IS NOT NULL").Scan(&begun); err != nil {
		return false, fmt.Errorf("look for the state of the verification: %w", err)
	}
	return begun, nil
}

// Remove deletes the checkpoint, and its table with the last one.
func (p *Postgres) Remove(ctx context.Context) error {
	_, err := p.pool.Exec(ctx, fmt.Sprintf(`DO $$ BEGIN
		IF to_regclass('crossfade.touched') IS NULL THEN RETURN; END IF;
		DELETE FROM crossfade.touched WHERE migration = '%s';
		IF NOT EXISTS (SELECT FROM crossfade.touched) THEN DROP TABLE crossfade.touched; END IF;
	END $$`, strings.ReplaceAll(p.migration, "'", "''")))
	if err != nil {
		return fmt.Errorf("remove the migration from crossfade.touched of the %s: %w", p.side, err)
	}
	return nil
}

// Setup makes the table of the checkpoint. It may be repeated.
func (p *Postgres) Setup(ctx context.Context) error {
	_, err := p.pool.Exec(ctx, `CREATE SCHEMA IF NOT EXISTS crossfade;
CREATE TABLE IF NOT EXISTS crossfade.touched (
	migration text NOT NULL, side text NOT NULL, seq bigint NOT NULL, keys bytea NOT NULL, state jsonb NOT NULL,
	PRIMARY KEY (migration, side))`)
	if err != nil {
		return fmt.Errorf("create crossfade.touched on the target: %w", err)
	}
	return nil
}

func (p *Postgres) Load(ctx context.Context) (c Checkpoint, ok bool, err error) {
	var seq int64
	err = p.pool.QueryRow(ctx, `SELECT seq, keys, state::text FROM crossfade.touched WHERE migration = $1 AND side = $2`, p.migration, p.side).
		Scan(&seq, &c.Keys, &c.State)
	if errors.Is(err, pgx.ErrNoRows) {
		return c, false, nil
	}
	c.Seq = uint64(seq)
	return c, err == nil, err
}

func (p *Postgres) Save(ctx context.Context, c Checkpoint) error {
	_, err := p.pool.Exec(ctx, `INSERT INTO crossfade.touched (migration, side, seq, keys, state) VALUES ($1, $2, $3, $4, $5::text::jsonb)
ON CONFLICT (migration, side) DO UPDATE SET seq = excluded.seq, keys = excluded.keys, state = excluded.state`,
		p.migration, p.side, int64(c.Seq), c.Keys, string(c.State))
	return err
}

// Count counts the rows of a table in one snapshot with the ledger's counts. The table is locked before the snapshot is taken: a TRUNCATE empties
// a table also for older snapshots.
func (p *Postgres) Count(ctx context.Context, t *change.Table) (rows, net int64, err error) {
	name := pgx.Identifier{t.Schema, t.Name}.Sanitize()
	err = pgx.BeginTxFunc(ctx, p.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "LOCK TABLE "+name+" IN ACCESS SHARE MODE"); err != nil {
			return err
		}
		return tx.QueryRow(ctx, "SELECT (SELECT count(*) FROM "+name+"), COALESCE((SELECT sum(inserted - deleted) FROM crossfade.counts WHERE migration = $1 AND side = $2 AND source_table = $3), 0)::bigint",
			p.migration, p.side, t.Source).Scan(&rows, &net)
	})
	if err != nil {
		return 0, 0, fmt.Errorf("count the rows of %s: %w", t, err)
	}
	return rows, net, nil
}

// Net is inserts less deletes by source table, over all lanes.
func (p *Postgres) Net(ctx context.Context) (map[string]int64, error) {
	rows, err := p.pool.Query(ctx, "SELECT source_table, sum(inserted - deleted)::bigint FROM crossfade.counts WHERE migration = $1 AND side = $2 GROUP BY 1", p.migration, p.side)
	if err != nil {
		return nil, fmt.Errorf("read the counts of the ledger: %w", err)
	}
	net := map[string]int64{}
	var source string
	var n int64
	if _, err = pgx.ForEachRow(rows, []any{&source, &n}, func() error {
		net[source] = n
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read the counts of the ledger: %w", err)
	}
	return net, nil
}

// ReadRange reads the rows with after < key <= upTo in key order; nil is open.
func (p *Postgres) ReadRange(ctx context.Context, t *change.Table, after, upTo change.Row, emit func(change.Row) error) error {
	var q strings.Builder
	q.WriteString("SELECT " + columns(t, "") + " FROM " + pgx.Identifier{t.Schema, t.Name}.Sanitize())
	var params [][]byte
	bound := func(op string, key change.Row) {
		if key == nil {
			return
		}
		q.WriteString(map[bool]string{true: " WHERE ", false: " AND "}[len(params) == 0])
		q.WriteString("(" + keyColumns(t, "") + ") " + op + " (")
		for i, k := range t.Key {
			if i > 0 {
				q.WriteString(", ")
			}
			params = append(params, paramText(key[i]))
			q.WriteString("$" + strconv.Itoa(len(params)) + "::" + t.Columns[k].Type)
		}
		q.WriteString(")")
	}
	bound(">", after)
	bound("<=", upTo)
	q.WriteString(" ORDER BY " + keyColumns(t, ""))
	return p.read(ctx, t, q.String(), params, emit)
}

// ReadKeys reads the rows with these keys, in any order.
func (p *Postgres) ReadKeys(ctx context.Context, t *change.Table, keys []change.Row, emit func(change.Row) error) error {
	if len(keys) == 0 {
		return nil
	}
	var arrays, names, join []string
	var params [][]byte
	for i, k := range t.Key {
		c := t.Columns[k]
		params = append(params, arrayText(keys, i))
		param, cast := "$"+strconv.Itoa(i+1), ""
		if typ := baseType(c.Type); c.Kind == change.Text { // which may be an array, or one whose values are not separated by commas
			param, cast = param+"::text[]", "::"+typ
		} else {
			param += "::" + typ + "[]"
		}
		arrays = append(arrays, param)
		names = append(names, "k"+strconv.Itoa(i))
		join = append(join, "t."+pgx.Identifier{c.Name}.Sanitize()+" = k.k"+strconv.Itoa(i)+cast)
	}
	q := "SELECT " + columns(t, "t.") + " FROM unnest(" + strings.Join(arrays, ", ") + ") AS k(" + strings.Join(names, ", ") + ") JOIN " +
		pgx.Identifier{t.Schema, t.Name}.Sanitize() + " AS t ON " + strings.Join(join, " AND ")
	return p.read(ctx, t, q, params, emit)
}

func (p *Postgres) read(ctx context.Context, t *change.Table, sql string, params [][]byte, emit func(change.Row) error) (err error) {
	conn, err := p.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("connect to the target: %w", err)
	}
	defer conn.Release()
	r := conn.Conn().PgConn().ExecParams(ctx, sql, params, nil, nil, nil)
	err = eachRow(r, t, emit)
	if _, cerr := r.Close(); err == nil && cerr != nil {
		err = fmt.Errorf("read %s: %w", t, cerr)
	}
	return err
}

func eachRow(r *pgconn.ResultReader, t *change.Table, emit func(change.Row) error) error {
	row := make(change.Row, len(t.Columns))
	for r.NextRow() {
		for i, text := range r.Values() {
			if text == nil {
				row[i] = change.Value{Kind: change.Null}
				continue
			}
			v, err := canonical.ParsePG(t.Columns[i], text)
			if err != nil {
				return fmt.Errorf("read %s.%s: %w", t, t.Columns[i].Name, err)
			}
			row[i] = v
		}
		if err := emit(row); err != nil {
			return err
		}
	}
	return nil
}

func columns(t *change.Table, prefix string) string {
	names := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i] = prefix + pgx.Identifier{c.Name}.Sanitize()
	}
	return strings.Join(names, ", ")
}

func keyColumns(t *change.Table, prefix string) string {
	names := make([]string, len(t.Key))
	for i, k := range t.Key {
		names[i] = prefix + pgx.Identifier{t.Columns[k].Name}.Sanitize()
	}
	return strings.Join(names, ", ")
}

// baseType drops the modifiers: numeric(20,0) is numeric, "timestamp(6) without time zone" is "timestamp without time zone".
func baseType(typ string) string {
	switch { // without a length these have the length 1
	case strings.HasPrefix(typ, "character("):
		return "bpchar"
	case strings.HasPrefix(typ, "bit("):
		return typ
	}
	open := strings.IndexByte(typ, '(')
	end := strings.IndexByte(typ, ')')
	if open < 0 || end < open {
		return typ
	}
	return typ[:open] + typ[end+1:]
}

// paramText is the text form in which the target takes a key value.
func paramText(v change.Value) []byte {
	switch v.Kind {
	case change.Null, change.Absent:
		return nil
	case change.Bytes:
		return append([]byte(`\x`), hex.EncodeToString(v.B)...)
	default: // a moment without a zone is UTC, as the session is
		return v.AppendText(nil)
	}
}

func arrayText(keys []change.Row, column int) []byte {
	b := []byte{'{'}
	for i, k := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		for _, c := range paramText(k[column]) {
			if c == '"' || c == '\\' {
				b = append(b, '\\')
			}
			b = append(b, c)
		}
		b = append(b, '"')
	}
	return append(b, '}')
}
