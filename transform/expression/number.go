package expression

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"strconv"

	"github.com/crossfade-io/crossfade/internal/change"
)

var (
	errIntRange = errors.New("integer overflow: the result is outside of -9223372036854775808 to 18446744073709551615")
	errZero     = errors.New("division by zero")
)

func bigInt(v change.Value) *big.Int {
	if v.Kind == change.Uint {
		return new(big.Int).SetUint64(v.N)
	}
	return big.NewInt(v.Int())
}

func fromBig(n *big.Int) (change.Value, error) {
	switch {
	case n.IsInt64():
		return change.NewInt(n.Int64()), nil
	case n.IsUint64():
		return change.NewUint(n.Uint64()), nil
	default:
		return null, errIntRange
	}
}

// intOp is exact: what does not fit into a signed or an unsigned 64 bit integer is an error.
func intOp(op byte, a, b change.Value) (change.Value, error) {
	if a.Kind == change.Int && b.Kind == change.Int {
		x, y := a.Int(), b.Int()
		switch op {
		case '+':
			if z := x + y; (x^z)&(y^z) >= 0 {
				return change.NewInt(z), nil
			}
		case '-':
			if z := x - y; (x^y)&(x^z) >= 0 {
				return change.NewInt(z), nil
			}
		case '*':
			if x >= 0 && y >= 0 {
				if hi, lo := bits.Mul64(uint64(x), uint64(y)); hi == 0 {
					return change.NewUint(lo), nil
				}
			}
		}
	}
	x, y := bigInt(a), bigInt(b)
	switch op {
	case '+':
		return fromBig(x.Add(x, y))
	case '-':
		return fromBig(x.Sub(x, y))
	case '*':
		return fromBig(x.Mul(x, y))
	case '%':
		if y.Sign() == 0 {
			return null, errZero
		}
		return fromBig(x.Rem(x, y))
	case 'd':
		if y.Sign() == 0 {
			return null, errZero
		}
		return fromBig(x.Quo(x, y))
	default:
		return null, fmt.Errorf("unknown operator %q", op)
	}
}

func floatOp(op byte, a, b change.Value) (change.Value, error) {
	x, y := toFloat(a), toFloat(b)
	var z float64
	switch op {
	case '+':
		z = x + y
	case '-':
		z = x - y
	case '*':
		z = x * y
	case '/':
		if y == 0 {
			return null, errZero
		}
		z = x / y
	default:
		return null, fmt.Errorf("unknown operator %q", op)
	}
	if math.IsInf(z, 0) || math.IsNaN(z) {
		return null, errors.New("float overflow")
	}
	return change.NewFloat64(z), nil
}

// toFloat rounds an exact number to the nearest float.
func toFloat(v change.Value) float64 {
	switch v.Kind {
	case change.Float32:
		return float64(v.Float32())
	case change.Float64:
		return v.Float64()
	case change.Int:
		return float64(v.Int())
	case change.Uint:
		return float64(v.N)
	default:
		f, err := strconv.ParseFloat(string(v.B), 64)
		if err != nil && !math.IsInf(f, 0) {
			return math.NaN()
		}
		return f
	}
}

func negate(v change.Value) (change.Value, error) {
	switch v.Kind {
	case change.Int, change.Uint:
		n := bigInt(v)
		return fromBig(n.Neg(n))
	case change.Float32:
		return change.NewFloat32(-v.Float32()), nil
	case change.Float64:
		return change.NewFloat64(-v.Float64()), nil
	default:
		d, err := toDecimal(v)
		if err != nil {
			return null, err
		}
		d.n.Neg(d.n)
		return d.value(), nil
	}
}

// decimal is n / 10^scale.
type decimal struct {
	n     *big.Int
	scale int
}

// maxDigits bounds decimals: MySQL's have 65 digits, a product of a few of them has some hundred.
const maxDigits = 1000

var errDigits = fmt.Errorf("a decimal of more than %d digits", maxDigits)

// parseDecimal reads -?digits[.digits][e[+-]digits].
func parseDecimal(b []byte) (decimal, error) {
	bad := fmt.Errorf("%.100q is not a decimal number", b)
	if len(b) > maxDigits+2 {
		return decimal{}, errDigits
	}
	s, exp := b, 0
	if i := bytes.IndexAny(s, "eE"); i >= 0 {
		var err error
		if exp, err = strconv.Atoi(string(s[i+1:])); err != nil || exp < -maxDigits || exp > maxDigits {
			return decimal{}, bad
		}
		s = s[:i]
	}
	neg := len(s) > 0 && s[0] == '-'
	if neg {
		s = s[1:]
	}
	whole, frac, point := bytes.Cut(s, []byte{'.'})
	if len(whole)+len(frac) == 0 || point && len(frac) == 0 {
		return decimal{}, bad
	}
	all := append(append(make([]byte, 0, len(s)), whole...), frac...)
	for _, c := range all {
		if c < '0' || c > '9' {
			return decimal{}, bad
		}
	}
	n, ok := new(big.Int).SetString(string(all), 10)
	if !ok {
		return decimal{}, bad
	}
	if neg {
		n.Neg(n)
	}
	d := decimal{n: n, scale: len(frac) - exp}
	if d.scale < 0 {
		d.n.Mul(d.n, pow10(-d.scale))
		d.scale = 0
	}
	if d.scale > maxDigits {
		return decimal{}, errDigits
	}
	return d, nil
}

func pow10(n int) *big.Int {
	return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil)
}

func toDecimal(v change.Value) (decimal, error) {
	switch v.Kind {
	case change.Int, change.Uint:
		return decimal{n: bigInt(v)}, nil
	case change.Decimal, change.Text:
		return parseDecimal(v.B)
	case change.Float32, change.Float64:
		return parseDecimal(v.AppendText(nil)) // the shortest decimal that is this float
	default:
		return decimal{}, fmt.Errorf("a value of kind %s is not a number", v.Kind)
	}
}

// value writes d with all its decimals; zero has no sign.
func (d decimal) value() change.Value {
	s := new(big.Int).Abs(d.n).String()
	out := make([]byte, 0, len(s)+d.scale+3)
	if d.n.Sign() < 0 {
		out = append(out, '-')
	}
	for len(s) <= d.scale {
		pad := d.scale + 1 - len(s)
		s = string(bytes.Repeat([]byte{'0'}, pad)) + s
	}
	out = append(out, s[:len(s)-d.scale]...)
	if d.scale > 0 {
		out = append(out, '.')
		out = append(out, s[len(s)-d.scale:]...)
	}
	return change.Value{Kind: change.Decimal, B: out}
}

func (d decimal) checked() (change.Value, error) {
	if d.n.BitLen() > maxDigits*10/3 || d.scale > maxDigits {
		return null, errDigits
	}
	return d.value(), nil
}

// align gives both the same scale.
func align(a, b decimal) (decimal, decimal) {
	switch {
	case a.scale < b.scale:
		a = decimal{new(big.Int).Mul(a.n, pow10(b.scale-a.scale)), b.scale}
	case b.scale < a.scale:
		b = decimal{new(big.Int).Mul(b.n, pow10(a.scale-b.scale)), a.scale}
	}
	return a, b
}

func decimals(a, b change.Value) (x, y decimal, err error) {
	if x, err = toDecimal(a); err != nil {
		return x, y, err
	}
	y, err = toDecimal(b)
	return x, y, err
}

func decimalOp(op byte, a, b change.Value) (change.Value, error) {
	x, y, err := decimals(a, b)
	if err != nil {
		return null, err
	}
	switch op {
	case '+':
		x, y = align(x, y)
		return decimal{new(big.Int).Add(x.n, y.n), x.scale}.checked()
	case '-':
		x, y = align(x, y)
		return decimal{new(big.Int).Sub(x.n, y.n), x.scale}.checked()
	case '*':
		return decimal{new(big.Int).Mul(x.n, y.n), x.scale + y.scale}.checked()
	default:
		return null, fmt.Errorf("unknown operator %q", op)
	}
}

// divide rounds half away from zero, as both databases round decimals.
func divide(a, b change.Value, scale int) (change.Value, error) {
	x, y, err := decimals(a, b)
	if err != nil {
		return null, err
	}
	if y.n.Sign() == 0 {
		return null, errZero
	}
	x, y = align(x, y)
	n := new(big.Int).Mul(x.n, pow10(scale))
	return decimal{quoHalfUp(n, y.n), scale}.checked()
}

func quoHalfUp(n, by *big.Int) *big.Int {
	q, r := new(big.Int).QuoRem(n, by, new(big.Int))
	if r.Abs(r).Lsh(r, 1).CmpAbs(by) >= 0 {
		if n.Sign()*by.Sign() < 0 {
			return q.Sub(q, big.NewInt(1))
		}
		return q.Add(q, big.NewInt(1))
	}
	return q
}

// round brings d to scale decimals; mode is 'r' half away from zero, 'f' down, 'c' up, 't' towards zero.
func (d decimal) round(scale int, mode byte) decimal {
	if scale >= d.scale {
		return decimal{new(big.Int).Mul(d.n, pow10(scale-d.scale)), scale}
	}
	by := pow10(d.scale - scale)
	q, r := new(big.Int).QuoRem(d.n, by, new(big.Int))
	switch {
	case mode == 'r':
		q = quoHalfUp(d.n, by)
	case mode == 'f' && r.Sign() < 0:
		q.Sub(q, big.NewInt(1))
	case mode == 'c' && r.Sign() > 0:
		q.Add(q, big.NewInt(1))
	}
	return decimal{q, scale}
}
