package expression

import (
	"errors"
	"fmt"
	"slices"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/parser"

	"github.com/crossfade-io/crossfade/internal/change"
)

// Type is the static type of an expression.
type Type uint8

const (
	Null Type = iota // the literal nil
	Bool
	Int
	Decimal // also integers: values of kind Int, Uint or Decimal
	Float   // values of kind Float32 or Float64
	Text
	Bytes
	Date
	DateTime
	Timestamp
	Time
	Bits
	JSON
)

var typeNames = [...]string{"nil", "boolean", "integer", "decimal", "float", "text", "bytes", "date", "datetime", "timestamp", "time", "bits", "JSON"}

func (t Type) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return fmt.Sprintf("type(%d)", uint8(t))
}

// TypeOf returns the type of a column whose values have the kind k.
func TypeOf(k change.Kind) (Type, bool) {
	switch k {
	case change.Bool:
		return Bool, true
	case change.Int, change.Uint:
		return Int, true
	case change.Decimal:
		return Decimal, true
	case change.Float32, change.Float64:
		return Float, true
	case change.Text:
		return Text, true
	case change.Bytes:
		return Bytes, true
	case change.Date:
		return Date, true
	case change.DateTime:
		return DateTime, true
	case change.Timestamp:
		return Timestamp, true
	case change.Time:
		return Time, true
	case change.Bits:
		return Bits, true
	case change.JSON:
		return JSON, true
	default:
		return Null, false
	}
}

// textual types are held as text of one form.
func (t Type) textual() bool {
	switch t {
	case Text, Date, DateTime, Timestamp, Time, Bits:
		return true
	}
	return false
}

func (t Type) exact() bool { return t == Int || t == Decimal }

// MaxBytes is how much text and how many bytes the evaluation of one row may make.
const MaxBytes = 64 << 20

// maxSource bounds the length of an expression, and with it the depth of its tree.
const maxSource = 8 << 10

// Program is a compiled expression.
type Program struct {
	Source   string
	Type     Type
	Nullable bool
	// Columns are the positions of the columns it reads, ascending.
	Columns []int
	// Notes say where the expression may surprise somebody who reads it as SQL.
	Notes []string

	eval evaluator
}

// Constant reports whether the expression reads no column.
func (p *Program) Constant() bool { return len(p.Columns) == 0 }

// Scratch is the memory of evaluations. The zero value is ready to use.
type Scratch struct {
	spent int
	row   change.Row
}

// Reset starts a new row.
func (s *Scratch) Reset() { s.spent = 0 }

var errBudget = fmt.Errorf("it makes more than %d MiB out of one row", MaxBytes>>20)

func (s *Scratch) spend(n int) error {
	if s.spent += n; n < 0 || s.spent > MaxBytes {
		return errBudget
	}
	return nil
}

// Eval evaluates the expression over a row of the columns it was compiled for. The value may alias the row.
func (p *Program) Eval(row change.Row, s *Scratch) (change.Value, error) {
	s.row = row
	return p.eval(s)
}

// Holds evaluates a condition; NULL does not hold.
func (p *Program) Holds(row change.Row, s *Scratch) (bool, error) {
	v, err := p.Eval(row, s)
	return err == nil && v.Kind == change.Bool && v.N != 0, err
}

type evaluator func(*Scratch) (change.Value, error)

var null = change.Value{Kind: change.Null}

// Compile compiles an expression over rows of the given shape.
func Compile(source string, shape *change.Table) (*Program, error) {
	tree, err := parse(source)
	if err != nil {
		return nil, err
	}
	c := &compiler{source: []rune(source), shape: shape}
	n, err := c.compile(tree)
	if err != nil {
		return nil, err
	}
	slices.Sort(c.columns)
	return &Program{Source: source, Type: n.typ, Nullable: n.nullable, Columns: slices.Compact(c.columns), Notes: c.notes, eval: n.eval}, nil
}

// CompileCondition compiles an expression that must be a condition.
func CompileCondition(source string, shape *change.Table) (*Program, error) {
	p, err := Compile(source, shape)
	if err != nil {
		return nil, err
	}
	if p.Type != Bool {
		return nil, fmt.Errorf("it is of type %s, not a condition: compare it with something, such as x != 0", p.Type)
	}
	return p, nil
}

// parse runs the parser of expr. It recurses, so the length of the text is what bounds its stack; a panic of its becomes an error.
func parse(source string) (n ast.Node, err error) {
	if len(source) > maxSource {
		return nil, fmt.Errorf("it is longer than %d bytes", maxSource)
	}
	defer func() {
		if r := recover(); r != nil {
			n, err = nil, fmt.Errorf("the parser gave up: %v", r)
		}
	}()
	tree, err := parser.Parse(source)
	if err != nil {
		return nil, err
	}
	if tree.Node == nil {
		return nil, errors.New("it is empty")
	}
	return tree.Node, nil
}
