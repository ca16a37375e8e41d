package testdb

import (
	"strings"
	"testing"
)

func TestMariaDBServersAnswerWithTheVersionAskedForAndKeepTheirRows(t *testing.T) {
	for _, version := range []string{"10.11", "11.8"} {
		t.Run(version, func(t *testing.T) {
			s := NewMariaDB(t, version)
			if !strings.HasPrefix(s.Version(), version+".") {
				t.Errorf("version %s", s.Version())
			}
			db := s.Database(t)
			if !strings.HasPrefix(db.URL(), "mariadb://") {
				t.Errorf("URL %s", db.URL())
			}
			db.Exec(t, "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (7)")
			if err := s.Kill(); err != nil {
				t.Fatal(err)
			}
			if err := s.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			var n int
			var format, metadata, pos string
			if err := db.DB.QueryRowContext(t.Context(), "SELECT id, @@binlog_format, @@binlog_row_metadata, @@gtid_binlog_pos FROM t").Scan(&n, &format, &metadata, &pos); err != nil {
				t.Fatal(err)
			}
			if n != 7 || format != "ROW" || metadata != "FULL" || pos == "" {
				t.Errorf("row %d, binlog_format %s, binlog_row_metadata %s, gtid_binlog_pos %q", n, format, metadata, pos)
			}
		})
	}
}
