package mysql

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/crossfade-io/crossfade/apply"
	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/change"
)

// Ledger reads the ledger rows, by lane; none before the first start.
func (t *Target) Ledger(ctx context.Context) (rows []apply.LaneRow, err error) {
	err = t.do(ctx, "read the ledger", func(s *session) (err error) {
		there, err := s.there(ctx)
		if err != nil || !there {
			return err
		}
		rows, err = s.Ledger(ctx)
		return err
	})
	return rows, err
}

// Tables reads what is durable about the migration's tables.
func (t *Target) Tables(ctx context.Context) (rows []apply.TableRow, err error) {
	err = t.do(ctx, "read the target", func(s *session) (err error) {
		rows, err = s.tables(ctx)
		return err
	})
	return rows, err
}

// Held reads which tables are held.
func (t *Target) Held(ctx context.Context) (rows []apply.Held, err error) {
	err = t.do(ctx, "read the target", func(s *session) (err error) {
		rows, err = s.held(ctx)
		return err
	})
	return rows, err
}

// Counts reads how many row changes were applied, by source table.
func (t *Target) Counts(ctx context.Context) (rows []apply.Count, err error) {
	err = t.do(ctx, "read the target", func(s *session) (err error) {
		rows, err = s.counts(ctx)
		return err
	})
	return rows, err
}

// Recopy reads the keys of a source table whose rows have to be read again.
func (t *Target) Recopy(ctx context.Context, source string) (out []apply.RecopyKey, err error) {
	err = t.do(ctx, "read the re-copy list of "+source, func(s *session) error {
		rows, err := s.rows(ctx, "SELECT HEX(`key`), seq FROM crossfade.recopy WHERE "+s.mine()+" AND source_table = "+text(source)+" ORDER BY seq, hash")
		if err != nil {
			return err
		}
		out = make([]apply.RecopyKey, len(rows))
		for i, r := range rows {
			key, err := hex.DecodeString(r[0])
			if err != nil {
				return err
			}
			var seq int64
			if err := numbers(r, 1, &seq); err != nil {
				return err
			}
			out[i] = apply.RecopyKey{Source: source, Key: key, Seq: uint64(seq)}
		}
		return nil
	})
	return out, err
}

// NotEmpty returns the target tables that hold rows.
func (t *Target) NotEmpty(ctx context.Context, tables []*change.Table) (out []*change.Table, err error) {
	err = t.do(ctx, "look for rows in the target tables", func(s *session) error {
		out = nil
		for _, table := range tables {
			rows, err := s.rows(ctx, "SELECT EXISTS (SELECT 1 FROM "+quoteTable(table)+")")
			if err != nil {
				return fmt.Errorf("%s: %w", table, err)
			}
			if rows[0][0] == "1" {
				out = append(out, table)
			}
		}
		return nil
	})
	return out, err
}

// Truncate empties target tables. It is refused when the migration's ledger has moved: what it says was applied would be gone.
func (t *Target) Truncate(ctx context.Context, tables []*change.Table) error {
	lanes, err := t.Ledger(ctx)
	if err != nil {
		return err
	}
	for _, l := range lanes {
		if l.Seq > 0 {
			return fmt.Errorf("empty the target tables: lane %d has applied frame %d already: clean up the migration first", l.Lane, l.Seq)
		}
	}
	return t.do(ctx, "empty the target tables", func(s *session) error {
		for _, table := range tables { // foreign keys are not checked
			if _, err := s.exec(ctx, "TRUNCATE TABLE "+quoteTable(table)); err != nil {
				return classify(err)
			}
		}
		return nil
	})
}

// Exec runs a statement of DDL, on a connection of its own, since it may take long. What is there already is taken for made. A LostError says that it may be
// tried again; anything else that the server refuses it.
func (t *Target) Exec(ctx context.Context, sql string) error {
	s, err := t.connect(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.run(ctx, t.settings(true)); err != nil { // a foreign key is checked against the rows
		return classify(err)
	}
	err = s.run(ctx, sql)
	if code(err) == 1005 && strings.Contains(err.Error(), "errno: 121") { // a foreign key of MariaDB that is there
		return nil
	}
	return classify(done(err))
}

// Analyze gathers the statistics of a table.
func (t *Target) Analyze(ctx context.Context, table *change.Table) error {
	return t.do(ctx, "gather statistics of "+table.String(), func(s *session) error {
		_, err := s.rows(ctx, "ANALYZE NO_WRITE_TO_BINLOG TABLE "+quoteTable(table))
		return err
	})
}

// Catalog reads the tables that match says yes to.
func (t *Target) Catalog(ctx context.Context, match func(schema, table string) bool) ([]*catalog.Table, error) {
	c := mysql.NewConfig()
	c.Net, c.Addr, c.User, c.Passwd, c.TLS, c.Timeout = "tcp", t.cfg.Addr, t.cfg.User, t.cfg.Password, t.cfg.TLS, connectTimeout
	c.Logger = &mysql.NopLogger{}
	c.InterpolateParams = true
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	return catalog.MySQL(ctx, db, match)
}

// CheckCreate asks whether tables may be made in these databases.
func (t *Target) CheckCreate(ctx context.Context, schemas []string) (out []catalog.Finding, err error) {
	err = t.do(ctx, "ask for the privileges on the target's databases", func(s *session) error {
		out = nil
		for _, schema := range schemas {
			refused, err := s.scratch(ctx, schema, "")
			if err != nil {
				return err
			}
			if refused != nil {
				out = append(out, catalog.Finding{Severity: catalog.Error, Code: "target_create", Object: "database " + schema, Reason: "our user may not make tables with triggers there: " + refused.Error(),
					Remedy: "GRANT ALL ON " + quote(schema) + ".* TO the user of target.url (and SET GLOBAL log_bin_trust_function_creators = 1), or make the tables by hand with target.create: false"})
			}
		}
		return nil
	})
	return out, err
}

// scratch makes a table with a trigger in a database, and takes away what it made. refused is the server's answer.
func (s *session) scratch(ctx context.Context, schema, definer string) (refused, lost error) {
	rows, err := s.rows(ctx, "SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = "+text(schema))
	if err != nil {
		return nil, err
	}
	name := quote(schema) + ".`crossfade_scratch`"
	make := "CREATE TABLE " + name + " (id int PRIMARY KEY); CREATE " + definer + " TRIGGER " + quote(schema) + ".`crossfade_scratch_i` BEFORE INSERT ON " + name + " FOR EACH ROW SET @crossfade_scratch = 1; DROP TABLE " + name
	if rows[0][0] == "0" {
		make = "CREATE DATABASE " + quote(schema) + "; " + make + "; DROP DATABASE " + quote(schema)
	}
	if refused = s.run(ctx, make); refused == nil {
		return nil, nil
	}
	if code(refused) == 0 {
		return nil, classify(refused)
	}
	clear := "DROP TABLE IF EXISTS " + name
	if rows[0][0] == "0" {
		clear = "DROP DATABASE IF EXISTS " + quote(schema)
	}
	if err := s.run(ctx, clear); err != nil && code(err) == 0 {
		return nil, classify(err)
	}
	return refused, nil
}

// CheckTypes: MySQL has no types besides its own.
func (t *Target) CheckTypes(context.Context, []string) ([]catalog.Finding, error) { return nil, nil }

// DropUser is the statement that drops our user.
func (t *Target) DropUser(ctx context.Context) (statement string, err error) {
	err = t.do(ctx, "ask the target for our user", func(s *session) error {
		rows, err := s.rows(ctx, "SELECT CURRENT_USER()")
		if err == nil {
			user, host := rows[0][0], ""
			if at := strings.LastIndexByte(user, '@'); at >= 0 {
				user, host = user[:at], user[at+1:]
			}
			statement = "DROP USER " + text(user) + "@" + text(host)
		}
		return err
	})
	return statement, err
}
