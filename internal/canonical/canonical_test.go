package canonical

import (
	"math"
	"strings"
	"testing"

	"github.com/crossfade-io/crossfade/internal/change"
)

func val(k change.Kind, s string) change.Value { return change.Value{Kind: k, B: []byte(s)} }

func col(typ string, k change.Kind) change.Column {
	return change.Column{Name: "c", Type: typ, Kind: k}
}

// TestEqualAsTheTypeSeesThem has groups of values: all values of a group are equal, and different from those of every other group.
func TestEqualAsTheTypeSeesThem(t *testing.T) {
	dec := func(s ...string) (vs []change.Value) {
		for _, s := range s {
			vs = append(vs, val(change.Decimal, s))
		}
		return vs
	}
	of := func(k change.Kind, s ...string) (vs []change.Value) {
		for _, s := range s {
			vs = append(vs, val(k, s))
		}
		return vs
	}
	ints := func(n ...int64) (vs []change.Value) {
		for _, n := range n {
			vs = append(vs, change.NewInt(n))
		}
		return vs
	}
	null := []change.Value{{Kind: change.Null}}
	cases := []struct {
		typ    string
		groups [][]change.Value
	}{
		{"bigint", [][]change.Value{null, ints(0), ints(1), ints(-1), ints(math.MaxInt64), ints(math.MinInt64)}},
		{"numeric(20,0)", [][]change.Value{
			null,
			append(dec("0", "-0", "0.00", "-0.0", "00"), change.NewInt(0)),
			append(dec("1", "1.0", "01.00"), change.NewInt(1)),
			dec("-1"), dec("10", "10.0"), dec("0.1", "0.10"), dec("1.01"), dec("101"),
			append(dec("18446744073709551615"), change.NewUint(math.MaxUint64)),
			dec("NaN"), dec("Infinity"), dec("-Infinity"),
		}},
		{"real", [][]change.Value{
			{change.NewFloat32(0)}, {change.NewFloat32(float32(math.Copysign(0, -1)))}, {change.NewFloat32(16777216)},
			{change.NewFloat32(math.Float32frombits(0x7fc00000)), change.NewFloat32(math.Float32frombits(0x7fc00001))},
		}},
		{"double precision", [][]change.Value{{change.NewFloat64(0)}, {change.NewFloat64(math.Copysign(0, -1))}, {change.NewFloat64(0.1)},
			{change.NewFloat64(math.Nextafter(0.1, 1))}, {change.NewFloat64(math.NaN())}}},
		{"boolean", [][]change.Value{null, {change.NewBool(false)}, {change.NewBool(true)}}},
		{"text", [][]change.Value{null, of(change.Text, ""), of(change.Text, "a"), of(change.Text, "a "), of(change.Text, "A"), of(change.Text, "null")}},
		{"character(4)", [][]change.Value{null, of(change.Text, "", " "), of(change.Text, "a", "a   ")}},
		{"bytea", [][]change.Value{null, of(change.Bytes, ""), of(change.Bytes, "\x00"), of(change.Bytes, "\x00\x00")}},
		{"date", [][]change.Value{of(change.Date, "2024-01-01"), of(change.Date, "2024-01-02"), of(change.Date, "infinity")}},
		{"timestamp(6) without time zone", [][]change.Value{
			of(change.DateTime, "2024-01-01 00:00:00", "2024-01-01 00:00:00.0", "2024-01-01 00:00:00.000000"),
			of(change.DateTime, "2024-01-01 00:00:00.1", "2024-01-01 00:00:00.100"), of(change.DateTime, "2024-01-01 00:00:00.01"),
			of(change.DateTime, "2024-01-01 00:00:10"),
		}},
		{"timestamp(3) with time zone", [][]change.Value{
			of(change.Timestamp, "2024-01-01 00:00:00", "2024-01-01 00:00:00.000"), of(change.Timestamp, "2024-01-01 00:00:00.001")}},
		{"interval", [][]change.Value{
			of(change.Time, "00:00:00", "-00:00:00", "00:00:00.000"), of(change.Time, "838:59:59"), of(change.Time, "-838:59:59", "-838:59:59.000000"),
			of(change.Time, "00:00:00.5", "00:00:00.500000"), of(change.Time, "-00:00:00.5"), of(change.Time, "01:00:00"), of(change.Time, "00:01:00"),
			of(change.Time, "infinity"), of(change.Time, "-infinity"),
		}},
		{"bit(3)", [][]change.Value{of(change.Bits, "101"), of(change.Bits, "001"), of(change.Bits, "")}},
		{"uuid", [][]change.Value{of(change.Text, "01234567-89ab-cdef-0123-456789abcdef", "01234567-89AB-CDEF-0123-456789ABCDEF"),
			of(change.Text, "01234567-89ab-cdef-0123-456789abcdee")}},
		{"json", [][]change.Value{of(change.JSON, `{"a":1}`), of(change.JSON, `{"a": 1}`)}},
		{"jsonb", [][]change.Value{
			null, of(change.JSON, "null", " null\n"), of(change.JSON, `"null"`), of(change.JSON, "true"), of(change.JSON, `"true"`),
			of(change.JSON, "0", "-0", "0.0", "-0.0e5", "0e10"), of(change.JSON, "1", "1.0", "10e-1", "0.1e1", "1E0", "1e+0"),
			of(change.JSON, "-1", "-1.0"), of(change.JSON, "100", "1e2", "1E+2"), of(change.JSON, "1e-2", "0.01"),
			of(change.JSON, "9007199254740993"), of(change.JSON, "9007199254740992"), of(change.JSON, "12345678901234567890123"),
			of(change.JSON, "0.1"), of(change.JSON, "0.1000000000000000055511151231257827"),
			of(change.JSON, `""`), of(change.JSON, `"é"`, `"\u00e9"`, `"\u00E9"`), of(change.JSON, `"😀"`, `"\ud83d\ude00"`),
			of(change.JSON, `"/"`, `"\/"`), of(change.JSON, `"\n"`, `"\u000a"`), of(change.JSON, `"\\u000a"`), of(change.JSON, `"\u0000"`),
			of(change.JSON, "[]", "[ ]"), of(change.JSON, "{}", "{ }"), of(change.JSON, "[1,2]", "[1, 2.0]"), of(change.JSON, "[2,1]"), of(change.JSON, "[12]"),
			of(change.JSON, `[[1],2]`), of(change.JSON, `[[1,2]]`), of(change.JSON, `["a","b"]`), of(change.JSON, `["ab"]`), of(change.JSON, `["a,b"]`),
			of(change.JSON, `{"a":1,"b":2}`, `{"b":2,"a":1}`, `{"b": 2.0, "\u0061": 1e0}`, `{"b":3,"a":1,"b":2}`),
			of(change.JSON, `{"b":1,"a":2}`), of(change.JSON, `{"aa":1,"b":{"d":1,"c":[1,{"z":0,"y":1}]}}`, `{"b":{"c":[1,{"y":1,"z":0}],"d":1},"aa":1}`),
			of(change.JSON, `{"a":null}`), of(change.JSON, `{"":null}`),
		}},
	}
	for _, c := range cases {
		t.Run(c.typ, func(t *testing.T) {
			seen := map[string]string{}
			for g, group := range c.groups {
				first := ""
				for i, v := range group {
					b, err := AppendCanonical([]byte("x"), change.Postgres, col(c.typ, v.Kind), v)
					if err != nil {
						t.Fatalf("%s: %v", v, err)
					}
					if b[0] != 'x' {
						t.Fatalf("%s: what was in dst is lost", v)
					}
					form := string(b[1:])
					if i == 0 {
						first = form
						if other, ok := seen[form]; ok {
							t.Errorf("%s and %s (group %d) have the same form %q", other, v, g, form)
						}
						seen[form] = v.String()
					} else if form != first {
						t.Errorf("%s and %s have the forms %q and %q", group[0], v, first, form)
					}
				}
			}
		})
	}
}

func TestFormsDelimitThemselves(t *testing.T) {
	cols := []change.Column{col("text", change.Text), col("text", change.Text), col("numeric", change.Decimal), col("jsonb", change.JSON), col("bytea", change.Bytes)}
	row := func(s ...string) change.Row {
		r := make(change.Row, len(s))
		for i, k := range []change.Kind{change.Text, change.Text, change.Decimal, change.JSON, change.Bytes} {
			if s[i] == "-" {
				r[i] = change.Value{Kind: change.Null}
			} else {
				r[i] = val(k, s[i])
			}
		}
		return r
	}
	rows := []change.Row{
		row("a", "b", "1", `"x"`, ""), row("ab", "", "1", `"x"`, ""), row("", "ab", "1", `"x"`, ""), row("a", "b", "-", `"x"`, ""),
		row("-", "a", "1", `"x"`, ""), row("a", "-", "1", `"x"`, ""), row("a", "b", "11", `"x"`, "1"), row("a", "b", "1", "null", ""), row("a", "b", "1", "-", ""),
	}
	seen := map[string]int{}
	for i, r := range rows {
		b, err := AppendRow(nil, change.Postgres, cols, r)
		if err != nil {
			t.Fatal(err)
		}
		if j, ok := seen[string(b)]; ok {
			t.Errorf("rows %d and %d have the same form", j, i)
		}
		seen[string(b)] = i
	}
	if _, err := AppendRow(nil, change.Postgres, cols, rows[0][:4]); err == nil {
		t.Error("a short row has a form")
	}
}

func TestWhatCannotBeComparedIsAnError(t *testing.T) {
	for _, c := range []struct {
		typ string
		v   change.Value
	}{
		{"text", change.Value{}}, {"text", change.NewInt(1)}, {"bigint", val(change.Text, "1")}, {"bigint", change.NewUint(math.MaxUint64)},
		{"numeric", change.NewFloat64(1)}, {"numeric", val(change.Decimal, "")}, {"numeric", val(change.Decimal, ".")}, {"numeric", val(change.Decimal, "1e5")},
		{"numeric", val(change.Decimal, "--1")}, {"real", change.NewFloat64(1)}, {"double precision", change.NewFloat32(1)}, {"boolean", change.NewInt(1)},
		{"timestamp(0) without time zone", val(change.Timestamp, "2024-01-01 00:00:00")}, {"timestamp(0) with time zone", val(change.DateTime, "2024-01-01 00:00:00")},
		{"interval", val(change.Time, "1:2")}, {"interval", val(change.Time, "00:60:00")}, {"interval", val(change.Time, "00:00:00.")}, {"interval", val(change.Time, "")},
		{"uuid", val(change.Text, "0123456789abcdef0123456789abcdef")}, {"uuid", val(change.Text, "01234567-89ab-cdef-0123-456789abcdeg")},
		{"money", change.NewInt(1)}, {"time without time zone", val(change.DateTime, "10:00:00")}, {"timestamp(3) with local zone", val(change.DateTime, "2024-01-01 00:00:00")},
		{"jsonb", val(change.JSON, "")}, {"jsonb", val(change.JSON, "{")}, {"jsonb", val(change.JSON, "01")}, {"jsonb", val(change.JSON, "1.")}, {"jsonb", val(change.JSON, ".5")},
		{"jsonb", val(change.JSON, "1 2")}, {"jsonb", val(change.JSON, `"\ud83d"`)}, {"jsonb", val(change.JSON, `"\ud83d\u0041"`)}, {"jsonb", val(change.JSON, `"\x"`)},
		{"jsonb", val(change.JSON, "\"\n\"")}, {"jsonb", val(change.JSON, `{"a" 1}`)}, {"jsonb", val(change.JSON, `{a:1}`)}, {"jsonb", val(change.JSON, "[1,]")},
		{"jsonb", val(change.JSON, "nul")}, {"jsonb", val(change.JSON, "NaN")}, {"jsonb", val(change.JSON, "\"\xff\"")}, {"jsonb", val(change.JSON, "1e9999999999")},
		{"jsonb", val(change.JSON, strings.Repeat("[", 5000)+strings.Repeat("]", 5000))},
	} {
		if b, err := AppendCanonical(nil, change.Postgres, col(c.typ, c.v.Kind), c.v); err == nil {
			t.Errorf("%s in %s has the form %q", c.v, c.typ, b)
		}
	}
}

func TestParsePG(t *testing.T) {
	for _, c := range []struct {
		typ  string
		kind change.Kind
		in   string
		want change.Value
	}{
		{"smallint", change.Int, "-5", change.NewInt(-5)},
		{"bigint", change.Int, "9223372036854775807", change.NewInt(math.MaxInt64)},
		{"numeric(20,0)", change.Int, "18446744073709551615", change.NewUint(math.MaxUint64)},
		{"numeric(20,0)", change.Int, "7", change.NewInt(7)},
		{"numeric(20,0)", change.Int, "18446744073709551616", val(change.Decimal, "18446744073709551616")},
		{"numeric(5,2)", change.Decimal, "-1.50", val(change.Decimal, "-1.50")},
		{"numeric", change.Decimal, "NaN", val(change.Decimal, "NaN")},
		{"real", change.Float32, "1.1", change.NewFloat32(1.1)},
		{"real", change.Float32, "-0", change.NewFloat32(float32(math.Copysign(0, -1)))},
		{"double precision", change.Float64, "1e+308", change.NewFloat64(1e308)},
		{"double precision", change.Float64, "-Infinity", change.NewFloat64(math.Inf(-1))},
		{"boolean", change.Bool, "t", change.NewBool(true)},
		{"boolean", change.Bool, "f", change.NewBool(false)},
		{"text", change.Text, "", val(change.Text, "")},
		{"bytea", change.Bytes, `\x00ff`, val(change.Bytes, "\x00\xff")},
		{"date", change.Date, "0044-03-15 BC", val(change.Date, "0044-03-15 BC")},
		{"timestamp(6) without time zone", change.DateTime, "2024-01-01 00:00:00.5", val(change.DateTime, "2024-01-01 00:00:00.500000")},
		{"timestamp(3) without time zone", change.DateTime, "2024-01-01 00:00:00", val(change.DateTime, "2024-01-01 00:00:00.000")},
		{"timestamp(0) without time zone", change.DateTime, "2024-01-01 00:00:00", val(change.DateTime, "2024-01-01 00:00:00")},
		{"timestamp without time zone", change.DateTime, "2024-01-01 00:00:00.5", val(change.DateTime, "2024-01-01 00:00:00.5")},
		{"timestamp(6) with time zone", change.Timestamp, "2024-01-01 00:00:00.5+00", val(change.Timestamp, "2024-01-01 00:00:00.500000")},
		{"timestamp(6) with time zone", change.Timestamp, "0044-03-15 00:00:00+00 BC", val(change.Timestamp, "0044-03-15 00:00:00 BC")},
		{"interval", change.Time, "838:59:59", val(change.Time, "838:59:59")},
		{"interval", change.Time, "-00:00:01", val(change.Time, "-00:00:01")},
		{"interval", change.Time, "1 day 02:03:04.5", val(change.Time, "26:03:04.5")},
		{"interval", change.Time, "-1 days +02:03:00", val(change.Time, "-21:57:00")},
		{"interval", change.Time, "1 year 2 mons -3 days", val(change.Time, "10008:00:00")},
		{"interval", change.Time, "1 mon -00:00:01", val(change.Time, "719:59:59")},
		{"bit(3)", change.Bits, "101", val(change.Bits, "101")},
		{"interval", change.Text, "1 year 24:00:00", val(change.Text, "1 year 24:00:00")},
		{"money", change.Text, "$1.00", val(change.Text, "$1.00")},
		{"shop.mood[]", change.Text, "{sad,NULL}", val(change.Text, "{sad,NULL}")},
		{"time(3) without time zone", change.Time, "24:00:00.5", val(change.Time, "24:00:00.5")},
		{"jsonb", change.JSON, `{"a": 1}`, val(change.JSON, `{"a": 1}`)},
		{"uuid", change.Text, "01234567-89ab-cdef-0123-456789abcdef", val(change.Text, "01234567-89ab-cdef-0123-456789abcdef")},
	} {
		got, err := ParsePG(col(c.typ, c.kind), []byte(c.in))
		if err != nil {
			t.Errorf("%s: %q: %v", c.typ, c.in, err)
			continue
		}
		if got.Kind != c.want.Kind || got.N != c.want.N || string(got.B) != string(c.want.B) {
			t.Errorf("%s: %q became %s %s, want %s %s", c.typ, c.in, got.Kind, got, c.want.Kind, c.want)
		}
		if _, err := AppendCanonical(nil, change.Postgres, col(c.typ, c.kind), got); err != nil {
			t.Errorf("%s: %q has no canonical form: %v", c.typ, c.in, err)
		}
	}
	if v, err := ParsePG(col("text", change.Text), nil); err != nil || v.Kind != change.Null {
		t.Errorf("NULL became %v, %v", v, err)
	}
	for typ, in := range map[string]string{
		"bigint": "1.0", "numeric": "1e5", "boolean": "yes", "bytea": "abc", "date": "01/02/2024", "timestamp with time zone": "2024-01-01 00:00:00+02",
		"timestamp(3) with time zone": "2024-01-01 00:00:00", "timestamp without time zone": "2024-01-01T00:00:00", "bit(2)": "1x", "real": "x",
	} {
		if v, err := ParsePG(col(typ, change.Text), []byte(in)); err == nil {
			t.Errorf("%s: %q became %s", typ, in, v)
		}
	}
	for typ, in := range map[string]string{"interval": "P1D", "time without time zone": "10:00"} {
		if v, err := ParsePG(col(typ, change.Time), []byte(in)); err == nil {
			t.Errorf("%s: %q became %s", typ, in, v)
		}
	}
}

func TestNoAllocationPerValue(t *testing.T) {
	cols := []change.Column{col("bigint", change.Int), col("numeric(10,2)", change.Decimal), col("text", change.Text),
		col("timestamp(6) without time zone", change.DateTime), col("interval", change.Time), col("jsonb", change.JSON), col("uuid", change.Text)}
	row := change.Row{change.NewInt(1), val(change.Decimal, "12.50"), val(change.Text, "some text"), val(change.DateTime, "2024-01-01 00:00:00.100000"),
		val(change.Time, "01:00:00"), val(change.JSON, `{"a": [1, 2.50, "x"], "b": {"c": null, "d": true}}`), val(change.Text, "01234567-89ab-cdef-0123-456789abcdef")}
	buf, err := AppendRow(nil, change.Postgres, cols, row)
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(200, func() { buf, err = AppendRow(buf[:0], change.Postgres, cols, row) }); n > 0.5 || err != nil {
		t.Errorf("%v allocations for a row, error %v", n, err)
	}
}

func FuzzParsePG(f *testing.F) {
	types := []string{"bigint", "numeric(20,0)", "numeric", "real", "double precision", "boolean", "text", "character(3)", "bytea", "date", "timestamp(6) without time zone",
		"timestamp with time zone", "interval", "bit(8)", "jsonb", "json", "uuid"}
	for i := range types {
		for _, s := range []string{"1", "-1.50", "t", `\x00`, "2024-01-01", "2024-01-01 00:00:00.10+00", "1 day 02:03:04", "-1 days +02:03:00", "0101", `{"b":[1e2,"\u00e9"],"a":null}`, "x"} {
			f.Add(uint8(i), []byte(s))
		}
	}
	f.Fuzz(func(t *testing.T, i uint8, in []byte) {
		if in == nil {
			return
		}
		c := col(types[int(i)%len(types)], change.Absent)
		keep := string(in)
		v, err := ParsePG(c, in)
		if err != nil {
			return
		}
		if string(in) != keep {
			t.Fatalf("%s: %q was changed into %q", c.Type, keep, in)
		}
		one, err := AppendCanonical(nil, change.Postgres, c, v)
		if err != nil {
			return
		}
		// A canonical numeric, interval or JSON number read again must be the same value: the form is a fixed point.
		if v.Kind == change.Time || v.Kind == change.Decimal {
			w, err := ParsePG(c, v.B)
			if err != nil {
				t.Fatalf("%s: %q was read as %q, which cannot be read: %v", c.Type, in, v.B, err)
			}
			two, err := AppendCanonical(nil, change.Postgres, c, w)
			if err != nil || string(two) != string(one) {
				t.Fatalf("%s: %q: %x and %x, %v", c.Type, in, one, two, err)
			}
		}
	})
}
