package postgres

import (
	"context"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/crossfade-io/crossfade/apply"
	"github.com/crossfade-io/crossfade/internal/change"
)

// cascade carries out what foreign keys do. It has to know what it finds, so what was sent before is waited for.
func (s *session) cascade(ctx context.Context, tx *apply.Tx, i int) error {
	if err := s.sync(tx); err != nil {
		return err
	}
	c := &cascading{session: s, step: i}
	if err := tx.Steps[i].Follow(ctx, tx, c); err != nil {
		return err
	}
	s.openPipe(ctx)
	return nil
}

// cascading is the session while it carries out the cascade of a step.
type cascading struct {
	*session
	step int
}

// Run implements [apply.CascadeSession].
func (c *cascading) Run(ctx context.Context, st *apply.Step) error {
	c.patience.Progress()
	tx := apply.Tx{Steps: []apply.Step{*st}}
	c.openPipe(ctx)
	err := c.session.step(ctx, &tx, 0)
	if err == nil {
		err = c.sync(&tx)
	}
	if err != nil {
		c.closePipe()
		return st.Blame(err, c.step)
	}
	return nil
}

// Children implements [apply.CascadeSession].
func (c *cascading) Children(ctx context.Context, tie *apply.Tie, shape *change.Table, parents []change.Row, now change.Row, limit int) ([]change.Row, error) {
	c.patience.Progress()
	child := tie.Child
	p, err := c.of(ctx, child)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	b.WriteString("SELECT ")
	list(&b, len(child.Key), ", ", func(n int) {
		name := p.meta.columns[child.Key[n]].name
		if child.Columns[child.Key[n]].Kind == change.Bytes {
			name = "pg_catalog.encode(" + name + ", 'hex')"
		}
		b.WriteString(name + "::text")
	})
	b.WriteString(" FROM " + p.meta.name + " WHERE ")
	var oids []uint32
	c.buf, c.offsets, c.formats = c.buf[:0], append(c.offsets[:0], 0), c.formats[:0]
	b.WriteString("(")
	list(&b, len(tie.Columns), ", ", func(n int) { b.WriteString(p.meta.columns[tie.Columns[n]].name) })
	b.WriteString(") IN (")
	for i, parent := range parents {
		if i > 0 {
			b.WriteString(", ")
		}
		for n, col := range tie.Columns {
			b.WriteByte("(,"[min(n, 1)])
			placeholder(&b, len(oids))
			oids = append(oids, p.meta.columns[col].oid)
			if err := c.value(&p.meta.columns[col], &parent[shape.Key[n]]); err != nil {
				return nil, &apply.Refusal{Step: c.step, Row: 0, Code: "crossfade", Reason: fmt.Sprintf("no child in %s can refer to it: %v", child, err)}
			}
		}
		b.WriteByte(')')
	}
	b.WriteByte(')')
	if now != nil {
		b.WriteString(" AND NOT (")
		list(&b, len(tie.Columns), " AND ", func(n int) {
			col := &p.meta.columns[tie.Columns[n]]
			text := ""
			if child.Columns[tie.Columns[n]].Kind == change.Text {
				text = `::text COLLATE "C"`
			}
			b.WriteString(col.name + text + " = ")
			placeholder(&b, len(oids))
			b.WriteString(text)
			oids = append(oids, col.oid)
			if err == nil {
				err = c.value(col, &now[shape.Key[n]])
			}
		})
		b.WriteByte(')')
		if err != nil {
			return nil, &apply.Refusal{Step: c.step, Row: 0, Code: "crossfade", Reason: fmt.Sprintf("no child in %s can get the new key: %v", child, err)}
		}
	}
	b.WriteString(" LIMIT " + strconv.Itoa(limit))
	r := c.conn.ExecParams(ctx, b.String(), c.parameters(), oids, c.formats, nil).Read()
	if r.Err != nil {
		return nil, classify(fmt.Errorf("look for children in %s: %w", child, r.Err))
	}
	out := make([]change.Row, len(r.Rows))
	for i, row := range r.Rows {
		out[i] = make(change.Row, len(child.Columns))
		for n, k := range child.Key {
			text := row[n]
			if child.Columns[k].Kind == change.Bytes {
				if text, err = hex.DecodeString(string(text)); err != nil {
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

// sendCascaded queues the notes of what cascades have changed.
func (s *session) sendCascaded(ctx context.Context, tx *apply.Tx) error {
	m, side := s.target.migration, s.target.side
	if len(tx.Cascaded) > 0 && tx.Touched != nil {
		s.send(`DELETE FROM crossfade.cascaded WHERE migration = $1 AND side = $2 AND seq <= $3::bigint`, sent{step: -1}, m, side, int64Text(min(tx.Forget, 1<<63-1)))
	}
	for i := range tx.Cascaded {
		k := &tx.Cascaded[i]
		s.send(`INSERT INTO crossfade.cascaded AS r (migration, side, source_table, key, seq) VALUES ($1, $2, $3, $4::bytea, $5::bigint)
ON CONFLICT (migration, side, source_table, sha256(key)) DO UPDATE SET seq = GREATEST(r.seq, EXCLUDED.seq)`, sent{step: -1}, m, side, k.Source, byteaText(k.Key), int64Text(k.Seq))
		if k.Again {
			s.sendRecopy(&k.RecopyKey)
		}
		if err := s.settle(ctx, tx); err != nil {
			return err
		}
	}
	return nil
}

// cascaded reads the notes.
func (s *session) cascaded(ctx context.Context) ([]apply.Cascaded, error) {
	rows, err := s.query(ctx, `SELECT source_table, pg_catalog.encode(key, 'hex'), seq FROM crossfade.cascaded WHERE migration = $1 AND side = $2`, s.target.migration, s.target.side)
	if err != nil {
		return nil, fmt.Errorf("read what cascades have changed: %w", err)
	}
	out := make([]apply.Cascaded, len(rows))
	for i, r := range rows {
		key, err := hex.DecodeString(string(r[1]))
		if err != nil {
			return nil, fmt.Errorf("read what cascades have changed: %w", err)
		}
		seq, err := uint64Of(r[2])
		if err != nil {
			return nil, fmt.Errorf("read what cascades have changed: %w", err)
		}
		out[i] = apply.Cascaded{RecopyKey: apply.RecopyKey{Source: string(r[0]), Key: key, Seq: seq}}
	}
	return out, nil
}
