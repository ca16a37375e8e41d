package change

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
)

// Kind says which form a value has. The numbers are part of the frame format.
type Kind uint8

const (
	Absent    Kind = iota // the log did not carry this column
	Null                  // SQL NULL
	Bool                  // N is 0 or 1
	Int                   // N is an int64
	Uint                  // N is a uint64; only for values above the largest int64, see [NewUint]
	Float32               // N holds the IEEE bits
	Float64               // N holds the IEEE bits
	Decimal               // B: -?digits[.digits], with as many decimals as the column has; from PostgreSQL also NaN, Infinity, -Infinity
	Text                  // B: UTF-8; a PostgreSQL value of a type without a kind of its own is what the type prints
	Bytes                 // B: any bytes
	Date                  // B: YYYY-MM-DD; zero and partial dates are kept (0000-00-00, 2024-00-10); from PostgreSQL as it prints them: years of more digits, " BC", infinity, -infinity
	Time                  // B: -?HH:MM:SS[.ffffff], hours up to 838
	DateTime              // B: YYYY-MM-DD HH:MM:SS[.ffffff], wall clock without zone; from PostgreSQL also as Date
	Timestamp             // B: the same form, an instant in UTC, without the zone
	JSON                  // B: JSON text
	Bits                  // B: one '0' or '1' for each bit
	kinds
)

var kindNames = [kinds]string{"absent", "null", "bool", "int", "uint", "float32", "float64", "decimal", "text", "bytes",
	"date", "time", "datetime", "timestamp", "json", "bits"}

func (k Kind) String() string {
	if k < kinds {
		return kindNames[k]
	}
	return "kind(" + strconv.Itoa(int(k)) + ")"
}

// Value is one column of one row. N or B is meaningful, depending on the kind. B may alias a buffer owned by somebody else: whoever
// hands out a Value says how long it stays valid.
type Value struct {
	Kind Kind
	N    uint64
	B    []byte
}

// Row holds one value for each column of its table.
type Row []Value

func NewInt(v int64) Value { return Value{Kind: Int, N: uint64(v)} }

// NewUint returns v as an Int where it fits and as a Uint above, so that equal numbers are equal values.
func NewUint(v uint64) Value {
	if v <= math.MaxInt64 {
		return Value{Kind: Int, N: v}
	}
	return Value{Kind: Uint, N: v}
}

func NewBool(v bool) Value {
	if v {
		return Value{Kind: Bool, N: 1}
	}
	return Value{Kind: Bool}
}

func NewFloat32(v float32) Value { return Value{Kind: Float32, N: uint64(math.Float32bits(v))} }
func NewFloat64(v float64) Value { return Value{Kind: Float64, N: math.Float64bits(v)} }
func NewText(s string) Value     { return Value{Kind: Text, B: []byte(s)} }

func (v Value) Int() int64       { return int64(v.N) }
func (v Value) Float32() float32 { return math.Float32frombits(uint32(v.N)) }
func (v Value) Float64() float64 { return math.Float64frombits(v.N) }
func (v Value) IsNull() bool     { return v.Kind == Null }

// AppendText appends the value as plain text: digits, the shortest decimal that reads back as the same float, t or f for booleans, the
// bytes as they are for everything else. Null and Absent append nothing.
func (v Value) AppendText(dst []byte) []byte {
	switch v.Kind {
	case Absent, Null:
		return dst
	case Bool:
		if v.N != 0 {
			return append(dst, 't')
		}
		return append(dst, 'f')
	case Int:
		return strconv.AppendInt(dst, int64(v.N), 10)
	case Uint:
		return strconv.AppendUint(dst, v.N, 10)
	case Float32:
		return strconv.AppendFloat(dst, float64(v.Float32()), 'g', -1, 32)
	case Float64:
		return strconv.AppendFloat(dst, v.Float64(), 'g', -1, 64)
	default:
		return append(dst, v.B...)
	}
}

// String is for messages and tests.
func (v Value) String() string {
	switch v.Kind {
	case Absent, Null:
		return v.Kind.String()
	case Bytes:
		return fmt.Sprintf("%x", v.B)
	default:
		return string(v.AppendText(nil))
	}
}

// Clone returns a value that shares no memory with v.
func (v Value) Clone() Value {
	if v.B != nil {
		v.B = append(make([]byte, 0, len(v.B)), v.B...)
	}
	return v
}

// Clone returns a row that shares no memory with r; nil stays nil.
func (r Row) Clone() Row {
	if r == nil {
		return nil
	}
	out := make(Row, len(r))
	for i, v := range r {
		out[i] = v.Clone()
	}
	return out
}

// AppendValue appends the binary form of v, as it stands in frames.
func AppendValue(dst []byte, v Value) []byte {
	dst = append(dst, byte(v.Kind))
	switch v.Kind {
	case Absent, Null:
		return dst
	case Bool:
		return append(dst, byte(v.N))
	case Int:
		return binary.AppendVarint(dst, int64(v.N))
	case Uint:
		return binary.AppendUvarint(dst, v.N)
	case Float32:
		return binary.LittleEndian.AppendUint32(dst, uint32(v.N))
	case Float64:
		return binary.LittleEndian.AppendUint64(dst, v.N)
	default:
		dst = binary.AppendUvarint(dst, uint64(len(v.B)))
		return append(dst, v.B...)
	}
}

var errShort = errors.New("value is cut short")

// ReadValue reads one value and returns the bytes after it. B aliases b.
func ReadValue(b []byte) (Value, []byte, error) {
	if len(b) == 0 {
		return Value{}, nil, errShort
	}
	v := Value{Kind: Kind(b[0])}
	b = b[1:]
	switch v.Kind {
	case Absent, Null:
		return v, b, nil
	case Bool:
		if len(b) < 1 {
			return v, nil, errShort
		}
		if b[0] > 1 {
			return v, nil, fmt.Errorf("boolean value %d", b[0])
		}
		v.N = uint64(b[0])
		return v, b[1:], nil
	case Int:
		n, l := binary.Varint(b)
		if l <= 0 {
			return v, nil, errShort
		}
		v.N = uint64(n)
		return v, b[l:], nil
	case Uint:
		n, l := binary.Uvarint(b)
		if l <= 0 {
			return v, nil, errShort
		}
		v.N = n
		return v, b[l:], nil
	case Float32:
		if len(b) < 4 {
			return v, nil, errShort
		}
		v.N = uint64(binary.LittleEndian.Uint32(b))
		return v, b[4:], nil
	case Float64:
		if len(b) < 8 {
			return v, nil, errShort
		}
		v.N = binary.LittleEndian.Uint64(b)
		return v, b[8:], nil
	case Decimal, Text, Bytes, Date, Time, DateTime, Timestamp, JSON, Bits:
		n, l := binary.Uvarint(b)
		if l <= 0 || n > uint64(len(b)-l) {
			return v, nil, errShort
		}
		v.B = b[l : l+int(n) : l+int(n)]
		return v, b[l+int(n):], nil
	default:
		return v, nil, fmt.Errorf("unknown value kind %d", uint8(v.Kind))
	}
}

// AppendKey appends the key columns of row in the form of [AppendValue]: the identity of a row within its table, in a form in which
// equal keys are equal bytes for integers, binary strings, dates and uuids. It is reversible with [ReadKey].
func AppendKey(dst []byte, key []int, row Row) []byte {
	for _, i := range key {
		dst = AppendValue(dst, row[i])
	}
	return dst
}

// ReadKey reads n values that AppendKey wrote. The values alias b.
func ReadKey(b []byte, n int) (Row, error) {
	row := make(Row, n)
	var err error
	for i := range row {
		if row[i], b, err = ReadValue(b); err != nil {
			return nil, fmt.Errorf("key column %d: %w", i+1, err)
		}
	}
	if len(b) != 0 {
		return nil, fmt.Errorf("%d bytes after the key", len(b))
	}
	return row, nil
}
