package transform

import (
	"bytes"
	"fmt"

	"github.com/crossfade-io/crossfade/internal/change"
)

func allDigits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

func two(b []byte) int { return int(b[0]-'0')*10 + int(b[1]-'0') }

var monthDays = [13]int{0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}

// validDate reports whether b starts with a date, YYYY-MM-DD, that exists.
func validDate(b []byte) bool {
	if len(b) < 10 || b[4] != '-' || b[7] != '-' || !allDigits(b[:4]) || !allDigits(b[5:7]) || !allDigits(b[8:10]) {
		return false
	}
	year, month, day := two(b)*100+two(b[2:]), two(b[5:]), two(b[8:])
	if year < 1 || month < 1 || month > 12 || day < 1 {
		return false
	}
	if month == 2 && day == 29 {
		return year%4 == 0 && (year%100 != 0 || year%400 == 0)
	}
	return day <= monthDays[month]
}

// validMoment reports whether b is a date that exists and a time of day, YYYY-MM-DD HH:MM:SS[.ffffff].
func validMoment(b []byte) bool {
	if len(b) < 19 || !validDate(b) || b[10] != ' ' || b[13] != ':' || b[16] != ':' || !allDigits(b[11:13]) || !allDigits(b[14:16]) || !allDigits(b[17:19]) {
		return false
	}
	if two(b[11:]) > 23 || two(b[14:]) > 59 || two(b[17:]) > 59 {
		return false
	}
	frac := b[19:]
	return len(frac) == 0 || len(frac) > 1 && len(frac) <= 7 && frac[0] == '.' && allDigits(frac[1:])
}

// fraction gives a moment exactly n digits after the second. It adds zeros and cuts off zeros, nothing else.
func (s *scratch) fraction(b []byte, n int) ([]byte, error) {
	const second = len("2024-01-31 10:00:00")
	have := max(0, len(b)-second-1)
	switch {
	case have == n:
		return b, nil
	case have > n:
		end := second + 1 + n
		if len(bytes.TrimRight(b[end:], "0")) > 0 {
			return nil, fmt.Errorf("%.40q has more than the %d digits after the second that the target column keeps: map it as a timestamp with more", b, n)
		}
		if n == 0 {
			end = second
		}
		return b[:end:end], nil
	default:
		mark := len(s.buf)
		if s.buf = append(s.buf, b...); have == 0 {
			s.buf = append(s.buf, '.')
		}
		for ; have < n; have++ {
			s.buf = append(s.buf, '0')
		}
		return s.keep(mark), nil
	}
}

// toMoment checks a moment and gives it the target's kind and digits.
func toMoment(p *policy, kind change.Kind, fraction int) converter {
	return func(s *scratch, v change.Value) (change.Value, error) {
		if !validMoment(v.B) {
			return p.noDate(s, v, kind, fraction)
		}
		b, err := s.fraction(v.B, fraction)
		return change.Value{Kind: kind, B: b}, err
	}
}

func toDate(p *policy) converter {
	return func(s *scratch, v change.Value) (change.Value, error) {
		if len(v.B) != 10 || !validDate(v.B) {
			return p.noDate(s, v, change.Date, 0)
		}
		v.Kind = change.Date // it may have been text
		return v, nil
	}
}

// midnight makes a moment of a date.
func midnight(p *policy, kind change.Kind, fraction int) converter {
	return func(s *scratch, v change.Value) (change.Value, error) {
		if len(v.B) != 10 || !validDate(v.B) {
			return p.noDate(s, v, kind, fraction)
		}
		mark := len(s.buf)
		s.buf = append(append(s.buf, v.B...), " 00:00:00"...)
		b, err := s.fraction(s.keep(mark), fraction)
		return change.Value{Kind: kind, B: b}, err
	}
}

// day makes a date of a moment at midnight.
func day(p *policy) converter {
	return func(s *scratch, v change.Value) (change.Value, error) {
		if !validMoment(v.B) {
			return p.noDate(s, v, change.Date, 0)
		}
		if len(bytes.Trim(v.B[10:], " 0:.")) > 0 {
			return v, fmt.Errorf("%.40q is not at midnight: a date would lose the time, map the column as timestamp", v.B)
		}
		return change.Value{Kind: change.Date, B: v.B[:10:10]}, nil
	}
}

// toInterval leaves the zeros at the end of the fraction out, as PostgreSQL prints an interval: the same time has to be the same bytes in a key.
func toInterval(_ *scratch, v change.Value) (change.Value, error) {
	if bytes.IndexByte(v.B, '.') >= 0 {
		v.B = bytes.TrimSuffix(bytes.TrimRight(v.B, "0"), []byte{'.'})
	}
	return v, nil
}

// fromInterval is its inverse for a source column of that many digits.
func fromInterval(fraction int) converter {
	return func(s *scratch, v change.Value) (change.Value, error) {
		i := bytes.IndexByte(v.B, '.')
		have := 0
		if i >= 0 {
			have = len(v.B) - i - 1
		}
		if have > fraction {
			return v, fmt.Errorf("%.40q is no value of a time(%d)", v.B, fraction)
		}
		if have == fraction {
			return v, nil
		}
		mark := len(s.buf)
		if s.buf = append(s.buf, v.B...); have == 0 {
			s.buf = append(s.buf, '.')
		}
		for ; have < fraction; have++ {
			s.buf = append(s.buf, '0')
		}
		v.B = s.keep(mark)
		return v, nil
	}
}

// allDigitsOf gives a moment of PostgreSQL, which leaves zeros out at the end, n digits after the second. Infinity and moments before our era have none to give.
func allDigitsOf(n int) converter {
	return func(s *scratch, v change.Value) (change.Value, error) {
		if len(v.B) < len("2024-01-31 10:00:00") || v.B[len(v.B)-1] == 'C' {
			return v, nil
		}
		mark, have := len(s.buf), 0
		if dot := bytes.IndexByte(v.B, '.'); dot >= 0 {
			have = len(v.B) - dot - 1
		}
		if have >= n {
			return v, nil
		}
		if s.buf = append(s.buf, v.B...); have == 0 {
			s.buf = append(s.buf, '.')
		}
		for ; have < n; have++ {
			s.buf = append(s.buf, '0')
		}
		v.B = s.keep(mark)
		return v, nil
	}
}
