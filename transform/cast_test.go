package transform

import (
	"math"
	"strings"
	"testing"

	"github.com/crossfade-io/crossfade/internal/change"
)

// TestAValueIsConvertedExactlyOrItsRowIsRefused maps one value of a source type as a target type: kind and text of the result, or ! and a
// part of the reason.
func TestAValueIsConvertedExactlyOrItsRowIsRefused(t *testing.T) {
	dt, ts, d := change.DateTime, change.Timestamp, change.Date
	cases := []struct {
		source, as string
		in         change.Value
		want       string
	}{
		{"int", "", change.NewInt(-5), "int -5"},
		{"int", "smallint", change.NewInt(32767), "int 32767"},
		{"int", "smallint", change.NewInt(32768), "!does not fit into smallint"},
		{"int unsigned", "integer", change.NewInt(math.MaxInt32), "int 2147483647"},
		{"int unsigned", "integer", change.NewInt(math.MaxInt32 + 1), "!does not fit into integer"},
		{"bigint unsigned", "", change.NewUint(math.MaxUint64), "uint 18446744073709551615"},
		{"bigint unsigned", "bigint", change.NewInt(math.MaxInt64), "int 9223372036854775807"},
		{"bigint unsigned", "bigint", change.NewUint(math.MaxInt64 + 1), "!9223372036854775808 does not fit into bigint"},
		{"bigint unsigned", "numeric(19,0)", change.NewUint(math.MaxUint64), "!does not fit into numeric(19,0)"},
		{"bigint unsigned", "numeric(19)", change.NewInt(5), "int 5"},
		{"int", "numeric(12,2)", change.NewInt(-5), "decimal -5.00"},
		{"int", "numeric", change.NewInt(5), "int 5"},
		{"int", "text", change.NewInt(-5), "text -5"},
		{"bigint unsigned", "varchar(19)", change.NewUint(math.MaxUint64), "!20 characters do not fit"},
		{"bigint", "double precision", change.NewInt(1 << 53), "float64 9.007199254740992e+15"},
		{"bigint", "double precision", change.NewInt(1<<53 + 1), "!no exact double"},
		{"bigint", "double precision", change.NewInt(math.MaxInt64), "!no exact double"},
		{"bigint unsigned", "double precision", change.NewUint(math.MaxUint64), "!no exact double"},
		{"bigint", "double precision", change.NewInt(math.MinInt64), "float64 -9.223372036854776e+18"},
		{"tinyint(1)", "boolean", change.NewInt(1), "bool t"},
		{"tinyint(1)", "boolean", change.NewInt(0), "bool f"},
		{"tinyint(1)", "boolean", change.NewInt(2), "!neither 0 nor 1"},
		{"tinyint(1)", "boolean", change.NewInt(-1), "!neither 0 nor 1"},
		{"decimal(10,2)", "", val(change.Decimal, "1.50"), "decimal 1.50"},
		{"decimal(10,2)", "numeric(12,4)", val(change.Decimal, "-1.50"), "decimal -1.5000"},
		{"decimal(10,2)", "numeric(10,1)", val(change.Decimal, "1.50"), "decimal 1.5"},
		{"decimal(10,2)", "numeric(10,1)", val(change.Decimal, "1.55"), "!more than 1 decimals"},
		{"decimal(10,2)", "numeric(3,2)", val(change.Decimal, "10.00"), "!does not fit into numeric(3,2)"},
		{"decimal(10,2)", "numeric(3,2)", val(change.Decimal, "09.00"), "decimal 9.00"},
		{"decimal(10,2)", "numeric(2,0)", val(change.Decimal, "-0.00"), "decimal 0"},
		{"decimal(10,2)", "numeric", val(change.Decimal, "1.50"), "decimal 1.50"},
		{"decimal(10,2)", "integer", val(change.Decimal, "-7.00"), "int -7"},
		{"decimal(10,2)", "integer", val(change.Decimal, "7.01"), "!not a whole number"},
		{"decimal(30,0)", "bigint", val(change.Decimal, "9223372036854775808"), "!does not fit into bigint"},
		{"decimal(10,2)", "text", val(change.Decimal, "1.50"), "text 1.50"},
		{"float", "", change.NewFloat32(1.1), "float32 1.1"},
		{"float", "double precision", change.NewFloat32(1.1), "float64 1.100000023841858"},
		{"float", "numeric(5,1)", change.NewFloat32(1.1), "decimal 1.1"},
		{"float", "numeric(5,1)", change.NewFloat32(1.25), "!more than 1 decimals"},
		{"double", "numeric", change.NewFloat64(1e21), "decimal 1000000000000000000000"},
		{"double", "numeric(5,2)", change.NewFloat64(math.Copysign(0, -1)), "decimal 0.00"},
		{"double", "real", change.NewFloat64(0.5), "float32 0.5"},
		{"double", "real", change.NewFloat64(0.1), "!no exact real"},
		{"double", "real", change.NewFloat64(1e300), "!no exact real"},
		{"double", "text", change.NewFloat64(0.1), "text 0.1"},
		{"varchar(5)", "", text("añb  "), "text añb  "},
		{"varchar(5)", "", text("a\x00b"), "!the character 0x00 at byte 2"},
		{"varchar(5)", "varchar(3)", text("añb"), "text añb"},
		{"varchar(5)", "varchar(3)", text("añb "), "!4 characters do not fit into character varying(3)"},
		{"varchar(5)", "char(3)", text("ab"), "text ab"},
		{"varchar(5)", "char(3)", text("ab "), "!blanks at the end"},
		{"varchar(5)", "text", text(""), "text "},
		{"text", "integer", text("-42"), "int -42"},
		{"text", "integer", text("4 2"), "!not a number"},
		{"text", "integer", text(""), "!not a number"},
		{"text", "integer", text("-"), "!not a number"},
		{"text", "integer", text("1e3"), "!not a number"},
		{"text", "integer", text("99999999999"), "!does not fit into integer"},
		{"text", "numeric(5,2)", text("007.5"), "decimal 7.50"},
		{"text", "numeric(5,2)", text(".5"), "decimal 0.50"},
		{"text", "numeric(5,2)", text("1.2.3"), "!not a number"},
		{"text", "boolean", text("Yes"), "bool t"},
		{"enum('Y','N')", "boolean", text("N"), "bool f"},
		{"text", "boolean", text("maybe"), "!not a boolean"},
		{"text", "date", text("2024-02-29"), "date 2024-02-29"},
		{"text", "date", text("2023-02-29"), "!does not exist"},
		{"text", "timestamp(3)", text("2024-02-29 10:00:00"), "datetime 2024-02-29 10:00:00.000"},
		{"text", "timestamptz(0)", text("2024-02-29 10:00:00"), "!cannot become"},
		{"varchar(36)", "uuid", text("01234567-89AB-cdef-0123-456789abcdef"), "text 01234567-89ab-cdef-0123-456789abcdef"},
		{"char(32)", "uuid", text("0123456789ABcdef0123456789abcdef"), "text 01234567-89ab-cdef-0123-456789abcdef"},
		{"varchar(36)", "uuid", text("0123456789ab-cdef0123456789abcdef"), "!not a uuid"},
		{"varchar(36)", "uuid", text("zz234567-89ab-cdef-0123-456789abcdef"), "!not a uuid"},
		{"text", "jsonb", text(`{"a":1}`), `json {"a":1}`},
		{"text", "json", text(`{"a":"\u0000"}`), `json {"a":"\u0000"}`},
		{"text", "jsonb", text(`{"a":"\u0000"}`), `!\u0000 at byte 7`},
		{"text", "jsonb", text(`{a:1}`), "!not JSON"},
		{"text", "bytea", text("a\x00"), "bytes 6100"},
		{"enum('a','b')", "", text("b"), "text b"},
		{"enum('a','b')", "", text(""), "!the enum's error value"},
		{"enum('a','')", "", text(""), "text "},
		{"enum('a','b')", "text", text(""), "text "},
		{"set('a','b')", "", text("a,b"), "text a,b"},
		{"binary(16)", "uuid", val(change.Bytes, "\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef"), "text 01234567-89ab-cdef-0123-456789abcdef"},
		{"varbinary(16)", "uuid", val(change.Bytes, "\x01"), "!1 bytes are not a uuid"},
		{"blob", "", val(change.Bytes, "\x00\xff"), "bytes 00ff"},
		{"blob", "text", val(change.Bytes, "é"), "text é"},
		{"blob", "text", val(change.Bytes, "\xff"), "!not UTF-8"},
		{"blob", "text", val(change.Bytes, "\x00"), "!0x00"},
		{"bit(4)", "", val(change.Bits, "0101"), "bits 0101"},
		{"bit(4)", "smallint", val(change.Bits, "0101"), "int 5"},
		{"bit(64)", "bigint", val(change.Bits, strings.Repeat("1", 64)), "!does not fit into bigint"},
		{"bit(64)", "numeric(20)", val(change.Bits, strings.Repeat("1", 64)), "uint 18446744073709551615"},
		{"bit(1)", "boolean", val(change.Bits, "1"), "bool t"},
		{"bit(4)", "text", val(change.Bits, "0101"), "text 0101"},
		{"date", "", val(d, "2024-02-29"), "date 2024-02-29"},
		{"date", "", val(d, "0000-00-00"), "!does not exist"},
		{"date", "", val(d, "2024-00-10"), "!does not exist"},
		{"date", "", val(d, "2024-10-00"), "!does not exist"},
		{"date", "", val(d, "2024-02-31"), "!does not exist"},
		{"date", "", val(d, "0000-01-01"), "!does not exist"},
		{"date", "", val(d, "1900-02-29"), "!does not exist"},
		{"date", "", val(d, "2000-02-29"), "date 2000-02-29"},
		{"date", "timestamp(2)", val(d, "2024-02-29"), "datetime 2024-02-29 00:00:00.00"},
		{"date", "text", val(d, "0000-00-00"), "text 0000-00-00"},
		{"datetime", "", val(dt, "2024-02-29 23:59:59"), "datetime 2024-02-29 23:59:59"},
		{"datetime(6)", "", val(dt, "0001-01-01 00:00:00.000001"), "datetime 0001-01-01 00:00:00.000001"},
		{"datetime", "", val(dt, "0000-00-00 00:00:00"), "!does not exist"},
		{"datetime(3)", "timestamp(6)", val(dt, "2024-02-29 10:00:00.120"), "datetime 2024-02-29 10:00:00.120000"},
		{"datetime(3)", "timestamp(1)", val(dt, "2024-02-29 10:00:00.100"), "datetime 2024-02-29 10:00:00.1"},
		{"datetime(3)", "timestamp(0)", val(dt, "2024-02-29 10:00:00.000"), "datetime 2024-02-29 10:00:00"},
		{"datetime(3)", "timestamp(1)", val(dt, "2024-02-29 10:00:00.120"), "!more than the 1 digits"},
		{"datetime", "date", val(dt, "2024-02-29 00:00:00"), "date 2024-02-29"},
		{"datetime(3)", "date", val(dt, "2024-02-29 00:00:00.000"), "date 2024-02-29"},
		{"datetime", "date", val(dt, "2024-02-29 00:00:01"), "!not at midnight"},
		{"datetime", "timestamptz at UTC", val(dt, "2024-02-29 10:00:00"), "timestamp 2024-02-29 10:00:00"},
		{"timestamp", "", val(ts, "2024-02-29 10:00:00"), "timestamp 2024-02-29 10:00:00"},
		{"timestamp", "", val(ts, "0000-00-00 00:00:00"), "!does not exist"},
		{"time(3)", "", val(change.Time, "-838:59:59.000"), "time -838:59:59"},
		{"time(3)", "", val(change.Time, "00:00:00.120"), "time 00:00:00.12"},
		{"time", "text", val(change.Time, "-01:00:00"), "text -01:00:00"},
		{"json", "", val(change.JSON, `{"a": "\u0001"}`), `json {"a": "\u0001"}`},
		{"json", "", val(change.JSON, `{"a": "\\u0000"}`), `json {"a": "\\u0000"}`},
		{"json", "", val(change.JSON, `{"a": "\u0000"}`), `!\u0000 at byte 8`},
		{"json", "json", val(change.JSON, `{"a": "\u0000"}`), `json {"a": "\u0000"}`},
		{"json", "text", val(change.JSON, `{"a": 1}`), `text {"a": 1}`},
	}
	for _, c := range cases {
		rule := ColumnRule{Source: "c", Target: "c2", As: c.as}
		p, err := Compile(Rules{Tables: []TableRule{{Source: Name{"shop", "t"}, Columns: []ColumnRule{rule}}}}, tables("id int", "c "+c.source+" null"))
		if err != nil {
			if !strings.HasPrefix(c.want, "!") || !strings.Contains(err.Error(), c.want[1:]) {
				t.Errorf("%s as %q: %v", c.source, c.as, err)
			}
			continue
		}
		m, tab := p.Mapper(), p.Tables()[0]
		in := change.Row{change.NewInt(1), c.in}
		before := c.in.Clone()
		out, _, err := m.Row(tab, in)
		got := ""
		if err != nil {
			if got = "!" + err.Error(); strings.HasPrefix(c.want, "!") && strings.Contains(got, c.want[1:]) && strings.Contains(got, "column c2: ") {
				got = c.want
			}
		} else {
			got = out[1].Kind.String() + " " + out[1].String()
		}
		if got != c.want {
			t.Errorf("%s as %q: %s becomes %s, want %s", c.source, c.as, c.in, got, c.want)
		}
		if string(in[1].B) != string(before.B) {
			t.Errorf("%s as %q: the source value was changed", c.source, c.as)
		}
		if err == nil {
			if k := tab.Target.Columns[1].Kind; out[1].Kind != k && !(k == change.Int && out[1].Kind == change.Uint) {
				t.Errorf("%s as %q: a value of kind %s in a column of kind %s", c.source, c.as, out[1].Kind, k)
			}
		}
		for _, special := range []change.Value{null, {}} {
			in[1] = special
			if out, _, err := m.Row(tab, in); err != nil || out[1].Kind != special.Kind {
				t.Errorf("%s as %q: %s becomes %s, %v", c.source, c.as, special.Kind, out[1].Kind, err)
			}
		}
	}
}

func TestPoliciesChangeValuesAndCountThem(t *testing.T) {
	rules := Rules{Types: []TypeRule{
		{Match: "mysql:date", ZeroDate: "null"},
		{Match: "mysql:datetime", ZeroDate: "1970-01-01"},
		{Match: "mysql:timestamp", ZeroDate: "1970-01-01 00:00:01"},
		{Match: "mysql:text", NUL: "strip"},
		{Match: "mysql:varchar", NUL: "replace:<nul>"},
		{Match: "mysql:json", NUL: "replace:?"},
	}}
	p := compile(t, rules, tables("id int", "a date null", "b datetime(2)", "c timestamp", "d text", "e varchar(8)", "f json")...)
	m, tab := p.Mapper(), p.Tables()[0]
	in := change.Row{change.NewInt(1), val(change.Date, "2024-00-10"), val(change.DateTime, "0000-00-00 00:00:00.00"), val(change.Timestamp, "0000-00-00 00:00:00"),
		text("\x00a\x00\x00b\x00"), text("\x00é\x00"), val(change.JSON, `["\\\u0000", "\u0000x", "\\u0000"]`)}
	_, _, err := m.Row(tab, in)
	if err == nil || !strings.Contains(err.Error(), "11 characters do not fit") {
		t.Errorf("a replacement that makes the text too long: %v", err)
	}
	in[5] = text("\x00é")
	out, _, err := m.Row(tab, in)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, v := range out {
		got = append(got, v.Kind.String()+" "+v.String())
	}
	want := `int 1|null null|datetime 1970-01-01 00:00:00.00|timestamp 1970-01-01 00:00:01|text ab|text <nul>é|json ["\\?", "?x", "\\u0000"]`
	if strings.Join(got, "|") != want {
		t.Errorf("row  %s\nwant %s", strings.Join(got, "|"), want)
	}
	if in[6] = val(change.JSON, `{"a\u0000" : 1}`); true {
		if _, _, err := m.Row(tab, in); err == nil || !strings.Contains(err.Error(), "in a key") {
			t.Errorf("two keys of an object could become one: %v", err)
		}
	}
	lossy := p.Lossy()
	for i, n := range m.Altered() {
		if n < 2 {
			t.Errorf("%d values counted for %+v", n, lossy[i])
		}
	}
	if len(lossy) != 6 || len(m.Altered()) != 6 {
		t.Errorf("lossy %v, counted %v", lossy, m.Altered())
	}
}

func FuzzNULInJSON(f *testing.F) {
	for _, s := range []string{`"\u0000"`, `"\\u0000"`, `"\\\u0000a"`, `{"\u0000":1}`, `{"a":"\u0000","b":["\u0000\u0000"]}`, `\u0000`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		s := &scratch{lossy: make([]uint64, 1)}
		keep := string(doc)
		out, err := (&policy{nul: nulStrip}).noEscapedNUL(s, doc)
		if string(doc) != keep {
			t.Fatalf("%q was changed into %q", keep, doc)
		}
		if err != nil {
			return
		}
		if i := nextNUL(doc, 0); (i < 0) != (s.lossy[0] == 0) {
			t.Fatalf("%q: counted %d", doc, s.lossy[0])
		}
		if i := nextNUL(out, 0); i >= 0 && nextNUL(doc, 0) < 0 {
			t.Fatalf("%q became %q", doc, out)
		}
	})
}
