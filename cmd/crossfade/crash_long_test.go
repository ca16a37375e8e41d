//go:build long

package main

import (
	"testing"

	"github.com/crossfade-io/crossfade/internal/testdb"
)

// TestACrashAtEveryEdgeLosesNothing is the short test at all edges, also from PostgreSQL.
func TestACrashAtEveryEdgeLosesNothing(t *testing.T) {
	t.Run("MySQL to PostgreSQL", func(t *testing.T) {
		crashes(t, endOnMySQL(t, testdb.MySQL(t)), endOnPostgres(t, testdb.Postgres(t, 18)), len(edges()))
	})
	t.Run("PostgreSQL to PostgreSQL", func(t *testing.T) {
		crashes(t, endOnPostgres(t, testdb.Postgres(t, 15)), endOnPostgres(t, testdb.Postgres(t, 18)), len(edges()))
	})
}
