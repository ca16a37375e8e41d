package pooler

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// console is a session at PgBouncer's admin console, which knows commands of its own and speaks only the simple protocol.
type console struct{ conn *pgconn.PgConn }

func dial(ctx context.Context, config *pgconn.Config) (*console, error) {
	conn, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect to the console: %w", err)
	}
	return &console{conn}, nil
}

// close ends the session at once. A command that waits, as PAUSE does, ends with it: no cancellation is asked for and nothing is waited for.
func (c *console) close() {
	_ = c.conn.Conn().Close() // it is of no more use, whatever it says
}

// table is an answer: a map from column to text for every row. Versions differ in their columns.
type table []map[string]string

func (c *console) do(ctx context.Context, command string) (table, error) {
	results, err := c.conn.Exec(ctx, command).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", command, err)
	}
	var out table
	for _, result := range results {
		for _, row := range result.Rows {
			m := make(map[string]string, len(row))
			for i, value := range row {
				m[result.FieldDescriptions[i].Name] = string(value)
			}
			out = append(out, m)
		}
	}
	return out, nil
}

// state is what the console says of an entry.
type state struct {
	at     Address
	paused bool
}

// read asks for the state of an entry.
func (c *console) read(ctx context.Context, entry string) (state, error) {
	rows, err := c.do(ctx, "SHOW DATABASES")
	if err != nil {
		return state{}, err
	}
	for _, row := range rows {
		if row["name"] != entry {
			continue
		}
		port, err := strconv.ParseUint(row["port"], 10, 16)
		paused, ok := row["paused"]
		if err != nil || !ok {
			return state{}, fmt.Errorf("SHOW DATABASES has no port or no column paused for %q: this version of PgBouncer is not known", entry)
		}
		if disabled := row["disabled"]; disabled != "" && disabled != "0" {
			return state{}, fmt.Errorf("the entry %q is disabled; send PgBouncer ENABLE", entry)
		}
		return state{at: Address{Host: row["host"], Port: uint16(port), Database: row["database"]}, paused: paused != "0"}, nil
	}
	return state{}, fmt.Errorf("PgBouncer has no entry %q; write it into [databases], other than under *", entry)
}

// quote writes a name for the console.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// Address is where an entry leads.
type Address struct {
	Host     string
	Port     uint16
	Database string
}

func (a Address) String() string { return fmt.Sprintf("%s:%d/%s", a.Host, a.Port, a.Database) }

func (a Address) same(b Address) bool {
	return strings.EqualFold(a.Host, b.Host) && a.Port == b.Port && a.Database == b.Database
}

// commandTimeout bounds what the console answers at once.
const commandTimeout = 5 * time.Second
