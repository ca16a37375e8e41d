package mysql

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/change"
)

// shapes refuses tables whose rows cannot be told apart, read exactly, or are not transactional.
func (c *checker) shapes(ctx context.Context) error {
	if len(c.tables) == 0 {
		c.add(catalog.Error, "tables", c.host, "no table matches source.tables, or none is visible to "+c.account, "correct source.tables, or GRANT SELECT on the database TO "+c.account)
	}
	if err := c.sequences(ctx); err != nil {
		return err
	}
	for _, t := range c.tables {
		if t.Storage != "InnoDB" {
			c.add(catalog.Error, "engine", t.String(), fmt.Sprintf("its engine is %s: its changes are not transactional", t.Storage),
				"ALTER TABLE "+quoteTable(t)+" ENGINE=InnoDB, or leave it out of source.tables")
		}
		if t.Versioned {
			c.add(catalog.Error, "versioned", t.String(), "it has system versioning: the log does not hold its history as rows", "ALTER TABLE "+quoteTable(t)+" DROP SYSTEM VERSIONING, or leave it out of source.tables")
		}
		for i := range t.Columns {
			c.column(t, &t.Columns[i])
		}
		c.key(t)
	}
	return nil
}

// sequences names those that stand beside the tables: they are not moved.
func (c *checker) sequences(ctx context.Context) error {
	if !c.s.mariadb() {
		return nil
	}
	all, err := readSequences(ctx, c.s.db)
	if err != nil {
		return err
	}
	for _, n := range slices.SortedFunc(maps.Keys(all), func(a, b name) int { return strings.Compare(a.String(), b.String()) }) {
		if slices.Contains(c.schemas(), n.schema) {
			c.add(catalog.Warning, "sequence", n.String(), "it is a sequence of its own, which is not moved", "make one in the target, and set it past the last number at the cutover")
		}
	}
	return nil
}

func (c *checker) column(t *catalog.Table, col *catalog.Column) {
	kind, ok := col.Type.Kind(change.MySQL)
	if kind == change.Text && col.Type.Charset != "" {
		if _, err := charsetOf(col.Type.Charset); err != nil {
			c.add(catalog.Error, "charset", t.String()+"."+col.Name, "its character set "+col.Type.Charset+" is not supported",
				fmt.Sprintf("ALTER TABLE %s MODIFY %s ... CHARACTER SET utf8mb4, or leave the table out of source.tables", quoteTable(t), quoteName(col.Name)))
		}
	}
	if strings.Contains(strings.ToUpper(col.Type.Full), " COMPRESSED") {
		c.add(catalog.Error, "type", t.String()+"."+col.Name, "its values are compressed by the server ("+col.Type.Full+"), also in the log", "ALTER TABLE "+quoteTable(t)+" MODIFY it without COMPRESSED, or leave the table out of source.tables")
	}
	if !ok {
		c.add(catalog.Error, "type", t.String()+"."+col.Name, "type "+col.Type.Full+" is not supported", "change its type, or leave the table out of source.tables")
	}
}

func (c *checker) key(t *catalog.Table) {
	if len(t.Key) == 0 {
		c.add(catalog.Error, "no_key", t.String(), "it has neither a primary key nor a unique key over NOT NULL columns: its rows cannot be told apart",
			"ALTER TABLE "+quoteTable(t)+" ADD PRIMARY KEY (...), or leave it out of source.tables")
		return
	}
	for _, k := range t.Key {
		col := &t.Columns[k]
		switch col.Type.Name {
		case "enum":
			if slices.Contains(col.Type.Labels, "") {
				c.add(catalog.Error, "key", t.String()+"."+col.Name, "an enum with an empty label is part of the key: it cannot be told from an invalid value",
					"remove the empty label, or leave the table out of source.tables")
			}
		case "set":
			c.add(catalog.Warning, "key", t.String()+"."+col.Name, "a set is part of the key: the server has no index range over it, so a large table is copied slowly", "none needed for a small table")
		}
	}
	for i := range t.Indexes {
		x := &t.Indexes[i]
		if x.Name != t.KeyName {
			continue
		}
		for _, part := range x.Columns {
			if part.Desc != x.Columns[0].Desc {
				c.add(catalog.Warning, "key", t.String(), "its key is ascending in one column and descending in another: every chunk sorts what is left, so a large table is copied slowly",
					"none needed for a small table")
				break
			}
		}
	}
}

// CascadesLogged reports whether the log names the rows that foreign keys change. MySQL does from 9.6 on, unless innodb_native_foreign_keys is ON; MariaDB does not.
func (s *Source) CascadesLogged(ctx context.Context) (bool, error) {
	c := &checker{s: s}
	native, ok, err := c.variable(ctx, "innodb_native_foreign_keys")
	if err != nil {
		return false, fmt.Errorf("ask %s for innodb_native_foreign_keys: %w", s.cfg.Host, err)
	}
	return ok && !s.mariadb() && !isOn(native) && atLeast(s.version, 9, 6), nil
}

// cascades names the foreign keys that change rows of the migrated tables. Whether those that leave no trace in the log can be carried out in the target the
// mapping says.
func (c *checker) cascades(ctx context.Context) error {
	logged, err := c.s.CascadesLogged(ctx)
	if err != nil {
		return err
	}
	migrated := map[string]bool{}
	for _, t := range c.tables {
		migrated[t.String()] = true
	}
	for _, t := range c.tables {
		for i := range t.ForeignKeys {
			f := &t.ForeignKeys[i]
			if !f.Acts() {
				continue
			}
			parent := f.RefSchema + "." + f.RefTable
			if !logged {
				c.add(catalog.Info, "cascade", t.String(), fmt.Sprintf("foreign key %s to %s is ON DELETE %s ON UPDATE %s, and the log does not name the rows that it changes: they are changed in the target by the same rule",
					f.Name, parent, f.OnDelete, f.OnUpdate), fmt.Sprintf("none needed; %s and %s go through one lane together", parent, t))
				continue
			}
			if !migrated[parent] {
				c.add(catalog.Info, "cascade", parent, fmt.Sprintf("it is not migrated, but foreign key %s cascades from it into %s: the fence closes it too", f.Name, t), "migrate it too, if the application writes to it after the cutover")
			}
		}
	}
	return nil
}
