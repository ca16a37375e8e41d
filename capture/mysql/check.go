package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"

	"github.com/crossfade-io/crossfade/internal/catalog"
)

// Check proves every precondition of following this server and reading these tables, and of fencing it later: by asking the server, and for privileges by
// using them. It leaves nothing behind. The error is about asking; what is wrong with the server is a finding.
func (s *Source) Check(ctx context.Context, tables []*catalog.Table) ([]catalog.Finding, error) {
	c := &checker{s: s, tables: tables, host: s.cfg.Host}
	if err := s.db.QueryRowContext(ctx, "SELECT CURRENT_USER()").Scan(&c.account); err != nil {
		return nil, fmt.Errorf("check %s: %w", s.cfg.Host, s.cfg.explain(err))
	}
	c.account = quoteAccount(c.account)
	for _, step := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"version", c.version},
		{"binlog", c.binlog},
		{"binlog rows", c.rowFormat},
		{"positions", c.positions},
		{"durability", c.durability},
		{"expiry", c.expiry},
		{"topology", c.topology},
		{"replication privileges", c.replication},
		{"binlog filters", c.filters},
		{"schema crossfade", c.ownSchema},
		{"trigger privilege", c.triggers},
		{"xa", c.xa},
		{"users", c.users},
		{"tables", c.shapes},
		{"read privilege", c.readable},
		{"foreign keys", c.cascades},
	} {
		if err := step.run(ctx); err != nil {
			return nil, fmt.Errorf("check %s: %s: %w", s.cfg.Host, step.name, err)
		}
	}
	return c.out, nil
}

// checker collects findings.
type checker struct {
	s       *Source
	tables  []*catalog.Table
	host    string
	account string // 'user'@'host'
	out     []catalog.Finding
}

func (c *checker) add(severity, code, object, reason, remedy string) {
	c.out = append(c.out, catalog.Finding{Severity: severity, Code: code, Object: object, Reason: reason, Remedy: remedy})
}

// variable reads a global variable; ok is false where the server does not have it.
func (c *checker) variable(ctx context.Context, name string) (value string, ok bool, err error) {
	var v sql.NullString
	err = c.s.db.QueryRowContext(ctx, "SELECT @@GLOBAL."+name).Scan(&v)
	if isServerError(err, erUnknownVariable) {
		return "", false, nil
	}
	return v.String, err == nil, err
}

// firstVariable reads a variable that has been renamed.
func (c *checker) firstVariable(ctx context.Context, names ...string) (name, value string, ok bool, err error) {
	for _, name = range names {
		if value, ok, err = c.variable(ctx, name); ok || err != nil {
			return name, value, ok, err
		}
	}
	return names[0], "", false, nil
}

func isOn(v string) bool { return v == "1" || strings.EqualFold(v, "ON") }

// schemas are the databases of the tables.
func (c *checker) schemas() []string {
	var out []string
	seen := map[string]bool{}
	for _, t := range c.tables {
		if !seen[t.Schema] {
			seen[t.Schema] = true
			out = append(out, t.Schema)
		}
	}
	return out
}

// quoteAccount writes user@host as statements need it.
func quoteAccount(account string) string {
	at := strings.LastIndexByte(account, '@')
	if at < 0 {
		return quoteText(account)
	}
	return quoteText(account[:at]) + "@" + quoteText(account[at+1:])
}

func quoteText(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", "''").Replace(s) + "'"
}

func quoteName(s string) string { return string(appendName(nil, s)) }

func quoteTable(t *catalog.Table) string { return string(appendTable(nil, t)) }

// versionOf reads "9.7.4-2" as 9, 7.
func versionOf(s string) (major, minor int) {
	head, rest, _ := strings.Cut(s, ".")
	next, _, _ := strings.Cut(rest, ".")
	major, _ = strconv.Atoi(head)
	minor, _ = strconv.Atoi(next)
	return major, minor
}

func atLeast(version string, major, minor int) bool {
	a, b := versionOf(version)
	return a > major || a == major && b >= minor
}

func (c *checker) version(context.Context) error {
	if c.s.mariadb() {
		c.mariadbVersion()
		return nil
	}
	switch v := c.s.version; {
	case !atLeast(v, 8, 0):
		c.add(catalog.Error, "version", c.host, "MySQL "+v+" is older than 8.0", "upgrade the server to 8.0 or later first")
	case !atLeast(v, 9, 7) || atLeast(v, 9, 8):
		c.add(catalog.Warning, "version", c.host, "MySQL "+v+" has not been tested; 9.7 has", "rehearse on a copy, and verify before the cutover")
	}
	return nil
}

func (c *checker) mariadbVersion() {
	switch v := c.s.version; {
	case !atLeast(v, 10, 6):
		c.add(catalog.Error, "version", c.host, "MariaDB "+v+" is older than 10.6", "upgrade the server to 10.6 or later first")
	case !(atLeast(v, 10, 11) && !atLeast(v, 10, 12)) && !(atLeast(v, 11, 8) && !atLeast(v, 11, 9)):
		c.add(catalog.Warning, "version", c.host, "MariaDB "+v+" has not been tested; 10.11 and 11.8 have", "rehearse on a copy, and verify before the cutover")
	}
}

// keep is the statement that sets a global variable for good.
func (c *checker) keep(variable, value string) string {
	if c.s.mariadb() {
		return fmt.Sprintf("SET GLOBAL %s = %s, also in the configuration file", variable, value)
	}
	return fmt.Sprintf("SET PERSIST %s = %s", variable, value)
}
