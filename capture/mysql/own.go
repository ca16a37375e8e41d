package mysql

import (
	"errors"
	"fmt"

	"github.com/go-mysql-org/go-mysql/replication"
)

// ledgerTable is the table of ownSchema that every transaction of an applier changes first.
const ledgerTable = "ledger"

// ledgerKey are the columns that the ledger begins with, whatever else it keeps. Names are ASCII.
var ledgerKey = [...]struct {
	name string
	typ  byte
}{{"migration", typeVarchar}, {"side", typeVarchar}, {"lane", typeLong}}

// matchLedger makes sure that the name of the migration can be found in the ledger's rows.
func (l *loggedTable) matchLedger(collations map[uint64]string) error {
	if len(l.fields) < len(ledgerKey) {
		return fmt.Errorf("the ledger has %d columns, fewer than its key", len(l.fields))
	}
	for i, k := range ledgerKey {
		if l.fields[i].typ != k.typ {
			return fmt.Errorf("column %d of the ledger, %s, is stored as type %d", i+1, k.name, l.fields[i].typ)
		}
		if l.names != nil && string(l.names[i]) != k.name {
			return fmt.Errorf("column %d of the ledger is %s instead of %s", i+1, l.names[i], k.name)
		}
	}
	if l.charsets == nil { // the server does not say
		return nil
	}
	cs, err := charsetOf(collations[l.charsets[0]])
	if err == nil && !cs.direct {
		err = errors.New(cs.name)
	}
	if err != nil {
		return fmt.Errorf("the ledger names its migration in another character set: %w", err)
	}
	return nil
}

// own begins to pass over a transaction whose first row is one of this migration's ledger: an applier of ours has made it from what the other direction's
// capture read, and it must not go back. What follows up to the commit is not looked at. It reports whether it is such a transaction.
func (t *tail) own(r *rowsEvent) (bool, error) {
	if r.table.role != ledger || t.tx.rows > 0 || len(r.data) == 0 {
		return false, nil
	}
	migration, err := r.leading()
	if err != nil {
		return false, t.damaged(fmt.Errorf("row of %s: %w", r.table, err))
	}
	if string(migration) != t.cfg.migration {
		return false, nil
	}
	t.tx.own = true
	t.statement++ // its descriptions are over
	return true, nil
}

// leading is the value of the first column of the next row, which it leaves there: that of the old row, if there is one.
func (r *rowsEvent) leading() ([]byte, error) {
	bitmap, n := r.after, r.nAfter
	if r.before != nil {
		bitmap, n = r.before, r.nBefore
	}
	nulls := (n + 7) / 8
	switch {
	case !hasBit(bitmap, 0):
		return nil, errNoKey
	case len(r.data) < nulls:
		return nil, errShort
	case hasBit(r.data, 0):
		return nil, errNoKey
	}
	b := r.data[nulls:]
	prefix, size, err := r.table.fields[0].size(b)
	if err != nil {
		return nil, err
	}
	return b[prefix : prefix+size], nil
}

// isOfRows reports whether an event describes tables or holds rows.
func isOfRows(typ replication.EventType) bool {
	switch typ {
	case replication.TABLE_MAP_EVENT,
		replication.WRITE_ROWS_EVENTv1, replication.UPDATE_ROWS_EVENTv1, replication.DELETE_ROWS_EVENTv1,
		replication.WRITE_ROWS_EVENTv2, replication.UPDATE_ROWS_EVENTv2, replication.DELETE_ROWS_EVENTv2, replication.PARTIAL_UPDATE_ROWS_EVENT,
		replication.MARIADB_WRITE_ROWS_COMPRESSED_EVENT_V1, replication.MARIADB_UPDATE_ROWS_COMPRESSED_EVENT_V1, replication.MARIADB_DELETE_ROWS_COMPRESSED_EVENT_V1:
		return true
	default:
		return false
	}
}
