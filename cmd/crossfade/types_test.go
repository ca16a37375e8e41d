package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/crossfade-io/crossfade/internal/testdb"
)

// values are what a column of a type holds on the source, as MySQL literals, and what the target then holds, as PostgreSQL text.
var typeCases = []struct {
	mysql  string // type
	values [][2]string
}{
	{"TINYINT", [][2]string{{"-128", "-128"}, {"127", "127"}, {"0", "0"}}},
	{"TINYINT(1)", [][2]string{{"5", "5"}, {"1", "1"}, {"-1", "-1"}}},
	{"TINYINT UNSIGNED", [][2]string{{"255", "255"}}},
	{"SMALLINT", [][2]string{{"-32768", "-32768"}, {"32767", "32767"}}},
	{"SMALLINT UNSIGNED", [][2]string{{"65535", "65535"}}},
	{"MEDIUMINT", [][2]string{{"-8388608", "-8388608"}, {"8388607", "8388607"}}},
	{"MEDIUMINT UNSIGNED", [][2]string{{"16777215", "16777215"}}},
	{"INT", [][2]string{{"-2147483648", "-2147483648"}, {"2147483647", "2147483647"}}},
	{"INT UNSIGNED", [][2]string{{"4294967295", "4294967295"}}},
	{"BIGINT", [][2]string{{"-9223372036854775808", "-9223372036854775808"}, {"9223372036854775807", "9223372036854775807"}}},
	{"BIGINT UNSIGNED", [][2]string{{"18446744073709551615", "18446744073709551615"}, {"9223372036854775808", "9223372036854775808"}, {"0", "0"}}},
	{"FLOAT", [][2]string{{"123456.789", "123456.79"}, {"16777217", "1.6777216e+07"}, {"1.17549435e-38", "1.1754944e-38"}, {"-3.4028234e38", "-3.4028235e+38"}, {"0.1", "0.1"}}},
	{"DOUBLE", [][2]string{{"1e308", "1e+308"}, {"2.2250738585072014e-308", "2.2250738585072014e-308"}, {"0.1", "0.1"}, {"-0.30000000000000004", "-0.30000000000000004"}}},
	{"DECIMAL(65,30)", [][2]string{{"-99999999999999999999999999999999999.999999999999999999999999999999", "-99999999999999999999999999999999999.999999999999999999999999999999"},
		{"0.000000000000000000000000000001", "0.000000000000000000000000000001"}, {"0", "0.000000000000000000000000000000"}}},
	{"DECIMAL(10,0)", [][2]string{{"-1234567890", "-1234567890"}}},
	{"DECIMAL(5,5)", [][2]string{{"0.00001", "0.00001"}, {"-0.99999", "-0.99999"}}},
	{"BIT(1)", [][2]string{{"b'1'", "1"}, {"b'0'", "0"}}},
	{"BIT(10)", [][2]string{{"b'101'", "0000000101"}}},
	{"BIT(64)", [][2]string{{"0xFFFFFFFFFFFFFFFF", strings.Repeat("1", 64)}, {"b'1'", strings.Repeat("0", 63) + "1"}}},
	{"YEAR", [][2]string{{"1901", "1901"}, {"2155", "2155"}, {"0", "0"}}},
	{"DATE", [][2]string{{"'1000-01-01'", "1000-01-01"}, {"'9999-12-31'", "9999-12-31"}, {"'2024-02-29'", "2024-02-29"}}},
	{"TIME", [][2]string{{"'-838:59:59'", "-838:59:59"}, {"'838:59:59'", "838:59:59"}, {"'00:00:00'", "00:00:00"}, {"'-00:00:01'", "-00:00:01"}}},
	{"TIME(6)", [][2]string{{"'-00:00:00.000001'", "-00:00:00.000001"}, {"'23:59:59.999999'", "23:59:59.999999"}, {"'-12:30:00.5'", "-12:30:00.5"}}},
	{"DATETIME", [][2]string{{"'1000-01-01 00:00:00'", "1000-01-01 00:00:00"}, {"'9999-12-31 23:59:59'", "9999-12-31 23:59:59"}}},
	{"DATETIME(6)", [][2]string{{"'2024-02-29 23:59:59.999999'", "2024-02-29 23:59:59.999999"}, {"'2024-01-01 00:00:00.100000'", "2024-01-01 00:00:00.1"}}},
	{"TIMESTAMP(6)", [][2]string{{"'2038-01-19 03:14:07.499999'", "2038-01-19 03:14:07.499999+00"}, {"'1970-01-01 00:00:01'", "1970-01-01 00:00:01+00"}}},
	{"CHAR(5)", [][2]string{{"'ab   '", "ab"}, {"''", ""}, {"'  x'", "  x"}}},
	{"VARCHAR(20)", [][2]string{{"'ab  '", "ab  "}, {"''", ""}, {"'a\\\\b\\nc\\td'", "a\\b\nc\td"}, {"'😀é'", "😀é"}, {"'\\\\N'", "\\N"}}},
	{"VARCHAR(20) CHARACTER SET latin1", [][2]string{{"'Ünï€'", "Ünï€"}}},
	{"TEXT", [][2]string{{"REPEAT('x', 60000)", strings.Repeat("x", 60000)}}},
	{"LONGTEXT", [][2]string{{"'{\"a\",NULL}'", `{"a",NULL}`}}},
	{"BINARY(4)", [][2]string{{"'a'", `\x61000000`}, {"0x00000000", `\x00000000`}}},
	{"VARBINARY(8)", [][2]string{{"0x00FF5C", `\x00ff5c`}, {"''", `\x`}, {"0x6100", `\x6100`}}},
	{"BLOB", [][2]string{{"0x000102FF", `\x000102ff`}}},
	{"ENUM('a','b''c','')", [][2]string{{"'a'", "a"}, {"'b''c'", "b'c"}, {"''", ""}}},
	{"SET('x','y','z')", [][2]string{{"'x,z'", "x,z"}, {"''", ""}, {"'y'", "y"}}},
	{"JSON", [][2]string{{`'{"b": [1, 2.5, "x"], "a": null, "n": 12345678901234567}'`, `{"a": null, "b": [1, 2.5, "x"], "n": 12345678901234567}`}, {"'[]'", "[]"},
		{"'\"é\\\\n\"'", `"é\n"`}, {"CAST(1.50 AS JSON)", "1.50"}, {"'true'", "true"}}},
	{"POINT", [][2]string{{"ST_GeomFromText('POINT(1 2)')", `\x000000000101000000000000000000f03f0000000000000040`}}},
}

func TestEveryTypeArrivesEqualThroughSnapshotAndThroughTheLog(t *testing.T) {
	r := newRig(t, testdb.MySQL(t), testdb.Postgres(t, 15), "")
	insert := func(base int) {
		r.t.Helper()
		for i, c := range typeCases {
			for j, v := range c.values {
				r.my.Exec(t, fmt.Sprintf("INSERT INTO t%d VALUES (%d, %s)", i, base+j, v[0]))
			}
			r.my.Exec(t, fmt.Sprintf("INSERT INTO t%d VALUES (%d, NULL)", i, base+len(c.values)))
		}
	}
	for i, c := range typeCases {
		r.my.Exec(t, fmt.Sprintf("CREATE TABLE t%d (id INT PRIMARY KEY, v %s NULL)", i, c.mysql))
	}
	r.my.Exec(t, "CREATE TABLE done (id INT PRIMARY KEY)")
	insert(0)
	r.start()
	r.waitReady()
	insert(1000)
	for i, c := range typeCases { // and through updates
		r.my.Exec(t, fmt.Sprintf("INSERT INTO t%d VALUES (2000, NULL)", i))
		for _, v := range c.values {
			r.my.Exec(t, fmt.Sprintf("UPDATE t%d SET v = %s WHERE id = 2000", i, v[0]))
		}
	}
	r.my.Exec(t, "INSERT INTO done VALUES (1)")
	r.caughtUp("done")
	for i, c := range typeCases {
		got := r.postgresRows(fmt.Sprintf("SELECT id, v::text FROM t%d ORDER BY id", i))
		var want []string
		add := func(id int, text string, null bool) {
			want = append(want, fmt.Sprintf("true:%d|%v:%s|", id, !null, text))
		}
		for _, base := range []int{0, 1000} {
			for j, v := range c.values {
				add(base+j, v[1], false)
			}
			add(base+len(c.values), "", true)
		}
		add(2000, c.values[len(c.values)-1][1], false)
		if fmt.Sprint(got) != fmt.Sprint(want) {
			for k := range want {
				if k >= len(got) || got[k] != want[k] {
					g := "nothing"
					if k < len(got) {
						g = got[k]
					}
					t.Errorf("%s row %d\n got  %.200s\n want %.200s", c.mysql, k, g, want[k])
				}
			}
		}
	}
	if out := r.must("verify"); !strings.Contains(out, " 0 differences") {
		t.Errorf("verify printed %s", out)
	}
}
