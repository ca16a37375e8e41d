package mysql

import (
	"bytes"
	"encoding/hex"
	"math"
	"strconv"
	"strings"

	"github.com/crossfade-io/crossfade/internal/change"
)

func quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

func quoteTable(t *change.Table) string { return quote(t.Schema) + "." + quote(t.Name) }

// appendLiteral writes a value as a literal. Text is in the connection's character set, utf8mb4; a backslash escapes, since the mode is ours.
func appendLiteral(dst []byte, v *change.Value) []byte {
	switch v.Kind {
	case change.Null:
		return append(dst, "NULL"...)
	case change.Bool:
		return strconv.AppendUint(dst, v.N, 10)
	case change.Int, change.Uint, change.Decimal:
		return v.AppendText(dst)
	case change.Float32: // the double that it is: a shorter text could be rounded twice
		return appendFloat(dst, float64(v.Float32()))
	case change.Float64:
		return appendFloat(dst, v.Float64())
	case change.Bytes:
		dst = append(dst, "x'"...)
		dst = hex.AppendEncode(dst, v.B)
		return append(dst, '\'')
	case change.Bits:
		dst = append(dst, "b'"...)
		dst = append(dst, v.B...)
		return append(dst, '\'')
	default:
		return appendText(dst, v.B)
	}
}

// appendFloat writes a double with an exponent: without one it would be a decimal. The sign of zero survives only as text, in MariaDB.
func appendFloat(dst []byte, f float64) []byte {
	if f == 0 && math.Signbit(f) {
		return append(dst, "'-0'"...)
	}
	return strconv.AppendFloat(dst, f, 'e', -1, 64)
}

func appendText(dst, b []byte) []byte {
	dst = append(dst, '\'')
	for {
		i := bytes.IndexAny(b, "\x00'\\\n\r\x1a")
		if i < 0 {
			break
		}
		dst = append(dst, b[:i]...)
		switch b[i] {
		case 0:
			dst = append(dst, `\0`...)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case 0x1a:
			dst = append(dst, `\Z`...)
		default:
			dst = append(dst, '\\', b[i])
		}
		b = b[i+1:]
	}
	dst = append(dst, b...)
	return append(dst, '\'')
}

func text(s string) string { return string(appendText(nil, []byte(s))) }

// int64Text is how an unsigned 64-bit number stands in a bigint column: with the same bits.
func int64Text(n uint64) string { return strconv.FormatInt(int64(n), 10) }
