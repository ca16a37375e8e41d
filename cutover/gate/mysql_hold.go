package gate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/crossfade-io/crossfade/cutover"
	"github.com/crossfade-io/crossfade/cutover/protocol"
)

// mysqlHold is a transaction that has read every gated table: its metadata locks make TRUNCATE, RENAME and DDL wait.
type mysqlHold struct {
	side protocol.Side
	conn *sql.Conn
	id   int64
}

// Hold opens it. It waits, a second at a time, for DDL that runs.
func (s *MySQL) Hold(ctx context.Context) (cutover.Held, error) {
	tables, err := s.gated(ctx)
	if err != nil {
		return nil, err
	}
	var h *mysqlHold
	err = s.retry(ctx, func() error {
		h, err = s.hold(ctx, tables)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("keep DDL on the %s waiting: %w", s.side, err)
	}
	return h, nil
}

func (s *MySQL) hold(ctx context.Context, tables []gatedTable) (h *mysqlHold, err error) {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	h = &mysqlHold{side: s.side, conn: conn}
	defer func() {
		if err != nil {
			h.Release()
		}
	}()
	if err := conn.QueryRowContext(ctx, "SELECT CONNECTION_ID()").Scan(&h.id); err != nil {
		return nil, err
	}
	if _, err := conn.ExecContext(ctx, "START TRANSACTION READ ONLY"); err != nil {
		return nil, err
	}
	for _, t := range tables {
		rows, err := conn.QueryContext(ctx, "SELECT 1 FROM "+quoteMySQL(t.Schema)+"."+quoteMySQL(t.Table)+" LIMIT 0")
		if err == nil {
			err = rows.Close()
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t, err)
		}
	}
	return h, nil
}

// Alive asks the connection whether it is still the one that read. The driver never replaces it.
func (h *mysqlHold) Alive(ctx context.Context) error {
	var id int64
	if err := h.conn.QueryRowContext(ctx, "SELECT CONNECTION_ID()").Scan(&id); err != nil {
		return fmt.Errorf("%s: %w", h.side, err)
	}
	if id != h.id {
		return fmt.Errorf("%s: connection %d became %d", h.side, h.id, id)
	}
	return nil
}

// Release ends the transaction.
func (h *mysqlHold) Release() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	// If this fails the connection is gone, and with it the transaction.
	_, _ = h.conn.ExecContext(ctx, "ROLLBACK")
	_ = h.conn.Close()
}

// PreparedTransactions lists the XA transactions that are prepared. Their row locks, and after a restart not even those, say what they write
// to: so any of them counts.
func (s *MySQL) PreparedTransactions(ctx context.Context) (out []string, err error) {
	listing := "XA RECOVER CONVERT XID"
	if s.mariadb() {
		listing = "XA RECOVER FORMAT='SQL'"
	}
	rows, err := s.db.QueryContext(ctx, listing)
	if e := mysqlErr(err); e == errXADenied || e == errNoPrivilege {
		return nil, fmt.Errorf("list prepared transactions: %w; GRANT XA_RECOVER_ADMIN ON *.* to the user of %s.url", err, s.side)
	}
	if err != nil {
		return nil, fmt.Errorf("list prepared transactions: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var format, gtrid, bqual int64
		var data string
		if err := rows.Scan(&format, &gtrid, &bqual, &data); err != nil {
			return nil, fmt.Errorf("list prepared transactions: %w", err)
		}
		out = append(out, data)
	}
	return out, rows.Err()
}

// Free ends the connections that keep the gate's row share-locked, or its table by LOCK TABLES. Under a closed gate they have written nothing.
func (s *MySQL) Free(ctx context.Context) (int, error) {
	if s.mariadb() {
		ids, err := s.mariadbHolders(ctx)
		if err != nil {
			return 0, fmt.Errorf("find who keeps the gate: %w; GRANT PROCESS ON *.* to the user of %s.url", err, s.side)
		}
		return s.end(ctx, ids)
	}
	rows, err := s.db.QueryContext(ctx, `SELECT t.PROCESSLIST_ID FROM performance_schema.data_locks l JOIN performance_schema.threads t ON t.THREAD_ID = l.THREAD_ID
		WHERE l.OBJECT_SCHEMA = 'crossfade' AND l.OBJECT_NAME = 'gate' AND l.LOCK_TYPE = 'RECORD' AND l.LOCK_STATUS = 'GRANTED' AND l.LOCK_MODE LIKE 'S%'
		AND l.LOCK_DATA LIKE ? AND t.PROCESSLIST_ID IS NOT NULL
		UNION SELECT t.PROCESSLIST_ID FROM performance_schema.metadata_locks m JOIN performance_schema.threads t ON t.THREAD_ID = m.OWNER_THREAD_ID
		WHERE m.OBJECT_SCHEMA = 'crossfade' AND m.OBJECT_NAME = 'gate' AND m.LOCK_STATUS = 'GRANTED'
		AND m.LOCK_TYPE IN ('SHARED_READ_ONLY', 'SHARED_NO_WRITE', 'SHARED_NO_READ_WRITE') AND t.PROCESSLIST_ID IS NOT NULL`,
		"'"+s.cfg.Migration+"', '"+string(s.side)+"'%")
	if err != nil {
		return 0, fmt.Errorf("find who keeps the gate: %w; GRANT SELECT ON performance_schema.* to the user of %s.url", err, s.side)
	}
	defer rows.Close()
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return 0, fmt.Errorf("find who keeps the gate: %w", err)
		}
		ids = append(ids, id)
	}
	if err := rows.Err(); err != nil {
		return 0, fmt.Errorf("find who keeps the gate: %w", err)
	}
	return s.end(ctx, ids)
}

// end ends connections and returns how many.
func (s *MySQL) end(ctx context.Context, ids []int64) (int, error) {
	slices.Sort(ids)
	n := 0
	var failed error
	for _, id := range slices.Compact(ids) {
		_, err := s.db.ExecContext(ctx, fmt.Sprintf("KILL CONNECTION %d", id))
		switch mysqlErr(err) {
		case 0:
			if err == nil {
				n++
			}
			failed = errors.Join(failed, err)
		case errNoThread:
		default:
			failed = errors.Join(failed, fmt.Errorf("end connection %d, which keeps the gate: %w; GRANT %s ON *.* to the user of %s.url", id, err, s.killGrant(), s.side))
		}
	}
	return n, failed
}

// probeTables is how many tables a probe tries: with thousands of them all would cost time under the fence. All have been seen to have
// their triggers.
const probeTables = 32

// Probe tries to insert a row of defaults into tables, each in a transaction that is rolled back.
func (s *MySQL) Probe(ctx context.Context) (p cutover.Probe, err error) {
	conn, err := s.probe.Conn(ctx)
	if err != nil {
		return p, fmt.Errorf("connect as the application: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if s.cfg.Probe != nil {
		p.As = s.cfg.Probe.User
	} else {
		p.Note = "not probed as application"
		if _, err := conn.ExecContext(ctx, "SET @crossfade_probe = 1"); err != nil {
			return p, fmt.Errorf("probe: %w", err)
		}
	}
	for i, t := range s.tables {
		if i == probeTables {
			break
		}
		if err := s.probeOne(ctx, conn, t, &p); err != nil {
			return p, err
		}
	}
	return p, nil
}

func (s *MySQL) probeOne(ctx context.Context, conn *sql.Conn, t cutover.Name, p *cutover.Probe) error {
	if _, err := conn.ExecContext(ctx, "START TRANSACTION"); err != nil {
		return fmt.Errorf("probe: %w", err)
	}
	_, writeErr := conn.ExecContext(ctx, "INSERT INTO "+quoteMySQL(t.Schema)+"."+quoteMySQL(t.Table)+" () VALUES ()")
	if _, err := conn.ExecContext(ctx, "ROLLBACK"); err != nil {
		return errors.Join(fmt.Errorf("probe: %w", err), writeErr)
	}
	p.Tables++
	switch {
	case writeErr == nil:
		p.Accepted = append(p.Accepted, t.String())
	case mysqlErr(writeErr) == errGate:
		p.Refused++
	default:
		p.Denied++
		p.Error = fmt.Sprintf("%s: %v", t, writeErr)
	}
	return nil
}
