package mysql

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
)

// Types of MySQL's binary JSON.
const (
	jsonSmallObject = iota
	jsonLargeObject
	jsonSmallArray
	jsonLargeArray
	jsonLiteral
	jsonInt16
	jsonUint16
	jsonInt32
	jsonUint32
	jsonInt64
	jsonUint64
	jsonDouble
	jsonString
	jsonOpaque = 15
)

// jsonDepth is how deep MySQL lets documents nest.
const jsonDepth = 100

var errJSONShort = errors.New("binary json is cut short")

// appendJSON appends a binary JSON document as the text that SELECT shows for it.
func appendJSON(dst, doc []byte) ([]byte, error) {
	if len(doc) == 0 { // what INSERT IGNORE leaves in a NOT NULL column; SELECT shows it so
		return append(dst, "null"...), nil
	}
	j := jsonReader{dst: dst, budget: len(doc)}
	if err := j.value(doc[0], doc[1:], 0); err != nil {
		return dst, err
	}
	return j.dst, nil
}

type jsonReader struct {
	dst []byte
	// budget is how many more bytes of values and texts there can be. In a document that MySQL wrote no byte is part of two values, so
	// offsets that point twice to the same place, which could make a small document unfold without end, use it up.
	budget int
}

func (j *jsonReader) spend(n int) error {
	j.budget -= n
	if j.budget < 0 {
		return errors.New("binary json refers to the same bytes twice")
	}
	return nil
}

func (j *jsonReader) value(typ byte, b []byte, depth int) error {
	switch typ {
	case jsonSmallObject, jsonLargeObject, jsonSmallArray, jsonLargeArray:
		if depth >= jsonDepth {
			return fmt.Errorf("binary json nests deeper than %d levels", jsonDepth)
		}
		return j.container(typ, b, depth+1)
	case jsonLiteral:
		if len(b) < 1 {
			return errJSONShort
		}
		return j.literal(b[0])
	case jsonInt16, jsonUint16:
		if len(b) < 2 {
			return errJSONShort
		}
		return j.small(typ, uint32(binary.LittleEndian.Uint16(b)))
	case jsonInt32, jsonUint32:
		if len(b) < 4 {
			return errJSONShort
		}
		return j.small(typ, binary.LittleEndian.Uint32(b))
	case jsonInt64, jsonUint64, jsonDouble:
		if len(b) < 8 {
			return errJSONShort
		}
		if err := j.spend(8); err != nil {
			return err
		}
		switch v := binary.LittleEndian.Uint64(b); typ {
		case jsonInt64:
			j.dst = strconv.AppendInt(j.dst, int64(v), 10)
		case jsonUint64:
			j.dst = strconv.AppendUint(j.dst, v, 10)
		default:
			f := math.Float64frombits(v)
			if math.IsNaN(f) || math.IsInf(f, 0) {
				return fmt.Errorf("binary json holds the number %v", f)
			}
			j.dst = appendJSONDouble(j.dst, f)
		}
		return nil
	case jsonString:
		s, err := j.sized(b)
		if err != nil {
			return err
		}
		j.dst = appendJSONString(j.dst, s)
		return nil
	case jsonOpaque:
		return j.opaque(b)
	default:
		return fmt.Errorf("binary json of unknown type %d", typ)
	}
}

func (j *jsonReader) literal(b byte) error {
	switch b {
	case 0:
		j.dst = append(j.dst, "null"...)
	case 1:
		j.dst = append(j.dst, "true"...)
	case 2:
		j.dst = append(j.dst, "false"...)
	default:
		return fmt.Errorf("binary json literal %d", b)
	}
	return nil
}

// small appends a number that fits into 32 bits.
func (j *jsonReader) small(typ byte, v uint32) error {
	switch typ {
	case jsonInt16:
		j.dst = strconv.AppendInt(j.dst, int64(int16(v)), 10)
	case jsonUint16:
		j.dst = strconv.AppendUint(j.dst, uint64(uint16(v)), 10)
	case jsonInt32:
		j.dst = strconv.AppendInt(j.dst, int64(int32(v)), 10)
	case jsonUint32:
		j.dst = strconv.AppendUint(j.dst, uint64(v), 10)
	default:
		return fmt.Errorf("binary json number of unknown type %d", typ)
	}
	return nil
}

// sized reads bytes with their length before them, seven bits a byte.
func (j *jsonReader) sized(b []byte) ([]byte, error) {
	n := uint64(0)
	for i := range 5 {
		if i >= len(b) {
			return nil, errJSONShort
		}
		n |= uint64(b[i]&0x7f) << (7 * i)
		if b[i]&0x80 == 0 {
			b = b[i+1:]
			if n > uint64(len(b)) {
				return nil, errJSONShort
			}
			return b[:n], j.spend(int(n) + i + 1)
		}
	}
	return nil, errors.New("binary json text with an impossible length")
}

// container appends an object or array. It begins with the number of its elements and its size in bytes; then come the places and lengths of the keys,
// then one entry for each value: its type, and the value itself where it is small, else its place.
func (j *jsonReader) container(typ byte, b []byte, depth int) error {
	width := 2
	if typ == jsonLargeObject || typ == jsonLargeArray {
		width = 4
	}
	object := typ == jsonSmallObject || typ == jsonLargeObject
	if len(b) < 2*width {
		return errJSONShort
	}
	count, size := jsonOffset(b, width), jsonOffset(b[width:], width)
	if size > len(b) {
		return errJSONShort
	}
	b = b[:size]
	keys := 2 * width
	keyEntry := width + 2
	entries, entry := keys, 1+width
	if object {
		entries += count * keyEntry
	}
	head := entries + count*entry
	if head > len(b) {
		return errJSONShort
	}
	if err := j.spend(head); err != nil {
		return err
	}
	j.dst = append(j.dst, "[{"[b2i(object)])
	for i := range count {
		if i > 0 {
			j.dst = append(j.dst, ", "...)
		}
		if object {
			k := b[keys+i*keyEntry:]
			at, n := jsonOffset(k, width), int(binary.LittleEndian.Uint16(k[width:]))
			if at < head || at > len(b) || n > len(b)-at {
				return errJSONShort
			}
			if err := j.spend(n); err != nil {
				return err
			}
			j.dst = append(appendJSONString(j.dst, b[at:at+n]), ": "...)
		}
		e := b[entries+i*entry:]
		switch t := e[0]; {
		case t == jsonLiteral:
			if err := j.literal(e[1]); err != nil {
				return err
			}
		case t == jsonInt16, t == jsonUint16:
			if err := j.small(t, uint32(binary.LittleEndian.Uint16(e[1:]))); err != nil {
				return err
			}
		case width == 4 && (t == jsonInt32 || t == jsonUint32):
			if err := j.small(t, binary.LittleEndian.Uint32(e[1:])); err != nil {
				return err
			}
		default:
			at := jsonOffset(e[1:], width)
			if at < head || at >= len(b) {
				return errJSONShort
			}
			if err := j.value(t, b[at:], depth); err != nil {
				return err
			}
		}
	}
	j.dst = append(j.dst, "]}"[b2i(object)])
	return nil
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func jsonOffset(b []byte, width int) int {
	if width == 2 {
		return int(binary.LittleEndian.Uint16(b))
	}
	return int(binary.LittleEndian.Uint32(b))
}

// opaque appends a value of an SQL type: decimals as numbers, dates and times as text, anything else as base64.
func (j *jsonReader) opaque(b []byte) error {
	if len(b) < 1 {
		return errJSONShort
	}
	typ := b[0]
	data, err := j.sized(b[1:])
	if err != nil {
		return err
	}
	switch typ {
	case typeNewDecimal:
		if len(data) < 2 {
			return errJSONShort
		}
		precision, scale := int(data[0]), int(data[1])
		if precision == 0 || precision > 65 || scale > 30 || scale > precision || len(data)-2 != decimalSize(precision, scale) {
			return fmt.Errorf("binary json holds a decimal(%d,%d) of %d bytes", precision, scale, len(data)-2)
		}
		j.dst, err = appendDecimal(j.dst, data[2:], precision, scale)
		return err
	case typeDate, typeTime, typeDatetime, typeTimestamp:
		if len(data) != 8 {
			return fmt.Errorf("binary json holds a date or time of %d bytes", len(data))
		}
		packed := int64(binary.LittleEndian.Uint64(data))
		j.dst = append(j.dst, '"')
		switch typ {
		case typeDate:
			j.dst, err = appendPackedDate(j.dst, packed)
		case typeTime:
			j.dst, err = appendPackedTime(j.dst, packed)
		default:
			j.dst, err = appendPackedDateTime(j.dst, packed)
		}
		j.dst = append(j.dst, '"')
		return err
	default:
		j.dst = append(j.dst, `"base64:type`...)
		j.dst = strconv.AppendUint(j.dst, uint64(typ), 10)
		j.dst = append(j.dst, ':')
		const line = 57 // bytes make 76 characters, after which MySQL breaks the line
		for ; len(data) > line; data = data[line:] {
			j.dst = append(base64.StdEncoding.AppendEncode(j.dst, data[:line]), '\\', 'n')
		}
		j.dst = append(base64.StdEncoding.AppendEncode(j.dst, data), '"')
		return nil
	}
}

// appendJSONString appends a quoted string with MySQL's escapes. Bytes above 0x7f stay: documents are utf8mb4.
func appendJSONString(dst, s []byte) []byte {
	dst = append(dst, '"')
	from := 0
	for i, c := range s {
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[from:i]...)
		from = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\b':
			dst = append(dst, '\\', 'b')
		case '\f':
			dst = append(dst, '\\', 'f')
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', "0123456789abcdef"[c>>4], "0123456789abcdef"[c&15])
		}
	}
	return append(append(dst, s[from:]...), '"')
}

// appendJSONDouble appends a number as MySQL shows doubles in JSON: the shortest digits that read back as the same number, plain up to 15 digits
// before the point and 14 zeros behind it, else with an exponent without sign or padding; a whole number keeps ".0".
func appendJSONDouble(dst []byte, f float64) []byte {
	var buf [32]byte
	text := strconv.AppendFloat(buf[:0], f, 'e', -1, 64) // d.ddde±xx
	if text[0] == '-' {
		dst = append(dst, '-')
		text = text[1:]
	}
	digits := [24]byte{text[0]}
	n, i := 1, 1
	if text[i] == '.' {
		for i++; text[i] != 'e'; i++ {
			digits[n] = text[i]
			n++
		}
	}
	exp := 0
	for _, c := range text[i+2:] {
		exp = exp*10 + int(c-'0')
	}
	if text[i+1] == '-' {
		exp = -exp
	}
	point := exp + 1 // digits before the point
	switch {
	case f == 0:
		return append(dst, "0.0"...)
	case point < -14 || point > 15 && n <= point:
		dst = append(dst, digits[0])
		if n > 1 {
			dst = append(append(dst, '.'), digits[1:n]...)
		}
		return strconv.AppendInt(append(dst, 'e'), int64(exp), 10)
	case point <= 0:
		dst = append(dst, "0."...)
		for range -point {
			dst = append(dst, '0')
		}
		return append(dst, digits[:n]...)
	case n <= point:
		dst = append(dst, digits[:n]...)
		for range point - n {
			dst = append(dst, '0')
		}
		return append(dst, ".0"...)
	default:
		dst = append(dst, digits[:point]...)
		return append(append(dst, '.'), digits[point:n]...)
	}
}
