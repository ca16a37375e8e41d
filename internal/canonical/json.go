package canonical

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"unicode/utf16"
	"unicode/utf8"
)

// The form of a JSON document is a sequence of tagged items:
//
//	n null | t true | f false | d digits and exponent of a number | s string | [ items ] | { key value ... }
//
// Digits carry no leading or trailing zeros, so 1, 1.0, 10e-1 are the same bytes and no two numbers are. Strings are their decoded bytes
// behind a length of four bytes. Keys are sorted by length, then bytes (the order of both MySQL and jsonb, so sorting is rarely needed);
// of equal keys the last one counts, as in jsonb.

// maxJSONDepth bounds recursion; MySQL allows 100 levels.
const maxJSONDepth = 1000

type jsonReader struct {
	in      []byte
	pos     int
	depth   int
	members []member // a stack: the members of all objects being read
	scratch []byte
}

// member is one key with its value: from start to end in the output, the key's bytes in between.
type member struct{ start, keyStart, keyEnd, end int }

var jsonReaders = sync.Pool{New: func() any { return new(jsonReader) }}

// appendJSON appends the canonical form of a JSON document. It refuses what is not JSON.
func appendJSON(dst, doc []byte) ([]byte, error) {
	r := jsonReaders.Get().(*jsonReader)
	r.in, r.pos, r.depth, r.members = doc, 0, 0, r.members[:0]
	dst, err := r.value(dst)
	if err == nil {
		if r.space(); r.pos != len(doc) {
			err = r.bad("text after the document")
		}
	}
	r.in = nil
	if cap(r.scratch) > 1<<20 {
		r.scratch = nil
	}
	jsonReaders.Put(r)
	return dst, err
}

func (r *jsonReader) bad(what string) error {
	return fmt.Errorf("JSON document, byte %d: %s", r.pos, what)
}

func (r *jsonReader) space() {
	for r.pos < len(r.in) {
		switch r.in[r.pos] {
		case ' ', '\t', '\n', '\r':
			r.pos++
		default:
			return
		}
	}
}

func (r *jsonReader) take(c byte) bool {
	if r.pos < len(r.in) && r.in[r.pos] == c {
		r.pos++
		return true
	}
	return false
}

func (r *jsonReader) value(dst []byte) ([]byte, error) {
	r.space()
	if r.pos >= len(r.in) {
		return dst, r.bad("it ends too early")
	}
	switch c := r.in[r.pos]; {
	case c == '{':
		return r.nested(dst, r.object)
	case c == '[':
		return r.nested(dst, r.array)
	case c == '"':
		return r.text(append(dst, 's'))
	case c == '-' || c >= '0' && c <= '9':
		return r.number(append(dst, 'd'))
	case c == 't':
		return r.word(dst, "true")
	case c == 'f':
		return r.word(dst, "false")
	case c == 'n':
		return r.word(dst, "null")
	default:
		return dst, r.bad(fmt.Sprintf("unexpected %q", c))
	}
}

func (r *jsonReader) nested(dst []byte, read func([]byte) ([]byte, error)) ([]byte, error) {
	if r.depth++; r.depth > maxJSONDepth {
		return dst, r.bad(fmt.Sprintf("nested deeper than %d levels", maxJSONDepth))
	}
	dst, err := read(dst)
	r.depth--
	return dst, err
}

func (r *jsonReader) word(dst []byte, w string) ([]byte, error) {
	if !bytes.HasPrefix(r.in[r.pos:], []byte(w)) {
		return dst, r.bad("neither true, false nor null")
	}
	r.pos += len(w)
	return append(dst, w[0]), nil
}

func (r *jsonReader) array(dst []byte) ([]byte, error) {
	r.pos++
	dst = append(dst, '[')
	if r.space(); r.take(']') {
		return append(dst, ']'), nil
	}
	for {
		var err error
		if dst, err = r.value(dst); err != nil {
			return dst, err
		}
		r.space()
		if r.take(']') {
			return append(dst, ']'), nil
		}
		if !r.take(',') {
			return dst, r.bad("expected , or ]")
		}
	}
}

func (r *jsonReader) object(dst []byte) ([]byte, error) {
	r.pos++
	dst = append(dst, '{')
	begin, base := len(dst), len(r.members)
	if r.space(); r.take('}') {
		return append(dst, '}'), nil
	}
	for {
		var err error
		m := member{start: len(dst)}
		if r.space(); r.pos >= len(r.in) || r.in[r.pos] != '"' {
			return dst, r.bad("expected a key")
		}
		if dst, err = r.text(dst); err != nil {
			return dst, err
		}
		m.keyStart, m.keyEnd = m.start+4, len(dst)
		if r.space(); !r.take(':') {
			return dst, r.bad("expected :")
		}
		if dst, err = r.value(dst); err != nil {
			return dst, err
		}
		m.end = len(dst)
		r.members = append(r.members, m)
		r.space()
		if r.take('}') {
			break
		}
		if !r.take(',') {
			return dst, r.bad("expected , or }")
		}
	}
	dst = r.order(dst, begin, r.members[base:])
	r.members = r.members[:base]
	return append(dst, '}'), nil
}

// order sorts the members that stand in dst from begin on and drops all but the last of equal keys.
func (r *jsonReader) order(dst []byte, begin int, ms []member) []byte {
	compare := func(a, b member) int {
		ka, kb := dst[a.keyStart:a.keyEnd], dst[b.keyStart:b.keyEnd]
		if c := cmp.Compare(len(ka), len(kb)); c != 0 {
			return c
		}
		return bytes.Compare(ka, kb)
	}
	sorted := true
	for i := 1; i < len(ms) && sorted; i++ {
		sorted = compare(ms[i-1], ms[i]) < 0
	}
	if sorted {
		return dst
	}
	slices.SortStableFunc(ms, compare)
	r.scratch = r.scratch[:0]
	for i, m := range ms {
		if i+1 < len(ms) && compare(m, ms[i+1]) == 0 {
			continue
		}
		r.scratch = append(r.scratch, dst[m.start:m.end]...)
	}
	return append(dst[:begin], r.scratch...)
}

// text reads a string and appends its length and decoded bytes.
func (r *jsonReader) text(dst []byte) ([]byte, error) {
	r.pos++
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	for {
		n := r.pos
		for n < len(r.in) && r.in[n] != '"' && r.in[n] != '\\' && r.in[n] >= ' ' {
			n++
		}
		dst = append(dst, r.in[r.pos:n]...)
		if r.pos = n; n >= len(r.in) {
			return dst, r.bad("a string without end")
		}
		switch r.in[n] {
		case '"':
			r.pos++
			if !utf8.Valid(dst[start+4:]) {
				return dst, r.bad("a string that is not UTF-8")
			}
			binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start-4))
			return dst, nil
		case '\\':
			var err error
			if dst, err = r.escape(dst); err != nil {
				return dst, err
			}
		default:
			return dst, r.bad("a control character in a string")
		}
	}
}

func (r *jsonReader) escape(dst []byte) ([]byte, error) {
	r.pos++
	if r.pos >= len(r.in) {
		return dst, r.bad("a string without end")
	}
	c := r.in[r.pos]
	r.pos++
	switch c {
	case '"', '\\', '/':
		return append(dst, c), nil
	case 'b':
		return append(dst, '\b'), nil
	case 'f':
		return append(dst, '\f'), nil
	case 'n':
		return append(dst, '\n'), nil
	case 'r':
		return append(dst, '\r'), nil
	case 't':
		return append(dst, '\t'), nil
	case 'u':
		u, err := r.hex4()
		if err != nil {
			return dst, err
		}
		if utf16.IsSurrogate(u) {
			if !r.take('\\') || !r.take('u') {
				return dst, r.bad("half a surrogate pair")
			}
			low, err := r.hex4()
			if err != nil {
				return dst, err
			}
			if u = utf16.DecodeRune(u, low); u == utf8.RuneError {
				return dst, r.bad("half a surrogate pair")
			}
		}
		return utf8.AppendRune(dst, u), nil
	default:
		r.pos--
		return dst, r.bad("an unknown escape")
	}
}

func (r *jsonReader) hex4() (rune, error) {
	if r.pos+4 > len(r.in) {
		return 0, r.bad("an escape cut short")
	}
	n, err := strconv.ParseUint(string(r.in[r.pos:r.pos+4]), 16, 16)
	if err != nil {
		return 0, r.bad("an escape that is not hexadecimal")
	}
	r.pos += 4
	return rune(n), nil
}

// number appends length, sign, digits, e and exponent: the number is digits times ten to the exponent. Zero has no sign: jsonb has no -0.
func (r *jsonReader) number(dst []byte) ([]byte, error) {
	neg := r.take('-')
	whole := r.digits()
	if len(whole) == 0 || len(whole) > 1 && whole[0] == '0' {
		return dst, r.bad("not a number")
	}
	var frac []byte
	if r.take('.') {
		if frac = r.digits(); len(frac) == 0 {
			return dst, r.bad("not a number")
		}
	}
	exp := int64(0)
	if r.take('e') || r.take('E') {
		var err error
		if exp, err = r.exponent(); err != nil {
			return dst, err
		}
	}
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	exp -= int64(len(frac))
	first := len(dst)
	dst = append(dst, whole...)
	dst = append(dst, frac...)
	lead := 0
	for first+lead < len(dst) && dst[first+lead] == '0' {
		lead++
	}
	if lead == len(dst)-first {
		dst = append(dst[:first], '0')
	} else {
		dst = append(dst[:first], dst[first+lead:]...)
		for dst[len(dst)-1] == '0' {
			dst = dst[:len(dst)-1]
			exp++
		}
		if neg {
			dst = append(dst, '-') // behind the digits: only its being there matters
		}
		dst = append(dst, 'e')
		dst = strconv.AppendInt(dst, exp, 10)
	}
	binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start-4))
	return dst, nil
}

func (r *jsonReader) exponent() (int64, error) {
	neg := false
	if !r.take('+') {
		neg = r.take('-')
	}
	d := r.digits()
	if len(d) == 0 {
		return 0, r.bad("not a number")
	}
	d = bytes.TrimLeft(d, "0")
	if len(d) > 9 {
		return 0, r.bad("an exponent beyond every number")
	}
	n := int64(0)
	for _, c := range d {
		n = n*10 + int64(c-'0')
	}
	if neg {
		n = -n
	}
	return n, nil
}

func (r *jsonReader) digits() []byte {
	start := r.pos
	for r.pos < len(r.in) && r.in[r.pos] >= '0' && r.in[r.pos] <= '9' {
		r.pos++
	}
	return r.in[start:r.pos]
}
