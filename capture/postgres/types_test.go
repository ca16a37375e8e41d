package postgres

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-io/crossfade/capture"
	"github.com/crossfade-io/crossfade/internal/change"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

// typeCases are values of every type in SQL, and what they are in canonical form.
var typeCases = []struct {
	typ    string
	values [][2]string
}{
	{"smallint", [][2]string{{"-32768", "int -32768"}, {"32767", "int 32767"}}},
	{"integer", [][2]string{{"-2147483648", "int -2147483648"}}},
	{"bigint", [][2]string{{"-9223372036854775808", "int -9223372036854775808"}, {"9223372036854775807", "int 9223372036854775807"}}},
	{"oid", [][2]string{{"4294967295", "text 4294967295"}}},
	{"boolean", [][2]string{{"true", "bool t"}, {"false", "bool f"}}},
	{"numeric", [][2]string{{"'NaN'", "decimal NaN"}, {"'Infinity'", "decimal Infinity"}, {"1.10", "decimal 1.10"}, {"-0.000000000000000000000000000000000001", "decimal -0.000000000000000000000000000000000001"}, {"1e30", "decimal 1" + strings.Repeat("0", 30)}}},
	{"numeric(10,2)", [][2]string{{"1.1", "decimal 1.10"}, {"'NaN'", "decimal NaN"}}},
	{"real", [][2]string{{"123456.789", "float32 123456.79"}, {"'NaN'", "float32 NaN"}, {"'-Infinity'", "float32 -Inf"}, {"'-0'", "float32 -0"}, {"1e-45", "float32 1e-45"}}},
	{"double precision", [][2]string{{"0.1", "float64 0.1"}, {"5e-324", "float64 5e-324"}, {"'Infinity'", "float64 +Inf"}, {"'-0'", "float64 -0"}, {"9007199254740993", "float64 9.007199254740992e+15"}}},
	{"text", [][2]string{{"E'a\\\\b\\n''\"'", "text a\\b\n'\""}, {"''", "text "}, {"'😀 '", "text 😀 "}}},
	{"character varying(5)", [][2]string{{"'ab '", "text ab "}}},
	{"character(5)", [][2]string{{"'ab'", "text ab   "}}},
	{"name", [][2]string{{"'n'", "text n"}}},
	{"bytea", [][2]string{{`'\x00ff5c'`, "bytes 00ff5c"}, {"''", "bytes "}}},
	{"date", [][2]string{{"'2024-02-29'", "date 2024-02-29"}, {"'0044-03-15 BC'", "date 0044-03-15 BC"}, {"'infinity'", "date infinity"}, {"'12345-01-01'", "date 12345-01-01"}}},
	{"time", [][2]string{{"'24:00'", "time 24:00:00"}, {"'00:00:00.000001'", "time 00:00:00.000001"}}},
	{"timetz", [][2]string{{"'12:00:00+05:30'", "text 12:00:00+05:30"}}},
	{"timestamp", [][2]string{{"'2024-02-29 23:59:59.999999'", "datetime 2024-02-29 23:59:59.999999"}, {"'-infinity'", "datetime -infinity"}, {"'0044-03-15 12:00 BC'", "datetime 0044-03-15 12:00:00 BC"}}},
	{"timestamp(3)", [][2]string{{"'2024-01-01 00:00:00.1239'", "datetime 2024-01-01 00:00:00.124"}}},
	{"timestamptz", [][2]string{{"'2024-01-01 05:30:00+05:30'", "timestamp 2024-01-01 00:00:00"}, {"'infinity'", "timestamp infinity"}, {"'0044-03-15 12:00:00+00 BC'", "timestamp 0044-03-15 12:00:00 BC"}}},
	{"interval", [][2]string{{"'1 mon'", "text 1 mon"}, {"'30 days'", "text 30 days"}, {"'-1 year 2 mons -3 days 04:05:06.789'", "text -10 mons -3 days +04:05:06.789"}}},
	{"uuid", [][2]string{{"'FFFFFFFF-FFFF-4FFF-BFFF-FFFFFFFFFFFF'", "text ffffffff-ffff-4fff-bfff-ffffffffffff"}}},
	{"json", [][2]string{{`'{"b":  1, "b": 2}'`, `json {"b":  1, "b": 2}`}}},
	{"jsonb", [][2]string{{`'{"b": 1, "a": [1.50, null]}'`, `json {"a": [1.50, null], "b": 1}`}}},
	{"bit(3)", [][2]string{{"B'101'", "bits 101"}}},
	{"bit varying(9)", [][2]string{{"B'0101'", "bits 0101"}, {"B''", "bits "}}},
	{"integer[]", [][2]string{{"'{1,NULL,3}'", "text {1,NULL,3}"}, {"'[5:6]={1,2}'", "text [5:6]={1,2}"}, {"'{{1},{2}}'", "text {{1},{2}}"}}},
	{"text[]", [][2]string{{`'{a,"b c",NULL,"NULL"}'`, `text {a,"b c",NULL,"NULL"}`}}},
	{"timestamptz[]", [][2]string{{`'{"2024-01-01 05:30:00+05:30"}'`, `text {"2024-01-01 00:00:00+00"}`}}},
	{"bytea[]", [][2]string{{`'{"\\x00ff"}'`, `text {"\\x00ff"}`}}},
	{"int4range", [][2]string{{"'[1,5)'", "text [1,5)"}, {"'empty'", "text empty"}}},
	{"tstzrange", [][2]string{{"'[2024-01-01 00:00:00+01,)'", `text ["2023-12-31 23:00:00+00",)`}}},
	{"int4multirange", [][2]string{{"'{[1,3),[5,7)}'", "text {[1,3),[5,7)}"}}},
	{"inet", [][2]string{{"'192.168.0.1/24'", "text 192.168.0.1/24"}, {"'::1'", "text ::1"}}},
	{"cidr", [][2]string{{"'10.0.0.0/8'", "text 10.0.0.0/8"}}},
	{"macaddr", [][2]string{{"'08:00:2b:01:02:03'", "text 08:00:2b:01:02:03"}}},
	{"money", [][2]string{{"12.34", "text $12.34"}}},
	{"point", [][2]string{{"'(1.5,-2)'", "text (1.5,-2)"}}},
	{"xml", [][2]string{{"'<a b=\"c\">é</a>'", `text <a b="c">é</a>`}}},
	{"tsvector", [][2]string{{"'a:1 b:2,3A'", "text 'a':1 'b':2,3A"}}},
	{"pg_lsn", [][2]string{{"'16/B374D848'", "text 16/B374D848"}}},
	{"mood", [][2]string{{"'it''s'", "text it's"}}},
	{"positive", [][2]string{{"7", "text 7"}}},
	{"pair", [][2]string{{`'(1,"a b")'`, `text (1,"a b")`}}},
}

// Every value of every type is the same bytes whether it is read from the log or by SELECT, whatever the writing session prints, and it is the canonical form.
func TestEveryTypeIsReadExactly(t *testing.T) {
	versions(t, func(t *testing.T, d *testdb.PostgresDB) {
		d.Exec(t, "CREATE TYPE mood AS ENUM ('ok', 'it''s'); CREATE DOMAIN positive AS int CHECK (VALUE > 0); CREATE TYPE pair AS (a int, b text)")
		for i, c := range typeCases {
			d.Exec(t, fmt.Sprintf("CREATE TABLE t%02d (id int PRIMARY KEY, v %s)", i, c.typ))
		}
		s := follow(t, d)
		tail := s.tail(s.from)
		var want []string
		d.Exec(t, "SET timezone = 'Asia/Kolkata'; SET datestyle = 'German'; SET intervalstyle = 'iso_8601'; SET bytea_output = 'escape'; SET extra_float_digits = -5")
		for i, c := range typeCases {
			for j, v := range c.values {
				d.Exec(t, fmt.Sprintf("INSERT INTO t%02d VALUES (%d, %s)", i, j+1, v[0]))
				want = append(want, fmt.Sprintf("insert t%02d -> [int %d | %s]", i, j+1, v[1]), "commit")
			}
		}
		s.sees(tail, want[:len(want)-1]...)
		for i, c := range typeCases {
			var rows []string
			if err := s.ReadRange(t.Context(), s.now(), s.table(fmt.Sprintf("t%02d", i)), nil, nil, func(r change.Row) error {
				rows = append(rows, write(r))
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			for j, v := range c.values {
				if w := fmt.Sprintf("int %d | %s", j+1, v[1]); j >= len(rows) || rows[j] != w {
					t.Errorf("%s: SELECT gives %q, want %q", c.typ, rows, w)
				}
			}
		}
	})
}

// Ranges of every kind of key cut the table exactly, and keys find their rows.
func TestRangesAndKeysFindTheirRows(t *testing.T) {
	versions(t, func(t *testing.T, d *testdb.PostgresDB) {
		d.Exec(t, `CREATE TABLE k_int (k bigint PRIMARY KEY, v int); CREATE TABLE k_text (k text COLLATE "en-x-icu" PRIMARY KEY, v int); CREATE TABLE k_two (a date, b uuid, v int, PRIMARY KEY (a, b));
			CREATE TABLE k_num (k numeric PRIMARY KEY, v int); CREATE TABLE k_bytes (k bytea PRIMARY KEY, v int); CREATE TABLE k_tz (k timestamptz PRIMARY KEY, v int); CREATE TABLE k_float (k float8 PRIMARY KEY, v int);
			INSERT INTO k_int SELECT i * 7 - 300, i FROM generate_series(1, 100) AS i;
			INSERT INTO k_text SELECT CASE WHEN i % 2 = 0 THEN 'é' ELSE 'E' END || i, i FROM generate_series(1, 100) AS i;
			INSERT INTO k_two SELECT '2024-01-01'::date + i / 10, md5(i::text)::uuid, i FROM generate_series(1, 100) AS i;
			INSERT INTO k_num SELECT i / 3.0, i FROM generate_series(1, 98) AS i; INSERT INTO k_num VALUES ('NaN', 99), ('Infinity', 100);
			INSERT INTO k_bytes SELECT decode(md5(i::text), 'hex'), i FROM generate_series(1, 100) AS i;
			INSERT INTO k_tz SELECT '2024-01-01'::timestamptz + i * interval '1.5 seconds', i FROM generate_series(1, 98) AS i; INSERT INTO k_tz VALUES ('infinity', 99), ('0044-03-15 BC', 100);
			INSERT INTO k_float SELECT i / 7.0, i FROM generate_series(1, 97) AS i; INSERT INTO k_float VALUES ('NaN', 98), ('Infinity', 99), ('-Infinity', 100)`)
		s := follow(t, d)
		proof := s.now()
		for _, table := range s.tables {
			seen := map[int64]int{}
			var keys []change.Row
			collect := func(r change.Row) error {
				seen[r[len(r)-1].Int()]++
				return nil
			}
			var after change.Row
			for {
				upTo, last, err := s.Bound(t.Context(), table, after, 13)
				if err != nil {
					t.Fatal(err)
				}
				if err := s.ReadRange(t.Context(), proof, table, after, upTo, collect); err != nil {
					t.Fatal(err)
				}
				if last {
					break
				}
				keys, after = append(keys, upTo), upTo
			}
			for n := int64(1); n <= 100; n++ {
				if seen[n] != 1 {
					t.Errorf("%s: row %d was read %d times", table, n, seen[n])
				}
			}
			clear(seen)
			if err := s.ReadKeys(t.Context(), proof, table, keys, collect); err != nil || len(seen) != len(keys) {
				t.Errorf("%s: %d rows for %d keys, %v", table, len(seen), len(keys), err)
			}
		}
	})
}

// A commit that waits for a synchronous standby is in the log before any snapshot sees it. A read under its proof does not happen before.
func TestAReadSeesEverythingThatWasReadFromTheLog(t *testing.T) {
	server := testdb.NewPostgres(t, 18)
	d := server.Database(t)
	d.Exec(t, "CREATE TABLE a (id int PRIMARY KEY, v int); INSERT INTO a VALUES (1, 1)")
	s := follow(t, d)
	s.proofWait = 300 * time.Millisecond
	d.Exec(t, "ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
	d.Exec(t, "SELECT pg_reload_conf()")
	read := func(proof string) (v int64, err error) {
		err = s.ReadRange(t.Context(), proof, s.tables[0], nil, nil, func(r change.Row) error {
			v = r[1].Int()
			return nil
		})
		return v, err
	}
	for _, known := range []bool{true, false} {
		tail := s.tail(s.from)
		if known { // everything before is proven, so that only what is read from now on is asked for
			if _, err := read(s.from); err != nil {
				t.Fatal(err)
			}
		}
		conn := d.Connect(t)
		done := make(chan error, 1)
		go func() {
			_, err := conn.Exec(t.Context(), "UPDATE a SET v = v + 1")
			done <- err
		}()
		for row := false; ; {
			e, err := tail.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			row = row || e.Kind == capture.Row
			if row && e.Kind == capture.Commit { // not that of a heartbeat
				break
			}
		}
		place := tail.Place()
		if !known {
			s.seen.begin(1 << 62) // as after a start: nothing is known
		}
		if v, err := read(place); !errors.Is(err, capture.ErrNotVisible) {
			t.Fatalf("known=%v: read %d, %v, though the commit is not visible", known, v, err)
		}
		d.Exec(t, "ALTER SYSTEM RESET synchronous_standby_names")
		d.Exec(t, "SELECT pg_reload_conf()")
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		want := map[bool]int64{true: 2, false: 3}[known]
		if v, err := read(place); err != nil || v != want {
			t.Errorf("known=%v: read %d, %v, want %d", known, v, err, want)
		}
		tail.Release(place)
		if err := tail.Close(); err != nil {
			t.Fatal(err)
		}
		s.from = place
		d.Exec(t, "ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
		d.Exec(t, "SELECT pg_reload_conf()")
	}
}
