package transform

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/crossfade-io/crossfade/internal/change"
)

// fits refuses text that is longer than the type allows, and blanks at its end that character(n) would lose.
func fits(b []byte, t pgType) error {
	if t.mods == 1 && len(b) > t.a && utf8.RuneCount(b) > t.a {
		return fmt.Errorf("%d characters do not fit into %s: map the column as text", utf8.RuneCount(b), t)
	}
	if t.base == pgChar && len(b) > 0 && b[len(b)-1] == ' ' {
		return errors.New("blanks at the end, which character(n) loses: map the column as varchar or text")
	}
	return nil
}

func castText(s sourceType, t pgType, p *policy) (conversion, bool) {
	switch t.base {
	case pgText, pgVarchar, pgChar:
		return plainText(s, t, p), true
	case pgBytea:
		return conversion{to: as(change.Bytes)}, true
	case pgUUID:
		return conversion{to: textUUID}, true
	case pgJSON, pgJSONB:
		return conversion{to: textJSON(p, t.base == pgJSONB), nul: t.base == pgJSONB}, true
	case pgBoolean:
		return conversion{to: textBool}, true
	case pgDate:
		return conversion{to: toDate(p), zero: true}, true
	case pgTimestamp:
		return conversion{to: toMoment(p, change.DateTime, t.a), zero: true}, true
	case pgNumeric:
		return conversion{to: textNumber(numericOf(t))}, true
	case pgSmallint, pgInteger, pgBigint:
		check := intCheck(s, t)
		return conversion{to: textNumber(func(sc *scratch, v change.Value) (change.Value, error) {
			n, err := wholeNumber(v.B)
			if err != nil {
				return v, err
			}
			return check(sc, n)
		})}, true
	}
	return conversion{}, false
}

// plainText is text that stays text. An enum's error value, an empty text, is no label: it is refused unless the rules ask for text.
func plainText(s sourceType, t pgType, p *policy) conversion {
	labelled := s.labels != nil && !slices.Contains(s.labels, "")
	roomy := t.mods == 0 || s.length > 0 && s.length <= t.a && t.base == pgVarchar && p.nul != nulReplace
	return conversion{nul: true, key: t.base != pgChar, to: func(sc *scratch, v change.Value) (change.Value, error) {
		b, err := p.noNUL(sc, v.B)
		if err != nil {
			return v, err
		}
		if labelled && len(b) == 0 {
			return v, errors.New(`the enum's error value, an empty text that is no label: correct the row, or map the column "as: text"`)
		}
		if !roomy {
			err = fits(b, t)
		}
		return change.Value{Kind: change.Text, B: b}, err
	}}
}

// textNumber reads numbers written plainly: a sign, digits, a point.
func textNumber(then converter) converter {
	return func(s *scratch, v change.Value) (change.Value, error) {
		d := v.B
		if len(d) > 0 && d[0] == '-' {
			d = d[1:]
		}
		digits, points := 0, 0
		for _, c := range d {
			switch {
			case c >= '0' && c <= '9':
				digits++
			case c == '.':
				points++
			default:
				return v, fmt.Errorf("%.40q is not a number", v.B)
			}
		}
		if digits == 0 || points > 1 || digits > 1000 {
			return v, fmt.Errorf("%.40q is not a number", v.B)
		}
		return then(s, change.Value{Kind: change.Decimal, B: v.B})
	}
}

func textBool(_ *scratch, v change.Value) (change.Value, error) {
	switch string(v.B) {
	case "1", "t", "T", "true", "TRUE", "True", "y", "Y", "yes", "YES", "Yes":
		return change.NewBool(true), nil
	case "0", "f", "F", "false", "FALSE", "False", "n", "N", "no", "NO", "No":
		return change.NewBool(false), nil
	}
	return v, fmt.Errorf("%.40q is not a boolean (1 t true y yes, 0 f false n no)", v.B)
}

func textJSON(p *policy, jsonb bool) converter {
	return func(s *scratch, v change.Value) (change.Value, error) {
		if !json.Valid(v.B) {
			return v, errors.New("the text is not JSON: map the column as text")
		}
		b, err := v.B, error(nil)
		if jsonb {
			b, err = p.noEscapedNUL(s, b)
		}
		return change.Value{Kind: change.JSON, B: b}, err
	}
}

// textUUID takes 32 hexadecimal digits, with or without hyphens in the usual places.
func textUUID(s *scratch, v change.Value) (change.Value, error) {
	var raw [16]byte
	digits := v.B
	if len(digits) == 36 && digits[8] == '-' && digits[13] == '-' && digits[18] == '-' && digits[23] == '-' {
		mark := len(s.buf)
		for _, part := range [][]byte{digits[:8], digits[9:13], digits[14:18], digits[19:23], digits[24:]} {
			s.buf = append(s.buf, part...)
		}
		digits = s.keep(mark)
	}
	if len(digits) != 32 {
		return v, fmt.Errorf("%.40q is not a uuid", v.B)
	}
	if _, err := hex.Decode(raw[:], digits); err != nil {
		return v, fmt.Errorf("%.40q is not a uuid", v.B)
	}
	return uuidText(s, raw[:])
}

// exactUUID takes a uuid as PostgreSQL prints it and no other.
func exactUUID(s *scratch, v change.Value) (change.Value, error) {
	out, err := textUUID(s, v)
	if err == nil && string(out.B) != string(v.B) {
		return v, fmt.Errorf("%.40q is a uuid, but not written as PostgreSQL writes it, which a key must be", v.B)
	}
	return out, err
}

func uuidText(s *scratch, raw []byte) (change.Value, error) {
	if len(raw) != 16 {
		return change.Value{}, fmt.Errorf("%d bytes are not a uuid, which has 16: map the column as bytea", len(raw))
	}
	mark := len(s.buf)
	for i, n := range []int{4, 2, 2, 2, 6} {
		if i > 0 {
			s.buf = append(s.buf, '-')
		}
		s.buf = hex.AppendEncode(s.buf, raw[:n])
		raw = raw[n:]
	}
	return change.Value{Kind: change.Text, B: s.keep(mark)}, nil
}

func castBytes(s sourceType, t pgType, p *policy) (conversion, bool) {
	switch t.base {
	case pgBytea:
		return conversion{key: true}, true
	case pgUUID:
		return conversion{key: true,
			to:   func(sc *scratch, v change.Value) (change.Value, error) { return uuidText(sc, v.B) },
			back: uuidBytes,
		}, true
	case pgText, pgVarchar, pgChar:
		return conversion{nul: true, to: func(sc *scratch, v change.Value) (change.Value, error) {
			if !utf8.Valid(v.B) {
				return v, errors.New("the bytes are not UTF-8: map the column as bytea")
			}
			b, err := p.noNUL(sc, v.B)
			if err != nil {
				return v, err
			}
			return change.Value{Kind: change.Text, B: b}, fits(b, t)
		}}, true
	}
	return conversion{}, false
}

func uuidBytes(s *scratch, v change.Value) (change.Value, error) {
	mark := len(s.buf)
	for _, c := range v.B {
		if c != '-' {
			s.buf = append(s.buf, c)
		}
	}
	digits := s.keep(mark)
	mark = len(s.buf)
	var err error
	if s.buf, err = hex.AppendDecode(s.buf, digits); err != nil || len(s.buf)-mark != 16 {
		return v, fmt.Errorf("%.40q is not a uuid", v.B)
	}
	return change.Value{Kind: change.Bytes, B: s.keep(mark)}, nil
}
