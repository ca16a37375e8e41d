package postgres

import (
	"fmt"
	"strconv"
	"strings"
)

// position is a place in the log. Its text is what the rest of crossfade carries around:
//
//	lsn:<X/Y>[;in=<X/Y>;row=<n>]
//
// Everything committed before lsn has been read whole. Of the transaction whose commit record lies at in, n rows have been read, counted as they are
// decoded: an LSN would not name a row, as a COPY of hundreds has few.
type position struct {
	lsn uint64
	in  uint64
	row uint64
}

func (p position) String() string {
	s := "lsn:" + lsnText(p.lsn)
	if p.row > 0 {
		s += ";in=" + lsnText(p.in) + ";row=" + strconv.FormatUint(p.row, 10)
	}
	return s
}

func (p position) inside() bool { return p.row > 0 }

func lsnText(n uint64) string { return fmt.Sprintf("%X/%X", n>>32, uint32(n)) }

func parseLSN(s string) (uint64, error) {
	high, low, ok := strings.Cut(s, "/")
	h, err := strconv.ParseUint(high, 16, 32)
	l, err2 := strconv.ParseUint(low, 16, 32)
	if !ok || err != nil || err2 != nil {
		return 0, fmt.Errorf("%q is no LSN", s)
	}
	return h<<32 | l, nil
}

func parsePosition(s string) (p position, err error) {
	fail := func(err error) (position, error) { return p, fmt.Errorf("source position %q: %w", s, err) }
	fields := strings.Split(s, ";")
	text, ok := strings.CutPrefix(fields[0], "lsn:")
	if !ok {
		return fail(fmt.Errorf("it does not start with lsn: (written by another version of crossfade, or for another engine)"))
	}
	if p.lsn, err = parseLSN(text); err != nil {
		return fail(err)
	}
	for _, f := range fields[1:] {
		key, value, _ := strings.Cut(f, "=")
		switch key {
		case "in":
			p.in, err = parseLSN(value)
		case "row":
			p.row, err = strconv.ParseUint(value, 10, 64)
		default:
			err = fmt.Errorf("unknown part %q", f)
		}
		if err != nil {
			return fail(err)
		}
	}
	if (p.in == 0) != (p.row == 0) {
		return fail(fmt.Errorf("transaction and row do not belong together"))
	}
	return p, nil
}

// covers reports whether p is at or past q. A place inside a transaction lies before its commit.
func (p position) covers(q position) bool {
	if p.lsn < q.lsn {
		return false
	}
	return !q.inside() || p.lsn > q.in || p.in == q.in && p.row >= q.row
}
