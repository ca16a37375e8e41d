package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/crossfade-io/crossfade/capture"
)

// ledgerTable is the table that every transaction of an applier changes first.
const ledgerTable = ownSchema + ".ledger"

// ledgerKey are the columns that name a row of the ledger, whatever else it keeps.
var ledgerKey = []string{"migration", "side", "lane"}

// ledgerThere reports whether an applier has made its ledger in this database. The applier updates it all the time, which a published table without a replica
// identity does not allow.
func (s *Source) ledgerThere(ctx context.Context) (bool, error) {
	var kind string
	err := s.pool.QueryRow(ctx, "SELECT relreplident::text FROM pg_class WHERE oid = to_regclass($1)", ledgerTable).Scan(&kind)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("look for %s on %s: %w", ledgerTable, s.host(), err)
	case kind != "d" && kind != "f":
		return false, &capture.Stop{Object: ledgerTable, Reason: "its replica identity is not its key: once it is published, the updates of the applier fail or do not name their row",
			Remedy: "ALTER TABLE " + ledgerTable + " REPLICA IDENTITY DEFAULT"}
	}
	return true, nil
}

// matchLedger makes sure that the name of the migration can be found in the ledger's rows.
func (l *logged) matchLedger() error {
	for _, want := range ledgerKey {
		at := slices.IndexFunc(l.columns, func(c logColumn) bool { return c.name == want })
		if at < 0 {
			return fmt.Errorf("the ledger has no column %s", want)
		}
		if !l.columns[at].key {
			return fmt.Errorf("the column %s of the ledger is not in its replica identity", want)
		}
	}
	return nil
}

// own reports whether the transaction of the row that was parsed is passed over: its first row is one of this migration's ledger. An applier of ours has made it from
// what the other direction's capture read, and it must not go back. The rows of such a transaction are counted and not looked at.
func (t *tail) own(l *logged) (bool, error) {
	if l.role == ledger && t.tx.rows == 0 {
		migration, err := l.migration(&t.msg)
		if err != nil {
			return false, t.damaged(fmt.Errorf("a row of %s: %w", ledgerTable, err))
		}
		t.tx.own = string(migration) == t.source.cfg.Migration
	}
	if t.tx.own {
		t.counts()
	}
	return t.tx.own, nil
}

// migration is whose row of the ledger a message holds: the new row always has its key.
func (l *logged) migration(m *message) ([]byte, error) {
	tuple := m.new
	if tuple == nil {
		tuple = m.old
	}
	c := cursor{b: tuple}
	if n := c.uint16(); n != len(l.columns) {
		return nil, fmt.Errorf("it has %d columns, the log has described %d", n, len(l.columns))
	}
	for _, column := range l.columns {
		var text []byte
		kind := c.uint8()
		if kind == 't' {
			text = c.take(int(c.uint32()))
		}
		switch {
		case c.short:
			return nil, errShort
		case column.name != ledgerKey[0]:
		case kind != 't':
			return nil, errors.New("it does not name its migration")
		default:
			return text, nil
		}
	}
	return nil, errShort
}

// alteredStop says that a table of the log is not the version in force.
func (t *tail) alteredStop(l *logged, err error) error {
	return t.stop(l.schema+"."+l.name, err.Error(), "the table was changed: undo the change and start again, or start again with a new snapshot")
}
