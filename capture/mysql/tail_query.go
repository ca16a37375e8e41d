package mysql

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/crossfade-io/crossfade/capture"
	"github.com/crossfade-io/crossfade/internal/change"
)

// query judges a statement.
func (t *tail) query(e *event) (bool, error) {
	q, err := parseQuery(e.body)
	if err != nil {
		return false, t.damaged(err)
	}
	text, err := t.statementText(&q)
	st := statement{verdict: unreadable}
	if err != nil {
		st.reason = err.Error()
	} else {
		st = classify(&q, text, t.version, t)
	}
	outside := func(v string) error { return t.damaged(fmt.Errorf("%s outside a transaction", v)) }
	switch st.verdict {
	case begins, xaStarts:
		if t.tx.open {
			return false, t.damaged(errors.New("a transaction begins inside another"))
		}
		t.tx.open, t.tx.xid = true, st.xid
	case commits:
		if !t.tx.open {
			return false, outside("COMMIT")
		}
		t.ending = true
	case rollsBack, rollsTo:
		if !t.tx.open {
			return false, outside("ROLLBACK")
		}
		if t.tx.touched {
			return false, t.stop("transaction "+t.tx.name(t), "rows of migrated tables were logged and then rolled back, together with tables that cannot roll back",
				"move tables of engines without transactions to InnoDB, and start again with a new snapshot")
		}
		t.ending = st.verdict == rollsBack
	case savepoint, xaEnds:
		if !t.tx.open {
			return false, outside("a savepoint")
		}
	case xaCommits:
		if !slices.Contains(t.pos.prepared, st.xid) {
			return false, t.stop("transaction "+t.tx.name(t), "it commits an XA transaction that was prepared before the migration began, so its rows are not in what has been read",
				"start again with a new snapshot while XA RECOVER is empty")
		}
		t.tx.settled, t.ending = st.xid, true
	case xaRolls:
		t.tx.settled, t.ending = st.xid, true
	case passes:
		t.tx.open = t.tx.open || st.opens
		t.ending = !t.tx.open
	case truncates:
		return t.truncate(st.table)
	case changes:
		return false, t.statementFormat(st.object)
	case touches:
		return false, t.stop(st.object, fmt.Sprintf("%s: %s", st.reason, excerpt(text)),
			"changes of migrated tables are not followed: exclude the table and resume, or start again with a new snapshot")
	case unreadable:
		return false, t.stop("transaction "+t.tx.name(t), fmt.Sprintf("a statement is not understood (%s): %s", st.reason, excerpt(text)),
			"if it touches no migrated table report it; nothing has been skipped")
	default:
		return false, t.stop("transaction "+t.tx.name(t), fmt.Sprintf("a statement was judged %d", st.verdict), "report it; nothing has been skipped")
	}
	return false, nil
}

// truncate returns the emptying of a table. It counts as a row, so that a place behind it can be named.
func (t *tail) truncate(n name) (bool, error) {
	if t.tx.open {
		return false, t.damaged(errors.New("TRUNCATE inside a transaction"))
	}
	t.ending = true
	t.tx.rows++
	t.tx.touched = true
	if t.tx.rows <= t.skip {
		return false, nil
	}
	t.event = capture.Event{Kind: capture.Truncate, Time: t.tx.time, Change: change.Change{Table: t.table(n).Shape(), Op: change.Truncate}}
	t.returning()
	return true, nil
}

// prepare ends the first half of an XA transaction. Its rows are of tables that are not migrated, or reading would have stopped at them; so it may be
// committed later.
func (t *tail) prepare(e *event) error {
	if !t.tx.open || t.tx.xid == "" || len(e.body) < 1 {
		return t.damaged(errors.New("XA PREPARE without XA START"))
	}
	if onePhase := e.body[0] != 0; !onePhase {
		t.tx.prepared = t.tx.xid
	}
	t.ending = true
	return nil
}

// statementText returns the statement in UTF-8.
func (t *tail) statementText(q *query) (string, error) {
	if isASCII(q.text) {
		return string(q.text), nil
	}
	cs, err := charsetOf(t.collations[q.client])
	if err != nil {
		return "", fmt.Errorf("it is written in %w", err)
	}
	text, err := cs.appendUTF8(nil, q.text)
	if err == nil && !utf8.Valid(text) {
		err = errors.New("it is no valid text")
	}
	return string(text), err
}

// excerpt shortens a statement for a message. Statements that change rows are never shown: they hold data.
func excerpt(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	const most = 200
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}
