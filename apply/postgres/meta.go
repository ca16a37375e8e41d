package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/crossfade-io/crossfade/internal/change"
)

// meta is what the target holds for a shape: the types of its columns, and the index of its key.
type meta struct {
	shape   *change.Table
	name    string // quoted
	columns []column
	// keyIndex is the name of the index that the key's uniqueness stands on; the server reports those of its partitions.
	keyIndex   string
	partitions []string // their indexes
}

// column is one column as the server has it.
type column struct {
	name     string // quoted
	oid      uint32 // of the base type of a domain
	array    uint32
	modifier int32  // -1: none
	identity bool   // generated always as identity
	label    bool   // of an enum: the binary form is the text
	cast     string // the type, when its values go as an array of text: there is no array of arrays, and some are not separated by commas
}

func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func quoteTable(t *change.Table) string { return quote(t.Schema) + "." + quote(t.Name) }

// readMeta asks the server about a table. It must not be in a transaction that has failed.
func (s *session) readMeta(ctx context.Context, shape *change.Table) (*meta, error) {
	m := &meta{shape: shape, name: quoteTable(shape), columns: make([]column, len(shape.Columns))}
	// A domain's array cannot be assigned from that of its base type, but its values can: parameters have the base type.
	rows, err := s.query(ctx, `
WITH RECURSIVE base(attnum, attname, oid, modifier, identity, generated) AS (
  SELECT a.attnum, a.attname, a.atttypid, a.atttypmod, a.attidentity = 'a', a.attgenerated <> ''
  FROM pg_catalog.pg_attribute a WHERE a.attrelid = pg_catalog.to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped
  UNION ALL
  SELECT b.attnum, b.attname, t.typbasetype, t.typtypmod, b.identity, b.generated
  FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.oid WHERE t.typtype = 'd')
SELECT b.attname, b.oid, t.typarray, b.modifier, b.identity, b.generated, t.typtype = 'e', t.typarray = 0 OR t.typdelim <> ',', pg_catalog.format_type(b.oid, NULL)
FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.oid WHERE t.typtype <> 'd'`, m.name)
	if err != nil {
		return nil, fmt.Errorf("read columns of %s: %w", shape, err)
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("target table %s does not exist: make it with crossfade schema --phase before, or set target.create", shape)
	}
	for i, want := range shape.Columns {
		at := slices.IndexFunc(rows, func(r [][]byte) bool { return string(r[0]) == want.Name })
		if at < 0 {
			return nil, fmt.Errorf("target table %s has no column %s: add it, or drop the column in the mapping", shape, want.Name)
		}
		r := rows[at]
		if string(r[5]) == "t" {
			return nil, fmt.Errorf("target column %s.%s is generated: it cannot be written; drop it in the mapping", shape, want.Name)
		}
		oid, err1 := strconv.ParseUint(string(r[1]), 10, 32)
		array, err2 := strconv.ParseUint(string(r[2]), 10, 32)
		modifier, err3 := strconv.ParseInt(string(r[3]), 10, 32)
		if err := errors.Join(err1, err2, err3); err != nil {
			return nil, fmt.Errorf("read columns of %s: %s: %w", shape, want.Name, err)
		}
		m.columns[i] = column{name: quote(want.Name), oid: uint32(oid), array: uint32(array), modifier: int32(modifier), identity: string(r[4]) == "t", label: string(r[6]) == "t"}
		if string(r[7]) == "t" {
			m.columns[i].array, m.columns[i].cast = oidTextArray, string(r[8])
		}
		if c := &m.columns[i]; c.oid == oidNumeric && c.modifier >= 4 && c.scale() < 0 && !strings.Contains(want.Type, ",-") { // else the source rounds alike
			return nil, fmt.Errorf("target column %s.%s rounds whole numbers (a numeric with a scale below 0): give it a scale of 0", shape, want.Name)
		}
	}
	var key []string
	for _, k := range shape.Key {
		key = append(key, shape.Columns[k].Name)
	}
	slices.Sort(key)
	rows, err = s.query(ctx, `
SELECT c.relname, pg_catalog.string_agg(a.attname, E'\n' ORDER BY a.attname::text COLLATE "C"),
 (SELECT pg_catalog.string_agg(p.relname, E'\n') FROM pg_catalog.pg_partition_tree(i.indexrelid) t JOIN pg_catalog.pg_class p ON p.oid = t.relid)
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey::int2[]) AND pg_catalog.array_position(i.indkey::int2[], a.attnum) < i.indnkeyatts
WHERE i.indrelid = pg_catalog.to_regclass($1) AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
GROUP BY c.relname, i.indexrelid, i.indisprimary ORDER BY i.indisprimary DESC, 1`, m.name)
	if err != nil {
		return nil, fmt.Errorf("read indexes of %s: %w", shape, err)
	}
	for _, r := range rows {
		if string(r[1]) == strings.Join(key, "\n") {
			m.keyIndex, m.partitions = string(r[0]), strings.Split(string(r[2]), "\n")
			break
		}
	}
	if m.keyIndex == "" {
		return nil, fmt.Errorf("target table %s has no primary key or unique index on exactly (%s): rows could not be overwritten; make it", shape, strings.Join(key, ", "))
	}
	return m, nil
}

// isKey reports whether a constraint that the server names is the key's.
func (m *meta) isKey(constraint string) bool {
	return constraint == m.keyIndex || slices.Contains(m.partitions, constraint)
}

// scale is how many decimals a numeric column keeps, or -1 for any number.
func (c *column) scale() int {
	if c.modifier < 4 {
		return -1
	}
	return ((int(c.modifier-4) & 0x7ff) ^ 1024) - 1024
}

// length is how many characters a character column holds, or -1.
func (c *column) length() int {
	if c.modifier < 4 {
		return -1
	}
	return int(c.modifier - 4)
}

// fraction is how many digits of a second a time column keeps.
func (c *column) fraction() int {
	m := c.modifier
	if c.oid == oidInterval && m >= 0 {
		m &= 0xffff // above it stands which fields there are
	}
	if m < 0 || m > 6 {
		return 6
	}
	return int(m)
}
