package mysql

import (
	"context"
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/crossfade-io/crossfade/apply"
	"github.com/crossfade-io/crossfade/internal/change"
)

// cascading is the session while it carries out the cascade of a step.
type cascading struct {
	*session
	step int
}

// Run implements [apply.CascadeSession].
func (c *cascading) Run(ctx context.Context, st *apply.Step) error {
	c.patience.Progress()
	tx := apply.Tx{Steps: []apply.Step{*st}}
	if err := c.session.step(ctx, &tx, 0); err != nil {
		return st.Blame(err, c.step)
	}
	return nil
}

// Children implements [apply.CascadeSession].
func (c *cascading) Children(ctx context.Context, tie *apply.Tie, shape *change.Table, parents []change.Row, now change.Row, limit int) ([]change.Row, error) {
	c.patience.Progress()
	child := tie.Child
	m, err := c.of(ctx, child)
	if err != nil {
		return nil, err
	}
	b := append(c.buf[:0], "SELECT "...)
	for n, k := range child.Key {
		if n > 0 {
			b = append(b, ',')
		}
		if child.Columns[k].Kind == change.Bytes {
			b = append(append(append(b, "HEX("...), m.names[k]...), ')')
		} else {
			b = append(b, m.names[k]...)
		}
	}
	b = append(append(append(b, " FROM "...), m.name...), " WHERE "...)
	b = append(b, '(')
	for n, col := range tie.Columns {
		if n > 0 {
			b = append(b, ',')
		}
		b = append(b, m.names[col]...)
	}
	b = append(b, ") IN ("...)
	for i, parent := range parents {
		if i > 0 {
			b = append(b, ',')
		}
		for n, k := range shape.Key {
			b = append(b, "(,"[min(n, 1)])
			b = appendLiteral(b, &parent[k])
		}
		b = append(b, ')')
	}
	b = append(b, ')')
	if now != nil {
		for n, col := range tie.Columns {
			b = append(b, []string{" AND NOT (", " AND "}[min(n, 1)]...)
			if child.Columns[col].Kind == change.Text {
				b = append(append(append(b, "CAST(CONVERT("...), m.names[col]...), " USING utf8mb4) AS BINARY) = CAST("...)
				b = append(appendLiteral(b, &now[shape.Key[n]]), " AS BINARY)"...)
			} else {
				b = appendLiteral(append(append(b, m.names[col]...), " = "...), &now[shape.Key[n]])
			}
		}
		b = append(b, ')')
	}
	b = strconv.AppendInt(append(b, " LIMIT "...), int64(limit), 10)
	c.buf = b
	rows, err := c.rows(ctx, string(b))
	if err != nil {
		return nil, fmt.Errorf("look for children in %s: %w", child, err)
	}
	out := make([]change.Row, len(rows))
	for i, row := range rows {
		out[i] = make(change.Row, len(child.Columns))
		for n, k := range child.Key {
			text := []byte(row[n])
			if child.Columns[k].Kind == change.Bytes {
				if text, err = hex.DecodeString(row[n]); err != nil {
					return nil, fmt.Errorf("key of a child in %s: %w", child, err)
				}
			}
			if out[i][k], err = apply.KeyValue(&child.Columns[k], text); err != nil {
				return nil, fmt.Errorf("key of a child in %s: %w", child, err)
			}
		}
	}
	return out, nil
}

// cascaded reads the notes of what cascades have changed.
func (s *session) cascaded(ctx context.Context) ([]apply.Cascaded, error) {
	rows, err := s.rows(ctx, "SELECT source_table, HEX(`key`), seq FROM crossfade.cascaded WHERE "+s.mine())
	if err != nil {
		return nil, fmt.Errorf("read what cascades have changed: %w", err)
	}
	out := make([]apply.Cascaded, len(rows))
	for i, r := range rows {
		key, err := hex.DecodeString(r[1])
		if err != nil {
			return nil, fmt.Errorf("read what cascades have changed: %w", err)
		}
		var seq int64
		if err := numbers(r, 2, &seq); err != nil {
			return nil, fmt.Errorf("read what cascades have changed: %w", err)
		}
		out[i] = apply.Cascaded{RecopyKey: apply.RecopyKey{Source: r[0], Key: key, Seq: uint64(seq)}}
	}
	return out, nil
}
