package mysql

import (
	"fmt"
	"strconv"
)

// digits9 is the number of bytes that n decimal digits take in MySQL's binary decimals: 4 bytes for every 9 digits, fewer for the rest.
var digits9 = [10]int{0, 1, 1, 2, 2, 3, 3, 4, 4, 4}

func decimalSize(precision, scale int) int {
	whole := precision - scale
	return whole/9*4 + digits9[whole%9] + scale/9*4 + digits9[scale%9]
}

// appendDecimal appends a decimal in the form that SELECT shows: all decimals of the column, one zero before the point at least.
// b has exactly decimalSize bytes: groups of nine digits, most significant first, the first bit inverted and all bits of a negative number.
func appendDecimal(dst, b []byte, precision, scale int) ([]byte, error) {
	negative := b[0]&0x80 == 0
	flip := byte(0)
	if negative {
		flip = 0xff
	}
	start := len(dst)
	first := byte(0x80) // of the first byte: the sign
	// group reads the next n digits.
	group := func(n int) (uint32, error) {
		var v uint32
		for range digits9[n] {
			v = v<<8 | uint32(b[0]^flip^first)
			first = 0
			b = b[1:]
		}
		if v >= pow10[n] {
			return 0, fmt.Errorf("decimal group of %d digits holds %d", n, v)
		}
		return v, nil
	}
	whole := precision - scale
	zero, leading := true, true
	for left := whole; left > 0; {
		n := left % 9
		if n == 0 {
			n = 9
		}
		v, err := group(n)
		if err != nil {
			return dst, err
		}
		switch {
		case !leading:
			dst = appendPadded(dst, v, n)
		case v != 0:
			if negative {
				dst = append(dst, '-')
			}
			dst = strconv.AppendUint(dst, uint64(v), 10)
			zero, leading = false, false
		}
		left -= n
	}
	if leading {
		if negative {
			dst = append(dst, '-')
		}
		dst = append(dst, '0')
	}
	if scale > 0 {
		dst = append(dst, '.')
	}
	for left := scale; left > 0; {
		n := min(left, 9)
		v, err := group(n)
		if err != nil {
			return dst, err
		}
		zero = zero && v == 0
		dst = appendPadded(dst, v, n)
		left -= n
	}
	if zero && negative { // never written by MySQL, and no other value than zero
		dst = append(dst[:start], dst[start+1:]...)
	}
	return dst, nil
}

var pow10 = [10]uint32{1, 10, 100, 1000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000}

// appendPadded appends v with exactly n digits.
func appendPadded(dst []byte, v uint32, n int) []byte {
	var d [9]byte
	for i := n - 1; i >= 0; i-- {
		d[i] = byte('0' + v%10)
		v /= 10
	}
	return append(dst, d[:n]...)
}

// appendBitString appends the low n bits of a big-endian number as characters.
func appendBitString(dst, b []byte, n int) []byte {
	for i := 8*len(b) - n; i < 8*len(b); i++ {
		dst = append(dst, '0'+b[i/8]>>(7-i%8)&1)
	}
	return dst
}

func uint24(b []byte) uint32 { return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 }

func bigEndian(b []byte) uint64 {
	var v uint64
	for _, c := range b {
		v = v<<8 | uint64(c)
	}
	return v
}

func littleEndian(b []byte) uint64 {
	var v uint64
	for i := len(b) - 1; i >= 0; i-- {
		v = v<<8 | uint64(b[i])
	}
	return v
}
