package mysql

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/crossfade-io/crossfade/apply"
	"github.com/crossfade-io/crossfade/internal/change"
)

// meta is what the target holds for a shape.
type meta struct {
	shape *change.Table
	name  string   // quoted
	names []string // of the columns, quoted
	// keyIndex is the index that the key's uniqueness stands on; only: there is no other unique one.
	keyIndex string
	only     bool
	// full are the columns that take no NULL; filled those among them that get no value unless a row has one, and unfilled says that there is one which the mapping does not fill.
	full     map[int]bool
	filled   []int
	unfilled bool
	// now are the columns that the server sets to the time of every update that does not name them.
	now []int
}

// takes refuses a NULL where the column takes none: MariaDB would make the time of now of it.
func (m *meta) takes(step, row, c int, v *change.Value) error {
	if v.Kind != change.Null || !m.full[c] {
		return nil
	}
	return &apply.Refusal{Step: step, Row: row, Code: "null", Reason: fmt.Sprintf("column %s takes no NULL", m.shape.Columns[c].Name)}
}

// readMeta asks the server about a table.
func (s *session) readMeta(ctx context.Context, shape *change.Table) (*meta, error) {
	m := &meta{shape: shape, name: quoteTable(shape), full: map[int]bool{}}
	where := " WHERE TABLE_SCHEMA = " + text(shape.Schema) + " AND TABLE_NAME = " + text(shape.Name)
	columns, err := s.rows(ctx, "SELECT COLUMN_NAME, GENERATION_EXPRESSION <> '', LOWER(EXTRA) LIKE '%on update current_timestamp%', IS_NULLABLE = 'NO', COLUMN_DEFAULT IS NULL AND LOWER(EXTRA) NOT LIKE '%default_generated%' AND LOWER(EXTRA) NOT LIKE '%auto_increment%' AND COALESCE(GENERATION_EXPRESSION, '') = '' FROM information_schema.COLUMNS"+where)
	if err != nil {
		return nil, fmt.Errorf("read columns of %s: %w", shape, err)
	}
	if len(columns) == 0 {
		return nil, fmt.Errorf("target table %s does not exist: make it with crossfade schema --phase before, or set target.create", shape)
	}
	for _, want := range shape.Columns {
		at := slices.IndexFunc(columns, func(r []string) bool { return strings.EqualFold(r[0], want.Name) })
		if at < 0 {
			return nil, fmt.Errorf("target table %s has no column %s: add it, or drop the column in the mapping", shape, want.Name)
		}
		if columns[at][1] == "1" {
			return nil, fmt.Errorf("target column %s.%s is generated: it cannot be written; drop it in the mapping", shape, want.Name)
		}
		if columns[at][2] == "1" {
			m.now = append(m.now, len(m.names))
		}
		if columns[at][3] == "1" {
			m.full[len(m.names)] = true
			if columns[at][4] == "1" {
				m.filled = append(m.filled, len(m.names))
			}
		}
		columns[at][3] = "" // seen
		m.names = append(m.names, quote(want.Name))
	}
	for _, c := range columns {
		m.unfilled = m.unfilled || c[3] == "1" && c[4] == "1"
	}
	var key []string
	for _, k := range shape.Key {
		key = append(key, strings.ToLower(shape.Columns[k].Name))
	}
	slices.Sort(key)
	parts, err := s.rows(ctx, "SELECT INDEX_NAME, LOWER(COALESCE(COLUMN_NAME, '')), SUB_PART IS NOT NULL FROM information_schema.STATISTICS"+where+" AND NON_UNIQUE = 0 ORDER BY INDEX_NAME = 'PRIMARY' DESC, INDEX_NAME, SEQ_IN_INDEX")
	if err != nil {
		return nil, fmt.Errorf("read indexes of %s: %w", shape, err)
	}
	var order []string
	over, cut := map[string][]string{}, map[string]bool{}
	for _, p := range parts {
		if over[p[0]] == nil {
			order = append(order, p[0])
		}
		over[p[0]] = append(over[p[0]], p[1])
		cut[p[0]] = cut[p[0]] || p[2] == "1"
	}
	for _, name := range order {
		slices.Sort(over[name])
		if m.keyIndex == "" && !cut[name] && slices.Equal(over[name], key) {
			m.keyIndex = name
		}
	}
	if m.keyIndex == "" {
		return nil, fmt.Errorf("target table %s has no primary key or unique index on exactly (%s): rows could not be overwritten; make it", shape, strings.Join(key, ", "))
	}
	m.only = len(order) == 1
	return m, nil
}
