package transform

import (
	"errors"
	"fmt"

	"github.com/crossfade-io/crossfade/internal/change"
)

// converter makes the target's value of a source value that is neither Null nor Absent. What it returns may alias v and the scratch.
type converter func(*scratch, change.Value) (change.Value, error)

// conversion is how a source type becomes a target type.
type conversion struct {
	to converter // nil: the value as it is
	// back makes the source's value of a target's; nil: as it is. Only with key.
	back converter
	// key: different values stay different, and back knows the way.
	key bool
	// zero and nul: the policy of that name is asked.
	zero, nul bool
}

// cast finds the conversion of values of type s to type t, the only list of pairs there is. A pair that is not in it is refused.
func cast(s sourceType, t pgType, p *policy, atUTC bool) (conversion, error) {
	if atUTC && !(s.class == datetimes && t.base == pgTimestamptz || s.class == timestamps && t.base == pgTimestamp) {
		return conversion{}, errors.New(`" at UTC" is for a datetime that becomes a timestamptz and a timestamp that becomes a timestamp without zone: remove it`)
	}
	c, ok := conversion{}, false
	if t.base == pgSame {
		return castPrinted(s, t)
	}
	switch s.class {
	case ints:
		c, ok = castInt(s, t)
	case decimals:
		c, ok = castDecimal(s, t)
	case floats32, floats64, floats:
		c, ok = castFloat(s, t)
	case texts:
		c, ok = castText(s, t, p)
	case binaries:
		c, ok = castBytes(s, t, p)
	case dates:
		switch t.base {
		case pgDate:
			c, ok = conversion{to: toDate(p), key: true, zero: true}, true
		case pgTimestamp:
			c, ok = conversion{to: midnight(p, change.DateTime, t.a), zero: true}, true
		}
	case datetimes:
		switch {
		case t.base == pgTimestamp:
			c, ok = moments(s, t, p, change.DateTime), true
		case t.base == pgTimestamptz && atUTC:
			c, ok = moments(s, t, p, change.DateTime), true
		case t.base == pgTimestamptz:
			return c, errors.New(`a datetime has no zone: write "as: timestamptz at UTC" if the application stores UTC in it, else map it as timestamp`)
		case t.base == pgDate:
			c, ok = conversion{to: day(p), zero: true}, true
		}
	case timestamps:
		switch {
		case t.base == pgTimestamptz:
			c, ok = moments(s, t, p, change.Timestamp), true
		case t.base == pgTimestamp && atUTC:
			c, ok = moments(s, t, p, change.Timestamp), true
		case t.base == pgTimestamp:
			return c, errors.New(`a timestamp is an instant: write "as: timestamp at UTC" to keep it as UTC without zone, else map it as timestamptz`)
		}
	case times:
		if t.base == pgInterval {
			c, ok = conversion{to: toInterval, back: fromInterval(s.fraction), key: true}, true
		}
	case bitStrings:
		c, ok = castBits(s, t)
	case jsons:
		switch t.base {
		case pgJSONB:
			c, ok = conversion{to: checkJSONB(p), nul: true}, true
		case pgJSON:
			c, ok = conversion{}, true
		}
	case uuids:
		if t.base == pgUUID {
			c, ok = conversion{key: true}, true
		}
	case inets:
		if t.base == pgInet {
			c, ok = conversion{to: addressForm(2), back: addressForm(1), key: true}, true
		}
	case bools:
		switch {
		case t.base == pgBoolean:
			c, ok = conversion{}, true
		case t.base.integer():
			c, ok = conversion{to: as(change.Int)}, true
		}
	}
	if !ok && (t.base == pgText || t.base == pgVarchar) && s.class != noClass {
		return asText(t, p), nil // every value has a text; of dates that do not exist too
	}
	if !ok {
		return c, fmt.Errorf("%s cannot become %s", classNames[s.class], t)
	}
	return c, nil
}

// castPrinted is for types that read their values from text: the server judges them.
func castPrinted(s sourceType, t pgType) (conversion, error) {
	switch {
	case s.class == texts || s.class == printed,
		s.class == times && t.held == change.Time, s.class == bitStrings && t.held == change.Bits:
		c := conversion{key: true}
		if s.class == texts || s.class == printed {
			c.to, c.back = as(t.held), as(change.Text)
		} else if s.class == times {
			c.to, c.back = toInterval, fromInterval(s.fraction)
		}
		return c, nil
	}
	return conversion{}, fmt.Errorf("%s cannot become %s", classNames[s.class], t)
}

// as gives the same value another kind.
func as(k change.Kind) converter {
	return func(_ *scratch, v change.Value) (change.Value, error) {
		v.Kind = k
		return v, nil
	}
}

func moments(s sourceType, t pgType, p *policy, from change.Kind) conversion {
	c := conversion{to: toMoment(p, t.kind(), t.a), key: t.a >= s.fraction, zero: true}
	c.back = func(sc *scratch, v change.Value) (change.Value, error) {
		b, err := sc.fraction(v.B, s.fraction)
		return change.Value{Kind: from, B: b}, err
	}
	return c
}

// asText writes a value as MySQL and PostgreSQL both print it.
func asText(t pgType, p *policy) conversion {
	return conversion{to: func(s *scratch, v change.Value) (change.Value, error) {
		b := v.B
		switch mark := len(s.buf); v.Kind {
		case change.Bool:
			if b = []byte("false"); v.N != 0 {
				b = []byte("true")
			}
		case change.Int, change.Uint, change.Float32, change.Float64:
			s.buf = v.AppendText(s.buf)
			b = s.keep(mark)
		}
		return change.Value{Kind: change.Text, B: b}, fits(b, t)
	}}
}

func checkJSONB(p *policy) converter {
	return func(s *scratch, v change.Value) (change.Value, error) {
		b, err := p.noEscapedNUL(s, v.B)
		return change.Value{Kind: change.JSON, B: b}, err
	}
}

func castBits(s sourceType, t pgType) (conversion, bool) {
	switch {
	case t.base == pgBit && t.a == s.length:
		return conversion{key: true}, true
	case t.base == pgBoolean && s.length == 1:
		return conversion{to: func(_ *scratch, v change.Value) (change.Value, error) {
			if string(v.B) != "0" && string(v.B) != "1" {
				return v, fmt.Errorf("bits %.70q", v.B)
			}
			return change.NewBool(v.B[0] == '1'), nil
		}}, true
	case t.base.integer() || t.base == pgNumeric:
		check := intCheck(sourceType{class: ints, high: 1<<64 - 1}, t)
		return conversion{to: func(sc *scratch, v change.Value) (change.Value, error) {
			if len(v.B) == 0 || len(v.B) > 64 {
				return v, fmt.Errorf("%d bits", len(v.B))
			}
			n := uint64(0)
			for _, c := range v.B {
				n = n<<1 | uint64(c-'0')
			}
			return check(sc, change.NewUint(n))
		}}, true
	}
	return conversion{}, false
}
