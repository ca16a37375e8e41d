package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/crossfade-io/crossfade/internal/change"
)

// MySQL reads the tables of a MySQL or MariaDB server that match says yes to. Tables on which the user has no privilege are not visible to it and are
// not returned.
func MySQL(ctx context.Context, db *sql.DB, match func(schema, table string) bool) ([]*Table, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("read catalog: connect: %w", err)
	}
	defer conn.Close()
	r := mysqlReader{conn: conn, engine: change.MySQL, byName: map[[2]string]*Table{}}
	var version string
	if err := conn.QueryRowContext(ctx, "SELECT VERSION()").Scan(&version); err != nil {
		return nil, fmt.Errorf("read catalog: %w", err)
	}
	if strings.Contains(strings.ToLower(version), "mariadb") {
		r.engine = change.MariaDB
	}
	if err := r.fresh(ctx); err != nil {
		return nil, fmt.Errorf("read catalog: %w", err)
	}
	if err := r.readTables(ctx, match); err != nil {
		return nil, fmt.Errorf("read catalog: tables: %w", err)
	}
	for _, step := range []struct {
		name string
		read func(context.Context, string) error
	}{
		{"columns", r.columns},
		{"indexes", r.indexes},
		{"foreign keys", r.foreignKeys},
		{"check constraints", r.checks},
		{"triggers", r.triggers},
	} {
		for _, schema := range r.schemas {
			if err := step.read(ctx, schema); err != nil {
				return nil, fmt.Errorf("read catalog: %s of %s: %w", step.name, schema, err)
			}
		}
	}
	for _, t := range r.tables {
		if err := r.finish(ctx, t); err != nil {
			return nil, fmt.Errorf("read catalog: %s: %w", t, err)
		}
	}
	return r.tables, nil
}

// mysqlReader reads information_schema a schema at a time. Columns are read by position: MySQL 8 names them in upper case, others do not.
type mysqlReader struct {
	conn    *sql.Conn
	engine  change.Engine
	tables  []*Table
	schemas []string
	byName  map[[2]string]*Table
	create  map[*Table]string // SHOW CREATE TABLE, where it was needed
}

const (
	erUnknownSystemVariable = 1193
	erUnknownTable          = 1109
	erBadTable              = 1146
)

// fresh asks for statistics of now: counters are cached for a day otherwise. MariaDB does not have the variable and does not cache.
func (r *mysqlReader) fresh(ctx context.Context) error {
	_, err := r.conn.ExecContext(ctx, "SET SESSION information_schema_stats_expiry = 0")
	if isMySQLError(err, erUnknownSystemVariable) {
		return nil
	}
	return err
}

func isMySQLError(err error, numbers ...uint16) bool {
	var e *mysql.MySQLError
	if !errors.As(err, &e) {
		return false
	}
	for _, n := range numbers {
		if e.Number == n {
			return true
		}
	}
	return false
}

// query runs a statement and calls each for every row.
func (r *mysqlReader) query(ctx context.Context, each func(*sql.Rows) error, stmt string, args ...any) error {
	rows, err := r.conn.QueryContext(ctx, stmt, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := each(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (r *mysqlReader) readTables(ctx context.Context, match func(schema, table string) bool) error {
	return r.query(ctx, func(rows *sql.Rows) error {
		t := &Table{Engine: r.engine}
		var kind string
		var engine, collation, options, comment sql.NullString
		var estimate, data, index sql.NullInt64
		var next sql.Null[uint64]
		if err := rows.Scan(&t.Schema, &t.Name, &kind, &engine, &estimate, &data, &index, &next, &collation, &options, &comment); err != nil {
			return err
		}
		if !match(t.Schema, t.Name) {
			return nil
		}
		t.Storage, t.Collation, t.Comment = engine.String, collation.String, comment.String
		t.Charset, _, _ = strings.Cut(collation.String, "_")
		t.RowsEstimate, t.Bytes, t.AutoIncrement = estimate.Int64, data.Int64+index.Int64, next.V
		t.Partitioned = strings.Contains(options.String, "partitioned")
		t.Versioned = kind == "SYSTEM VERSIONED"
		if n := len(r.schemas); n == 0 || r.schemas[n-1] != t.Schema {
			r.schemas = append(r.schemas, t.Schema)
		}
		r.byName[[2]string{t.Schema, t.Name}] = t
		r.tables = append(r.tables, t)
		return nil
	}, `SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, ENGINE, TABLE_ROWS, DATA_LENGTH, INDEX_LENGTH, AUTO_INCREMENT, TABLE_COLLATION, CREATE_OPTIONS, TABLE_COMMENT
		FROM information_schema.TABLES
		WHERE TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED') AND TABLE_SCHEMA NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema')
		ORDER BY TABLE_SCHEMA, TABLE_NAME`)
}

func (r *mysqlReader) columns(ctx context.Context, schema string) error {
	return r.query(ctx, func(rows *sql.Rows) error {
		var table, name, nullable, base, full, extra string
		var def, charset, collation, generated, comment sql.NullString
		var length, precision, scale, fraction sql.NullInt64
		if err := rows.Scan(&table, &name, &def, &nullable, &base, &length, &precision, &scale, &fraction, &charset, &collation, &full, &extra,
			&generated, &comment); err != nil {
			return err
		}
		t := r.byName[[2]string{schema, table}]
		if t == nil {
			return nil
		}
		c := Column{Name: name, Nullable: nullable == "YES", Comment: comment.String}
		c.Type = Type{Name: strings.ToLower(base), Full: full, Unsigned: strings.Contains(full, " unsigned"),
			Length: int(length.Int64), Fraction: int(fraction.Int64), Charset: charset.String, Collation: collation.String}
		switch c.Type.Name {
		case "bit":
			c.Type.Length = int(precision.Int64)
		case "enum", "set":
			labels, err := parseLabels(full)
			if err != nil {
				return fmt.Errorf("%s.%s: %w", t, name, err)
			}
			c.Type.Labels, c.Type.Unsigned = labels, false
		default:
			c.Type.Precision, c.Type.Scale = int(precision.Int64), int(scale.Int64)
		}
		c.extra(extra)
		if generated.String != "" {
			c.Generated = generated.String
			if r.engine == change.MySQL {
				c.Generated = unescape(c.Generated)
			}
		}
		if r.engine == change.MariaDB {
			if err := c.mariadbDefault(&def); err != nil {
				return fmt.Errorf("%s.%s: %w", t, name, err)
			}
		}
		if def.Valid {
			text := def.String
			if c.DefaultIsExpr && r.engine == change.MySQL {
				text = unescape(text)
			}
			c.Default = &text
		}
		t.Columns = append(t.Columns, c)
		return nil
	}, `SELECT TABLE_NAME, COLUMN_NAME, COLUMN_DEFAULT, IS_NULLABLE, DATA_TYPE, CHARACTER_MAXIMUM_LENGTH, NUMERIC_PRECISION, NUMERIC_SCALE, DATETIME_PRECISION,
			CHARACTER_SET_NAME, COLLATION_NAME, COLUMN_TYPE, EXTRA, GENERATION_EXPRESSION, COLUMN_COMMENT
		FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? ORDER BY TABLE_NAME, ORDINAL_POSITION`, schema)
}

// extra reads the words of EXTRA.
func (c *Column) extra(s string) {
	l := strings.ToLower(s)
	c.AutoIncrement = strings.Contains(l, "auto_increment")
	c.Invisible = strings.Contains(l, "invisible")
	c.OnUpdateNow = strings.Contains(l, "on update current_timestamp")
	c.GeneratedStored = strings.Contains(l, "stored generated")
	c.DefaultIsExpr = strings.Contains(l, "default_generated")
}

func (r *mysqlReader) indexes(ctx context.Context, schema string) error {
	own := "IS_VISIBLE, EXPRESSION"
	if r.engine == change.MariaDB {
		own = "IF(IGNORED = 'YES', 'NO', 'YES'), NULL"
	}
	stmt := `SELECT TABLE_NAME, INDEX_NAME, NON_UNIQUE, COLUMN_NAME, COLLATION, SUB_PART, INDEX_TYPE, ` + own + `
		FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = ? ORDER BY TABLE_NAME, INDEX_NAME <> 'PRIMARY', INDEX_NAME, SEQ_IN_INDEX`
	return r.query(ctx, func(rows *sql.Rows) error {
		var table, name, method, visible string
		var nonUnique int
		var column, direction, expr sql.NullString
		var prefix sql.NullInt64
		if err := rows.Scan(&table, &name, &nonUnique, &column, &direction, &prefix, &method, &visible, &expr); err != nil {
			return err
		}
		t := r.byName[[2]string{schema, table}]
		if t == nil {
			return nil
		}
		if n := len(t.Indexes); n == 0 || t.Indexes[n-1].Name != name {
			t.Indexes = append(t.Indexes, Index{Name: name, Unique: nonUnique == 0, Primary: name == "PRIMARY", Method: method, Visible: visible == "YES"})
		}
		x := &t.Indexes[len(t.Indexes)-1]
		part := IndexColumn{Name: column.String, Desc: direction.String == "D"}
		if expr.Valid {
			part.Expr = unescape(expr.String)
		}
		if method == "BTREE" || method == "HASH" { // a spatial index reports a prefix that means nothing
			part.Prefix = int(prefix.Int64)
		}
		x.Columns = append(x.Columns, part)
		return nil
	}, stmt, schema)
}

func (r *mysqlReader) foreignKeys(ctx context.Context, schema string) error {
	return r.query(ctx, func(rows *sql.Rows) error {
		var table, name, column, refSchema, refTable, refColumn, onDelete, onUpdate string
		if err := rows.Scan(&table, &name, &column, &refSchema, &refTable, &refColumn, &onDelete, &onUpdate); err != nil {
			return err
		}
		t := r.byName[[2]string{schema, table}]
		if t == nil {
			return nil
		}
		if n := len(t.ForeignKeys); n == 0 || t.ForeignKeys[n-1].Name != name {
			t.ForeignKeys = append(t.ForeignKeys, ForeignKey{Name: name, RefSchema: refSchema, RefTable: refTable, OnDelete: onDelete, OnUpdate: onUpdate})
		}
		f := &t.ForeignKeys[len(t.ForeignKeys)-1]
		f.Columns, f.RefColumns = append(f.Columns, column), append(f.RefColumns, refColumn)
		return nil
	}, `SELECT k.TABLE_NAME, k.CONSTRAINT_NAME, k.COLUMN_NAME, k.REFERENCED_TABLE_SCHEMA, k.REFERENCED_TABLE_NAME, k.REFERENCED_COLUMN_NAME, r.DELETE_RULE, r.UPDATE_RULE
		FROM information_schema.KEY_COLUMN_USAGE k
		JOIN information_schema.REFERENTIAL_CONSTRAINTS r
			ON r.CONSTRAINT_SCHEMA = k.CONSTRAINT_SCHEMA AND r.CONSTRAINT_NAME = k.CONSTRAINT_NAME AND r.TABLE_NAME = k.TABLE_NAME
		WHERE k.TABLE_SCHEMA = ? AND k.REFERENCED_TABLE_NAME IS NOT NULL
		ORDER BY k.TABLE_NAME, k.CONSTRAINT_NAME, k.ORDINAL_POSITION`, schema)
}

func (r *mysqlReader) checks(ctx context.Context, schema string) error {
	if r.engine == change.MariaDB {
		return r.mariadbChecks(ctx, schema)
	}
	err := r.query(ctx, func(rows *sql.Rows) error {
		var table, name, enforced, clause string
		if err := rows.Scan(&table, &name, &enforced, &clause); err != nil {
			return err
		}
		if t := r.byName[[2]string{schema, table}]; t != nil {
			t.Checks = append(t.Checks, Check{Name: name, Expr: unescape(clause), Enforced: enforced == "YES"})
		}
		return nil
	}, `SELECT t.TABLE_NAME, t.CONSTRAINT_NAME, t.ENFORCED, c.CHECK_CLAUSE
		FROM information_schema.TABLE_CONSTRAINTS t
		JOIN information_schema.CHECK_CONSTRAINTS c ON c.CONSTRAINT_SCHEMA = t.CONSTRAINT_SCHEMA AND c.CONSTRAINT_NAME = t.CONSTRAINT_NAME
		WHERE t.TABLE_SCHEMA = ? AND t.CONSTRAINT_TYPE = 'CHECK' ORDER BY t.TABLE_NAME, t.CONSTRAINT_NAME`, schema)
	if isMySQLError(err, erUnknownTable, erBadTable) { // before 8.0.16 a CHECK was parsed and forgotten
		return nil
	}
	return err
}

func (r *mysqlReader) triggers(ctx context.Context, schema string) error {
	return r.query(ctx, func(rows *sql.Rows) error {
		var table, name string
		if err := rows.Scan(&table, &name); err != nil {
			return err
		}
		if t := r.byName[[2]string{schema, table}]; t != nil {
			t.Triggers = append(t.Triggers, name)
		}
		return nil
	}, `SELECT EVENT_OBJECT_TABLE, TRIGGER_NAME FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = ? ORDER BY EVENT_OBJECT_TABLE, TRIGGER_NAME`, schema)
}

// finish completes what needs the whole table.
func (r *mysqlReader) finish(ctx context.Context, t *Table) error {
	if len(t.Columns) == 0 {
		return errors.New("no columns: the table was dropped meanwhile, or the user has no SELECT privilege on it")
	}
	for i := range t.Columns {
		c := &t.Columns[i]
		if c.AutoIncrement && t.AutoIncrement == 0 {
			t.AutoIncrement = 1 // a counter that has given out nothing yet reads as NULL
		}
		if (c.Type.Name == "binary" || c.Type.Name == "varbinary") && c.Default != nil && !c.DefaultIsExpr {
			text, err := r.binaryDefault(ctx, t, c.Name)
			if err != nil {
				return err
			}
			c.Default = &text
		}
	}
	return t.chooseKey(func(x *Index) bool { return x.Visible && (x.Method == "BTREE" || x.Method == "HASH") })
}

// binaryDefault reads the default of a binary column from SHOW CREATE TABLE: information_schema ends it at the first zero byte.
func (r *mysqlReader) binaryDefault(ctx context.Context, t *Table, column string) (string, error) {
	text, ok := r.create[t]
	if !ok {
		var name string
		if err := r.conn.QueryRowContext(ctx, "SHOW CREATE TABLE "+quoteMySQL(t.Schema)+"."+quoteMySQL(t.Name)).Scan(&name, &text); err != nil {
			return "", fmt.Errorf("show create table: %w", err)
		}
		if r.create == nil {
			r.create = map[*Table]string{}
		}
		r.create[t] = text
	}
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), quoteMySQL(column)+" ")
		if !ok {
			continue
		}
		_, rest, ok = strings.Cut(rest, " DEFAULT ")
		if !ok {
			break
		}
		if hex, ok := strings.CutPrefix(rest, "0x"); ok {
			return "0x" + strings.ToLower(strings.TrimRight(hex[:hexLen(hex)], ",")), nil
		}
		if hex, ok := strings.CutPrefix(strings.ToLower(rest), "x'"); ok {
			return "0x" + hex[:hexLen(hex)], nil
		}
		if !strings.HasPrefix(rest, "'") {
			break
		}
		lit, _, err := readQuoted(rest, true)
		if err != nil {
			return "", fmt.Errorf("default of %s: %w", column, err)
		}
		return fmt.Sprintf("0x%x", lit), nil
	}
	return "", fmt.Errorf("default of binary column %s not found in SHOW CREATE TABLE", column)
}

func hexLen(s string) int {
	n := 0
	for n < len(s) && strings.IndexByte("0123456789abcdefABCDEF", s[n]) >= 0 {
		n++
	}
	return n
}

func quoteMySQL(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// parseLabels reads the labels of enum('a','it”s') and set(...). Inside, only the quote is written specially: doubled.
func parseLabels(full string) ([]string, error) {
	open := strings.IndexByte(full, '(')
	if open < 0 {
		return nil, fmt.Errorf("labels of %q", full)
	}
	var labels []string
	for s := full[open+1:]; ; {
		label, rest, err := readQuoted(s, false)
		if err != nil {
			return nil, fmt.Errorf("labels of %q: %w", full, err)
		}
		labels = append(labels, label)
		switch {
		case strings.HasPrefix(rest, ","):
			s = rest[1:]
		case strings.HasPrefix(rest, ")"):
			return labels, nil
		default:
			return nil, fmt.Errorf("labels of %q: %q after label %d", full, rest, len(labels))
		}
	}
}

// readQuoted reads a quoted string at the start of s and returns what follows it.
func readQuoted(s string, backslash bool) (text, rest string, err error) {
	if !strings.HasPrefix(s, "'") {
		return "", "", fmt.Errorf("no quote at %q", s)
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\'' && i+1 < len(s) && s[i+1] == '\'':
			b.WriteByte('\'')
			i++
		case s[i] == '\'':
			return b.String(), s[i+1:], nil
		case s[i] == '\\' && backslash && i+1 < len(s):
			i++
			b.WriteByte(unescapeByte(s[i]))
		default:
			b.WriteByte(s[i])
		}
	}
	return "", "", fmt.Errorf("no closing quote in %q", s)
}

// unescape undoes the escaping that information_schema puts around every expression (_utf8mb4\'a\').
func unescape(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
			b = append(b, unescapeByte(s[i]))
			continue
		}
		b = append(b, s[i])
	}
	return string(b)
}

func unescapeByte(c byte) byte {
	switch c {
	case '0':
		return 0
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'b':
		return '\b'
	case 'Z':
		return 0x1a
	default:
		return c
	}
}
