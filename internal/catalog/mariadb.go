package catalog

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"strings"
)

// What MariaDB's information_schema says in other words than MySQL's.

var (
	mariadbNumber = regexp.MustCompile(`^-?[0-9]+(\.[0-9]*)?(e[+-]?[0-9]+)?$`)
	mariadbNow    = regexp.MustCompile(`^current_timestamp\((\d*)\)$`)
)

// mariadbDefault reads COLUMN_DEFAULT: a literal as it stands in SQL, an expression, or the word NULL.
func (c *Column) mariadbDefault(def *sql.NullString) error {
	if !def.Valid {
		return nil
	}
	s := def.String
	now := mariadbNow.FindStringSubmatch(s)
	switch {
	case s == "NULL":
		def.Valid = false
	case strings.HasPrefix(s, "'"):
		text, rest, err := readQuoted(s, true)
		if err != nil {
			return fmt.Errorf("default: %w", err)
		}
		if rest != "" { // 'a' + 1 is an expression
			c.DefaultIsExpr = true
			return nil
		}
		def.String = text
	case mariadbNumber.MatchString(s), c.Type.Name == "bit" && strings.HasPrefix(s, "b'"):
	case c.Type.Name == "binary" || c.Type.Name == "varbinary": // read from SHOW CREATE TABLE
		c.DefaultIsExpr = !strings.HasPrefix(s, "0x") && !strings.HasPrefix(strings.ToLower(s), "x'")
	case now != nil:
		c.DefaultIsExpr = true
		if def.String = "CURRENT_TIMESTAMP"; now[1] != "" {
			def.String += "(" + now[1] + ")"
		}
	default:
		c.DefaultIsExpr = true
	}
	return nil
}

func (r *mysqlReader) mariadbChecks(ctx context.Context, schema string) error {
	return r.query(ctx, func(rows *sql.Rows) error {
		var table, name, level, clause string
		if err := rows.Scan(&table, &name, &level, &clause); err != nil {
			return err
		}
		t := r.byName[[2]string{schema, table}]
		if t == nil {
			return nil
		}
		if level == "Column" { // named as its column, and so not unique among the table's
			name = table + "_" + name
		}
		t.Checks = append(t.Checks, Check{Name: name, Expr: clause, Enforced: true})
		return nil
	}, `SELECT TABLE_NAME, CONSTRAINT_NAME, LEVEL, CHECK_CLAUSE FROM information_schema.CHECK_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = ? ORDER BY TABLE_NAME, CONSTRAINT_NAME`, schema)
}
