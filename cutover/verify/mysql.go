package verify

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/change"
)

// Rows reads rows of a MySQL or MariaDB server, in the shape of its catalog. What capture reads a source with does.
type Rows interface {
	Catalog(ctx context.Context, match func(schema, table string) bool) ([]*catalog.Table, error)
	ReadRange(ctx context.Context, proof string, t *catalog.Table, after, upTo change.Row, emit func(change.Row) error) error
	ReadKeys(ctx context.Context, proof string, t *catalog.Table, keys []change.Row, emit func(change.Row) error) error
	// DB is a pool of sessions for what is not rows.
	DB() *sql.DB
	Close() error
}

// MySQL reads a MySQL or MariaDB target and keeps the checkpoint there.
type MySQL struct {
	rows      Rows
	db        *sql.DB
	migration string
	side      string // that is filled

	mu     sync.Mutex
	tables map[*change.Table]*mysqlTable
}

// mysqlTable is a target table as its catalog has it, and where the columns of the shape are in its rows.
type mysqlTable struct {
	real *catalog.Table
	at   []int // of each column of the shape
	key  []int // of each key column of the catalog, which one of the shape's key it is
}

// NewMySQL returns the target of one migration. It closes rows.
func NewMySQL(rows Rows, migration, side string) *MySQL {
	return &MySQL{rows: rows, db: rows.DB(), migration: migration, side: side, tables: map[*change.Table]*mysqlTable{}}
}

// Close ends the sessions.
func (m *MySQL) Close() {
	_ = m.rows.Close() // nothing hangs on how they end
}

// Setup makes the table of the checkpoint. It may be repeated.
func (m *MySQL) Setup(ctx context.Context) error {
	for _, q := range []string{"CREATE DATABASE IF NOT EXISTS crossfade",
		"CREATE TABLE IF NOT EXISTS crossfade.touched (migration varchar(64) NOT NULL, side varchar(16) NOT NULL, seq bigint NOT NULL, `keys` longblob NOT NULL, state longtext NOT NULL, PRIMARY KEY (migration, side)) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"} {
		if _, err := m.db.ExecContext(ctx, q); err != nil {
			return fmt.Errorf("create crossfade.touched on the target: %w", err)
		}
	}
	return nil
}

// Begun reports whether a checkpoint can be there.
func (m *MySQL) Begun(ctx context.Context) (begun bool, err error) {
	err = m.db.QueryRowContext(ctx, "SELECT COUNT(*) > 0 FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'crossfade' AND TABLE_NAME = 'touched'").Scan(&begun)
	if err != nil {
		return false, fmt.Errorf("look for the state of the verification: %w", err)
	}
	return begun, nil
}

// Remove deletes the checkpoint, and its table with the last one.
func (m *MySQL) Remove(ctx context.Context) error {
	begun, err := m.Begun(ctx)
	if err != nil || !begun {
		return err
	}
	if _, err := m.db.ExecContext(ctx, "DELETE FROM crossfade.touched WHERE migration = ?", m.migration); err != nil {
		return fmt.Errorf("remove the migration from crossfade.touched of the %s: %w", m.side, err)
	}
	var left int
	if err = m.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM crossfade.touched").Scan(&left); err == nil && left == 0 {
		_, err = m.db.ExecContext(ctx, "DROP TABLE crossfade.touched")
	}
	if err != nil {
		return fmt.Errorf("drop crossfade.touched of the %s: %w", m.side, err)
	}
	return nil
}

func (m *MySQL) Load(ctx context.Context) (c Checkpoint, ok bool, err error) {
	var seq int64
	err = m.db.QueryRowContext(ctx, "SELECT seq, `keys`, state FROM crossfade.touched WHERE migration = ? AND side = ?", m.migration, m.side).Scan(&seq, &c.Keys, &c.State)
	if errors.Is(err, sql.ErrNoRows) {
		return c, false, nil
	}
	c.Seq = uint64(seq)
	return c, err == nil, err
}

func (m *MySQL) Save(ctx context.Context, c Checkpoint) error {
	keys := c.Keys
	if keys == nil {
		keys = []byte{}
	}
	_, err := m.db.ExecContext(ctx, "REPLACE INTO crossfade.touched (migration, side, seq, `keys`, state) VALUES (?, ?, ?, ?, ?)", m.migration, m.side, int64(c.Seq), keys, string(c.State))
	return err
}

// Count counts the rows of a table in one snapshot with the ledger's counts.
func (m *MySQL) Count(ctx context.Context, t *change.Table) (rows, net int64, err error) {
	tx, err := m.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		return 0, 0, fmt.Errorf("count the rows of %s: %w", t, err)
	}
	defer tx.Rollback() //nolint:errcheck // a read
	err = tx.QueryRowContext(ctx, "SELECT COALESCE(SUM(inserted - deleted), 0) FROM crossfade.counts WHERE migration = ? AND side = ? AND source_table = ?", m.migration, m.side, t.Source).Scan(&net)
	if err == nil {
		err = tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+quoteMySQL(t.Schema)+"."+quoteMySQL(t.Name)).Scan(&rows)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("count the rows of %s: %w", t, err)
	}
	return rows, net, nil
}

func quoteMySQL(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// Net is inserts less deletes by source table, over all lanes.
func (m *MySQL) Net(ctx context.Context) (map[string]int64, error) {
	rows, err := m.db.QueryContext(ctx, "SELECT source_table, SUM(inserted - deleted) FROM crossfade.counts WHERE migration = ? AND side = ? GROUP BY 1", m.migration, m.side)
	if err != nil {
		return nil, fmt.Errorf("read the counts of the ledger: %w", err)
	}
	defer rows.Close()
	net := map[string]int64{}
	for rows.Next() {
		var source string
		var n int64
		if err := rows.Scan(&source, &n); err != nil {
			return nil, fmt.Errorf("read the counts of the ledger: %w", err)
		}
		net[source] = n
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the counts of the ledger: %w", err)
	}
	return net, nil
}

// table finds a target table in the catalog.
func (m *MySQL) table(ctx context.Context, t *change.Table) (*mysqlTable, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if out := m.tables[t]; out != nil {
		return out, nil
	}
	all, err := m.rows.Catalog(ctx, func(schema, table string) bool {
		return strings.EqualFold(schema, t.Schema) && strings.EqualFold(table, t.Name)
	})
	if err != nil {
		return nil, fmt.Errorf("read the target's table %s: %w", t, err)
	}
	if len(all) != 1 {
		return nil, fmt.Errorf("the target has no table %s", t)
	}
	out := &mysqlTable{real: all[0]}
	for _, c := range t.Columns {
		at := slices.IndexFunc(out.real.Columns, func(r catalog.Column) bool { return strings.EqualFold(r.Name, c.Name) })
		if at < 0 {
			return nil, fmt.Errorf("the target's table %s has no column %s", t, c.Name)
		}
		out.at = append(out.at, at)
	}
	for _, k := range out.real.Key {
		n := slices.IndexFunc(t.Key, func(i int) bool { return out.at[i] == k })
		if n < 0 || len(out.real.Key) != len(t.Key) {
			return nil, fmt.Errorf("the key of the target's table %s is not that of the mapping", t)
		}
		out.key = append(out.key, n)
	}
	m.tables[t] = out
	return out, nil
}

// ordered gives a key of the shape in the order of the catalog's; nil stays nil.
func (x *mysqlTable) ordered(key change.Row) change.Row {
	if key == nil {
		return nil
	}
	out := make(change.Row, len(x.key))
	for i, n := range x.key {
		out[i] = key[n]
	}
	return out
}

// shaped emits rows of the catalog in the target's shape. A type that has another name, as json has in MariaDB, may have values of another kind.
func (x *mysqlTable) shaped(t *change.Table, emit func(change.Row) error) func(change.Row) error {
	row := make(change.Row, len(x.at))
	return func(real change.Row) error {
		for i, at := range x.at {
			row[i] = real[at]
			if row[i].Kind == change.Text && t.Columns[i].Kind == change.JSON {
				row[i].Kind = change.JSON
			}
		}
		return emit(row)
	}
}

// ReadRange reads the rows with after < key <= upTo in key order; nil is open.
func (m *MySQL) ReadRange(ctx context.Context, t *change.Table, after, upTo change.Row, emit func(change.Row) error) error {
	x, err := m.table(ctx, t)
	if err != nil {
		return err
	}
	if !slices.IsSorted(x.key) { // the order of the one is not the order of the other
		return fmt.Errorf("the key of the target's table %s has its columns in another order than the mapping", t)
	}
	return m.rows.ReadRange(ctx, "", x.real, x.ordered(after), x.ordered(upTo), x.shaped(t, emit))
}

// ReadKeys reads the rows with these keys, in any order.
func (m *MySQL) ReadKeys(ctx context.Context, t *change.Table, keys []change.Row, emit func(change.Row) error) error {
	x, err := m.table(ctx, t)
	if err != nil {
		return err
	}
	real := make([]change.Row, len(keys))
	for i, k := range keys {
		real[i] = x.ordered(k)
	}
	return m.rows.ReadKeys(ctx, "", x.real, real, x.shaped(t, emit))
}
