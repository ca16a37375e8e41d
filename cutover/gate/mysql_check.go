package gate

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/crossfade-io/crossfade/cutover"
	"github.com/crossfade-io/crossfade/cutover/protocol"
)

func finding(severity, code, object, remedy, reason string, args ...any) cutover.Finding {
	return cutover.Finding{Severity: severity, Code: code, Object: object, Reason: fmt.Sprintf(reason, args...), Remedy: remedy}
}

// Check proves what closing this side needs, by doing it on a scratch table of schema crossfade.
func (s *MySQL) Check(ctx context.Context) (out []cutover.Finding, err error) {
	checks := []func(context.Context) ([]cutover.Finding, error){s.checkScratch, s.checkKill, s.checkWriters, s.checkDurable, s.checkProbe, s.checkParents}
	if s.role() == protocol.Entering {
		checks = []func(context.Context) ([]cutover.Finding, error){s.checkGuard, s.checkWriters, s.checkDurable, s.checkProbe, s.checkCounters}
	}
	for _, f := range checks {
		found, err := f(ctx)
		if err != nil {
			return out, err
		}
		out = append(out, found...)
	}
	return out, nil
}

func (s *MySQL) checkScratch(ctx context.Context) (out []cutover.Finding, err error) {
	var id [4]byte
	if _, err := rand.Read(id[:]); err != nil {
		return nil, err
	}
	name := "crossfade.scratch_" + hex.EncodeToString(id[:])
	if _, err := s.db.ExecContext(ctx, "CREATE TABLE "+name+" (id int PRIMARY KEY)"+mysqlOptions); err != nil {
		return []cutover.Finding{finding("error", "privilege", "crossfade", fmt.Sprintf("GRANT ALL ON crossfade.* to the user of %s.url", s.side), "a scratch table cannot be made: %v", err)}, nil
	}
	defer func() {
		if _, e := s.db.ExecContext(context.WithoutCancel(ctx), "DROP TABLE "+name); e != nil {
			out = append(out, finding("error", "privilege", name, fmt.Sprintf("GRANT ALL ON crossfade.* to the user of %s.url, and drop the table", s.side), "a scratch table cannot be dropped: %v", e))
		}
	}()
	_, err = s.db.ExecContext(ctx, "CREATE TRIGGER "+name+"_i BEFORE INSERT ON "+name+" FOR EACH ROW\n"+s.body(guardEpoch+1))
	switch mysqlErr(err) {
	case 0:
		if err != nil {
			return nil, err
		}
	case errBinlogTrigger:
		return []cutover.Finding{finding("error", "privilege", string(s.side), "SET GLOBAL log_bin_trust_function_creators = 1 (in a managed service: in its parameter group)", "triggers cannot be created: %v", err)}, nil
	default:
		return []cutover.Finding{finding("error", "privilege", string(s.side), fmt.Sprintf("GRANT TRIGGER on the migrated schemas and crossfade.* to the user of %s.url", s.side), "triggers cannot be created: %v", err)}, nil
	}
	// Our own user passes; with the probe's variable set the trigger looks at the gate like for anybody else.
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if _, err := conn.ExecContext(ctx, "INSERT INTO "+name+" VALUES (1)"); err != nil {
		out = append(out, finding("error", "trigger", string(s.side), "report this", "the gate's trigger does not exempt our own user: %v", err))
	}
	if _, err := conn.ExecContext(ctx, "SET @crossfade_probe = 1"); err != nil {
		return out, err
	}
	_, writeErr := conn.ExecContext(ctx, "INSERT INTO "+name+" VALUES (2)")
	if _, err := conn.ExecContext(ctx, "SET @crossfade_probe = NULL"); err != nil {
		return out, err
	}
	g, err := s.gate(ctx, s.db, "")
	if err != nil {
		return out, err
	}
	if g.Open && writeErr != nil || !g.Open && mysqlErr(writeErr) != errGate {
		out = append(out, finding("error", "trigger", string(s.side), "see the error", "the gate's trigger does not do what the gate (open: %v) says: %v", g.Open, writeErr))
	}
	return out, nil
}

// checkKill: reopening may have to end connections.
func (s *MySQL) checkKill(ctx context.Context) (out []cutover.Finding, err error) {
	rows, err := s.db.QueryContext(ctx, "SHOW GRANTS")
	if err != nil {
		return nil, fmt.Errorf("read our grants: %w", err)
	}
	defer rows.Close()
	may := false
	for rows.Next() {
		var g string
		if err := rows.Scan(&g); err != nil {
			return nil, fmt.Errorf("read our grants: %w", err)
		}
		if g = strings.ToUpper(g); strings.Contains(g, " ON *.* ") {
			may = may || strings.Contains(g, s.killGrant()) || strings.Contains(g, "SUPER") || strings.Contains(g, "ALL PRIVILEGES")
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read our grants: %w", err)
	}
	if !may {
		out = append(out, finding("warning", "privilege", string(s.side), fmt.Sprintf("GRANT %s ON *.* to the user of %s.url", s.killGrant(), s.side),
			"connections cannot be ended: after an abort one idle client in an open transaction can keep the %s closed", s.side))
	}
	if s.mariadb() {
		return append(out, s.mariadbCheckHolders(ctx)...), nil
	}
	var n int
	if err := s.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM performance_schema.data_locks WHERE OBJECT_SCHEMA = 'crossfade' AND OBJECT_NAME = 'gate'").Scan(&n); err != nil {
		out = append(out, finding("warning", "privilege", string(s.side), fmt.Sprintf("GRANT SELECT ON performance_schema.* to the user of %s.url", s.side),
			"who keeps the gate locked cannot be seen: after an abort one idle client in an open transaction can keep the %s closed: %v", s.side, err))
	}
	return out, nil
}

// checkWriters refuses servers that take writes from elsewhere: the gate's lock is local, and row events of a replica fire no triggers.
func (s *MySQL) checkWriters(ctx context.Context) (out []cutover.Finding, err error) {
	variable := func(like string) (name, value string, err error) {
		err = s.db.QueryRowContext(ctx, "SHOW GLOBAL VARIABLES LIKE '"+like+"'").Scan(&name, &value)
		if errors.Is(err, sql.ErrNoRows) {
			return "", "", nil
		}
		return name, value, err
	}
	_, wsrep, err := variable("wsrep\\_on")
	if err != nil {
		return nil, fmt.Errorf("ask for wsrep: %w", err)
	}
	if strings.EqualFold(wsrep, "ON") {
		out = append(out, finding("error", "cluster", string(s.side), "use a server that is written on one node", "the %s is a Galera cluster: a gate closed on one node does not stop the others", s.side))
	}
	if s.mariadb() {
		found, err := s.mariadbCheckReplica(ctx)
		return append(out, found...), err
	}
	_, single, err := variable("group\\_replication\\_single\\_primary\\_mode")
	if err != nil {
		return nil, fmt.Errorf("ask for group replication: %w", err)
	}
	if strings.EqualFold(single, "OFF") {
		var members int
		if err := s.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM performance_schema.replication_group_members WHERE MEMBER_STATE = 'ONLINE'").Scan(&members); err != nil {
			return nil, fmt.Errorf("ask for group replication: %w", err)
		}
		if members > 1 {
			out = append(out, finding("error", "cluster", string(s.side), "switch the group to single-primary mode", "the %s is a multi-primary group: a gate closed on one member does not stop the others", s.side))
		}
	}
	rows, err := s.db.QueryContext(ctx, "SELECT CHANNEL_NAME FROM performance_schema.replication_applier_status WHERE SERVICE_STATE = 'ON' AND CHANNEL_NAME NOT LIKE 'group_replication%'")
	if err != nil {
		out = append(out, finding("warning", "privilege", string(s.side), fmt.Sprintf("GRANT SELECT ON performance_schema.* to the user of %s.url", s.side), "whether the %s is a replica cannot be seen: %v", s.side, err))
		return out, nil
	}
	defer rows.Close()
	for rows.Next() {
		var channel string
		if err := rows.Scan(&channel); err != nil {
			return nil, fmt.Errorf("ask for replication: %w", err)
		}
		out = append(out, finding("error", "replica", string(s.side), "STOP REPLICA, or move the primary instead", "the %s is a replica (channel %q): writes that arrive by replication pass the gate", s.side, channel))
	}
	return out, rows.Err()
}

func (s *MySQL) checkDurable(ctx context.Context) (out []cutover.Finding, err error) {
	var flush, sync string
	if err := s.db.QueryRowContext(ctx, "SELECT @@innodb_flush_log_at_trx_commit, @@sync_binlog").Scan(&flush, &sync); err != nil {
		return nil, fmt.Errorf("ask for durability: %w", err)
	}
	if flush != "1" || sync != "1" {
		out = append(out, finding("warning", "durability", string(s.side), "SET GLOBAL innodb_flush_log_at_trx_commit = 1, sync_binlog = 1 for the cutover",
			"a power cut can undo the fence: innodb_flush_log_at_trx_commit is %s, sync_binlog is %s", flush, sync))
	}
	return out, nil
}

// checkProbe: the application's user must be able to write, or its refusal under the fence would prove nothing.
func (s *MySQL) checkProbe(ctx context.Context) (out []cutover.Finding, err error) {
	if s.cfg.Probe == nil {
		return []cutover.Finding{finding("warning", "probe", string(s.side)+".probe_url", "set "+string(s.side)+".probe_url to a user of the application", "writes are not probed as application")}, nil
	}
	if s.cfg.Probe.User == s.cfg.Login.User {
		return []cutover.Finding{finding("error", "probe", string(s.side)+".probe_url", "give crossfade a user of its own", "the application connects as our user %s, which no gate stops", s.cfg.Login.User)}, nil
	}
	conn, err := s.probe.Conn(ctx)
	if err != nil {
		return []cutover.Finding{finding("error", "probe", string(s.side)+".probe_url", fmt.Sprintf("check %s.probe_url", s.side), "cannot connect: %v", err)}, nil
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	may := 0
	var last error
	for i, t := range s.tables {
		if i == probeTables {
			break
		}
		var column string
		if err := s.db.QueryRowContext(ctx, `SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND COALESCE(GENERATION_EXPRESSION, '') = ''
			ORDER BY ORDINAL_POSITION LIMIT 1`, t.Schema, t.Table).Scan(&column); err != nil {
			return nil, fmt.Errorf("read columns of %s: %w", t, err)
		}
		if _, err := conn.ExecContext(ctx, "INSERT INTO "+quoteMySQL(t.Schema)+"."+quoteMySQL(t.Table)+" ("+quoteMySQL(column)+") SELECT NULL FROM DUAL WHERE FALSE"); err != nil {
			last = err
			continue
		}
		may++
	}
	if may == 0 {
		out = append(out, finding("error", "probe", string(s.side)+".probe_url", "take a user that the application writes with", "user %s may not write to the migrated tables: %v", s.cfg.Probe.User, last))
	}
	return out, nil
}

// checkParents says which tables outside the migration are closed with it.
func (s *MySQL) checkParents(ctx context.Context) (out []cutover.Finding, err error) {
	tables, err := s.gated(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range tables {
		if t.parent {
			out = append(out, finding("warning", "cascade", t.String(), "migrate it too, or drop the foreign key", "it is not migrated, but a foreign key cascades from it: what cascades will be refused on it"))
		}
	}
	return out, nil
}

// Fingerprint is a hash over the columns of the migrated tables.
func (s *MySQL) Fingerprint(ctx context.Context) (string, error) {
	lines := map[cutover.Name]string{}
	for schema := range s.schemas() {
		rows, err := s.db.QueryContext(ctx, `SELECT TABLE_NAME, CONCAT_WS('|', ORDINAL_POSITION, HEX(COLUMN_NAME), HEX(COLUMN_TYPE), IS_NULLABLE, COALESCE(HEX(COLUMN_DEFAULT), '-'),
			EXTRA, COALESCE(COLLATION_NAME, '-'), COALESCE(HEX(GENERATION_EXPRESSION), '-')) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? ORDER BY TABLE_NAME, ORDINAL_POSITION`, schema)
		if err != nil {
			return "", fmt.Errorf("read columns of %s: %w", schema, err)
		}
		defer rows.Close()
		for rows.Next() {
			n, line := cutover.Name{Schema: schema}, ""
			if err := rows.Scan(&n.Table, &line); err != nil {
				return "", fmt.Errorf("read columns of %s: %w", schema, err)
			}
			lines[n] += line + "\n"
		}
		if err := rows.Err(); err != nil {
			return "", fmt.Errorf("read columns of %s: %w", schema, err)
		}
	}
	h := sha256.New()
	for _, t := range s.tables {
		if lines[t] == "" {
			return "", fmt.Errorf("table %s does not exist on the %s", t, s.side)
		}
		fmt.Fprintf(h, "%s\n%s", t, lines[t])
	}
	return hex.EncodeToString(h.Sum(nil)[:16]), nil
}

// schemas are the databases of the migrated tables.
func (s *MySQL) schemas() map[string]bool {
	out := map[string]bool{}
	for _, t := range s.tables {
		out[t.Schema] = true
	}
	return out
}

// LastIssued reads the AUTO_INCREMENT counters. Under the fence nothing moves them.
func (s *MySQL) LastIssued(ctx context.Context) (map[cutover.Name]uint64, error) {
	out := map[cutover.Name]uint64{}
	for schema := range s.schemas() {
		rows, err := s.db.QueryContext(ctx, "SELECT TABLE_SCHEMA, TABLE_NAME, AUTO_INCREMENT FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND AUTO_INCREMENT IS NOT NULL", schema)
		if err != nil {
			return nil, fmt.Errorf("read AUTO_INCREMENT of %s: %w", schema, err)
		}
		defer rows.Close()
		for rows.Next() {
			var n cutover.Name
			var next uint64
			if err := rows.Scan(&n.Schema, &n.Table, &next); err != nil {
				return nil, fmt.Errorf("read AUTO_INCREMENT of %s: %w", schema, err)
			}
			if next > 0 {
				out[n] = next - 1
			}
		}
		if err := rows.Err(); err != nil {
			return nil, fmt.Errorf("read AUTO_INCREMENT of %s: %w", schema, err)
		}
	}
	return out, nil
}
