package mysql

import (
	"encoding/binary"
	"fmt"
	"slices"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
)

// charset turns the bytes of a column into UTF-8 exactly as the server does when it sends them to an utf8mb4 client. What the server would send as
// '?' is an error here: a value is never changed in silence.
type charset struct {
	name string
	// width is the most bytes that one character takes.
	width int
	// direct says that the bytes are UTF-8, or not text at all, and stay as they are.
	direct bool

	high  *[128]rune                          // of one byte
	units func([]byte) (r rune, n int)        // Unicode in another form; n is 0 when src is cut short, r negative when it is invalid
	pair  encoding.Encoding                   // of one or two bytes
	fix   func(lead, trail byte) (rune, bool) // where the server differs from pair; a negative rune is undefined
}

var charsets = makeCharsets()

func makeCharsets() map[string]*charset {
	all := []*charset{
		{name: "utf8mb4", width: 4, direct: true},
		{name: "utf8mb3", width: 3, direct: true},
		{name: "utf8", width: 3, direct: true},
		{name: "binary", width: 1, direct: true},
		{name: "ascii", width: 1, high: new([128]rune)},
		{name: "ucs2", width: 2, units: ucs2},
		{name: "utf16", width: 4, units: utf16BE},
		{name: "utf16le", width: 4, units: utf16LE},
		{name: "utf32", width: 4, units: utf32},
		{name: "gbk", width: 2, pair: simplifiedchinese.GBK, fix: fixGBK},
		{name: "sjis", width: 2, pair: japanese.ShiftJIS, fix: fixSJIS},
		{name: "cp932", width: 2, pair: japanese.ShiftJIS, fix: fixCP932},
		{name: "euckr", width: 2, pair: korean.EUCKR},
	}
	out := make(map[string]*charset, len(all)+len(highHalves))
	for name, half := range highHalves {
		c := &charset{name: name, width: 1, high: new([128]rune)}
		i := 0
		for _, r := range half {
			if r == utf8.RuneError {
				r = -1
			}
			c.high[i] = r
			i++
		}
		out[name] = c
	}
	for _, c := range all {
		if c.name == "ascii" {
			for i := range c.high {
				c.high[i] = -1
			}
		}
		out[c.name] = c
	}
	return out
}

// charsetOf finds a character set by MySQL's name for it.
func charsetOf(name string) (*charset, error) {
	if c := charsets[name]; c != nil {
		return c, nil
	}
	return nil, fmt.Errorf("character set %q is not supported; convert the column to utf8mb4 on the source", name)
}

// appendUTF8 appends src as UTF-8.
func (c *charset) appendUTF8(dst, src []byte) ([]byte, error) {
	if c.direct {
		return append(dst, src...), nil
	}
	if c.units != nil {
		for i := 0; i < len(src); {
			r, n := c.units(src[i:])
			if n == 0 || r < 0 {
				return dst, c.invalid(src, i)
			}
			dst = utf8.AppendRune(dst, r)
			i += n
		}
		return dst, nil
	}
	for i := 0; i < len(src); i++ {
		b := src[i]
		if b < utf8.RuneSelf {
			dst = append(dst, b)
			continue
		}
		if c.high != nil {
			r := c.high[b-utf8.RuneSelf]
			if r < 0 {
				return dst, c.invalid(src, i)
			}
			dst = utf8.AppendRune(dst, r)
			continue
		}
		var n int
		var err error
		if dst, n, err = c.appendPair(dst, src, i); err != nil {
			return dst, err
		}
		i += n - 1
	}
	return dst, nil
}

// appendPair appends the character at src[i], which takes one or two bytes.
func (c *charset) appendPair(dst, src []byte, i int) ([]byte, int, error) {
	n := 1
	if c.fix != nil && i+1 < len(src) {
		if r, ok := c.fix(src[i], src[i+1]); ok {
			if r < 0 {
				return dst, 0, c.invalid(src, i)
			}
			return utf8.AppendRune(dst, r), 2, nil
		}
	}
	half := c.pair == japanese.ShiftJIS && src[i] >= 0xa1 && src[i] <= 0xdf // half-width katakana
	if !half {
		if n = 2; i+2 > len(src) {
			return dst, 0, c.invalid(src, i)
		}
	}
	dst = slices.Grow(dst, utf8.UTFMax)
	at := len(dst)
	wrote, read, err := c.pair.NewDecoder().Transform(dst[at:at+utf8.UTFMax], src[i:i+n], true)
	if err != nil || read != n {
		return dst, 0, c.invalid(src, i)
	}
	dst = dst[:at+wrote]
	if r, size := utf8.DecodeRune(dst[at:]); r == utf8.RuneError || size != wrote {
		return dst[:at], 0, c.invalid(src, i)
	}
	return dst, n, nil
}

func (c *charset) invalid(src []byte, i int) error {
	return fmt.Errorf("bytes %x at offset %d are no character of %s", src[i:min(len(src), i+c.width)], i, c.name)
}

func ucs2(b []byte) (rune, int) {
	if len(b) < 2 {
		return 0, 0
	}
	return noSurrogate(rune(b[0])<<8 | rune(b[1])), 2
}

func noSurrogate(r rune) rune {
	if r >= 0xd800 && r < 0xe000 || r > utf8.MaxRune {
		return -1
	}
	return r
}

func utf16BE(b []byte) (rune, int) { return utf16Units(b, binary.BigEndian) }
func utf16LE(b []byte) (rune, int) { return utf16Units(b, binary.LittleEndian) }

func utf16Units(b []byte, order binary.ByteOrder) (rune, int) {
	if len(b) < 2 {
		return 0, 0
	}
	r := rune(order.Uint16(b))
	if r < 0xd800 || r >= 0xe000 {
		return r, 2
	}
	if r >= 0xdc00 || len(b) < 4 {
		return -1, 2
	}
	low := rune(order.Uint16(b[2:]))
	if low < 0xdc00 || low >= 0xe000 {
		return -1, 4
	}
	return 0x10000 + (r-0xd800)<<10 + low - 0xdc00, 4
}

func utf32(b []byte) (rune, int) {
	if len(b) < 4 {
		return 0, 0
	}
	u := binary.BigEndian.Uint32(b)
	if u > utf8.MaxRune {
		return -1, 4
	}
	return noSurrogate(rune(u)), 4
}

// fixGBK: pairs that newer standards define and MySQL's gbk does not.
func fixGBK(lead, trail byte) (rune, bool) {
	switch p := uint16(lead)<<8 | uint16(trail); {
	case p == 0xa2e3, p == 0xa3a0, p == 0xa8bf, p >= 0xa989 && p <= 0xa995, p >= 0xfe50 && p <= 0xfea0:
		return -1, true
	default:
		return 0, false
	}
}

// fixSJIS: MySQL follows JIS X 0208 where others follow Windows, and leaves out the vendors' rows.
func fixSJIS(lead, trail byte) (rune, bool) {
	switch lead {
	case 0x87, 0xed, 0xee, 0xfa, 0xfb, 0xfc:
		return -1, true
	}
	switch uint16(lead)<<8 | uint16(trail) {
	case 0x815f:
		return '\\', true
	case 0x8160:
		return 0x301c, true
	case 0x8161:
		return 0x2016, true
	case 0x817c:
		return 0x2212, true
	case 0x8191:
		return 0xa2, true
	case 0x8192:
		return 0xa3, true
	case 0x81ca:
		return 0xac, true
	default:
		return 0, false
	}
}

// fixCP932: the user-defined rows, in the private use area.
func fixCP932(lead, trail byte) (rune, bool) {
	if lead < 0xf0 || lead > 0xf9 || trail < 0x40 || trail == 0x7f || trail > 0xfc {
		return 0, false
	}
	col := rune(trail) - 0x40
	if trail > 0x7f {
		col--
	}
	return 0xe000 + 188*(rune(lead)-0xf0) + col, true
}
