package canonical

import (
	"fmt"
	"testing"

	"github.com/crossfade-io/crossfade/internal/change"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

func TestMain(m *testing.M) { testdb.Main(m) }

// TestWhatPostgresPrintsIsWhatWasWritten writes values as text into a column of every type, reads what the server prints and compares the forms.
// Values of one type are all different, so all forms must be.
func TestWhatPostgresPrintsIsWhatWasWritten(t *testing.T) {
	types := []struct {
		typ    string
		kind   change.Kind
		values []string // as the mapping writes them
	}{
		{"smallint", change.Int, []string{"-32768", "0", "32767"}},
		{"bigint", change.Int, []string{"-9223372036854775808", "9223372036854775807"}},
		{"numeric(20,0)", change.Int, []string{"0", "18446744073709551615", "9223372036854775808", "9223372036854775807"}},
		{"numeric(65,30)", change.Decimal, []string{"-99999999999999999999999999999999999.999999999999999999999999999999", "0.000000000000000000000000000001", "0.000000000000000000000000000000"}},
		{"numeric(5,2)", change.Decimal, []string{"-0.10", "100.00", "10.00"}},
		{"numeric", change.Decimal, []string{"1.50", "150", "0.0000000001", "1e3"}},
		{"real", change.Float32, []string{"1.1", "-0", "0", "16777216", "1e-45", "3.4028235e+38", "123456.79"}},
		{"double precision", change.Float64, []string{"0.1", "-0", "0", "5e-324", "1.7976931348623157e+308", "0.30000000000000004"}},
		{"boolean", change.Bool, []string{"t", "f"}},
		{"character varying(10)", change.Text, []string{"", " ", "a", "a ", "Ä", "\\x41", "\n"}},
		{"character(3)", change.Text, []string{"", "a", "ab"}},
		{"text", change.Text, []string{"", "\u00e9", "e\u0301", "😀", `"`, `\`}},
		{"bytea", change.Bytes, []string{`\x`, `\x00`, `\x00ff`, `\x5c78`}},
		{"date", change.Date, []string{"0001-01-01", "2024-02-29", "9999-12-31"}},
		{"timestamp(0) without time zone", change.DateTime, []string{"0001-01-01 00:00:00", "9999-12-31 23:59:59"}},
		{"timestamp(3) without time zone", change.DateTime, []string{"2024-02-29 10:00:00.000", "2024-02-29 10:00:00.100", "2024-02-29 10:00:00.010"}},
		{"timestamp(6) without time zone", change.DateTime, []string{"2024-02-29 10:00:00.000001", "2024-02-29 10:00:00.100000"}},
		{"timestamp(6) with time zone", change.Timestamp, []string{"1970-01-01 00:00:01.000000+00", "2038-01-19 03:14:07.999999+00", "0001-01-01 00:00:00.000000+00"}},
		{"interval", change.Time, []string{"838:59:59", "-838:59:59", "00:00:00", "-00:00:01", "00:00:00.5", "-00:00:00.000001", "24:00:00", "100:00:00"}},
		{"bit(1)", change.Bits, []string{"0", "1"}},
		{"bit(10)", change.Bits, []string{"0000000101", "1010000000"}},
		{"jsonb", change.JSON, []string{`null`, `{"bb": 1, "a": [1, 1.5, -0.0, 1e400, "x\u0001é/\"\\"], "": {}}`, `[]`, `"1"`, `1`, `12345678901234567890123`, `0.1`, `1.7976931348623157e308`, `{"a": {"b": [[], {}, null, true, false]}}`}},
		{"json", change.JSON, []string{`null`, `{"b": 1, "a": 1.0}`, `{"b": 1,"a":1.0}`, `"\u0000"`}},
		{"uuid", change.Text, []string{"01234567-89ab-cdef-0123-456789abcdef", "00000000-0000-0000-0000-000000000000"}},
	}
	for _, major := range []int{15, 18} {
		conn := testdb.Postgres(t, major).Database(t).Connect(t)
		for _, s := range []string{"SET TimeZone = 'UTC'", "SET DateStyle = 'ISO'", "SET IntervalStyle = 'postgres'", "SET bytea_output = 'hex'", "SET extra_float_digits = 1"} {
			if _, err := conn.Exec(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
		for n, c := range types {
			name := fmt.Sprintf("t%d", n)
			if _, err := conn.Exec(t.Context(), fmt.Sprintf("CREATE TABLE %s (id int, v %s)", name, c.typ)); err != nil {
				t.Fatal(err)
			}
			column := change.Column{Name: "v", Type: c.typ, Kind: c.kind}
			seen := map[string]string{}
			for i, written := range c.values {
				if _, err := conn.Exec(t.Context(), fmt.Sprintf("INSERT INTO %s SELECT $1, $2::text::%s", name, c.typ), i, written); err != nil {
					t.Fatalf("%s: %q: %v", c.typ, written, err)
				}
				var printed []byte
				query := fmt.Sprintf("SELECT v::text FROM %s WHERE id = $1", name)
				if err := conn.QueryRow(t.Context(), query, i).Scan(&printed); err != nil {
					t.Fatal(err)
				}
				want, err := ParsePG(column, []byte(written))
				if err != nil && written != "1e3" { // numeric prints no exponents
					t.Errorf("%s: %q: %v", c.typ, written, err)
					continue
				}
				if written == "1e3" {
					want = val(change.Decimal, "1000")
				}
				if c.typ == "bytea" && want.B == nil {
					want.B = []byte{}
				}
				got, err := ParsePG(column, printed)
				if err != nil {
					t.Errorf("PostgreSQL %d, %s: %q: %v", major, c.typ, printed, err)
					continue
				}
				a, err := AppendCanonical(nil, change.Postgres, column, want)
				if err != nil {
					t.Errorf("%s: %q: %v", c.typ, written, err)
				}
				b, err := AppendCanonical(nil, change.Postgres, column, got)
				if err != nil {
					t.Errorf("PostgreSQL %d, %s: %q: %v", major, c.typ, printed, err)
				}
				if string(a) != string(b) {
					t.Errorf("PostgreSQL %d, %s: %q was printed as %q: %x and %x", major, c.typ, written, printed, a, b)
				}
				if other, ok := seen[string(b)]; ok {
					t.Errorf("%s: %q and %q have one form", c.typ, other, printed)
				}
				seen[string(b)] = string(printed)
				// Where the kind of a key can be compared by its bytes, what is read is what was written, byte for byte.
				if c.kind != change.JSON && c.typ != "character(3)" && c.typ != "numeric" && (got.N != want.N || string(got.B) != string(want.B)) {
					t.Errorf("PostgreSQL %d, %s: %q was read as %q", major, c.typ, written, got)
				}
			}
		}
	}
}
