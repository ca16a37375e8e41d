package expression

import (
	"fmt"
	"math"
	"math/big"

	"github.com/expr-lang/expr/ast"

	"github.com/crossfade-io/crossfade/internal/change"
)

// toInt never rounds: what is not a whole number is an error of the row.
func toInt(c *compiler, at ast.Node, name string, args []node) (node, error) {
	switch t := args[0].typ; {
	case t == Bool || t == Int || t == Decimal || t == Float || t == Text:
	default:
		return c.wrongArgument(at, name, args[0], "a number, text or a condition")
	}
	return strict(Int, args, func(_ *Scratch, v []change.Value) (change.Value, error) {
		switch v[0].Kind {
		case change.Bool:
			return change.NewUint(v[0].N), nil
		case change.Int, change.Uint:
			return v[0], nil
		case change.Float32, change.Float64:
			f := toFloat(v[0])
			if f != math.Trunc(f) || math.IsInf(f, 0) {
				return null, fmt.Errorf("int(%s): not a whole number: use round(), floor() or ceil()", v[0])
			}
			n, _ := big.NewFloat(f).Int(nil)
			return fromBig(n)
		}
		d, err := toDecimal(v[0])
		if err != nil {
			return null, fmt.Errorf("int(): %w", err)
		}
		whole := d.round(0, 't')
		if x, y := align(d, whole); x.n.Cmp(y.n) != 0 {
			return null, fmt.Errorf("int(%s): not a whole number: use round(), floor() or ceil()", v[0])
		}
		return fromBig(whole.n)
	}), nil
}

func toDecimalCall(c *compiler, at ast.Node, name string, args []node) (node, error) {
	if t := args[0].typ; !t.exact() && t != Float && t != Text {
		return c.wrongArgument(at, name, args[0], "a number or text")
	}
	if args[0].literal {
		d, err := toDecimal(args[0].value)
		if err != nil {
			return c.fail(at, "%v", err)
		}
		return constant(Decimal, d.value()), nil
	}
	return strict(Decimal, args, func(_ *Scratch, v []change.Value) (change.Value, error) {
		d, err := toDecimal(v[0])
		if err != nil {
			return null, fmt.Errorf("decimal(): %w", err)
		}
		return d.value(), nil
	}), nil
}

func toFloatCall(c *compiler, at ast.Node, name string, args []node) (node, error) {
	if t := args[0].typ; !t.exact() && t != Float && t != Text {
		return c.wrongArgument(at, name, args[0], "a number or text")
	}
	return strict(Float, args, func(_ *Scratch, v []change.Value) (change.Value, error) {
		if v[0].Kind == change.Text {
			if _, err := parseDecimal(v[0].B); err != nil {
				return null, fmt.Errorf("float(): %w", err)
			}
		}
		f := toFloat(v[0])
		if math.IsInf(f, 0) || math.IsNaN(f) {
			return null, fmt.Errorf("float(): %s has no float", v[0])
		}
		return change.NewFloat64(f), nil
	}), nil
}

func div(c *compiler, at ast.Node, name string, args []node) (node, error) {
	if args[0].typ != Int || args[1].typ != Int {
		return c.fail(at, "div() of %s and %s: both must be integers; divide(a, b, scale) is for decimals", args[0].typ, args[1].typ)
	}
	return strict(Int, args, func(_ *Scratch, v []change.Value) (change.Value, error) { return intOp('d', v[0], v[1]) }), nil
}

// maxScale is the largest number of decimals that divide and round give.
const maxScale = 100

func scaleOf(c *compiler, at ast.Node, name string, n node) (int, error) {
	if n.typ == Int && n.literal && n.value.Kind == change.Int && n.value.Int() >= 0 && n.value.Int() <= maxScale {
		return int(n.value.Int()), nil
	}
	_, err := c.fail(at, "the number of decimals of %s() must be written as a number from 0 to %d", name, maxScale)
	return 0, err
}

func divideCall(c *compiler, at ast.Node, name string, args []node) (node, error) {
	if !args[0].typ.exact() || !args[1].typ.exact() {
		return c.fail(at, "divide() of %s and %s: both must be integers or decimals", args[0].typ, args[1].typ)
	}
	scale, err := scaleOf(c, at, name, args[2])
	if err != nil {
		return node{}, err
	}
	return strict(Decimal, args[:2], func(_ *Scratch, v []change.Value) (change.Value, error) { return divide(v[0], v[1], scale) }), nil
}

func rounding(c *compiler, at ast.Node, name string, args []node) (node, error) {
	scale := 0
	if len(args) == 2 {
		var err error
		if scale, err = scaleOf(c, at, name, args[1]); err != nil {
			return node{}, err
		}
	}
	mode := name[0] // r, f or c
	switch t := args[0].typ; {
	case t == Int:
		return args[0], nil
	case t == Decimal:
		return strict(Decimal, args[:1], func(_ *Scratch, v []change.Value) (change.Value, error) {
			d, err := toDecimal(v[0])
			if err != nil {
				return null, err
			}
			return d.round(scale, mode).checked()
		}), nil
	case t == Float && len(args) == 1:
		return strict(Float, args, func(_ *Scratch, v []change.Value) (change.Value, error) {
			switch f := toFloat(v[0]); mode {
			case 'f':
				return change.NewFloat64(math.Floor(f)), nil
			case 'c':
				return change.NewFloat64(math.Ceil(f)), nil
			default:
				return change.NewFloat64(math.Round(f)), nil
			}
		}), nil
	case t == Float:
		return c.fail(at, "a float has no decimals to round to: use round(decimal(x), %d)", scale)
	default:
		return c.wrongArgument(at, name, args[0], "a number")
	}
}

func abs(c *compiler, at ast.Node, name string, args []node) (node, error) {
	if !args[0].typ.exact() && args[0].typ != Float {
		return c.wrongArgument(at, name, args[0], "a number")
	}
	return strict(args[0].typ, args, func(_ *Scratch, v []change.Value) (change.Value, error) {
		negative := false
		switch v[0].Kind {
		case change.Int:
			negative = v[0].Int() < 0
		case change.Float32, change.Float64:
			negative = math.Signbit(toFloat(v[0]))
		case change.Decimal:
			negative = len(v[0].B) > 0 && v[0].B[0] == '-'
		case change.Uint:
		default:
			return null, fmt.Errorf("abs() of a value of kind %s", v[0].Kind)
		}
		if negative {
			return negate(v[0])
		}
		return v[0], nil
	}), nil
}

// extreme is the smallest or the largest of values of one type.
func extreme(c *compiler, at ast.Node, name string, args []node) (node, error) {
	first := args[0]
	for i := 1; i < len(args); i++ {
		var err error
		if first, args[i], err = c.alike(at, first, args[i]); err != nil {
			return node{}, err
		}
	}
	for i := range args { // what a later one needs, the first ones need too
		var err error
		if _, args[i], err = c.alike(at, first, args[i]); err != nil {
			return node{}, err
		}
	}
	compare, _, _, err := c.comparison(at, first, args[len(args)-1])
	if err != nil {
		return node{}, err
	}
	if first.typ == Bool {
		return c.wrongArgument(at, name, first, "numbers, text or dates")
	}
	return strict(first.typ, args, func(_ *Scratch, v []change.Value) (change.Value, error) {
		best := v[0]
		for _, x := range v[1:] {
			o, err := compare(x, best)
			if err != nil {
				return null, err
			}
			if name == "min" && o < 0 || name == "max" && o > 0 {
				best = x
			}
		}
		return best, nil
	}), nil
}
