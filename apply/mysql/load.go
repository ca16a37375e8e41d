package mysql

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/crossfade-io/crossfade/apply"
	"github.com/crossfade-io/crossfade/internal/change"
)

// Rows of a chunk go by LOAD DATA LOCAL where the server allows it (local_infile). With LOCAL the server turns errors of rows into warnings, and leaves rows out: so any warning takes the
// transaction back, and it is done again row by row, which finds the row. No file is read, whatever the server asks for.

// Bounds of one load.
const (
	minLoadRows  = 2 // one goes in a single round trip
	maxLoadRows  = 20000
	maxLoadBytes = 4 << 20
)

// load writes rows of a chunk. ok is false, and nothing was done, when they cannot be written as text, or when it would not refuse what an INSERT does: a column that takes no NULL gets
// something else without a warning, the time of now or nothing.
func (s *session) load(ctx context.Context, i int, st *apply.Step, m *meta, from, to int) (ok bool, err error) {
	cols := present(st.Rows[from])
	if m.unfilled || slices.ContainsFunc(m.filled, func(c int) bool { return !slices.Contains(cols, c) }) {
		return false, nil
	}
	b := s.lines[:0]
	for n := from; n < to; n++ {
		for k, c := range cols {
			if k > 0 {
				b = append(b, '\t')
			}
			if st.Rows[n][c].Kind == change.Null && m.full[c] {
				return false, nil
			}
			if b, ok = appendField(b, &st.Rows[n][c], m.shape.Columns[c].Kind); !ok {
				return false, nil
			}
		}
		b = append(b, '\n')
	}
	s.lines = b
	if !m.only {
		keep := *st
		keep.Keys, keep.Exact, keep.Tally = st.Rows, false, apply.NoTally
		for n := from; n < to; n += maxStatementRows { // a longer list of keys is searched without their index
			if err := s.remove(ctx, i, &keep, m, n, min(n+maxStatementRows, to)); err != nil {
				return true, err
			}
		}
	}
	return true, s.loadText(ctx, i, st, m, cols, b, from, to)
}

func (s *session) loadText(ctx context.Context, i int, st *apply.Step, m *meta, cols []int, rows []byte, from, to int) error {
	var r *gomysql.Result
	err := s.guard(ctx, func() (err error) {
		r, err = s.conn.ExecQueryRelayLocalInfile(loadSQL(m, cols), func([]byte) (io.Reader, error) { return bytes.NewReader(rows), nil })
		return err
	})
	if err != nil {
		return s.judge(i, st, m, -1, err)
	}
	if r.Warnings > 0 {
		return &apply.Refusal{Step: i, Row: -1, Code: "warning", Reason: fmt.Sprintf("the target warns %d times about rows", r.Warnings)}
	}
	n := int64(to - from)
	if int64(r.AffectedRows) < n { // a row that is replaced counts twice
		return &apply.Refusal{Step: i, Row: -1, Code: "warning", Reason: fmt.Sprintf("the target has taken %d of %d rows", r.AffectedRows, n)}
	}
	if !m.only {
		n = int64(r.AffectedRows)
	}
	return s.count(i, st, from, to, n)
}

// loadSQL is the statement for rows of these columns. What is not what its text says, as a string, is made what it is.
func loadSQL(m *meta, cols []int) string {
	b := []byte("LOAD DATA LOCAL INFILE 'crossfade' ")
	if m.only {
		b = append(b, "REPLACE "...)
	}
	b = append(append(append(b, "INTO TABLE "...), m.name...), ` CHARACTER SET utf8mb4 FIELDS TERMINATED BY '\t' ENCLOSED BY '' ESCAPED BY '\\' LINES TERMINATED BY '\n' STARTING BY '' (`...)
	set := []byte(nil)
	for k, c := range cols {
		if k > 0 {
			b = append(b, ',')
		}
		form := ""
		switch col := &m.shape.Columns[c]; {
		case col.Kind == change.Bytes:
			form = "UNHEX(@c%d)"
		case col.Kind == change.Bits:
			form = "CAST(CONV(@c%d, 2, 10) AS UNSIGNED)"
		case strings.HasPrefix(strings.ToLower(col.Type), "year"): // '0' is 2000, and 0 is 0
			form = "@c%d + 0"
		default:
			b = append(b, m.names[c]...)
			continue
		}
		b = fmt.Appendf(b, "@c%d", k)
		set = append(append(append(set, []string{" SET ", ", "}[min(len(set), 1)]...), m.names[c]...), " = "...)
		set = fmt.Appendf(set, form, k)
	}
	return string(append(append(b, ')'), set...))
}

// appendField writes a value as a field of a line.
func appendField(dst []byte, v *change.Value, column change.Kind) ([]byte, bool) {
	switch v.Kind {
	case change.Null:
		return append(dst, `\N`...), true
	case change.Bytes:
		return hex.AppendEncode(dst, v.B), column == change.Bytes
	case change.Bits:
		return append(dst, v.B...), column == change.Bits
	case change.Bool, change.Int, change.Uint, change.Decimal, change.Float32, change.Float64:
		n := len(dst)
		dst = appendLiteral(dst, v)
		return append(dst[:n], bytes.Trim(dst[n:], "'")...), column != change.Bytes && column != change.Bits
	default:
		return appendEscaped(dst, v.B), column != change.Bytes && column != change.Bits
	}
}

func appendEscaped(dst, b []byte) []byte {
	for {
		i := bytes.IndexAny(b, "\x00\\\n\t")
		if i < 0 {
			return append(dst, b...)
		}
		dst = append(append(dst, b[:i]...), '\\')
		switch b[i] {
		case 0:
			dst = append(dst, '0')
		case '\n':
			dst = append(dst, 'n')
		case '\t':
			dst = append(dst, 't')
		default:
			dst = append(dst, '\\')
		}
		b = b[i+1:]
	}
}
