package expression

import (
	"fmt"
	"strings"

	"github.com/expr-lang/expr/ast"

	"github.com/crossfade-io/crossfade/internal/change"
)

// node is a compiled part of an expression.
type node struct {
	typ      Type
	nullable bool
	// literal marks a constant written in the expression; it takes the type of what stands beside it, where it can.
	literal bool
	value   change.Value // of a literal
	eval    evaluator
}

type compiler struct {
	source  []rune
	shape   *change.Table
	columns []int
	notes   []string
}

// fail returns an error that shows the place.
func (c *compiler) fail(at ast.Node, format string, args ...any) (node, error) {
	return node{}, fmt.Errorf("at character %d: %s", at.Location().From+1, fmt.Sprintf(format, args...))
}

func constant(t Type, v change.Value) node {
	return node{typ: t, literal: true, nullable: t == Null, value: v, eval: func(*Scratch) (change.Value, error) { return v, nil }}
}

func (c *compiler) compile(n ast.Node) (node, error) {
	switch n := n.(type) {
	case *ast.NilNode:
		return constant(Null, null), nil
	case *ast.BoolNode:
		return constant(Bool, change.NewBool(n.Value)), nil
	case *ast.IntegerNode:
		return constant(Int, change.NewInt(int64(n.Value))), nil
	case *ast.FloatNode:
		return c.decimalLiteral(n)
	case *ast.StringNode:
		return constant(Text, change.NewText(n.Value)), nil
	case *ast.IdentifierNode:
		return c.column(n, n.Value)
	case *ast.MemberNode:
		return c.member(n)
	case *ast.UnaryNode:
		return c.unary(n)
	case *ast.BinaryNode:
		return c.binary(n)
	case *ast.ConditionalNode:
		return c.conditional(n)
	case *ast.SliceNode:
		return c.slice(n)
	case *ast.BuiltinNode:
		return c.call(n, n.Name, n.Arguments)
	case *ast.CallNode:
		if id, ok := n.Callee.(*ast.IdentifierNode); ok {
			return c.call(n, id.Value, n.Arguments)
		}
		return c.fail(n, "values have no methods")
	case *ast.ArrayNode:
		return c.fail(n, "a list can only stand after `in`")
	case *ast.MapNode, *ast.PairNode:
		return c.fail(n, "there are no maps")
	case *ast.VariableDeclaratorNode, *ast.SequenceNode:
		return c.fail(n, "there are no variables and no sequences: write one expression")
	case nil:
		return node{}, fmt.Errorf("a part of it is missing")
	default:
		return c.fail(n, "%T cannot be used over a row", n)
	}
}

// decimalLiteral takes the digits from the text: the parser has rounded them to a float already.
func (c *compiler) decimalLiteral(n *ast.FloatNode) (node, error) {
	loc := n.Location()
	if loc.From < 0 || loc.To > len(c.source) || loc.From >= loc.To {
		return c.fail(n, "a number without a place")
	}
	digits := strings.ReplaceAll(string(c.source[loc.From:loc.To]), "_", "")
	d, err := parseDecimal([]byte(digits))
	if err != nil {
		return c.fail(n, "%v", err)
	}
	return constant(Decimal, d.value()), nil
}

func (c *compiler) column(at ast.Node, name string) (node, error) {
	i := c.find(name)
	if i < 0 {
		return c.fail(at, "the table has no column %q (it has %s)", name, c.names())
	}
	col := c.shape.Columns[i]
	typ, ok := TypeOf(col.Kind)
	if !ok {
		return c.fail(at, "column %s of type %s cannot be used in an expression", col.Name, col.Type)
	}
	c.columns = append(c.columns, i)
	return node{typ: typ, nullable: col.Nullable, eval: func(r *Scratch) (change.Value, error) {
		if r.row[i].Kind == change.Absent {
			return null, fmt.Errorf("column %s is not in the source's log record", col.Name)
		}
		return r.row[i], nil
	}}, nil
}

// find looks a column up as MySQL does: letters match in either case, but the name as written goes first.
func (c *compiler) find(name string) int {
	found := -1
	for i := range c.shape.Columns {
		switch n := c.shape.Columns[i].Name; {
		case n == name:
			return i
		case found < 0 && strings.EqualFold(n, name):
			found = i
		}
	}
	return found
}

func (c *compiler) names() string {
	const most = 12
	var b strings.Builder
	for i := range c.shape.Columns {
		if i == most {
			fmt.Fprintf(&b, " and %d more", len(c.shape.Columns)-most)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(c.shape.Columns[i].Name)
	}
	return b.String()
}

// member is $env["a name that is no identifier"].
func (c *compiler) member(n *ast.MemberNode) (node, error) {
	env, ok := n.Node.(*ast.IdentifierNode)
	name, isName := n.Property.(*ast.StringNode)
	if !ok || env.Value != "$env" || !isName || n.Method {
		return c.fail(n, `values have no members; a column whose name is no identifier is written $env["the name"]`)
	}
	return c.column(n, name.Value)
}

func (c *compiler) unary(n *ast.UnaryNode) (node, error) {
	x, err := c.compile(n.Node)
	if err != nil {
		return node{}, err
	}
	switch n.Operator {
	case "!", "not":
		if x.typ != Bool {
			return c.fail(n, "%s of a value of type %s: compare it with something, such as x == 0", n.Operator, x.typ)
		}
		return node{typ: Bool, nullable: x.nullable, eval: strict1(x, func(_ *Scratch, v change.Value) (change.Value, error) {
			return change.NewBool(v.N == 0), nil
		})}, nil
	case "-", "+":
		if !x.typ.exact() && x.typ != Float {
			return c.fail(n, "%s of a value of type %s", n.Operator, x.typ)
		}
		if n.Operator == "+" {
			return x, nil
		}
		out := node{typ: x.typ, nullable: x.nullable, eval: strict1(x, func(_ *Scratch, v change.Value) (change.Value, error) { return negate(v) })}
		if x.literal {
			v, err := negate(x.value)
			if err != nil {
				return c.fail(n, "%v", err)
			}
			return constant(x.typ, v), nil
		}
		return out, nil
	default:
		return c.fail(n, "the operator %s cannot be used over a row", n.Operator)
	}
}

func (c *compiler) conditional(n *ast.ConditionalNode) (node, error) {
	cond, err := c.compile(n.Cond)
	if err != nil {
		return node{}, err
	}
	if cond.typ != Bool {
		return c.fail(n.Cond, "a condition of type %s: compare it with something, such as x != 0", cond.typ)
	}
	a, err := c.compile(n.Exp1)
	if err != nil {
		return node{}, err
	}
	b, err := c.compile(n.Exp2)
	if err != nil {
		return node{}, err
	}
	if a, b, err = c.alike(n.Exp2, a, b); err != nil {
		return node{}, err
	}
	return node{typ: a.typ, nullable: a.nullable || b.nullable, eval: func(r *Scratch) (change.Value, error) {
		v, err := cond.eval(r)
		if err != nil {
			return null, err
		}
		if v.Kind == change.Bool && v.N != 0 {
			return a.eval(r)
		}
		return b.eval(r)
	}}, nil
}

// alike gives two parts one type, where that changes no value.
func (c *compiler) alike(at ast.Node, a, b node) (node, node, error) {
	no := func() (node, node, error) {
		_, err := c.fail(at, "%s and %s do not go together: convert one, with int(), decimal(), float(), string() or bytes()", a.typ, b.typ)
		return a, b, err
	}
	switch {
	case a.typ == b.typ:
	case a.typ == Null:
		a.typ = b.typ
	case b.typ == Null:
		b.typ = a.typ
	case a.typ.exact() && b.typ.exact():
		a.typ, b.typ = Decimal, Decimal
	case a.typ == Float && b.typ.exact() && b.literal:
		b = floatLiteral(b)
	case b.typ == Float && a.typ.exact() && a.literal:
		a = floatLiteral(a)
	case a.typ.textual() && b.typ.textual():
		var err error
		switch {
		case a.typ == Text && a.literal:
			if a, err = literalAs(a, b.typ); err != nil {
				_, err = c.fail(at, "%v", err)
			}
		case b.typ == Text && b.literal:
			if b, err = literalAs(b, a.typ); err != nil {
				_, err = c.fail(at, "%v", err)
			}
		default:
			return no()
		}
		return a, b, err
	default:
		return no()
	}
	return a, b, nil
}

func floatLiteral(n node) node {
	return constant(Float, change.NewFloat64(toFloat(n.value)))
}

// literalAs reads a text literal as the date, time or bits that it stands beside.
func literalAs(n node, t Type) (node, error) {
	kind := change.Text
	ok := true
	switch t {
	case Date:
		kind, ok = change.Date, isDate(n.value.B)
	case DateTime, Timestamp:
		kind = change.DateTime
		if t == Timestamp {
			kind = change.Timestamp
		}
		if isDate(n.value.B) {
			n.value.B = append(append([]byte(nil), n.value.B...), " 00:00:00"...)
		}
		ok = isMoment(n.value.B)
	case Time:
		_, ok = duration(n.value.B)
		kind = change.Time
	case Bits:
		kind, ok = change.Bits, isBits(n.value.B)
	case Text:
	default:
		return n, fmt.Errorf("text beside a value of type %s", t)
	}
	if !ok {
		return n, fmt.Errorf("'%s' is not written like a %s (such as %s)", n.value.B, t, examples[t])
	}
	return constant(t, change.Value{Kind: kind, B: n.value.B}), nil
}

var examples = map[Type]string{Date: "'2024-01-31'", DateTime: "'2024-01-31 10:00:00'", Timestamp: "'2024-01-31 10:00:00', in UTC",
	Time: "'-01:30:00'", Bits: "'0101'"}

// strict1 and strict2 give NULL for NULL, and call f otherwise.
func strict1(x node, f func(*Scratch, change.Value) (change.Value, error)) evaluator {
	return func(r *Scratch) (change.Value, error) {
		v, err := x.eval(r)
		if err != nil || v.Kind == change.Null {
			return null, err
		}
		return f(r, v)
	}
}

func strict2(x, y node, f func(r *Scratch, a, b change.Value) (change.Value, error)) evaluator {
	return func(r *Scratch) (change.Value, error) {
		a, err := x.eval(r)
		if err != nil || a.Kind == change.Null {
			return null, err
		}
		b, err := y.eval(r)
		if err != nil || b.Kind == change.Null {
			return null, err
		}
		return f(r, a, b)
	}
}
