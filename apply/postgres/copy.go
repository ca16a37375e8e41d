package postgres

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/crossfade-io/crossfade/apply"
	"github.com/crossfade-io/crossfade/internal/change"
)

// minCopyRows is below what COPY, which costs a few round trips, does not pay.
const minCopyRows = 100

// copyRows brings the rows of a step in by COPY. It reports false when they have to be written as upserts: some exist already, since a change
// that the snapshot has read too came first, or a value has no binary form.
func (s *session) copyRows(ctx context.Context, tx *apply.Tx, i int, p *prepared) (bool, error) {
	st := &tx.Steps[i]
	if p.conflicts > 0 {
		p.conflicts--
		return false, nil
	}
	cols := present(st.Rows[0])
	if !s.encodeCopy(p.meta, cols, st.Rows) {
		return false, nil
	}
	s.openPipe(ctx)
	s.send("SAVEPOINT crossfade", sent{step: -1})
	if err := s.sync(tx); err != nil {
		return false, err
	}
	tag, err := s.conn.CopyFrom(ctx, bytes.NewReader(s.copyBuf), copySQL(p.meta, cols))
	if cap(s.copyBuf) > largeBuffer {
		s.copyBuf = nil
	}
	s.openPipe(ctx)
	if err == nil {
		s.add(st, tag.RowsAffected(), int64(len(st.Rows)))
		s.send("RELEASE SAVEPOINT crossfade", sent{step: -1})
		return true, nil
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || !isRowCode(pg.Code) {
		return false, classify(err)
	}
	s.send("ROLLBACK TO SAVEPOINT crossfade", sent{step: -1})
	s.send("RELEASE SAVEPOINT crossfade", sent{step: -1})
	if pg.Code == "23505" {
		p.conflicts = 16 // keys are coming in by changes too; a failed COPY costs as much as a good one
	}
	return false, nil // whatever it was, the statements that name rows find it
}

// encodeCopy writes the rows in the binary form of COPY to copyBuf.
func (s *session) encodeCopy(m *meta, cols []int, rows []change.Row) bool {
	b := append(s.copyBuf[:0], "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"...)
	for _, row := range rows {
		b = binary.BigEndian.AppendUint16(b, uint16(len(cols)))
		for _, c := range cols {
			v := &row[c]
			if v.Kind == change.Null {
				b = append(b, 0xff, 0xff, 0xff, 0xff)
				continue
			}
			at := len(b)
			b = append(b, 0, 0, 0, 0)
			var o outcome
			var err error
			if b, o, err = m.columns[c].binary(b, v); err != nil || o == asText {
				return false
			}
			binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4))
		}
	}
	b = append(b, 0xff, 0xff)
	s.copyBuf = b
	return true
}
