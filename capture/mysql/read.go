package mysql

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/crossfade-io/crossfade/capture"
	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/change"
)

const (
	// A list of keys in one statement. The server plans a range for each, and tries the list on every row found: by halving for one column, one by one
	// for several.
	maxListed      = 1000
	maxListedMany  = 200
	maxListedBytes = 512 << 10
)

// Bound returns the key of the n-th row after a key, in key order; after nil counts from the start. last says that fewer than n rows follow, and key is nil
// then. Any bound is right, so it is read without proof.
func (s *Source) Bound(ctx context.Context, t *catalog.Table, after change.Row, n int) (key change.Row, last bool, err error) {
	if len(t.Key) == 0 {
		return nil, false, keyless(t)
	}
	if n < 1 {
		return nil, false, fmt.Errorf("the %d-th row of %s", n, t)
	}
	r, err := newRowReader(t, t.Key)
	if err != nil {
		return nil, false, err
	}
	stmt := appendFrom(r.appendSelect(nil), t)
	if stmt, err = appendRange(stmt, t, after, nil); err != nil {
		return nil, false, fmt.Errorf("%s: %w", t, err)
	}
	stmt = appendKeyNames(append(stmt, " ORDER BY "...), t)
	stmt = strconv.AppendInt(append(stmt, " LIMIT "...), int64(n-1), 10)
	stmt = append(stmt, ", 1"...)
	err = s.readers.with(ctx, silentScan, func(w *wire) error {
		return w.query(string(stmt), r.check, func(p []byte) error {
			row, err := r.read(p)
			key = row.Clone()
			return err
		})
	})
	if err != nil {
		return nil, false, s.readError(t, err)
	}
	return key, key == nil, nil
}

// ReadRange reads the rows with after < key <= upTo (nil: no limit) in key order, in a snapshot that is proven to see everything up to proof; else it
// returns [capture.ErrNotVisible]. A row is valid until emit returns.
func (s *Source) ReadRange(ctx context.Context, proof string, t *catalog.Table, after, upTo change.Row, emit func(change.Row) error) error {
	if len(t.Key) == 0 {
		return keyless(t)
	}
	r, err := newRowReader(t, allColumns(t))
	if err != nil {
		return err
	}
	stmt := appendFrom(r.appendSelect(nil), t)
	if stmt, err = appendRange(stmt, t, after, upTo); err != nil {
		return fmt.Errorf("%s: %w", t, err)
	}
	stmt = appendKeyNames(append(stmt, " ORDER BY "...), t)
	return s.readProven(ctx, proof, t, func(w *wire) error { return r.each(w, string(stmt), emit) })
}

// ReadKeys reads the rows with these keys, in no particular order, under the same rule as ReadRange. A key without a row emits nothing, a key given twice
// may emit its row twice.
func (s *Source) ReadKeys(ctx context.Context, proof string, t *catalog.Table, keys []change.Row, emit func(change.Row) error) error {
	if len(t.Key) == 0 {
		return keyless(t)
	}
	if len(keys) == 0 {
		return nil
	}
	r, err := newRowReader(t, allColumns(t))
	if err != nil {
		return err
	}
	head := append(appendFrom(r.appendSelect(nil), t), " WHERE "...)
	return s.readProven(ctx, proof, t, func(w *wire) error {
		for rest := keys; len(rest) > 0; {
			stmt, n, err := appendKeyCondition(head[:len(head):len(head)], t, rest, maxListedBytes)
			if err != nil {
				return err
			}
			rest = rest[n:]
			if err := r.each(w, string(stmt), emit); err != nil {
				return err
			}
		}
		return nil
	})
}

// Count counts the rows of a table in a snapshot that sees everything up to proof. It reads a whole index.
func (s *Source) Count(ctx context.Context, proof string, t *catalog.Table) (n int64, err error) {
	stmt := appendTable([]byte("SELECT COUNT(*) FROM "), t)
	err = s.readProven(ctx, proof, t, func(w *wire) error {
		text, _, err := w.one(string(stmt))
		if err != nil {
			return err
		}
		n, err = strconv.ParseInt(text, 10, 64)
		return err
	})
	return n, err
}

// each runs a SELECT made by appendSelect and emits its rows.
func (r *rowReader) each(w *wire, stmt string, emit func(change.Row) error) error {
	return w.query(stmt, r.check, func(p []byte) error {
		row, err := r.read(p)
		if err != nil {
			return err
		}
		return emit(row)
	})
}

// readProven runs read in one read-only snapshot that is opened after the proof. Without a proof it sees what was acknowledged before, as every session does:
// enough for whoever did not read the log.
func (s *Source) readProven(ctx context.Context, proof string, t *catalog.Table, read func(*wire) error) error {
	var at *position
	if proof != "" {
		p, err := parsePosition(proof)
		if err != nil {
			return err
		}
		at = &p
	}
	return s.readError(t, s.readers.with(ctx, silentScan, func(w *wire) error {
		if err := s.snapshot(ctx, w, at); err != nil {
			return err
		}
		if err := read(w); err != nil {
			return err
		}
		return w.exec("COMMIT")
	}))
}

const openSnapshot = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"

// snapshot opens a read-only transaction that sees everything up to at.
func (s *Source) snapshot(ctx context.Context, w *wire, at *position) error {
	if at == nil {
		return w.exec(openSnapshot)
	}
	if s.mariadb() {
		return s.mariadbSnapshot(ctx, w, at)
	}
	if err := s.prove(ctx, w, at); err != nil {
		return err
	}
	return w.exec(openSnapshot)
}

// prove returns when a snapshot opened after it sees everything up to at. A change can be read from the log up to some milliseconds before its commit is
// visible, so reading it is not enough.
func (s *Source) prove(ctx context.Context, w *wire, at *position) error {
	if at.byFile {
		return s.proveByHeartbeat(ctx, w, at)
	}
	set := at.executed()
	answer, ok, err := w.one(fmt.Sprintf("SELECT WAIT_FOR_EXECUTED_GTID_SET('%s', %d)", &set, int(s.proofWait.Seconds())))
	switch {
	case err != nil:
		return fmt.Errorf("wait for what was read from the log: %w", err)
	case ok && answer == "0":
		return nil
	case ok && answer == "1":
		return capture.ErrNotVisible
	default:
		return fmt.Errorf("wait for what was read from the log: WAIT_FOR_EXECUTED_GTID_SET answered %q", answer)
	}
}

// proveByHeartbeat is the proof of a server without GTID: commits become visible in the order of the log, so when one of ours that was made after at is
// visible, everything up to at is.
func (s *Source) proveByHeartbeat(ctx context.Context, w *wire, at *position) error {
	ordered, _, err := w.one("SELECT @@GLOBAL.binlog_order_commits")
	if err != nil {
		return err
	}
	if ordered != "1" {
		return &capture.Stop{Position: at.String(), Object: s.cfg.Host, Reason: "binlog_order_commits is OFF and so is gtid_mode: nothing tells which changes a read sees",
			Remedy: "SET PERSIST binlog_order_commits = ON, or turn gtid_mode on"}
	}
	bounded, cancel := context.WithTimeout(ctx, s.proofWait)
	defer cancel()
	if err := s.Heartbeat(bounded); err != nil {
		if bounded.Err() != nil && ctx.Err() == nil || isServerError(err, erLockWait) {
			return fmt.Errorf("%w: %w", capture.ErrNotVisible, err)
		}
		return err
	}
	file, pos, err := s.fileStatus(ctx)
	if err != nil {
		return err
	}
	now := filePosition(file, pos)
	covered, err := now.covers(at)
	if err != nil {
		return err
	}
	if !covered {
		return &capture.Stop{Position: at.String(), Object: s.cfg.Host, Reason: fmt.Sprintf("its log ends at %s, before what has been read of it", &now),
			Remedy: "the binlog was reset or the server restored: start the migration again"}
	}
	return nil
}

// readError says what an error of reading means. A table that is no longer what the catalog says needs the operator.
func (s *Source) readError(t *catalog.Table, err error) error {
	var stop *capture.Stop
	switch {
	case err == nil:
		return nil
	case errors.As(err, &stop), errors.Is(err, capture.ErrNotVisible):
		return err
	case isServerError(err, erNoSuchTable, erBadField, erNoSuchKey):
		return &capture.Stop{Object: t.String(), Reason: "the table is no longer what it was: " + err.Error(),
			Remedy: "undo the change of the table, or start the migration again"}
	case isServerError(err, erTableDenied, erColumnDenied):
		return fmt.Errorf("read %s: %w: GRANT SELECT ON %s TO %s", t, err, t, s.cfg.User)
	default:
		return fmt.Errorf("read %s: %w", t, err)
	}
}

func keyless(t *catalog.Table) error {
	return &capture.Stop{Object: t.String(), Reason: "the table has neither a primary key nor a unique key over NOT NULL columns",
		Remedy: "add a primary key, or leave the table out of source.tables"}
}
