package expression

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/expr-lang/expr/ast"

	"github.com/crossfade-io/crossfade/internal/change"
)

// function is one that expressions may call. All give NULL when an argument is NULL.
type function struct {
	min, max int // arguments
	build    func(c *compiler, at ast.Node, name string, args []node) (node, error)
}

// functions is filled by init, since what builds a call may look functions up.
var functions map[string]function

func init() {
	functions = map[string]function{
		// text
		"upper":       {1, 1, textMap},
		"lower":       {1, 1, textMap},
		"trim":        {1, 2, textMap},
		"trimPrefix":  {2, 2, textMap},
		"trimSuffix":  {2, 2, textMap},
		"replace":     {3, 3, replaceText},
		"hasPrefix":   {2, 2, testText},
		"hasSuffix":   {2, 2, testText},
		"len":         {1, 1, length},
		"indexOf":     {2, 2, indexOf},
		"lastIndexOf": {2, 2, indexOf},
		// numbers
		"int":     {1, 1, toInt},
		"decimal": {1, 1, toDecimalCall},
		"float":   {1, 1, toFloatCall},
		"div":     {2, 2, div},
		"divide":  {3, 3, divideCall},
		"round":   {1, 2, rounding},
		"floor":   {1, 1, rounding},
		"ceil":    {1, 1, rounding},
		"abs":     {1, 1, abs},
		"min":     {2, 16, extreme},
		"max":     {2, 16, extreme},
		// text and bytes
		"string":     {1, 1, toText},
		"bytes":      {1, 1, toBytes},
		"text":       {1, 1, utf8Text},
		"hex":        {1, 1, encode},
		"unhex":      {1, 1, decode},
		"toBase64":   {1, 1, encode},
		"fromBase64": {1, 1, decode},
		"sha256":     {1, 1, encode},
	}
}

func (c *compiler) call(at ast.Node, name string, arguments []ast.Node) (node, error) {
	f, ok := functions[name]
	if !ok {
		switch name {
		case "now", "date", "duration", "timezone":
			return c.fail(at, "%s() is not available: an expression must give the same result whenever it is evaluated", name)
		}
		return c.fail(at, "there is no function %s over a row (there are %s)", name, strings.Join(names(), ", "))
	}
	if len(arguments) < f.min || len(arguments) > f.max {
		want := fmt.Sprint(f.min)
		if f.max > f.min {
			want = fmt.Sprintf("%d to %d", f.min, f.max)
		}
		return c.fail(at, "%s() takes %s arguments, not %d", name, want, len(arguments))
	}
	args := make([]node, len(arguments))
	for i, a := range arguments {
		var err error
		if args[i], err = c.compile(a); err != nil {
			return node{}, err
		}
		if args[i].typ == Null {
			return c.fail(a, "%s(nil) is always NULL", name)
		}
	}
	return f.build(c, at, name, args)
}

func names() []string {
	var all []string
	for name := range functions {
		all = append(all, name)
	}
	sort.Strings(all)
	return all
}

func nullable(args []node) bool {
	return slices.ContainsFunc(args, func(n node) bool { return n.nullable })
}

// strict gives NULL when one of the arguments is.
func strict(typ Type, args []node, f func(r *Scratch, v []change.Value) (change.Value, error)) node {
	return node{typ: typ, nullable: nullable(args), eval: func(r *Scratch) (change.Value, error) {
		var few [4]change.Value
		vals := few[:0]
		for i := range args {
			v, err := args[i].eval(r)
			if err != nil || v.Kind == change.Null {
				return null, err
			}
			vals = append(vals, v)
		}
		return f(r, vals)
	}}
}

func (c *compiler) wrongArgument(at ast.Node, name string, n node, want string) (node, error) {
	return c.fail(at, "%s() of a value of type %s: it takes %s", name, n.typ, want)
}

func allTextual(args []node) (node, bool) {
	for _, a := range args {
		if !a.typ.textual() {
			return a, false
		}
	}
	return node{}, true
}
