package expression

import (
	"errors"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/crossfade-io/crossfade/internal/change"
)

var shape = &change.Table{Schema: "shop", Name: "t", Key: []int{0}, Columns: []change.Column{
	{Name: "id", Type: "bigint", Kind: change.Int},
	{Name: "big", Type: "bigint unsigned", Kind: change.Int},
	{Name: "n", Type: "int", Kind: change.Int, Nullable: true},
	{Name: "price", Type: "decimal(10,2)", Kind: change.Decimal},
	{Name: "f", Type: "double", Kind: change.Float64},
	{Name: "f4", Type: "float", Kind: change.Float32},
	{Name: "name", Type: "varchar(40)", Kind: change.Text},
	{Name: "note", Type: "text", Kind: change.Text, Nullable: true},
	{Name: "raw", Type: "varbinary(40)", Kind: change.Bytes},
	{Name: "day", Type: "date", Kind: change.Date},
	{Name: "created", Type: "datetime(3)", Kind: change.DateTime},
	{Name: "stamp", Type: "timestamp", Kind: change.Timestamp},
	{Name: "span", Type: "time", Kind: change.Time},
	{Name: "flags", Type: "bit(4)", Kind: change.Bits},
	{Name: "doc", Type: "json", Kind: change.JSON, Nullable: true},
	{Name: "odd name", Type: "int", Kind: change.Int},
	{Name: "in", Type: "int", Kind: change.Int},
}}

func v(k change.Kind, s string) change.Value { return change.Value{Kind: k, B: []byte(s)} }

func row() change.Row {
	return change.Row{change.NewInt(7), change.NewUint(math.MaxUint64), null, v(change.Decimal, "12.50"), change.NewFloat64(0.5), change.NewFloat32(1.1),
		v(change.Text, "Zoë"), null, v(change.Bytes, "\x00\xff"), v(change.Date, "2024-02-29"), v(change.DateTime, "2024-02-29 10:00:00.500"),
		v(change.Timestamp, "2024-02-29 09:00:00"), v(change.Time, "-01:30:00"), v(change.Bits, "0101"), v(change.JSON, `{"a": 1}`), change.NewInt(3), change.NewInt(4)}
}

func eval(t *testing.T, source string) (change.Value, *Program, error) {
	t.Helper()
	p, err := Compile(source, shape)
	if err != nil {
		t.Fatalf("%s: %v", source, err)
	}
	got, err := p.Eval(row(), &Scratch{})
	return got, p, err
}

func TestEvaluation(t *testing.T) {
	for source, want := range map[string]string{
		// integers
		"id + 1":                        "int 8",
		"id - 8":                        "int -1",
		"id * -3":                       "int -21",
		"id % 4":                        "int 3",
		"-id % 4":                       "int -3",
		"div(id, 2)":                    "int 3",
		"div(-id, 2)":                   "int -3",
		"big":                           "uint 18446744073709551615",
		"big - 1":                       "uint 18446744073709551614",
		"9223372036854775807 + 1":       "uint 9223372036854775808",
		"-9223372036854775807 - 1":      "int -9223372036854775808",
		"4294967296 * 4294967295":       "uint 18446744069414584320",
		"big % 10":                      "int 5",
		"div(big, 2)":                   "int 9223372036854775807",
		"-(-id)":                        "int 7",
		"abs(-id)":                      "int 7",
		"0x10 + 0b11":                   "int 19",
		"min(id, 3, 9)":                 "int 3",
		"max(id, price, 13)":            "int 13",
		"int('42')":                     "int 42",
		"int(12.00)":                    "int 12",
		"int(id == 7)":                  "int 1",
		"round(id)":                     "int 7",
		"$env['odd name'] + $env['in']": "int 7",
		"ID + 1":                        "int 8",
		// decimals
		"price * 1.19":                         "decimal 14.8750",
		"round(price*1.19, 2)":                 "decimal 14.88",
		"round(-14.875, 2)":                    "decimal -14.88",
		"price + 1":                            "decimal 13.50",
		"price - 12.5":                         "decimal 0.00",
		"-price":                               "decimal -12.50",
		"0.1 + 0.2":                            "decimal 0.3",
		"0.1000000000000000055511151231257827": "decimal 0.1000000000000000055511151231257827",
		"1e3 * 1.5":                            "decimal 1500.0",
		"1_000.5":                              "decimal 1000.5",
		"divide(1, 3, 4)":                      "decimal 0.3333",
		"divide(2, 3, 0)":                      "decimal 1",
		"divide(-1, 2, 0)":                     "decimal -1",
		"divide(price, 5, 1)":                  "decimal 2.5",
		"floor(-1.5)":                          "decimal -2",
		"ceil(price)":                          "decimal 13",
		"abs(-1.5)":                            "decimal 1.5",
		"decimal(f)":                           "decimal 0.5",
		"decimal(f4)":                          "decimal 1.1",
		"decimal('18446744073709551616') - 1":  "decimal 18446744073709551615",
		// floats
		"f * 3":            "float64 1.5",
		"f / 4":            "float64 0.125",
		"f + 0.25":         "float64 0.75",
		"float(id) / 2":    "float64 3.5",
		"floor(f)":         "float64 0",
		"round(-f)":        "float64 -1",
		"-f":               "float64 -0.5",
		"f4":               "float32 1.1",
		"float('1e3')":     "float64 1000",
		"id == 7 ? f : 1":  "float64 0.5",
		"id == 8 ? f : 1":  "float64 1",
		"id == 7 ? 2 : f4": "float64 2",
		// text
		"name + '!'":                "text Zoë!",
		"upper(name)":               "text ZOË",
		"lower(name) | trim()":      "text zoë",
		"name[1:]":                  "text oë",
		"name[:-1]":                 "text Zo",
		"name[2:3]":                 "text ë",
		"name[5:9]":                 "text ",
		"name[2:1]":                 "text ",
		"len(name)":                 "int 3",
		"len(raw)":                  "int 2",
		"indexOf(name, 'ë')":        "int 2",
		"indexOf(name, 'x')":        "int -1",
		"lastIndexOf('abab', 'ab')": "int 2",
		"replace(name, 'o', '00')":  "text Z00ë",
		"trim('xax', 'x')":          "text a",
		"trimPrefix(name, 'Z')":     "text oë",
		"trimSuffix(name, 'ë')":     "text Zo",
		"string(id) + '-' + string(price) + string(f) + string(f4)": "text 7-12.500.51.1",
		"string(id == 7)":    "text true",
		"string(doc)":        `text {"a": 1}`,
		"string(created)":    "text 2024-02-29 10:00:00.500",
		"created[0:4]":       "text 2024",
		"day + ' ' + span":   "text 2024-02-29 -01:30:00",
		"hex(raw)":           "text 00ff",
		"unhex('00FF')":      "bytes 00ff",
		"bytes(name)":        "bytes 5a6fc3ab",
		"text(bytes(name))":  "text Zoë",
		"raw[1:]":            "bytes ff",
		"toBase64(raw)":      "text AP8=",
		"fromBase64('AP8=')": "bytes 00ff",
		"sha256('')":         "text e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		`"it's"`:             "text it's",
		// conditions
		"id == 7 and name == 'Zoë'":               "bool t",
		"name == 'zoë'":                           "bool f",
		"id in [1, 7]":                            "bool t",
		"id not in [1, 7]":                        "bool f",
		"price == 12.5":                           "bool t",
		"price > id":                              "bool t",
		"big > id":                                "bool t",
		"id < big and big == big":                 "bool t",
		"f < 1":                                   "bool t",
		"1 < id < 9":                              "bool t",
		"not (id == 7)":                           "bool f",
		"!(id == 8)":                              "bool t",
		"name matches '^Zo.$'":                    "bool t",
		"name contains 'o'":                       "bool t",
		"name startsWith 'z'":                     "bool f",
		"name not endsWith 'ë'":                   "bool f",
		"hasPrefix(name, 'Zo')":                   "bool t",
		"raw == unhex('00ff')":                    "bool t",
		"day == '2024-02-29'":                     "bool t",
		"day < created":                           "bool t",
		"created == '2024-02-29 10:00:00.5'":      "bool t",
		"created > '2024-02-29'":                  "bool t",
		"created < '2024-02-29 10:00:00.5001'":    "bool t",
		"created >= '2024-02-29 10:00:00.500000'": "bool t",
		"stamp == '2024-02-29 09:00:00.0'":        "bool t",
		"span < '-01:00:00'":                      "bool t",
		"span < '100:00:00'":                      "bool t",
		"'99:00:00' > span":                       "bool t",
		"flags == '0101'":                         "bool t",
		"(id == 7 ? '2024-01-01' : day) == '2024-01-01'": "bool t",
		"if id == 7 { 'a' } else { 'b' }":                "text a",
		// NULL, as in SQL
		"n":                    "null",
		"n + 1":                "null",
		"n == 1":               "null",
		"n != 1":               "null",
		"n == n":               "null",
		"n == nil":             "bool t",
		"nil != n":             "bool f",
		"id == nil":            "bool f",
		"n > 1 and id == 8":    "bool f",
		"id == 8 and n > 1":    "bool f",
		"n > 1 and id == 7":    "null",
		"id == 7 and n > 1":    "null",
		"n > 1 or id == 7":     "bool t",
		"n > 1 or id == 8":     "null",
		"not (n > 1)":          "null",
		"n in [1, 2]":          "null",
		"id in [n, 7]":         "bool t",
		"id in [n, 8]":         "null",
		"n ?? 5":               "int 5",
		"n ?? price":           "decimal 12.50",
		"note ?? name":         "text Zoë",
		"n > 1 ? 'yes' : 'no'": "text no",
		"id == 7 ? nil : id":   "null",
		"upper(note)":          "null",
		"note contains 'a'":    "null",
		"note[1:]":             "null",
		"max(n, 1)":            "null",
		"len(note ?? '')":      "int 0",
	} {
		got, p, err := eval(t, source)
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		text := got.Kind.String()
		if got.Kind != change.Null {
			text += " " + got.String()
		}
		if text != want {
			t.Errorf("%s gives %s, want %s", source, text, want)
		}
		if got.Kind == change.Null && !p.Nullable {
			t.Errorf("%s gives NULL, which Nullable denies", source)
		}
		if k, ok := TypeOf(got.Kind); got.Kind != change.Null && (!ok || k != p.Type && !(p.Type == Decimal && k == Int)) {
			t.Errorf("%s gives a %s, its type is %s", source, got.Kind, p.Type)
		}
	}
}

func TestARowThatCannotBeCalculatedIsAnError(t *testing.T) {
	for source, want := range map[string]string{
		"big + 1":                     "integer overflow",
		"big * 2":                     "integer overflow",
		"-big":                        "integer overflow",
		"0 - big":                     "integer overflow",
		"-9223372036854775807 - 2":    "integer overflow",
		"id % 0":                      "division by zero",
		"div(id, 0)":                  "division by zero",
		"divide(id, 0, 2)":            "division by zero",
		"f / 0":                       "division by zero",
		"f * 1e308 * 1e308":           "float overflow",
		"int(price)":                  "not a whole number",
		"int(f)":                      "not a whole number",
		"int(name)":                   "not a decimal number",
		"decimal(name)":               "not a decimal number",
		"float(name)":                 "not a decimal number",
		"text(raw)":                   "not UTF-8",
		"unhex(name)":                 "invalid byte",
		"replace(name, '', 'x')":      "empty text",
		"int('18446744073709551616')": "integer overflow",
	} {
		got, _, err := eval(t, source)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s gives %s, %v; want an error with %q", source, got, err, want)
		}
	}
}

func TestMistakesAreFoundWhenCompiled(t *testing.T) {
	for source, want := range map[string]string{
		"":                        "unexpected token EOF",
		"id +":                    "unexpected token EOF",
		"idd + 1":                 `no column "idd"`,
		"idd + 1 ":                "it has id, big",
		"'it''s'":                 "unexpected token",
		"name + 1":                "string(x) to join text",
		"name - 'a'":              "- between text and text",
		"price + f":               "would round",
		"id / 2":                  "div(a, b)",
		"price / 2":               "divide(a, b, scale)",
		"id ** 2":                 "power",
		"id ^ 2":                  "power",
		"price % 2":               "needs integers",
		"f % 2":                   "% of floats",
		"not id":                  "compare it",
		"id and true":             "both must be conditions",
		"id ? 1 : 2":              "a condition of type integer",
		"id == '7'":               "do not go together",
		"price == f":              "do not go together",
		"raw == 'x'":              "do not go together",
		"day == 'yesterday'":      "not written like a date",
		"created == '2024'":       "not written like a datetime",
		"span == '1:00'":          "not written like a time",
		"flags == '2'":            "not written like a bits",
		"stamp == created":        "an instant in UTC",
		"doc == '{}'":             "do not go together",
		"doc == doc":              "JSON cannot be compared",
		"id < nil":                "x == nil",
		"id + nil":                "always NULL",
		"id in [nil]":             "x == nil",
		"id in [1, 'a']":          "do not go together",
		"id in 1..3":              "needs a list",
		"id in []":                "empty list",
		"1..3":                    "no ranges",
		"[1]":                     "only stand after",
		"{a: 1}":                  "no maps",
		"let x = 1; x":            "no variables",
		"id; id":                  "no variables",
		"name.first":              "no members",
		"name.upper()":            "no methods",
		"$env[name]":              "no members",
		"now()":                   "same result whenever",
		"date('2024-01-01')":      "same result whenever",
		"rand()":                  "no function rand",
		"map([1], # + 1)":         "no function map",
		"filter([1], true)":       "no function filter",
		"env('HOME')":             "no function env",
		"upper(id)":               "it takes text",
		"upper(name, name)":       "takes 1 arguments",
		"upper(nil)":              "always NULL",
		"len(id)":                 "text or bytes",
		"round(f, 2)":             "round(decimal(x), 2)",
		"round(price, n)":         "must be written as a number",
		"string(raw)":             "use text(x)",
		"name matches note":       "must be a literal",
		"name matches '['":        "error parsing regexp",
		"name[price:]":            "not an integer",
		"id[1:]":                  "a slice",
		"nil ?? 1":                "nil on the left",
		"9223372036854775808":     "invalid integer literal",
		"note ?? id":              "do not go together",
		"(id == 1) < (id == 2)":   "between conditions",
		strings.Repeat("(", 9000): "longer than",
	} {
		if p, err := Compile(source, shape); err == nil {
			t.Errorf("%s compiles to a %s", source, p.Type)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", source, err, want)
		}
	}
	if _, err := CompileCondition("id + 1", shape); err == nil || !strings.Contains(err.Error(), "not a condition") {
		t.Errorf("a number is taken as a condition: %v", err)
	}
}

func TestProgramNamesItsColumns(t *testing.T) {
	p, err := Compile("name == 'x' ? id + id : big", shape)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Columns) != 3 || p.Columns[0] != 0 || p.Columns[1] != 1 || p.Columns[2] != 6 || p.Constant() {
		t.Errorf("columns %v", p.Columns)
	}
	if p, err = Compile("'acme'", shape); err != nil || !p.Constant() || p.Nullable {
		t.Errorf("a literal: %+v, %v", p, err)
	}
}

func TestAnAbsentColumnIsAnErrorNotNull(t *testing.T) {
	p, err := Compile("n ?? 0", shape)
	if err != nil {
		t.Fatal(err)
	}
	r := row()
	r[2] = change.Value{}
	if got, err := p.Eval(r, &Scratch{}); err == nil {
		t.Errorf("an absent column gives %s", got)
	}
}

func TestOneRowCannotTakeAllMemory(t *testing.T) {
	source := "name"
	for range 40 {
		source = "replace(" + source + ", 'o', 'oooooooooo')"
	}
	p, err := Compile(source, shape)
	if err != nil {
		t.Fatal(err)
	}
	s := &Scratch{}
	if _, err := p.Eval(row(), s); !errors.Is(err, errBudget) {
		t.Errorf("10^40 letters: %v", err)
	}
	s.Reset()
	if p, err = Compile("name + name", shape); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Eval(row(), s); err != nil {
		t.Errorf("after Reset: %v", err)
	}
}

func TestConditionAllocatesNothing(t *testing.T) {
	p, err := CompileCondition("id > 3 and name != 'x' and created > '2020-01-01' and n == nil", shape)
	if err != nil {
		t.Fatal(err)
	}
	r, s := row(), &Scratch{}
	holds := false
	if n := testing.AllocsPerRun(100, func() { holds, err = p.Holds(r, s) }); n != 0 || !holds || err != nil {
		t.Errorf("%v allocations, %v, %v", n, holds, err)
	}
}

// TestIntegerArithmeticIsExactOrAnError compares with the arithmetic of decimals, which has no limits.
func TestIntegerArithmeticIsExactOrAnError(t *testing.T) {
	edge := rapid.OneOf(rapid.Int64(), rapid.SampledFrom([]int64{0, 1, -1, math.MaxInt64, math.MinInt64, 1 << 32, -1 << 32, 3037000500}))
	number := rapid.Custom(func(t *rapid.T) change.Value {
		if rapid.Bool().Draw(t, "unsigned") {
			return change.NewUint(uint64(edge.Draw(t, "n")))
		}
		return change.NewInt(edge.Draw(t, "n"))
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := number.Draw(t, "a"), number.Draw(t, "b")
		op := rapid.SampledFrom([]byte("+-*")).Draw(t, "op")
		want, err := decimalOp(op, a, b)
		if err != nil {
			t.Fatal(err)
		}
		got, err := intOp(op, a, b)
		fits := compareMust(t, want, change.NewInt(math.MinInt64)) >= 0 && compareMust(t, want, change.NewUint(math.MaxUint64)) <= 0
		if fits != (err == nil) {
			t.Fatalf("%s %c %s = %s: error %v", a, op, b, want, err)
		}
		if err == nil && string(got.AppendText(nil)) != string(want.B) {
			t.Fatalf("%s %c %s = %s, not %s", a, op, b, got, want)
		}
	})
}

func compareMust(t *rapid.T, a, b change.Value) int {
	o, err := compareExact(a, b)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func FuzzCompile(f *testing.F) {
	for _, s := range []string{"id + 1", "upper(name)[1:3]", "n ?? 5", "price * 1.19 > 3e2", "id in [1,2]", "a?.b", "$env['odd name']", "if id == 1 {2} else {3}", "1..2", "let x=1;x", "#", "::id", "-!+id", "name | upper()", "'\\u12'", "`a`"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, source string) {
		p, err := Compile(source, shape)
		if err != nil {
			return
		}
		one, err1 := p.Eval(row(), &Scratch{})
		two, err2 := p.Eval(row(), &Scratch{})
		if (err1 == nil) != (err2 == nil) || err1 == nil && (one.Kind != two.Kind || one.String() != two.String()) {
			t.Fatalf("%s gives %s, %v and then %s, %v", source, one, err1, two, err2)
		}
		if err1 == nil && one.Kind == change.Null && !p.Nullable {
			t.Fatalf("%s gives NULL, which Nullable denies", source)
		}
		if err1 == nil && one.Kind == change.Absent {
			t.Fatalf("%s gives nothing", source)
		}
	})
}
