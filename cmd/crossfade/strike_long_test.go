//go:build long

package main

import "testing"

// TestWhoeverFailsAtAnyStepNothingIsLost is the short test with everything at every step.
func TestWhoeverFailsAtAnyStepNothingIsLost(t *testing.T) {
	t.Run("MySQL to PostgreSQL", func(t *testing.T) { mysqlToPostgres(t, 1000) })
	t.Run("PostgreSQL to PostgreSQL with a pooler", func(t *testing.T) { pooledPostgres(t, 1000) })
}
