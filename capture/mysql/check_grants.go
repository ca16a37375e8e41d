package mysql

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/crossfade-io/crossfade/internal/catalog"
)

// denied turns an error about a privilege into a finding, and reports whether it was one.
func (c *checker) denied(err error, object, grant, reason string) bool {
	if !isServerError(err, erPrivilegeNeeded, erTableDenied, erColumnDenied, erDatabaseDenied, erAccessDenied, erXADenied) {
		return false
	}
	c.add(catalog.Error, "privilege", object, fmt.Sprintf("%s: %v", reason, err), "GRANT "+grant+" TO "+c.account)
	return true
}

// ownSchema proves on scratch objects what crossfade does in its own database, and that a trigger refuses writes and can be removed.
func (c *checker) ownSchema(ctx context.Context) (err error) {
	var id [4]byte
	if _, err := rand.Read(id[:]); err != nil {
		return err
	}
	name := ownSchema + ".check_" + hex.EncodeToString(id[:])
	undo := func(stmt string) {
		if _, e := c.s.db.ExecContext(context.WithoutCancel(ctx), stmt); e != nil {
			err = errors.Join(err, fmt.Errorf("remove what was made to check: %w", e))
		}
	}
	had := c.s.schemaExists(ctx, ownSchema)
	steps := []struct {
		stmt, undo string
		refused    bool // this statement must be refused, by the trigger
	}{
		{stmt: "CREATE DATABASE IF NOT EXISTS " + ownSchema, undo: "DROP DATABASE " + ownSchema},
		{stmt: "CREATE TABLE " + name + " (id int PRIMARY KEY) ENGINE=InnoDB", undo: "DROP TABLE " + name},
		{stmt: "INSERT INTO " + name + " VALUES (1)"},
		{stmt: "CREATE TRIGGER " + name + "_t BEFORE INSERT ON " + name + ` FOR EACH ROW BEGIN
			IF NEW.id > 1 THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'refused'; END IF; END`, undo: "DROP TRIGGER " + name + "_t"},
		{stmt: "INSERT INTO " + name + " VALUES (2)", refused: true},
		{stmt: "INSERT INTO " + name + " VALUES (0)"},
	}
	for i, step := range steps {
		if i == 0 && had {
			continue
		}
		_, err := c.s.db.ExecContext(ctx, step.stmt)
		if err == nil && step.undo != "" {
			defer undo(step.undo)
		}
		verb := strings.Join(strings.Fields(step.stmt)[:2], " ")
		switch {
		case step.refused && isServerError(err, erSignal), !step.refused && err == nil:
		case step.refused:
			c.add(catalog.Error, "trigger", c.host, fmt.Sprintf("a trigger that refuses a write did not refuse it: %v", err), "report this with the server's version")
		case c.denied(err, ownSchema, "ALL ON "+ownSchema+".*", verb+" in database crossfade"):
			return nil
		case isServerError(err, erBinlogTrigger):
			c.add(catalog.Error, "log_bin_trust_function_creators", c.host, fmt.Sprintf("triggers cannot be made, so the source cannot be fenced: %v", err),
				c.keep("log_bin_trust_function_creators", "1")+" (a managed service has it in its parameter group)")
			return nil
		case isServerError(err, erReadOnly):
			c.add(catalog.Error, "read_only", c.host, fmt.Sprintf("nothing can be written: %v", err), "name the primary in source.url, or turn read_only off")
			return nil
		case serverErrorNumber(err) != 0:
			c.add(catalog.Error, "setup", ownSchema, fmt.Sprintf("%s in database crossfade: %v", verb, err), "see the error; crossfade keeps its tables in that database")
			return nil
		default:
			return err
		}
	}
	return nil
}

// triggers proves the TRIGGER privilege where the fence will need it: on the tables, and on those from which a foreign key cascades into them. No table is
// touched: making a trigger on a table that does not exist fails for that reason if it is allowed at all.
func (c *checker) triggers(ctx context.Context) error {
	need := map[string][]string{}
	var order []string
	want := func(schema, table string) {
		if need[schema] == nil {
			order = append(order, schema)
		}
		if !slices.Contains(need[schema], table) {
			need[schema] = append(need[schema], table)
		}
	}
	for _, t := range c.tables {
		want(t.Schema, t.Name)
		for i := range t.ForeignKeys {
			if f := &t.ForeignKeys[i]; f.Acts() {
				want(f.RefSchema, f.RefTable)
			}
		}
	}
	for _, schema := range order {
		name := quoteName(schema) + ".crossfade_no_such_thing"
		_, err := c.s.db.ExecContext(ctx, "CREATE TRIGGER "+name+" BEFORE INSERT ON "+name+" FOR EACH ROW SET @crossfade = 1")
		switch {
		case isServerError(err, erNoSuchTable):
			continue
		case isServerError(err, erBinlogTrigger, erReadOnly):
			return nil // found on the scratch table
		case isServerError(err, erTableDenied):
		default:
			return fmt.Errorf("make a trigger in %s: %w", schema, err)
		}
		granted := map[string]bool{}
		rows, err := c.rows(ctx, "SELECT TABLE_NAME AS t FROM information_schema.TABLE_PRIVILEGES WHERE PRIVILEGE_TYPE = 'TRIGGER' AND TABLE_SCHEMA = "+quoteText(schema))
		if err != nil {
			return err
		}
		for _, row := range rows {
			granted[row["t"]] = true
		}
		for _, table := range need[schema] {
			if !granted[table] {
				c.add(catalog.Error, "privilege", schema+"."+table, "triggers cannot be made on it, so it cannot be fenced at the cutover",
					"GRANT TRIGGER ON "+quoteName(schema)+".* TO "+c.account)
			}
		}
	}
	return nil
}

// xa: a prepared transaction may commit rows at any later time.
func (c *checker) xa(ctx context.Context) error {
	listing := "XA RECOVER CONVERT XID"
	if c.s.mariadb() {
		listing = "XA RECOVER FORMAT='SQL'"
	}
	prepared, err := c.rows(ctx, listing)
	if err != nil {
		if !c.denied(err, "XA_RECOVER_ADMIN", "XA_RECOVER_ADMIN ON *.*", "prepared XA transactions cannot be listed, so the fence cannot be proven") {
			return err
		}
		return nil
	}
	for _, x := range prepared {
		c.add(catalog.Error, "xa", x["data"], "an XA transaction is prepared: when it commits, its rows are not in the log any more", "commit or roll it back: XA COMMIT or XA ROLLBACK")
	}
	return nil
}

// users: writes of our own user pass the fence, so nobody else may connect as it.
func (c *checker) users(ctx context.Context) error {
	if on, ok, err := c.variable(ctx, "performance_schema"); err != nil || !ok || !isOn(on) {
		return err
	}
	sessions, err := c.rows(ctx, fmt.Sprintf(`SELECT p.ID AS id, p.HOST AS host FROM information_schema.PROCESSLIST p
		WHERE p.USER = %s AND p.COMMAND NOT LIKE 'Binlog Dump%%' AND p.ID NOT IN (
			SELECT PROCESSLIST_ID FROM performance_schema.session_account_connect_attrs
			WHERE ATTR_NAME = 'program_name' AND ATTR_VALUE = 'crossfade' OR ATTR_NAME = '_pid' AND ATTR_VALUE = '%d')`, quoteText(c.s.cfg.User), os.Getpid()))
	if err != nil {
		return err
	}
	if len(sessions) > 0 {
		c.add(catalog.Warning, "user", c.account, fmt.Sprintf("%d sessions of others use crossfade's account, one from %s: what they write passes the fence", len(sessions), sessions[0]["host"]),
			"give crossfade an account that nobody else uses")
	}
	return nil
}

// readable proves that every column of every table can be read.
func (c *checker) readable(ctx context.Context) error {
	for _, t := range c.tables {
		stmt := []byte("SELECT ")
		for i := range t.Columns {
			if i > 0 {
				stmt = append(stmt, ", "...)
			}
			stmt = appendName(stmt, t.Columns[i].Name)
		}
		stmt = append(appendTable(append(stmt, " FROM "...), t), " LIMIT 0"...)
		if _, err := c.rows(ctx, string(stmt)); err != nil {
			if isServerError(err, erNoSuchTable, erBadField) {
				c.add(catalog.Error, "table", t.String(), "the table changed while it was checked: "+err.Error(), "check again")
				continue
			}
			if !c.denied(err, t.String(), "SELECT ON "+quoteName(t.Schema)+".*", "it cannot be read whole") {
				return err
			}
		}
	}
	return nil
}
