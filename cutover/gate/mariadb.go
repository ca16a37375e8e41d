package gate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/crossfade-io/crossfade/cutover"
)

// What MariaDB is asked in another way than MySQL: who keeps a lock, and whether it is a replica. Its performance_schema is off by default.

// killGrant is the privilege to end connections of others.
func (s *MySQL) killGrant() string {
	if s.mariadb() {
		return "CONNECTION ADMIN"
	}
	return "CONNECTION_ADMIN"
}

// mariadbHolders finds the connections that keep the gate's row locked: those for which a connection of ours has to wait. Who keeps the whole table by
// LOCK TABLES is not seen.
func (s *MySQL) mariadbHolders(ctx context.Context) (ids []int64, err error) {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	var own int64
	if err := conn.QueryRowContext(ctx, "SELECT CONNECTION_ID()").Scan(&own); err != nil {
		return nil, err
	}
	waited := make(chan error, 1)
	go func() {
		var state string
		waited <- conn.QueryRowContext(ctx, "SELECT state FROM crossfade.gate WHERE migration = ? AND side = ? FOR UPDATE", s.cfg.Migration, s.side).Scan(&state)
	}()
	seen := map[int64]bool{}
	for { // for as long as ours waits: up to a second
		select {
		case err := <-waited:
			if mysqlErr(err) == errLockTimeout || mysqlErr(err) == errDeadlock {
				err = nil
			}
			for id := range seen {
				ids = append(ids, id)
			}
			return ids, err
		case <-time.After(150 * time.Millisecond): // the tables are made anew only when nobody has read them for 100 ms
		}
		if err := s.mariadbBlocking(ctx, own, seen); err != nil {
			return nil, errors.Join(err, <-waited)
		}
	}
}

// mariadbBlocking adds the connections for whose locks another one waits.
func (s *MySQL) mariadbBlocking(ctx context.Context, waiting int64, into map[int64]bool) error {
	rows, err := s.db.QueryContext(ctx, `SELECT b.trx_mysql_thread_id FROM information_schema.INNODB_LOCK_WAITS w
		JOIN information_schema.INNODB_TRX r ON r.trx_id = w.requesting_trx_id JOIN information_schema.INNODB_TRX b ON b.trx_id = w.blocking_trx_id
		WHERE r.trx_mysql_thread_id = ? AND b.trx_mysql_thread_id > 0`, waiting)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return err
		}
		into[id] = true
	}
	return rows.Err()
}

func (s *MySQL) mariadbCheckHolders(ctx context.Context) (out []cutover.Finding) {
	var n int
	if err := s.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM information_schema.INNODB_LOCK_WAITS").Scan(&n); err != nil {
		out = append(out, finding("warning", "privilege", string(s.side), fmt.Sprintf("GRANT PROCESS ON *.* to the user of %s.url", s.side),
			"who keeps the gate locked cannot be seen: after an abort one idle client in an open transaction can keep the %s closed: %v", s.side, err))
	}
	return out
}

func (s *MySQL) mariadbCheckReplica(ctx context.Context) (out []cutover.Finding, err error) {
	rows, err := s.db.QueryContext(ctx, "SHOW ALL SLAVES STATUS")
	if mysqlErr(err) == errNoPrivilege {
		return []cutover.Finding{finding("warning", "privilege", string(s.side), fmt.Sprintf("GRANT REPLICA MONITOR ON *.* to the user of %s.url", s.side), "whether the %s is a replica cannot be seen: %v", s.side, err)}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ask for replication: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		out = append(out, finding("error", "replica", string(s.side), "STOP ALL SLAVES; RESET SLAVE ALL, or move the primary instead", "the %s is a replica: writes that arrive by replication pass the gate", s.side))
	}
	return out, rows.Err()
}
