package transform

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/crossfade-io/crossfade/internal/change"
)

// policy says what becomes of the values of one column that its target cannot hold.
type policy struct {
	zero     zeroPolicy
	standsIn string // with zeroReplace: a date or moment
	nul      nulPolicy
	filler   string // with nulReplace
	// Where the changed rows are counted: positions in Plan.lossy.
	zeroCount, nulCount int
}

type zeroPolicy uint8

const (
	zeroError zeroPolicy = iota
	zeroNull
	zeroReplace
)

type nulPolicy uint8

const (
	nulError nulPolicy = iota
	nulStrip
	nulReplace
)

func parseZeroDate(s string) (zeroPolicy, string, error) {
	switch s {
	case "", "error":
		return zeroError, "", nil
	case "null":
		return zeroNull, "", nil
	}
	b := []byte(s)
	if len(b) == len("2024-01-31") && validDate(b) || len(b) > 11 && validMoment(b) {
		return zeroReplace, s, nil
	}
	return 0, "", fmt.Errorf("zero_date %q is neither error, null nor an existing date (such as 1970-01-01 or 1970-01-01 00:00:00)", s)
}

func parseNUL(s string) (nulPolicy, string, error) {
	switch s {
	case "", "error":
		return nulError, "", nil
	case "strip":
		return nulStrip, "", nil
	}
	if filler, ok := strings.CutPrefix(s, "replace:"); ok && filler != "" && !strings.ContainsAny(filler, "\x00\"\\") && !strings.ContainsFunc(filler, func(r rune) bool { return r < ' ' }) {
		return nulReplace, filler, nil
	}
	return 0, "", fmt.Errorf("nul %q is neither error, strip nor replace:X (X without quotes, backslashes and control characters)", s)
}

// scratch is the memory of a mapper for values that it makes. They stay valid until the buffer is emptied: growing leaves the old bytes in place.
type scratch struct {
	buf   []byte
	lossy []uint64
}

// keep returns the bytes appended since the mark.
func (s *scratch) keep(mark int) []byte { return s.buf[mark:len(s.buf):len(s.buf)] }

// noDate is what becomes of a date that does not exist, by the column's policy. fraction is that of the target.
func (p *policy) noDate(s *scratch, v change.Value, kind change.Kind, fraction int) (change.Value, error) {
	switch p.zero {
	case zeroNull:
		s.lossy[p.zeroCount]++
		return change.Value{Kind: change.Null}, nil
	case zeroReplace:
		s.lossy[p.zeroCount]++
		mark := len(s.buf)
		s.buf = append(s.buf, p.standsIn...)
		if kind == change.Date {
			return change.Value{Kind: kind, B: s.buf[mark : mark+10 : mark+10]}, nil
		}
		if len(p.standsIn) == 10 {
			s.buf = append(s.buf, " 00:00:00"...)
		}
		b, err := s.fraction(s.keep(mark), fraction)
		return change.Value{Kind: kind, B: b}, err
	default:
		return v, fmt.Errorf("%.40q is a date that does not exist: correct the row, or say what becomes of it with zero_date in transform.types (null, or a date that stands for it)", v.B)
	}
}

// noNUL takes the character 0x00 out of text, by the column's policy.
func (p *policy) noNUL(s *scratch, b []byte) ([]byte, error) {
	i := bytes.IndexByte(b, 0)
	if i < 0 {
		return b, nil
	}
	if p.nul == nulError {
		return nil, fmt.Errorf("the character 0x00 at byte %d, which PostgreSQL's text cannot hold: correct the row, or say what becomes of it with nul in transform.types (strip, or replace:X)", i+1)
	}
	s.lossy[p.nulCount]++
	mark := len(s.buf)
	for ; i >= 0; i = bytes.IndexByte(b, 0) {
		s.buf = append(append(s.buf, b[:i]...), p.filler...)
		b = b[i+1:]
	}
	s.buf = append(s.buf, b...)
	return s.keep(mark), nil
}

var escapedNUL = []byte(`\u0000`)

// noEscapedNUL does the same for \u0000 in a JSON document, which jsonb refuses. In a key it is always refused: two keys could become one.
func (p *policy) noEscapedNUL(s *scratch, doc []byte) ([]byte, error) {
	i := nextNUL(doc, 0)
	if i < 0 {
		return doc, nil
	}
	if p.nul == nulError {
		return nil, fmt.Errorf(`\u0000 at byte %d, which jsonb cannot hold: correct the row, map the column as json or text, or say what becomes of it with nul in transform.types (strip, or replace:X)`, i+1)
	}
	s.lossy[p.nulCount]++
	mark, done := len(s.buf), 0
	for ; i >= 0; i = nextNUL(doc, i+len(escapedNUL)) {
		if inKey(doc, i) {
			return nil, fmt.Errorf(`\u0000 in a key of a JSON object, at byte %d: correct the row, or map the column as json or text`, i+1)
		}
		s.buf = append(append(s.buf, doc[done:i]...), p.filler...)
		done = i + len(escapedNUL)
	}
	s.buf = append(s.buf, doc[done:]...)
	return s.keep(mark), nil
}

// nextNUL finds the next \u0000 that is an escape: an even number of backslashes stands before it.
func nextNUL(doc []byte, from int) int {
	for {
		i := bytes.Index(doc[from:], escapedNUL)
		if i < 0 {
			return -1
		}
		i += from
		slashes := 0
		for i-slashes-1 >= 0 && doc[i-slashes-1] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return i
		}
		from = i + 1
	}
}

// inKey reports whether the string around position i is followed by a colon.
func inKey(doc []byte, i int) bool {
	for ; i < len(doc) && doc[i] != '"'; i++ {
		if doc[i] == '\\' {
			i++
		}
	}
	rest := bytes.TrimLeft(doc[min(i+1, len(doc)):], " \t\r\n")
	return len(rest) > 0 && rest[0] == ':'
}
