package expression

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"

	"github.com/crossfade-io/crossfade/internal/change"
)

func textValue(r *Scratch, b []byte) (change.Value, error) {
	return change.Value{Kind: change.Text, B: b}, r.spend(len(b))
}

func textMap(c *compiler, at ast.Node, name string, args []node) (node, error) {
	if bad, ok := allTextual(args); !ok {
		return c.wrongArgument(at, name, bad, "text")
	}
	var f func(v []change.Value) []byte
	switch name {
	case "upper":
		f = func(v []change.Value) []byte { return bytes.ToUpper(v[0].B) }
	case "lower":
		f = func(v []change.Value) []byte { return bytes.ToLower(v[0].B) }
	case "trim":
		f = func(v []change.Value) []byte {
			if len(v) == 2 {
				return bytes.Trim(v[0].B, string(v[1].B))
			}
			return bytes.TrimSpace(v[0].B)
		}
	case "trimPrefix":
		f = func(v []change.Value) []byte { return bytes.TrimPrefix(v[0].B, v[1].B) }
	case "trimSuffix":
		f = func(v []change.Value) []byte { return bytes.TrimSuffix(v[0].B, v[1].B) }
	default:
		return c.fail(at, "%s() is not built", name)
	}
	return strict(Text, args, func(r *Scratch, v []change.Value) (change.Value, error) { return textValue(r, f(v)) }), nil
}

func replaceText(c *compiler, at ast.Node, name string, args []node) (node, error) {
	if bad, ok := allTextual(args); !ok {
		return c.wrongArgument(at, name, bad, "text")
	}
	return strict(Text, args, func(r *Scratch, v []change.Value) (change.Value, error) {
		if len(v[1].B) == 0 {
			return null, errors.New("replace() of the empty text")
		}
		// Spent before it is made: one replacement can multiply the text.
		grow := bytes.Count(v[0].B, v[1].B) * max(0, len(v[2].B)-len(v[1].B))
		if err := r.spend(grow); err != nil {
			return null, err
		}
		return textValue(r, bytes.ReplaceAll(v[0].B, v[1].B, v[2].B))
	}), nil
}

func testText(c *compiler, at ast.Node, name string, args []node) (node, error) {
	if bad, ok := allTextual(args); !ok {
		return c.wrongArgument(at, name, bad, "text")
	}
	test := bytes.HasPrefix
	if name == "hasSuffix" {
		test = bytes.HasSuffix
	}
	c.noteCollation()
	return strict(Bool, args, func(_ *Scratch, v []change.Value) (change.Value, error) {
		return change.NewBool(test(v[0].B, v[1].B)), nil
	}), nil
}

// length counts characters of text and bytes of bytes.
func length(c *compiler, at ast.Node, name string, args []node) (node, error) {
	if args[0].typ != Bytes && !args[0].typ.textual() {
		return c.wrongArgument(at, name, args[0], "text or bytes")
	}
	return strict(Int, args, func(_ *Scratch, v []change.Value) (change.Value, error) {
		if v[0].Kind == change.Bytes {
			return change.NewInt(int64(len(v[0].B))), nil
		}
		return change.NewInt(int64(utf8.RuneCount(v[0].B))), nil
	}), nil
}

// indexOf counts characters from 0; -1 when there is none.
func indexOf(c *compiler, at ast.Node, name string, args []node) (node, error) {
	if bad, ok := allTextual(args); !ok {
		return c.wrongArgument(at, name, bad, "text")
	}
	find := bytes.Index
	if name == "lastIndexOf" {
		find = bytes.LastIndex
	}
	return strict(Int, args, func(_ *Scratch, v []change.Value) (change.Value, error) {
		i := find(v[0].B, v[1].B)
		if i > 0 {
			i = utf8.RuneCount(v[0].B[:i])
		}
		return change.NewInt(int64(i)), nil
	}), nil
}

// slice is s[from:to], in characters from 0; a negative number counts from the end, and what lies outside is cut off.
func (c *compiler) slice(n *ast.SliceNode) (node, error) {
	s, err := c.compile(n.Node)
	if err != nil {
		return node{}, err
	}
	if !s.typ.textual() && s.typ != Bytes {
		return c.fail(n, "a slice of a value of type %s", s.typ)
	}
	zero := change.NewInt(0)
	args := []node{s, constant(Int, zero), constant(Int, change.NewInt(1<<62))}
	for i, end := range []ast.Node{n.From, n.To} {
		if end == nil {
			continue
		}
		if args[i+1], err = c.compile(end); err != nil {
			return node{}, err
		}
		if args[i+1].typ != Int {
			return c.fail(end, "the bound of a slice is of type %s, not an integer", args[i+1].typ)
		}
	}
	typ, kind := Text, change.Text
	if s.typ == Bytes {
		typ, kind = Bytes, change.Bytes
	}
	return strict(typ, args, func(_ *Scratch, v []change.Value) (change.Value, error) {
		size := len(v[0].B)
		if kind == change.Text {
			size = utf8.RuneCount(v[0].B)
		}
		bound := func(v change.Value) int {
			if v.Kind == change.Uint {
				return size
			}
			n := v.Int()
			if n < 0 {
				n += int64(size)
			}
			return int(max(0, min(n, int64(size))))
		}
		from, to := bound(v[1]), bound(v[2])
		if from >= to {
			return change.Value{Kind: kind, B: []byte{}}, nil
		}
		if kind == change.Text {
			from, to = offset(v[0].B, from), offset(v[0].B, to)
		}
		return change.Value{Kind: kind, B: v[0].B[from:to:to]}, nil
	}), nil
}

// offset is where character n begins.
func offset(b []byte, n int) int {
	at := 0
	for ; n > 0; n-- {
		_, size := utf8.DecodeRune(b[at:])
		at += size
	}
	return at
}

func toText(c *compiler, at ast.Node, name string, args []node) (node, error) {
	if args[0].typ == Bytes {
		return c.fail(at, "string() of bytes: use text(x) if they are UTF-8, else hex(x)")
	}
	return strict(Text, args, func(r *Scratch, v []change.Value) (change.Value, error) {
		if v[0].Kind == change.Bool {
			if v[0].N != 0 {
				return change.NewText("true"), nil
			}
			return change.NewText("false"), nil
		}
		return textValue(r, v[0].AppendText(nil))
	}), nil
}

func toBytes(c *compiler, at ast.Node, name string, args []node) (node, error) {
	if !args[0].typ.textual() {
		return c.wrongArgument(at, name, args[0], "text")
	}
	return strict(Bytes, args, func(_ *Scratch, v []change.Value) (change.Value, error) {
		return change.Value{Kind: change.Bytes, B: v[0].B}, nil
	}), nil
}

func utf8Text(c *compiler, at ast.Node, name string, args []node) (node, error) {
	if args[0].typ != Bytes {
		return c.wrongArgument(at, name, args[0], "bytes; string(x) is for the rest")
	}
	return strict(Text, args, func(_ *Scratch, v []change.Value) (change.Value, error) {
		if !utf8.Valid(v[0].B) {
			return null, errors.New("text() of bytes that are not UTF-8")
		}
		return change.Value{Kind: change.Text, B: v[0].B}, nil
	}), nil
}

func encode(c *compiler, at ast.Node, name string, args []node) (node, error) {
	if args[0].typ != Bytes && !args[0].typ.textual() {
		return c.wrongArgument(at, name, args[0], "text or bytes")
	}
	return strict(Text, args, func(r *Scratch, v []change.Value) (change.Value, error) {
		if err := r.spend(2 * len(v[0].B)); err != nil {
			return null, err
		}
		switch name {
		case "hex":
			return textValue(r, hex.AppendEncode(nil, v[0].B))
		case "toBase64":
			return textValue(r, base64.StdEncoding.AppendEncode(nil, v[0].B))
		case "sha256":
			sum := sha256.Sum256(v[0].B)
			return textValue(r, hex.AppendEncode(nil, sum[:]))
		default:
			return null, errors.New(name + "() is not built")
		}
	}), nil
}

func decode(c *compiler, at ast.Node, name string, args []node) (node, error) {
	if !args[0].typ.textual() {
		return c.wrongArgument(at, name, args[0], "text")
	}
	read := hex.AppendDecode
	if name == "fromBase64" {
		read = base64.StdEncoding.AppendDecode
	}
	return strict(Bytes, args, func(r *Scratch, v []change.Value) (change.Value, error) {
		b, err := read([]byte{}, v[0].B)
		if err != nil {
			return null, err
		}
		return change.Value{Kind: change.Bytes, B: b}, r.spend(len(b))
	}), nil
}
