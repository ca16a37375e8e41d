package mysql

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/crossfade-io/crossfade/capture"
	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/change"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

func readAll(t testing.TB, s *Source, table *catalog.Table) []change.Row {
	t.Helper()
	var rows []change.Row
	err := s.ReadRange(t.Context(), now(t, s), table, nil, nil, func(r change.Row) error {
		rows = append(rows, r.Clone())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestEveryTypeIsReadExactly(t *testing.T) {
	d := testdb.MySQL(t).Database(t)
	s := open(t, d)
	for i, c := range []struct {
		typ, value string // value is SQL
		want       string
	}{
		{"tinyint", "-128", "int -128"},
		{"tinyint(1)", "5", "int 5"},
		{"tinyint unsigned", "255", "int 255"},
		{"smallint unsigned zerofill", "7", "int 7"},
		{"mediumint", "-8388608", "int -8388608"},
		{"int unsigned", "4294967295", "int 4294967295"},
		{"bigint", "-9223372036854775808", "int -9223372036854775808"},
		{"bigint", "9223372036854775807", "int 9223372036854775807"},
		{"bigint unsigned", "9223372036854775807", "int 9223372036854775807"},
		{"bigint unsigned", "9223372036854775808", "uint 9223372036854775808"},
		{"bigint unsigned", "18446744073709551615", "uint 18446744073709551615"},
		{"year", "0", "int 0"},
		{"year", "2155", "int 2155"},
		{"float", "123456.789", "float32 123456.79"},
		{"float", "16777217", "float32 1.6777216e+07"},
		{"float", "-0e0", "float32 -0"},
		{"float", "1e-45", "float32 1e-45"},
		{"float", "3.402823466e38", "float32 3.4028235e+38"},
		{"float(7,3)", "1234.5678", "float32 1234.568"},
		{"float unsigned zerofill", "1.5", "float32 1.5"},
		{"double", "0.1", "float64 0.1"},
		{"double", "-0e0", "float64 -0"},
		{"double", "1.7976931348623157e308", "float64 1.7976931348623157e+308"},
		{"double", "5e-324", "float64 5e-324"},
		{"double", "9007199254740993", "float64 9.007199254740992e+15"},
		{"double(20,3)", "12345678901234.567", "float64 1.2345678901234566e+13"},
		{"decimal(65,30)", "-12345678901234567890123456789012345.123456789012345678901234567890", "decimal -12345678901234567890123456789012345.123456789012345678901234567890"},
		{"decimal(10,2)", "0.5", "decimal 0.50"},
		{"decimal(10,2)", "-0.001", "decimal 0.00"},
		{"decimal(10,0)", "0", "decimal 0"},
		{"decimal(10,2) zerofill", "7.1", "decimal 7.10"},
		{"decimal(10,2) zerofill", "0", "decimal 0.00"},
		{"bit(1)", "b'1'", "bits 1"},
		{"bit(9)", "b'100000001'", "bits 100000001"},
		{"bit(64)", "18446744073709551615", "bits " + strings.Repeat("1", 64)},
		{"bit(12)", "5", "bits 000000000101"},
		{"date", "'0000-00-00'", "date 0000-00-00"},
		{"date", "'2024-00-10'", "date 2024-00-10"},
		{"date", "'2024-02-31'", "date 2024-02-31"},
		{"date", "'9999-12-31'", "date 9999-12-31"},
		{"datetime", "'2024-01-02 03:04:05'", "datetime 2024-01-02 03:04:05"},
		{"datetime(6)", "'9999-12-31 23:59:59.000001'", "datetime 9999-12-31 23:59:59.000001"},
		{"datetime(3)", "'0000-00-00'", "datetime 0000-00-00 00:00:00.000"},
		{"timestamp(6) null", "'2038-01-19 03:14:07.999999'", "timestamp 2038-01-19 03:14:07.999999"},
		{"timestamp null", "0", "timestamp 0000-00-00 00:00:00"},
		{"time(6)", "'-838:59:59'", "time -838:59:59.000000"},
		{"time", "'-00:00:01'", "time -00:00:01"},
		{"time(2)", "'100:00:00.5'", "time 100:00:00.50"},
		{"char(5)", "'ab  '", "text ab"},
		{"varchar(5)", "'ab  '", "text ab  "},
		{"varchar(5) character set latin1", "_latin1 x'80e9'", "text €é"},
		{"varchar(20)", "'😀\\0''\\\\'", "text 😀\x00'\\"},
		{"longtext", "''", "text "},
		{"varchar(9) character set utf16", "'日本'", "text 日本"},
		{"binary(4)", "'a'", "bytes 61000000"},
		{"varbinary(4)", "x'00ff00'", "bytes 00ff00"},
		{"mediumblob", "x'00ff'", "bytes 00ff"},
		{"enum('a','b,c','ü')", "'ü'", "text ü"},
		{"enum('a','b')", "0", "text "},
		{"set('a','b c','z')", "'z,a'", "text a,z"},
		{"set('a')", "''", "text "},
		{"json", `'{"b": 1, "a": [1.0, "ü", null, 12345678901234567890]}'`, `json {"a": [1.0, "ü", null, 12345678901234567890], "b": 1}`},
		{"point", "ST_GeomFromText('POINT(1 2)', 4326)", "bytes e6100000" + "0101000000" + "0000000000000040" + "000000000000f03f"},
		{"int generated always as (7) virtual", "DEFAULT", "int 7"},
		{"int invisible", "3", "int 3"},
		{"int", "NULL", "null"},
		{"float", "NULL", "null"},
	} {
		name := fmt.Sprintf("t%d", i)
		d.Exec(t, "SET SESSION sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+00:00'; CREATE TABLE "+name+" (id int PRIMARY KEY, v "+c.typ+"); INSERT INTO "+name+" (id, v) VALUES (1, "+c.value+")")
		if got := write(readAll(t, s, tables(t, d)[name])[0][1:]); got != c.want {
			t.Errorf("%s of %s: read %s, want %s", c.value, c.typ, got, c.want)
		}
	}
}

// Every float comes back with its bits, whatever number of digits it takes.
func TestFloatsKeepTheirBits(t *testing.T) {
	d := testdb.MySQL(t).Database(t)
	s := open(t, d)
	d.Exec(t, "CREATE TABLE f (id int PRIMARY KEY, f float, d double)")
	rnd := rand.New(rand.NewPCG(1, 2))
	var f []float32
	var g []float64
	for i := range 2000 {
		x := math.Float32frombits(rnd.Uint32())
		y := math.Float64frombits(rnd.Uint64())
		if x != x || math.IsInf(float64(x), 0) || y != y || math.IsInf(y, 0) {
			x, y = float32(i)/3, float64(i)/7
		}
		f, g = append(f, x), append(g, y)
	}
	var b strings.Builder
	for i := range f {
		fmt.Fprintf(&b, ", (%d, %.17e, %.17e)", i, f[i], g[i])
	}
	d.Exec(t, "INSERT INTO f VALUES "+b.String()[2:])
	for i, row := range readAll(t, s, tables(t, d)["f"]) {
		if math.Float32bits(row[1].Float32()) != math.Float32bits(f[i]) || math.Float64bits(row[2].Float64()) != math.Float64bits(g[i]) {
			t.Fatalf("row %d: read %v %v, stored %v %v", i, row[1], row[2], f[i], g[i])
		}
	}
}

// keyTables are tables of every kind of key, with rows that are awkward for it: extremes, values that compare in another order than their bytes.
func keyTables(t *testing.T, d *testdb.MySQLDB) map[string]string {
	t.Helper()
	many := func(format string, n int) string {
		var out []string
		for i := range n {
			out = append(out, fmt.Sprintf(format, i))
		}
		return strings.Join(out, ", ")
	}
	// declaration of the key, then the rows
	cases := map[string][2]string{
		"k_int":        {"k int PRIMARY KEY", "(-2147483648), (-1), (0), (1), (10), (9), (2147483647)"},
		"k_ubig":       {"k bigint unsigned PRIMARY KEY", "(0), (9223372036854775807), (9223372036854775808), (18446744073709551615), (18446744073709551614), (1)"},
		"k_year":       {"k year PRIMARY KEY", "(0), (1901), (1970), (2000), (2024), (2155), (1999)"},
		"k_text_ai_ci": {"k varchar(50) PRIMARY KEY", `('a'), ('B'), ('é'), ('z'), ('Z1'), (''), ('a b'), ('q\0r'), ('it''s'), ('back\\'), ('日本'), ('😀'), ('ß'), ('_'), ('a '), ('aa')`},
		"k_text_cs":    {"k varchar(50) COLLATE utf8mb4_0900_as_cs PRIMARY KEY", `('a'), ('A'), ('B'), ('é'), ('e'), ('É'), ('z'), ('\n'), ('1'), ('10'), ('9')`},
		"k_text_bin":   {"k varchar(50) COLLATE utf8mb4_bin PRIMARY KEY", `('a'), ('A'), ('B'), ('\0'), ('a\t'), ('é'), ('z'), ('\n')`},
		"k_text_pad":   {"k varchar(50) COLLATE utf8mb4_general_ci PRIMARY KEY", `('a'), ('a\t'), ('a\0'), ('a!'), ('ab'), ('B'), (''), ('é1')`},
		"k_char":       {"k char(10) COLLATE utf8mb4_unicode_ci PRIMARY KEY", `('a'), ('a\t'), ('ab'), ('B'), (''), ('Straße')`},
		"k_latin1":     {"k varchar(50) CHARACTER SET latin1 PRIMARY KEY", `('a'), ('Ä'), ('€'), ('z'), ('ß'), ('Ø'), (_latin1 x'81'), (_latin1 x'a0')`},
		"k_latin1_bin": {"k varchar(50) CHARACTER SET latin1 COLLATE latin1_bin PRIMARY KEY", `('a'), ('Ä'), ('ä'), ('€'), ('z'), ('A')`},
		"k_utf8mb3":    {"k varchar(50) CHARACTER SET utf8mb3 PRIMARY KEY", `('a'), ('Öl'), ('日'), ('z')`},
		"k_utf16":      {"k varchar(50) CHARACTER SET utf16 PRIMARY KEY", `('a'), ('Öl'), ('日'), ('😀'), ('z')`},
		"k_gbk":        {"k varchar(50) CHARACTER SET gbk PRIMARY KEY", `('a'), ('日'), ('本'), ('z'), ('\\'), ('''')`},
		"k_sjis":       {"k varchar(50) CHARACTER SET sjis PRIMARY KEY", `('a'), ('日'), ('本'), ('表'), ('z')`},
		"k_ascii":      {"k varchar(50) CHARACTER SET ascii PRIMARY KEY", `('a'), ('B'), ('''')`},
		"k_binary":     {"k binary(4) PRIMARY KEY", `(''), ('a'), ('a\0b'), (x'ff000000'), (x'00000001'), ('''\\''')`},
		"k_varbinary":  {"k varbinary(20) PRIMARY KEY", `(''), ('a'), ('a\0'), ('a\0\0'), (x'ff'), (x'00'), ('A')`},
		"k_date":       {"k date PRIMARY KEY", `('0000-00-00'), ('2024-00-10'), ('2024-02-31'), ('2024-02-29'), ('2024-03-01'), ('1000-01-01'), ('9999-12-31')`},
		"k_datetime":   {"k datetime(6) PRIMARY KEY", `('0000-00-00'), ('2024-02-31 00:00:00'), ('2024-02-29 23:59:59.999999'), ('2024-02-29 23:59:59.5'), ('2024-02-29')`},
		"k_timestamp":  {"k timestamp(3) PRIMARY KEY", `(0), ('1970-01-01 00:00:01'), ('2038-01-19 03:14:07.999'), ('2024-03-31 01:30:00'), ('2024-03-31 02:30:00.5')`},
		"k_time":       {"k time(2) PRIMARY KEY", `('-838:59:59'), ('-00:00:00.5'), ('00:00:00'), ('00:00:00.5'), ('100:00:00'), ('838:59:59'), ('09:00:00')`},
		"k_decimal":    {"k decimal(40,5) PRIMARY KEY", `(-12345678901234567890123456789012345.1), (-1), (-0.00001), (0), (0.5), (10), (9), (12345678901234567890123456789012345.99999)`},
		"k_float":      {"k float PRIMARY KEY", `(0.1), (0.2), (1e-40), (-1.1), (3.4e38), (16777216), (123456.789), (0)`},
		"k_double":     {"k double PRIMARY KEY", `(0.1), (0.2), (5e-324), (-1.1), (1.7976931348623157e308), (9007199254740993), (0)`},
		"k_bit":        {"k bit(12) PRIMARY KEY", `(b'0'), (b'1'), (b'111111111111'), (b'100000000000'), (b'101')`},
		"k_enum":       {"k enum('z','a','m','it''s') PRIMARY KEY", `('a'), ('z'), ('m'), ('it''s')`},
		"k_set":        {"k set('z','a','m') PRIMARY KEY", `('a'), ('z'), ('m'), ('z,m'), (''), ('z,a,m')`},
		"k_two":        {"a int, k varchar(20), PRIMARY KEY (a, k)", `(1,'b'), (1,'a'), (1,''), (2,'B'), (2,'a'), (0,'x'), (3,'a'), (1,'c')`},
		"k_three":      {"a int, b binary(2), k bigint unsigned, PRIMARY KEY (b, a, k)", `(1,'b',1), (1,'b',2), (1,'b',18446744073709551615), (2,'b',0), (-1,'b',5), (1,'a',1), (1,'c',1), (1,x'00',9), (1,x'ff',3)`},
		"k_enum_date":  {"a enum('y','x'), k date, PRIMARY KEY (a, k)", `('y','2024-01-02'), ('x','0000-00-00'), ('y','0000-00-00'), ('x','2024-02-31'), ('x','2023-02-01')`},
		"k_unique":     {"x int AUTO_INCREMENT, k varchar(10) NOT NULL, KEY (x), UNIQUE u (k)", `(DEFAULT,'b'), (DEFAULT,'A'), (DEFAULT,'c')`},
		"k_desc":       {"k int, PRIMARY KEY (k DESC)", "(1), (3), (2), (-5)"},
		"k_mixed_desc": {"a int, k int, PRIMARY KEY (a, k DESC)", "(1,1), (1,3), (2,2), (2,-5), (1,2), (0,0)"},
		"k_parts":      {"k int PRIMARY KEY) PARTITION BY HASH (k) PARTITIONS (3", many("(%d)", 40)},
		"k_odd name`":  {"`k ``\"odd` int PRIMARY KEY", "(1), (2)"},
		"k_reserved":   {"`order` int, `select` int, PRIMARY KEY (`order`, `select`)", "(1,2), (1,1), (0,5)"},
	}
	ddl := map[string]string{}
	for name, c := range cases {
		end := ")"
		head := c[0]
		if before, after, ok := strings.Cut(head, ") PARTITION"); ok {
			head, end = before, ") PARTITION"+strings.Replace(after, "(3", "3", 1)
		}
		quoted := string(appendName(nil, name))
		d.Exec(t, "SET SESSION sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+00:00'; CREATE TABLE "+quoted+" ("+head+end+"; INSERT INTO "+quoted+" VALUES "+c[1])
		ddl[name] = head
	}
	return ddl
}

func TestRangesOfEveryKindOfKeyCutTheTableExactly(t *testing.T) {
	d := testdb.MySQL(t).Database(t)
	s := open(t, d)
	ddl := keyTables(t, d)
	all := tables(t, d)
	if len(all) != len(ddl) {
		t.Fatalf("%d tables of %d", len(all), len(ddl))
	}
	proof := now(t, s)
	for name := range ddl {
		table := all[name]
		whole := readAll(t, s, table)
		var count int
		if err := d.DB.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM "+string(appendName(nil, name))).Scan(&count); err != nil {
			t.Fatal(err)
		}
		if len(whole) != count || count == 0 {
			t.Errorf("%s: %d rows read of %d", name, len(whole), count)
		}
		for n := 1; n <= 3; n++ {
			var cut []change.Row
			var after change.Row
			for {
				key, last, err := s.Bound(t.Context(), table, after, n)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				read := 0
				err = s.ReadRange(t.Context(), proof, table, after, key, func(r change.Row) error {
					cut = append(cut, r.Clone())
					read++
					return nil
				})
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if last != (key == nil) || !last && read != n || last && read >= n {
					t.Errorf("%s: bound %v, last %t, but %d rows of %d", name, key, last, read, n)
				}
				if last || len(cut) > count {
					break
				}
				after = key
			}
			same(t, fmt.Sprintf("%s in pieces of %d", name, n), cut, whole)
		}
		var keys, found []change.Row
		for _, row := range whole {
			var key change.Row
			for _, k := range table.Key {
				key = append(key, row[k])
			}
			keys = append(keys, key)
		}
		err := s.ReadKeys(t.Context(), proof, table, keys, func(r change.Row) error {
			found = append(found, r.Clone())
			return nil
		})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		same(t, name+" by its keys", sorted(found), sorted(slices.Clone(whole)))
		for i, key := range keys {
			n := 0
			err := s.ReadKeys(t.Context(), proof, table, []change.Row{key}, func(r change.Row) error {
				if n++; write(r) != write(whole[i]) {
					t.Errorf("%s: key %s found %s", name, write(key), write(r))
				}
				return nil
			})
			if err != nil || n != 1 {
				t.Errorf("%s: key %s found %d rows, %v", name, write(key), n, err)
			}
		}
	}
}

func same(t *testing.T, what string, got, want []change.Row) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d rows, want %d", what, len(got), len(want))
		return
	}
	for i := range got {
		if write(got[i]) != write(want[i]) {
			t.Errorf("%s: row %d is %s, want %s", what, i, write(got[i]), write(want[i]))
		}
	}
}

func sorted(rows []change.Row) []change.Row {
	slices.SortFunc(rows, func(a, b change.Row) int { return strings.Compare(write(a), write(b)) })
	return rows
}

// Reads and bounds touch the rows they return and hardly any other, through the index of the key, whatever its kind.
func TestReadsUseTheIndexOfTheKey(t *testing.T) {
	d := testdb.MySQL(t).Database(t)
	s := open(t, d)
	fill := func(name, ddl, values string) {
		d.Exec(t, "SET SESSION cte_max_recursion_depth = 10000; CREATE TABLE "+name+" ("+ddl+"); INSERT INTO "+name+
			" WITH RECURSIVE s (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM s WHERE i < 3999) SELECT "+values+" FROM s; ANALYZE TABLE "+name)
	}
	fill("x_int", "k int PRIMARY KEY, v int", "i, i")
	fill("x_ubig", "k bigint unsigned PRIMARY KEY, v int", "18446744073709551615 - i, i")
	fill("x_text", "k varchar(40) PRIMARY KEY, v int", "CONCAT('Key ', i), i")
	fill("x_latin1", "k varchar(40) CHARACTER SET latin1 PRIMARY KEY, v int", "CONCAT('ä', i), i")
	fill("x_binary", "k binary(4) PRIMARY KEY, v int", "UNHEX(LPAD(HEX(i), 8, '0')), i")
	fill("x_date", "k datetime(3) PRIMARY KEY, v int", "'2024-01-01' + INTERVAL i HOUR, i")
	fill("x_time", "k time PRIMARY KEY, v int", "SEC_TO_TIME(i * 60), i")
	fill("x_decimal", "k decimal(12,3) PRIMARY KEY, v int", "i / 8, i")
	fill("x_double", "k double PRIMARY KEY, v int", "i / 8, i")
	fill("x_float", "k float PRIMARY KEY, v int", "i / 8, i")
	fill("x_bit", "k bit(13) PRIMARY KEY, v int", "i, i")
	fill("x_two", "a int, b varchar(20), v int, PRIMARY KEY (a, b)", "i DIV 500, CONCAT('b', i), i")
	fill("x_three", "a int, b int, c binary(3), v int, PRIMARY KEY (a, b, c)", "i DIV 1000, i DIV 100, UNHEX(LPAD(HEX(i), 6, '0')), i")
	fill("x_enum", "e enum('z','a','m','b'), b int, v int, PRIMARY KEY (e, b)", "i DIV 1000 + 1, i, i")
	fill("x_unique", "v int, k int NOT NULL, UNIQUE (k)", "i, i")
	for name, table := range tables(t, d) {
		start, _, err := s.Bound(t.Context(), table, nil, 2000)
		if err != nil {
			t.Fatal(err)
		}
		var end change.Row
		touched := s.touched(t, func() {
			if end, _, err = s.Bound(t.Context(), table, start, 100); err != nil {
				t.Fatal(err)
			}
		})
		if touched > 150 {
			t.Errorf("%s: a bound of 100 rows touched %d", name, touched)
		}
		var keys []change.Row
		touched = s.touched(t, func() {
			err := s.ReadRange(t.Context(), now(t, s), table, start, end, func(r change.Row) error {
				var key change.Row
				for _, k := range table.Key {
					key = append(key, r[k].Clone())
				}
				keys = append(keys, key)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
		if len(keys) != 100 || touched > 150 {
			t.Errorf("%s: a range of %d rows touched %d", name, len(keys), touched)
		}
		touched = s.touched(t, func() {
			if err := s.ReadKeys(t.Context(), now(t, s), table, keys, func(change.Row) error { return nil }); err != nil {
				t.Fatal(err)
			}
		})
		if touched > 300 {
			t.Errorf("%s: %d keys touched %d rows", name, len(keys), touched)
		}
	}
}

// touched counts the rows that the reading sessions of f look at.
func (s *Source) touched(t *testing.T, f func()) int {
	t.Helper()
	count := func() (n int) {
		err := s.readers.with(t.Context(), silent, func(w *wire) error {
			text, _, err := w.one("SELECT SUM(VARIABLE_VALUE) FROM performance_schema.session_status WHERE VARIABLE_NAME LIKE 'Handler_read%'")
			if err == nil {
				_, err = fmt.Sscan(text, &n)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	count()
	own := -count() // what counting itself reads
	own += count()
	before := count()
	f()
	return count() - before - own
}

func TestReadKeysTakesMoreKeysThanOneStatementHolds(t *testing.T) {
	d := testdb.MySQL(t).Database(t)
	s := open(t, d)
	d.Exec(t, "CREATE TABLE m (a int, b varchar(300), PRIMARY KEY (a, b)); SET SESSION cte_max_recursion_depth = 10000; INSERT INTO m WITH RECURSIVE s (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM s WHERE i < 2999) SELECT i, REPEAT(CHAR(65 + i % 26), 300) FROM s")
	table := tables(t, d)["m"]
	var keys []change.Row
	for i := range 6000 { // every second one has no row
		keys = append(keys, change.Row{change.NewInt(int64(i / 2)), change.NewText(strings.Repeat(string(rune('A'+i/2%26)), 300-i%2))})
	}
	seen := map[int64]int{}
	err := s.ReadKeys(t.Context(), now(t, s), table, keys, func(r change.Row) error {
		seen[r[0].Int()]++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range int64(3000) {
		if seen[i] != 1 {
			t.Fatalf("row %d was read %d times", i, seen[i])
		}
	}
}

func TestAKeyOfTheWrongFormIsRefused(t *testing.T) {
	d := testdb.MySQL(t).Database(t)
	s := open(t, d)
	d.Exec(t, "CREATE TABLE a (k date PRIMARY KEY); CREATE TABLE b (k decimal(5,2) PRIMARY KEY); CREATE TABLE c (k enum('x') PRIMARY KEY); CREATE TABLE none (k int)")
	all := tables(t, d)
	for name, v := range map[string]change.Value{
		"a": {Kind: change.Date, B: []byte("2024-01-01' OR '1")}, "b": {Kind: change.Decimal, B: []byte("1 OR 1")}, "c": change.NewText("y"),
	} {
		for _, key := range []change.Row{{v}, {change.NewInt(1)}, {v, v}} {
			if _, _, err := s.Bound(t.Context(), all[name], key, 1); err == nil {
				t.Errorf("%s took the key %s", name, write(key))
			}
			if err := s.ReadKeys(t.Context(), now(t, s), all[name], []change.Row{key}, nil); err == nil {
				t.Errorf("%s took the key %s", name, write(key))
			}
		}
	}
	var stop *capture.Stop
	if _, _, err := s.Bound(t.Context(), all["none"], nil, 1); !errors.As(err, &stop) || !strings.Contains(stop.Remedy, "primary key") {
		t.Errorf("a table without a key: %v", err)
	}
}

func TestLargeRowsAreReadWhole(t *testing.T) {
	d := testdb.MySQL(t).Database(t)
	s := open(t, d)
	d.Exec(t, `CREATE TABLE l (id int PRIMARY KEY, b longblob, s varchar(10));
		INSERT INTO l VALUES (1, REPEAT('x', 100), 'first'), (2, REPEAT('y', 17000000), 'second'), (3, REPEAT('z', 16777215 - 14), 'third'), (4, 'small', 'fourth'), (5, REPEAT('w', 300000), 'fifth')`)
	want := []struct {
		n    int
		fill byte
		s    string
	}{{100, 'x', "first"}, {17000000, 'y', "second"}, {16777201, 'z', "third"}, {5, 0, "fourth"}, {300000, 'w', "fifth"}}
	i := 0
	err := s.ReadRange(t.Context(), now(t, s), tables(t, d)["l"], nil, nil, func(r change.Row) error {
		w := want[i]
		i++
		if len(r[1].B) != w.n || string(r[2].B) != w.s || w.fill != 0 && bytes.Count(r[1].B, []byte{w.fill}) != w.n {
			return fmt.Errorf("row %d has %d bytes and %q", i, len(r[1].B), r[2].B)
		}
		return nil
	})
	if err != nil || i != len(want) {
		t.Errorf("%d rows, %v", i, err)
	}
}

func TestReadsRunInParallelAndKeepApart(t *testing.T) {
	d := testdb.MySQL(t).Database(t)
	s := open(t, d)
	d.Exec(t, "CREATE TABLE p (id int PRIMARY KEY, v varchar(50)); SET SESSION cte_max_recursion_depth = 10000; INSERT INTO p WITH RECURSIVE s (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM s WHERE i < 7999) SELECT i, LEFT(SHA2(i, 224), 50) FROM s")
	table, proof := tables(t, d)["p"], now(t, s)
	var wg sync.WaitGroup
	for part := range 16 {
		wg.Go(func() {
			next := int64(part * 500)
			err := s.ReadRange(t.Context(), proof, table, change.Row{change.NewInt(next - 1)}, change.Row{change.NewInt(next + 499)}, func(r change.Row) error {
				if r[0].Int() != next {
					return fmt.Errorf("row %d where %d was expected", r[0].Int(), next)
				}
				next++
				return nil
			})
			if err != nil || next != int64(part*500+500) {
				t.Errorf("part %d ended at %d: %v", part, next, err)
			}
		})
	}
	wg.Wait()
	s.readers.mu.Lock()
	defer s.readers.mu.Unlock()
	if n := len(s.readers.idle); n < 1 || n > 4 {
		t.Errorf("%d sessions were used, 4 are the limit", n)
	}
}

func TestReadingAllocatesNothingPerRow(t *testing.T) {
	d := testdb.MySQL(t).Database(t)
	s := open(t, d)
	d.Exec(t, "CREATE TABLE z (id int PRIMARY KEY, f float, d double, c decimal(9,2), b bit(9), v varchar(50), t datetime(6), n int); SET SESSION cte_max_recursion_depth = 10000; INSERT INTO z WITH RECURSIVE s (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM s WHERE i < 4999) SELECT i, i/3, i/3, i/3, i % 512, LEFT(SHA2(i, 224), 50), NOW(6), NULL FROM s")
	table, proof := tables(t, d)["z"], now(t, s)
	rows := 0
	allocs := testing.AllocsPerRun(3, func() {
		rows = 0
		if err := s.ReadRange(t.Context(), proof, table, nil, nil, func(change.Row) error { rows++; return nil }); err != nil {
			t.Error(err)
		}
	})
	if rows != 5000 || allocs > 500 {
		t.Errorf("%d rows took %.0f allocations", rows, allocs)
	}
}

// The server would send such a value as '?'.
func TestTextThatCannotBeConvertedStopsTheRead(t *testing.T) {
	d := testdb.MySQL(t).Database(t)
	s := open(t, d)
	d.Exec(t, "CREATE TABLE odd (id int PRIMARY KEY, v varchar(9) CHARACTER SET ucs2); INSERT INTO odd VALUES (1, 'fine'), (2, _ucs2 x'0061D8000062')")
	var read []string
	err := s.ReadRange(t.Context(), now(t, s), tables(t, d)["odd"], nil, nil, func(r change.Row) error { read = append(read, write(r)); return nil })
	var stop *capture.Stop
	if !errors.As(err, &stop) || !strings.HasSuffix(stop.Object, "odd.v") || !strings.Contains(stop.Remedy, "'0061D8000062'") || len(read) != 1 {
		t.Errorf("read %v, %v", read, err)
	}
}

func TestATableChangedSinceItWasCataloguedIsNotRead(t *testing.T) {
	d := testdb.MySQL(t).Database(t)
	s := open(t, d)
	const ddl = "id int PRIMARY KEY, i int, u int unsigned, dc decimal(9,2), dt datetime(3), v varchar(9), b varbinary(9), e enum('a'), bt bit(3), y int, KEY other (i)"
	for name, alter := range map[string]string{
		"a1": "MODIFY i bigint", "a2": "MODIFY u int", "a3": "MODIFY dc decimal(9,3)", "a4": "MODIFY dt datetime(6)", "a5": "MODIFY v varbinary(9)",
		"a6": "MODIFY b varchar(9)", "a7": "MODIFY e varchar(9)", "a8": "MODIFY bt bit(4)", "a9": "DROP COLUMN y", "a10": "RENAME COLUMN y TO z",
		"a11": "DROP PRIMARY KEY", "a12": "RENAME TO gone", "a13": "MODIFY v json",
	} {
		d.Exec(t, "CREATE TABLE "+name+" ("+ddl+"); INSERT INTO "+name+" (id) VALUES (1)")
		table := tables(t, d)[name]
		if n := len(readAll(t, s, table)); n != 1 {
			t.Fatalf("%d rows", n)
		}
		d.Exec(t, "ALTER TABLE "+name+" "+alter)
		emitted := 0
		err := s.ReadRange(t.Context(), now(t, s), table, nil, nil, func(change.Row) error { emitted++; return nil })
		var stop *capture.Stop
		if !errors.As(err, &stop) || !strings.Contains(stop.Object, name) || stop.Remedy == "" || emitted > 0 {
			t.Errorf("%s: %d rows and %v", alter, emitted, err)
		}
	}
}
