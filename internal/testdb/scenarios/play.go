package scenarios

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
)

// session is one connection. A null column is the text NULL.
type session interface {
	exec(ctx context.Context, s *Statement) error
	query(ctx context.Context, sql string) (rows []string, err error)
	close()
}

// Player runs scripts on one database, each session of a script on a connection of its own.
type Player struct {
	open     func(ctx context.Context) (session, error)
	sessions map[string]session
}

// OnMySQL plays on a database of MySQL or MariaDB.
func OnMySQL(db *sql.DB) *Player {
	return &Player{sessions: map[string]session{}, open: func(ctx context.Context) (session, error) {
		c, err := db.Conn(ctx)
		return mysqlSession{c}, err
	}}
}

// OnPostgres plays on a PostgreSQL database.
func OnPostgres(connect func(ctx context.Context) (*pgx.Conn, error)) *Player {
	return &Player{sessions: map[string]session{}, open: func(ctx context.Context) (session, error) {
		c, err := connect(ctx)
		if err != nil {
			return nil, err
		}
		_, err = c.Exec(ctx, "SET timezone = 'UTC'; SET datestyle = 'ISO, YMD'; SET intervalstyle = 'postgres'; SET extra_float_digits = 1")
		return postgresSession{c}, err
	}}
}

// Close ends the connections.
func (p *Player) Close() {
	for _, s := range p.sessions {
		s.close()
	}
	clear(p.sessions)
}

func (p *Player) session(ctx context.Context, name string) (session, error) {
	if s := p.sessions[name]; s != nil {
		return s, nil
	}
	s, err := p.open(ctx)
	if err != nil {
		return nil, err
	}
	p.sessions[name] = s
	return s, nil
}

// Play runs a script.
func (p *Player) Play(ctx context.Context, script []Statement) error {
	for i := range script {
		st := &script[i]
		s, err := p.session(ctx, st.Session)
		if err != nil {
			return err
		}
		err = s.exec(ctx, st)
		switch {
		case err != nil && !st.Fails:
			return fmt.Errorf("line %d: %w", st.Line, err)
		case err == nil && st.Fails:
			return fmt.Errorf("line %d: the statement did not fail", st.Line)
		}
	}
	return nil
}

// Check runs queries and returns what they answer that they should not.
func (p *Player) Check(ctx context.Context, script []Statement) (wrong []string, err error) {
	for _, st := range script {
		s, err := p.session(ctx, st.Session)
		if err != nil {
			return nil, err
		}
		got, err := s.query(ctx, st.SQL)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", st.Line, err)
		}
		for i := range got {
			got[i] = strings.TrimRight(got[i], " ") // as the file's lines are
		}
		if !slices.Equal(got, st.Rows) {
			wrong = append(wrong, fmt.Sprintf("line %d: %s\ngot\n\t%s\nwant\n\t%s", st.Line, st.SQL, strings.Join(got, "\n\t"), strings.Join(st.Rows, "\n\t")))
		}
	}
	return wrong, nil
}

// Rows are the rows of a query, columns separated by " | ".
func (p *Player) Rows(ctx context.Context, sql string) ([]string, error) {
	s, err := p.session(ctx, "a")
	if err != nil {
		return nil, err
	}
	return s.query(ctx, sql)
}

const (
	separator = " | "
	null      = "NULL"
)

type mysqlSession struct{ *sql.Conn }

func (m mysqlSession) exec(ctx context.Context, s *Statement) error {
	if s.Copy != nil {
		return errors.New("COPY is PostgreSQL's")
	}
	if _, after, ok := strings.Cut(s.SQL, "LOCAL INFILE '"); ok {
		path, _, _ := strings.Cut(after, "'")
		mysql.RegisterLocalFile(filepath.Clean(path))
		defer mysql.DeregisterLocalFile(filepath.Clean(path))
	}
	_, err := m.ExecContext(ctx, s.SQL)
	return err
}

func (m mysqlSession) query(ctx context.Context, text string) (out []string, err error) {
	rows, err := m.QueryContext(ctx, text)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	values := make([]sql.RawBytes, len(names))
	into := make([]any, len(names))
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		texts := make([]string, len(values))
		for i, v := range values {
			if texts[i] = string(v); v == nil {
				texts[i] = null
			}
		}
		out = append(out, strings.Join(texts, separator))
	}
	return out, rows.Err()
}

// close ends the connection: another test shall not have its state.
func (m mysqlSession) close() {
	_ = m.Raw(func(any) error { return driver.ErrBadConn })
	_ = m.Conn.Close()
}

type postgresSession struct{ *pgx.Conn }

func (p postgresSession) exec(ctx context.Context, s *Statement) error {
	if s.Copy != nil {
		_, err := p.PgConn().CopyFrom(ctx, strings.NewReader(string(s.Copy)), s.SQL)
		return err
	}
	_, err := p.PgConn().Exec(ctx, s.SQL).ReadAll()
	return err
}

func (p postgresSession) query(ctx context.Context, text string) (out []string, err error) {
	results, err := p.PgConn().Exec(ctx, text).ReadAll()
	if err != nil {
		return nil, err
	}
	for _, r := range results {
		for _, row := range r.Rows {
			texts := make([]string, len(row))
			for i, v := range row {
				if texts[i] = string(v); v == nil {
					texts[i] = null
				}
			}
			out = append(out, strings.Join(texts, separator))
		}
	}
	return out, nil
}

func (p postgresSession) close() { _ = p.Conn.Close(context.Background()) }
