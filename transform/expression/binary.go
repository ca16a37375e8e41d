package expression

import (
	"bytes"
	"regexp"

	"github.com/expr-lang/expr/ast"

	"github.com/crossfade-io/crossfade/internal/change"
)

func (c *compiler) binary(n *ast.BinaryNode) (node, error) {
	if n.Operator == "in" {
		return c.in(n)
	}
	a, err := c.compile(n.Left)
	if err != nil {
		return node{}, err
	}
	b, err := c.compile(n.Right)
	if err != nil {
		return node{}, err
	}
	switch n.Operator {
	case "and", "&&", "or", "||":
		return c.logic(n, a, b)
	case "==", "!=":
		return c.equality(n, a, b)
	case "<", "<=", ">", ">=":
		return c.ordering(n, a, b)
	case "+", "-", "*", "/", "%":
		return c.arithmetic(n, a, b)
	case "??":
		return c.coalesce(n, a, b)
	case "matches", "contains", "startsWith", "endsWith":
		return c.search(n, a, b)
	case "**", "^":
		return c.fail(n, "there is no power operator: its result would be a rounded float")
	case "..":
		return c.fail(n, "there are no ranges: write x >= 1 and x <= 9")
	default:
		return c.fail(n, "the operator %s cannot be used over a row", n.Operator)
	}
}

// logic is three-valued: what decides the result decides it whatever the other side is, else NULL makes NULL.
func (c *compiler) logic(n *ast.BinaryNode, a, b node) (node, error) {
	if a.typ != Bool || b.typ != Bool {
		return c.fail(n, "%s between %s and %s: both must be conditions, such as x != 0", n.Operator, a.typ, b.typ)
	}
	decides := uint64(0) // of and
	if n.Operator == "or" || n.Operator == "||" {
		decides = 1
	}
	return node{typ: Bool, nullable: a.nullable || b.nullable, eval: func(r *Scratch) (change.Value, error) {
		v, err := a.eval(r)
		if err != nil || v.Kind == change.Bool && v.N == decides {
			return v, err
		}
		w, err := b.eval(r)
		if err != nil || w.Kind == change.Bool && w.N == decides {
			return w, err
		}
		if v.Kind == change.Null {
			return null, nil
		}
		return w, nil
	}}, nil
}

func (c *compiler) equality(n *ast.BinaryNode, a, b node) (node, error) {
	equal := n.Operator == "=="
	if a.typ == Null || b.typ == Null {
		x := a
		if a.typ == Null {
			x = b
		}
		return node{typ: Bool, eval: func(r *Scratch) (change.Value, error) {
			v, err := x.eval(r)
			return change.NewBool((v.Kind == change.Null) == equal), err
		}}, nil
	}
	if !equal && (a.nullable || b.nullable) {
		c.note("a comparison with != does not hold for NULL, as in SQL: add `or x == nil` to keep such rows")
	}
	compare, a, b, err := c.comparison(n, a, b)
	if err != nil {
		return node{}, err
	}
	return node{typ: Bool, nullable: a.nullable || b.nullable, eval: strict2(a, b, func(_ *Scratch, v, w change.Value) (change.Value, error) {
		o, err := compare(v, w)
		return change.NewBool((o == 0) == equal), err
	})}, nil
}

func (c *compiler) ordering(n *ast.BinaryNode, a, b node) (node, error) {
	if a.typ == Null || b.typ == Null {
		return c.fail(n, "%s with nil is always NULL: ask x == nil", n.Operator)
	}
	if a.typ == Bool && b.typ == Bool {
		return c.fail(n, "%s between conditions", n.Operator)
	}
	compare, a, b, err := c.comparison(n, a, b)
	if err != nil {
		return node{}, err
	}
	var holds func(o int) bool
	switch n.Operator {
	case "<":
		holds = func(o int) bool { return o < 0 }
	case "<=":
		holds = func(o int) bool { return o <= 0 }
	case ">":
		holds = func(o int) bool { return o > 0 }
	case ">=":
		holds = func(o int) bool { return o >= 0 }
	default:
		return c.fail(n, "the operator %s is no comparison", n.Operator)
	}
	return node{typ: Bool, nullable: a.nullable || b.nullable, eval: strict2(a, b, func(_ *Scratch, v, w change.Value) (change.Value, error) {
		o, err := compare(v, w)
		return change.NewBool(holds(o)), err
	})}, nil
}

type comparer func(a, b change.Value) (int, error)

// comparison finds how values of the types of a and b compare; of those two it may convert a literal.
func (c *compiler) comparison(n ast.Node, a, b node) (comparer, node, node, error) {
	moment := func(t Type) bool { return t == Date || t == DateTime || t == Timestamp }
	if a.typ != b.typ && moment(a.typ) && moment(b.typ) {
		if a.typ == Timestamp || b.typ == Timestamp {
			_, err := c.fail(n, "a timestamp, an instant in UTC, beside a %s, which has no zone: convert both with string()", min(a.typ, b.typ))
			return nil, a, b, err
		}
		return compareMoments, a, b, nil
	}
	a, b, err := c.alike(n, a, b)
	if err != nil {
		return nil, a, b, err
	}
	switch a.typ {
	case Bool, Int:
		return compareInts, a, b, nil
	case Decimal:
		return compareExact, a, b, nil
	case Float:
		return compareFloats, a, b, nil
	case Text:
		if !a.literal || !b.literal {
			c.noteCollation()
		}
		return compareBytes, a, b, nil
	case Bytes, Bits:
		return compareBytes, a, b, nil
	case Date, DateTime, Timestamp:
		return compareMoments, a, b, nil
	case Time:
		return compareTimes, a, b, nil
	case JSON:
		_, err = c.fail(n, "JSON cannot be compared: use string(x) for its text")
	default:
		_, err = c.fail(n, "values of type %s cannot be compared", a.typ)
	}
	return nil, a, b, err
}

func (c *compiler) note(s string) {
	for _, n := range c.notes {
		if n == s {
			return
		}
	}
	c.notes = append(c.notes, s)
}

func (c *compiler) noteCollation() {
	c.note("text is compared byte by byte: letters in another case or with other accents differ, whatever the column's collation")
}

func (c *compiler) in(n *ast.BinaryNode) (node, error) {
	x, err := c.compile(n.Left)
	if err != nil {
		return node{}, err
	}
	list, ok := n.Right.(*ast.ArrayNode)
	if !ok {
		return c.fail(n, "`in` needs a list: x in [1, 2, 3]")
	}
	if len(list.Nodes) == 0 {
		return c.fail(n, "an empty list")
	}
	type item struct {
		left, right node
		compare     comparer
	}
	items := make([]item, len(list.Nodes))
	nullable := x.nullable
	for i, l := range list.Nodes {
		y, err := c.compile(l)
		if err != nil {
			return node{}, err
		}
		if y.typ == Null || x.typ == Null {
			return c.fail(n, "nil in a list is never found: ask x == nil")
		}
		nullable = nullable || y.nullable
		it := &items[i]
		if it.compare, it.left, it.right, err = c.comparison(l, x, y); err != nil {
			return node{}, err
		}
	}
	return node{typ: Bool, nullable: nullable, eval: func(r *Scratch) (change.Value, error) {
		sawNull := false
		for i := range items {
			v, err := items[i].left.eval(r)
			if err != nil || v.Kind == change.Null {
				return null, err
			}
			w, err := items[i].right.eval(r)
			if err != nil {
				return null, err
			}
			if w.Kind == change.Null {
				sawNull = true
				continue
			}
			if o, err := items[i].compare(v, w); err != nil || o == 0 {
				return change.NewBool(true), err
			}
		}
		if sawNull {
			return null, nil
		}
		return change.NewBool(false), nil
	}}, nil
}

func (c *compiler) coalesce(n *ast.BinaryNode, a, b node) (node, error) {
	if a.typ == Null {
		return c.fail(n, "nil on the left of ??")
	}
	a, b, err := c.alike(n, a, b)
	if err != nil {
		return node{}, err
	}
	return node{typ: a.typ, nullable: b.nullable, eval: func(r *Scratch) (change.Value, error) {
		v, err := a.eval(r)
		if err != nil || v.Kind != change.Null {
			return v, err
		}
		return b.eval(r)
	}}, nil
}

func (c *compiler) search(n *ast.BinaryNode, a, b node) (node, error) {
	if !a.typ.textual() || !b.typ.textual() {
		return c.fail(n, "%s between %s and %s: both must be text", n.Operator, a.typ, b.typ)
	}
	var test func(text, what []byte) bool
	switch n.Operator {
	case "contains":
		test = bytes.Contains
	case "startsWith":
		test = bytes.HasPrefix
	case "endsWith":
		test = bytes.HasSuffix
	case "matches":
		if !b.literal {
			return c.fail(n, "the pattern of matches must be a literal")
		}
		re, err := regexp.Compile(string(b.value.B))
		if err != nil {
			return c.fail(n, "%v", err)
		}
		test = func(text, _ []byte) bool { return re.Match(text) }
	default:
		return c.fail(n, "the operator %s is no search", n.Operator)
	}
	c.noteCollation()
	return node{typ: Bool, nullable: a.nullable || b.nullable, eval: strict2(a, b, func(_ *Scratch, v, w change.Value) (change.Value, error) {
		return change.NewBool(test(v.B, w.B)), nil
	})}, nil
}

func (c *compiler) arithmetic(n *ast.BinaryNode, a, b node) (node, error) {
	op := n.Operator
	if op == "+" && a.typ.textual() && b.typ.textual() {
		return concat(a, b), nil
	}
	if a.typ == Null || b.typ == Null {
		return c.fail(n, "%s with nil is always NULL", op)
	}
	out := node{nullable: a.nullable || b.nullable}
	if a.typ == Float && b.typ.exact() && b.literal {
		b = floatLiteral(b)
	}
	if b.typ == Float && a.typ.exact() && a.literal {
		a = floatLiteral(a)
	}
	switch {
	case a.typ == Float && b.typ == Float:
		if op == "%" {
			return c.fail(n, "%% of floats")
		}
		out.typ = Float
		out.eval = strict2(a, b, func(_ *Scratch, v, w change.Value) (change.Value, error) { return floatOp(op[0], v, w) })
	case (a.typ == Float || b.typ == Float) && (a.typ.exact() || b.typ.exact()):
		return c.fail(n, "%s between %s and %s would round: convert one, with float(x) or decimal(x)", op, a.typ, b.typ)
	case !a.typ.exact() || !b.typ.exact():
		return c.fail(n, "%s between %s and %s: convert with string(x) to join text, with int(x) or decimal(x) to calculate", op, a.typ, b.typ)
	case op == "/":
		return c.fail(n, "/ between exact numbers would be a rounded float: use div(a, b) for the whole quotient, divide(a, b, scale) for a decimal, or float(a) / float(b)")
	case a.typ == Int && b.typ == Int:
		out.typ = Int
		out.eval = strict2(a, b, func(_ *Scratch, v, w change.Value) (change.Value, error) { return intOp(op[0], v, w) })
	case op == "%":
		return c.fail(n, "%% needs integers: use int(x)")
	default:
		out.typ = Decimal
		out.eval = strict2(a, b, func(_ *Scratch, v, w change.Value) (change.Value, error) { return decimalOp(op[0], v, w) })
	}
	return out, nil
}

func concat(a, b node) node {
	return node{typ: Text, nullable: a.nullable || b.nullable, eval: strict2(a, b, func(r *Scratch, v, w change.Value) (change.Value, error) {
		if err := r.spend(len(v.B) + len(w.B)); err != nil {
			return null, err
		}
		out := make([]byte, 0, len(v.B)+len(w.B))
		return change.Value{Kind: change.Text, B: append(append(out, v.B...), w.B...)}, nil
	})}
}
