package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/crossfade-io/crossfade/capture"
	"github.com/crossfade-io/crossfade/internal/catalog"
)

func (c *checker) binlog(ctx context.Context) error {
	on, _, err := c.variable(ctx, "log_bin")
	if err != nil {
		return err
	}
	if !isOn(on) {
		c.add(catalog.Error, "log_bin", c.host, "the server writes no binlog: there is nothing to follow", "start it with log_bin and a server_id (a restart)")
	}
	id, ok, err := c.variable(ctx, "server_id")
	if err != nil {
		return err
	}
	switch {
	case ok && id == "0":
		c.add(catalog.Error, "server_id", c.host, "server_id is 0: the server refuses replicas", c.keep("server_id", "1")+", or another number that no server of the topology has")
	case ok && id == strconv.FormatUint(uint64(c.s.cfg.ServerID), 10):
		c.add(catalog.Error, "server_id", c.host, "crossfade would register as "+id+", which is the server's own server_id", "give crossfade another server id")
	}
	return nil
}

// rowFormat wants every change as whole rows.
func (c *checker) rowFormat(ctx context.Context) error {
	for _, v := range []struct {
		name, want, severity, reason string
	}{
		{"binlog_format", "ROW", catalog.Error, "statements cannot be applied elsewhere, and sessions that are open keep theirs"},
		{"binlog_row_image", "FULL", catalog.Error, "columns are missing from the log"},
		{"binlog_row_metadata", "FULL", catalog.Warning, "the log carries no column names, so a change of a table between two restarts of crossfade could go unseen"},
	} {
		value, ok, err := c.variable(ctx, v.name)
		if err != nil {
			return err
		}
		if ok && !strings.EqualFold(value, v.want) {
			c.add(v.severity, v.name, c.host, fmt.Sprintf("%s is %s: %s", v.name, value, v.reason),
				c.keep(v.name, v.want)+", then let the application reconnect")
		}
	}
	value, _, err := c.variable(ctx, "binlog_row_value_options")
	if err != nil {
		return err
	}
	if strings.Contains(strings.ToUpper(value), "PARTIAL_JSON") {
		c.add(catalog.Error, "binlog_row_value_options", c.host, "binlog_row_value_options has PARTIAL_JSON: documents are logged as differences",
			"SET PERSIST binlog_row_value_options = '', then let the application reconnect")
	}
	return nil
}

func (c *checker) positions(ctx context.Context) error {
	if c.s.mariadb() {
		return nil // its snapshots say which place of the log they show
	}
	mode, ok, err := c.variable(ctx, "gtid_mode")
	if err != nil || ok && mode == "ON" {
		return err
	}
	c.add(catalog.Info, "gtid_mode", c.host, "gtid_mode is "+mode+": positions are file and offset, and a replica cannot take over for this server", "none needed; gtid_mode = ON is better")
	ordered, ok, err := c.variable(ctx, "binlog_order_commits")
	if err != nil {
		return err
	}
	if !ok || !isOn(ordered) {
		c.add(catalog.Error, "binlog_order_commits", c.host, "binlog_order_commits and gtid_mode are OFF: nothing tells which changes a read sees",
			"SET PERSIST binlog_order_commits = ON, or turn gtid_mode on")
	}
	return nil
}

// durability: what was read from the log, and the fence, must survive a crash of the server.
func (c *checker) durability(ctx context.Context) error {
	for _, name := range []string{"innodb_flush_log_at_trx_commit", "sync_binlog"} {
		value, ok, err := c.variable(ctx, name)
		if err != nil {
			return err
		}
		if !ok || value != "1" {
			c.add(catalog.Error, name, c.host, fmt.Sprintf("%s is %s: a crash of the server can undo what was copied already, and the fence of the cutover", name, value),
				c.keep(name, "1"))
		}
	}
	return nil
}

// expiry compares how long binlogs are kept with how long copying may take, so that an interruption does not end the migration.
func (c *checker) expiry(ctx context.Context) error {
	purge, ok, err := c.variable(ctx, "binlog_expire_logs_auto_purge")
	if err != nil || ok && !isOn(purge) {
		return err
	}
	value, ok, err := c.variable(ctx, "binlog_expire_logs_seconds")
	if err != nil || !ok {
		return err
	}
	seconds, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return fmt.Errorf("binlog_expire_logs_seconds is %q: %w", value, err)
	}
	if seconds == 0 {
		return nil
	}
	var bytes int64
	for _, t := range c.tables {
		bytes += t.Bytes
	}
	const bytesPerSecond = 10 << 20 // a slow copy
	need := max(24*time.Hour, 2*time.Duration(bytes/bytesPerSecond)*time.Second)
	if kept := time.Duration(seconds) * time.Second; kept < need {
		c.add(catalog.Warning, "binlog_expiry", c.host, fmt.Sprintf("binlogs are kept for %s only: an interruption longer than that ends the migration", kept),
			c.keep("binlog_expire_logs_seconds", strconv.FormatInt(int64(need.Seconds()), 10))+fmt.Sprintf(" (%s) until it is over", need))
	}
	return nil
}

// topology refuses servers where closing the gate here does not stop writes that come in elsewhere.
func (c *checker) topology(ctx context.Context) error {
	if wsrep, ok, err := c.variable(ctx, "wsrep_on"); err != nil {
		return err
	} else if ok && isOn(wsrep) {
		c.add(catalog.Error, "cluster", c.host, "the server is a node of a Galera cluster: closing it does not stop writes on other nodes", "migrate from a server that is written on one node")
	}
	if group, ok, err := c.variable(ctx, "group_replication_group_name"); err != nil {
		return err
	} else if ok && group != "" {
		single, _, err := c.variable(ctx, "group_replication_single_primary_mode")
		if err != nil {
			return err
		}
		if isOn(single) {
			c.add(catalog.Warning, "cluster", c.host, "the server is in a replication group: if another member becomes primary, the migration stops", "keep the primary until the cutover is over")
		} else {
			c.add(catalog.Error, "cluster", c.host, "the server is in a multi-primary group: closing it does not stop writes on other members", "switch the group to single-primary mode")
		}
	}
	for _, name := range []string{"super_read_only", "read_only"} {
		if value, ok, err := c.variable(ctx, name); err != nil {
			return err
		} else if ok && isOn(value) {
			c.add(catalog.Info, name, c.host, name+" is ON: is this the server that the application writes to?", "name the primary in source.url")
			break
		}
	}
	return nil
}

// replication proves the privileges for following the log, and notices a source that is a replica itself.
func (c *checker) replication(ctx context.Context) error {
	client := "REPLICATION CLIENT"
	if c.s.mariadb() {
		client = "BINLOG MONITOR"
	}
	if _, err := c.rows(ctx, "SHOW BINARY LOG STATUS", "SHOW MASTER STATUS"); err != nil {
		if !c.denied(err, client, client+" ON *.*", "the position of the binlog cannot be read") {
			return err
		}
	}
	if err := c.followable(ctx); err != nil {
		if !c.denied(err, "REPLICATION SLAVE", "REPLICATION SLAVE ON *.*", "the binlog cannot be followed") {
			return err
		}
	}
	channels, err := c.rows(ctx, "SHOW REPLICA STATUS", "SHOW SLAVE STATUS")
	if isServerError(err, erPrivilegeNeeded) {
		return nil // found above
	}
	if err != nil {
		return err
	}
	if len(channels) == 0 {
		return nil
	}
	name, updates, ok, err := c.firstVariable(ctx, "log_replica_updates", "log_slave_updates")
	if err != nil {
		return err
	}
	if ok && !isOn(updates) {
		c.add(catalog.Error, "replica", c.host, "the server is a replica that does not log what it applies", "start it with "+name+" = ON, or name the primary in source.url")
	}
	c.add(catalog.Warning, "replica", c.host, "the server is a replica: writes that arrive by replication pass the fence of the cutover", "name the primary in source.url, or stop replication before the cutover")
	return nil
}

// followable proves the privilege of a replica. MariaDB asks for it only when the log is asked for.
func (c *checker) followable(ctx context.Context) error {
	if !c.s.mariadb() {
		_, err := c.rows(ctx, "SHOW REPLICAS", "SHOW SLAVE HOSTS")
		return err
	}
	file, pos, err := c.s.fileStatus(ctx)
	if isServerError(err, erPrivilegeNeeded) {
		return nil // found already
	}
	if err != nil {
		return err
	}
	cfg := c.s.cfg
	cfg.ServerID ^= 1 << 29 // the tail may be at work under the other
	at := filePosition(file, pos)
	d, err := openDump(ctx, cfg, identified{}, &at, c.s.log)
	if err == nil {
		_, err = d.next(ctx)
		d.close()
	}
	var stop *capture.Stop
	if errors.As(err, &stop) {
		c.add(catalog.Error, "privilege", "binlog", stop.Reason, "GRANT REPLICATION SLAVE ON *.* TO "+c.account)
		return nil
	}
	return err
}

// filters: tables that are filtered out of the log are never seen to change.
func (c *checker) filters(ctx context.Context) error {
	status, err := c.rows(ctx, "SHOW BINARY LOG STATUS", "SHOW MASTER STATUS")
	if isServerError(err, erPrivilegeNeeded) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, row := range status {
		only, never := list(row["Binlog_Do_DB"]), list(row["Binlog_Ignore_DB"])
		for _, schema := range append(c.schemas(), ownSchema) {
			if len(only) > 0 && !slices.Contains(only, schema) || slices.Contains(never, schema) {
				c.add(catalog.Error, "binlog_filter", schema, fmt.Sprintf("the server does not log database %s (binlog_do_db, binlog_ignore_db)", schema),
					"remove the filter (a restart)")
			}
		}
	}
	return nil
}

func list(s string) []string {
	var out []string
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

// rows runs the first of the statements that the server knows, and returns what it shows by column name.
func (c *checker) rows(ctx context.Context, stmts ...string) ([]map[string]string, error) {
	var rows *sql.Rows
	var err error
	for _, stmt := range stmts {
		rows, err = c.s.db.QueryContext(ctx, stmt)
		if !isServerError(err, erParse) {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var out []map[string]string
	for rows.Next() {
		values := make([]sql.NullString, len(names))
		dest := make([]any, len(names))
		for i := range values {
			dest[i] = &values[i]
		}
		if err := rows.Scan(dest...); err != nil {
			return nil, err
		}
		row := map[string]string{}
		for i, name := range names {
			row[name] = values[i].String
		}
		out = append(out, row)
	}
	return out, rows.Err()
}
