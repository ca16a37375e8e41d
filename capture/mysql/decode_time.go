package mysql

import "fmt"

// Dates and times travel as text, so that zero and partial dates stay what they are. Nothing here knows a calendar except for timestamps.

// appendDate appends a DATE: three bytes, little endian, of 15 bits for the year, 4 for the month and 5 for the day.
func appendDate(dst, b []byte) []byte {
	v := uint24(b)
	return appendYMD(dst, v>>9, v>>5&15, v&31)
}

func appendYMD(dst []byte, year, month, day uint32) []byte {
	dst = appendPadded(dst, year, 4)
	dst = appendPadded(append(dst, '-'), month, 2)
	return appendPadded(append(dst, '-'), day, 2)
}

func appendHMS(dst []byte, hour, minute, second uint32) []byte {
	if hour > 99 {
		dst = appendPadded(dst, hour, 3)
	} else {
		dst = appendPadded(dst, hour, 2)
	}
	dst = appendPadded(append(dst, ':'), minute, 2)
	return appendPadded(append(dst, ':'), second, 2)
}

// fractionSize is the number of bytes of a fraction of n digits.
func fractionSize(n int) int { return (n + 1) / 2 }

// fraction reads the microseconds of a value with n fraction digits.
func fraction(b []byte, n int) (uint32, error) {
	micro := uint32(bigEndian(b))
	for i := (n + 1) / 2 * 2; i < 6; i += 2 {
		micro *= 100
	}
	if micro >= 1_000_000 || micro%pow10[6-n] != 0 {
		return 0, fmt.Errorf("fraction %x of %d digits", b, n)
	}
	return micro, nil
}

func appendFraction(dst []byte, micro uint32, n int) []byte {
	if n == 0 {
		return dst
	}
	return appendPadded(append(dst, '.'), micro/pow10[6-n], n)
}

// appendDateTime2 appends a DATETIME of n fraction digits: 5 bytes, big endian, with an offset that makes it unsigned: 17 bits for year and month
// (13 months a year), 5 for the day, 5, 6 and 6 for the time; then the fraction.
func appendDateTime2(dst, b []byte, n int) ([]byte, error) {
	v := bigEndian(b[:5])
	if v < 1<<39 {
		return dst, fmt.Errorf("negative datetime %x", b)
	}
	v -= 1 << 39
	date, time := uint32(v>>17), uint32(v&(1<<17-1))
	ym := date >> 5
	if ym/13 > 9999 || time>>12 > 23 || time>>6&63 > 59 || time&63 > 59 {
		return dst, fmt.Errorf("datetime %x is out of range", b)
	}
	micro, err := fraction(b[5:], n)
	if err != nil {
		return dst, err
	}
	dst = append(appendYMD(dst, ym/13, ym%13, date&31), ' ')
	dst = appendHMS(dst, time>>12, time>>6&63, time&63)
	return appendFraction(dst, micro, n), nil
}

// appendTime2 appends a TIME of n fraction digits: 3 bytes and the fraction as one big-endian number with an offset, 10 bits for the hour, 6
// and 6 for minute and second. The fraction is part of the number, so it borrows from the seconds when the time is negative.
func appendTime2(dst, b []byte, n int) ([]byte, error) {
	size := fractionSize(n)
	v := int64(bigEndian(b)) - int64(0x800000)<<(8*size)
	if v < 0 {
		v = -v
		dst = append(dst, '-')
	}
	hms := uint32(v >> (8 * size))
	var frac [3]byte
	for i := size - 1; i >= 0; i-- {
		frac[i] = byte(v)
		v >>= 8
	}
	micro, err := fraction(frac[:size], n)
	if err != nil {
		return dst, err
	}
	if hms>>12 > 838 || hms>>6&63 > 59 || hms&63 > 59 {
		return dst, fmt.Errorf("time %x is out of range", b)
	}
	dst = appendHMS(dst, hms>>12&1023, hms>>6&63, hms&63)
	return appendFraction(dst, micro, n), nil
}

// appendTimestamp2 appends a TIMESTAMP of n fraction digits in UTC: 4 bytes of seconds, big endian, and the fraction. Zero is the zero date.
func appendTimestamp2(dst, b []byte, n int) ([]byte, error) {
	micro, err := fraction(b[4:], n)
	if err != nil {
		return dst, err
	}
	seconds := uint32(bigEndian(b[:4]))
	if seconds == 0 && micro == 0 {
		dst = append(dst, "0000-00-00 00:00:00"...)
	} else {
		dst = appendUnix(dst, seconds)
	}
	return appendFraction(dst, micro, n), nil
}

// appendUnix appends seconds since 1970 as date and time in UTC.
func appendUnix(dst []byte, seconds uint32) []byte {
	days, s := seconds/86400, seconds%86400
	// The civil calendar, counted in years that begin in March and eras of 400 years.
	z := days + 719468
	era := z / 146097
	doe := z % 146097
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	day := doy - (153*mp+2)/5 + 1
	month := mp + 3
	year := yoe + 400*era
	if month > 12 {
		month -= 12
		year++
	}
	dst = append(appendYMD(dst, year, month, day), ' ')
	return appendHMS(dst, s/3600, s/60%60, s%60)
}

// The packed form of dates and times inside JSON: 8 bytes, little endian, of the same fields with 24 bits of microseconds below.

func appendPackedDateTime(dst []byte, packed int64) ([]byte, error) {
	dst, err := appendPackedDate(dst, packed)
	if err != nil {
		return dst, err
	}
	hms := uint32(packed>>24) & (1<<17 - 1)
	micro := uint32(packed & (1<<24 - 1))
	if hms>>12 > 23 || hms>>6&63 > 59 || hms&63 > 59 || micro >= 1_000_000 {
		return dst, fmt.Errorf("packed datetime %d is out of range", packed)
	}
	dst = appendHMS(append(dst, ' '), hms>>12, hms>>6&63, hms&63)
	return appendFraction(dst, micro, 6), nil
}

func appendPackedDate(dst []byte, packed int64) ([]byte, error) {
	if packed < 0 {
		return dst, fmt.Errorf("negative packed date %d", packed)
	}
	ymd := packed >> 41
	ym := ymd >> 5
	if ym/13 > 9999 {
		return dst, fmt.Errorf("packed date %d is out of range", packed)
	}
	return appendYMD(dst, uint32(ym/13), uint32(ym%13), uint32(ymd&31)), nil
}

func appendPackedTime(dst []byte, packed int64) ([]byte, error) {
	if packed < 0 {
		dst = append(dst, '-')
		packed = -packed
	}
	hms := packed >> 24
	micro := uint32(packed & (1<<24 - 1))
	if packed < 0 || hms>>12 > 838 || hms>>6&63 > 59 || hms&63 > 59 || micro >= 1_000_000 {
		return dst, fmt.Errorf("packed time %d is out of range", packed)
	}
	dst = appendHMS(dst, uint32(hms>>12), uint32(hms>>6&63), uint32(hms&63))
	return appendFraction(dst, micro, 6), nil
}
