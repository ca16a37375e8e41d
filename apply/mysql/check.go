package mysql

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/crossfade-io/crossfade/apply"
	"github.com/crossfade-io/crossfade/internal/catalog"
)

// Check asks for what applying needs. Tables that do not exist yet are not looked at.
func (t *Target) Check(ctx context.Context, tables []apply.TableSetup) ([]catalog.Finding, error) {
	var out []catalog.Finding
	err := t.do(ctx, "check the target", func(s *session) error {
		c := &checker{session: s}
		if err := c.server(ctx); err != nil {
			return err
		}
		for i := range tables {
			if err := c.table(ctx, &tables[i]); err != nil {
				return err
			}
		}
		out = c.findings
		return nil
	})
	return out, err
}

type checker struct {
	session  *session
	findings []catalog.Finding
}

func (c *checker) add(severity, code, object, reason, remedy string) {
	c.findings = append(c.findings, catalog.Finding{Severity: severity, Code: code, Object: object, Reason: reason, Remedy: remedy})
}

// smallPacket is below what a server should take: a row of a few MB doubles as a literal.
const smallPacket = 64 << 20

func (c *checker) server(ctx context.Context) error {
	rows, err := c.session.rows(ctx, "SELECT VERSION(), @@GLOBAL.read_only, @@GLOBAL.innodb_flush_log_at_trx_commit, @@GLOBAL.log_bin, @@GLOBAL.sync_binlog")
	if err != nil {
		return err
	}
	r := rows[0]
	mariadb := strings.Contains(strings.ToLower(r[0]), "mariadb")
	if mariadb != c.session.target.mariadb() {
		c.add("error", "target_engine", "server", "it is version "+r[0], "write mariadb:// for MariaDB and mysql:// for MySQL in target.url")
		return nil
	}
	switch major, minor := version(r[0]); {
	case mariadb && (major < 10 || major == 10 && minor < 6), !mariadb && major < 8:
		c.add("error", "target_version", "server", "version "+r[0]+" is too old", "use MySQL 8.0 to 9.x, or MariaDB 10.6 to 11.x")
	case mariadb && major > 11, !mariadb && major > 9:
		c.add("warning", "target_version", "server", "version "+r[0]+" is not tested", "try the migration on a copy first")
	}
	if r[1] != "0" && r[1] != "OFF" {
		c.add("error", "target_read_only", "server", "the target takes no writes (read_only)", "let target.url lead to the primary")
	}
	if r[2] != "1" {
		c.add("warning", "target_durability", "innodb_flush_log_at_trx_commit", "it is "+r[2]+": what was committed can be lost by a crash, and with it the proof of what was applied", "SET GLOBAL innodb_flush_log_at_trx_commit = 1")
	}
	if (r[3] == "1" || r[3] == "ON") && r[4] != "1" { // without a log of its own there is nothing to sync
		c.add("warning", "target_durability", "sync_binlog", "it is "+r[4]+": what was committed can be lost by a crash, and with it the proof of what was applied", "SET GLOBAL sync_binlog = 1")
	}
	if c.session.largest < smallPacket {
		c.add("warning", "target_packet", "max_allowed_packet", fmt.Sprintf("it is %d bytes: a row needs up to twice its size", c.session.largest), "SET GLOBAL max_allowed_packet = 1073741824")
	}
	refused, err := c.session.scratch(ctx, "crossfade", "")
	if refused != nil {
		c.add("error", "target_schema", "database crossfade", "the ledger cannot be made: "+refused.Error(), "GRANT ALL ON crossfade.* TO the user of target.url")
	}
	return err
}

func version(s string) (major, minor int) {
	parts := strings.SplitN(s, ".", 3)
	major, _ = strconv.Atoi(parts[0])
	if len(parts) > 1 {
		minor, _ = strconv.Atoi(parts[1])
	}
	return major, minor
}

func (c *checker) table(ctx context.Context, setup *apply.TableSetup) error {
	shape := setup.Target
	where := " WHERE TABLE_SCHEMA = " + text(shape.Schema) + " AND TABLE_NAME = " + text(shape.Name)
	rows, err := c.session.rows(ctx, "SELECT TABLE_TYPE, COALESCE(ENGINE, '') FROM information_schema.TABLES"+where)
	if err != nil || len(rows) == 0 {
		return err
	}
	object := shape.String()
	if !strings.Contains(rows[0][0], "BASE TABLE") {
		c.add("error", "target_kind", object, "it is no table", "give the table another name on the target, by transform.tables")
		return nil
	}
	if rows[0][1] != "InnoDB" {
		c.add("error", "target_storage", object, "its engine is "+rows[0][1]+", which cannot take a change back", "ALTER TABLE "+quoteTable(shape)+" ENGINE=InnoDB")
	}
	if err := c.triggers(ctx, shape); err != nil {
		return err
	}
	if _, err := c.session.readMeta(ctx, shape); err != nil {
		var lost *apply.LostError
		if errors.As(err, &lost) {
			return err
		}
		c.add("error", "target_shape", object, err.Error(), "make the table as crossfade schema --phase before prints it")
	}
	return nil
}
