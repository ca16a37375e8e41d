package transform

import (
	"bytes"
	"fmt"
	"math"
	"strconv"

	"github.com/crossfade-io/crossfade/internal/change"
)

// limits of the integer types.
func (t pgType) limits() (low, high int64) {
	switch t.base {
	case pgSmallint:
		return math.MinInt16, math.MaxInt16
	case pgInteger:
		return math.MinInt32, math.MaxInt32
	default:
		return math.MinInt64, math.MaxInt64
	}
}

func castInt(s sourceType, t pgType) (conversion, bool) {
	switch {
	case t.base.integer():
		if low, high := t.limits(); s.low >= low && s.high <= uint64(high) {
			return conversion{key: true}, true
		}
		return conversion{to: intCheck(s, t), key: true}, true
	case t.base == pgNumeric:
		if t.b == 0 && (t.mods == 0 || t.a >= 20) {
			return conversion{key: true}, true
		}
		return conversion{to: intCheck(s, t), key: t.b == 0}, true
	case t.base == pgBoolean:
		return conversion{to: func(_ *scratch, v change.Value) (change.Value, error) {
			if v.N > 1 {
				return v, fmt.Errorf("%s is neither 0 nor 1: map the column as smallint", v)
			}
			return change.NewBool(v.N == 1), nil
		}}, true
	case t.base == pgDouble:
		return conversion{to: func(_ *scratch, v change.Value) (change.Value, error) {
			f, exact := exactFloat(v)
			if !exact {
				return v, fmt.Errorf("%s has no exact double: map the column as bigint or numeric", v)
			}
			return change.NewFloat64(f), nil
		}}, true
	}
	return conversion{}, false
}

// exactFloat returns the float that is the integer v, if there is one.
func exactFloat(v change.Value) (float64, bool) {
	if v.Kind == change.Uint {
		f := float64(v.N)
		return f, f < 1<<64 && uint64(f) == v.N
	}
	f := float64(v.Int())
	return f, f < 1<<63 && int64(f) == v.Int()
}

// intCheck refuses integers that the target type cannot hold.
func intCheck(s sourceType, t pgType) converter {
	if t.base == pgNumeric {
		toNumeric := numericOf(t)
		return func(sc *scratch, v change.Value) (change.Value, error) {
			w, err := toNumeric(sc, v)
			if err != nil || t.b > 0 {
				return w, err
			}
			return v, nil // without decimals it stays an integer
		}
	}
	low, high := t.limits()
	return func(_ *scratch, v change.Value) (change.Value, error) {
		if v.Kind != change.Int || v.Int() < low || v.Int() > high {
			return v, fmt.Errorf("%s does not fit into %s: map the column as a larger type", v, t)
		}
		return v, nil
	}
}

func castDecimal(s sourceType, t pgType) (conversion, bool) {
	switch {
	case t.base == pgNumeric:
		same := s.precision > 0 && t.mods == 2 && t.b == s.scale
		if same && t.a >= s.precision || s.precision > 0 && t.mods == 0 {
			return conversion{key: true}, true
		}
		return conversion{to: numericOf(t), key: same}, true
	case t.base.integer():
		check := intCheck(s, t)
		return conversion{to: func(sc *scratch, v change.Value) (change.Value, error) {
			if v.Kind == change.Decimal {
				n, err := wholeNumber(v.B)
				if err != nil {
					return v, err
				}
				v = n
			}
			return check(sc, v)
		}}, true
	}
	return conversion{}, false
}

// wholeNumber reads a decimal whose decimals are all zeros.
func wholeNumber(b []byte) (change.Value, error) {
	whole, frac, _ := bytes.Cut(b, []byte{'.'})
	if len(bytes.TrimRight(frac, "0")) > 0 {
		return change.Value{}, fmt.Errorf("%.70q is not a whole number: map the column as numeric", b)
	}
	n, err := strconv.ParseInt(string(whole), 10, 64)
	if err != nil {
		return change.Value{}, fmt.Errorf("%.70q does not fit into bigint: map the column as numeric", b)
	}
	return change.NewInt(n), nil
}

// numericOf writes an exact number with the decimals of numeric t; digits that would be lost refuse the row.
func numericOf(t pgType) converter {
	return func(s *scratch, v change.Value) (change.Value, error) {
		mark := len(s.buf)
		b := v.B
		if v.Kind != change.Decimal {
			s.buf = v.AppendText(s.buf)
			b = s.keep(mark)
			mark = len(s.buf)
		}
		d, neg := bytes.CutPrefix(b, []byte{'-'})
		whole, frac, _ := bytes.Cut(d, []byte{'.'})
		if len(whole)+len(frac) == 0 || !allDigits(whole) || !allDigits(frac) {
			return v, fmt.Errorf("%.70q is not a decimal number", b)
		}
		whole = bytes.TrimLeft(whole, "0")
		if t.mods == 2 {
			if extra := frac[min(len(frac), t.b):]; len(bytes.TrimRight(extra, "0")) > 0 {
				return v, fmt.Errorf("%.70q has more than %d decimals: use round(x, %d), or map the column as numeric with more", b, t.b, t.b)
			}
			if len(whole) > t.a-t.b {
				return v, fmt.Errorf("%.70q does not fit into %s: map the column as a larger type", b, t)
			}
		}
		if neg && len(whole)+len(bytes.Trim(frac, "0")) > 0 {
			s.buf = append(s.buf, '-')
		}
		if len(whole) == 0 {
			s.buf = append(s.buf, '0')
		}
		s.buf = append(s.buf, whole...)
		decimals := len(frac)
		if t.mods == 2 {
			decimals = t.b
		}
		if decimals > 0 {
			s.buf = append(s.buf, '.')
			n := min(len(frac), decimals)
			s.buf = append(s.buf, frac[:n]...)
			for ; n < decimals; n++ {
				s.buf = append(s.buf, '0')
			}
		}
		return change.Value{Kind: change.Decimal, B: s.keep(mark)}, nil
	}
}

func castFloat(s sourceType, t pgType) (conversion, bool) {
	switch t.base {
	case pgReal:
		if s.class == floats32 {
			return conversion{key: true}, true
		}
		return conversion{to: func(_ *scratch, v change.Value) (change.Value, error) {
			if v.Kind == change.Float32 {
				return v, nil
			}
			f := float32(v.Float64())
			if float64(f) != v.Float64() {
				return v, fmt.Errorf("%s has no exact real: map the column as double precision", v)
			}
			return change.NewFloat32(f), nil
		}}, true
	case pgDouble:
		if s.class == floats64 {
			return conversion{key: true}, true
		}
		return conversion{to: func(_ *scratch, v change.Value) (change.Value, error) {
			if v.Kind == change.Float64 {
				return v, nil
			}
			return change.NewFloat64(float64(v.Float32())), nil
		}}, true
	case pgNumeric:
		toNumeric := numericOf(t)
		return conversion{to: func(sc *scratch, v change.Value) (change.Value, error) {
			mark := len(sc.buf)
			if v.Kind == change.Float32 {
				sc.buf = strconv.AppendFloat(sc.buf, float64(v.Float32()), 'f', -1, 32)
			} else {
				sc.buf = strconv.AppendFloat(sc.buf, v.Float64(), 'f', -1, 64)
			}
			return toNumeric(sc, change.Value{Kind: change.Decimal, B: sc.keep(mark)})
		}}, true
	}
	return conversion{}, false
}
