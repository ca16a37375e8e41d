// Package postgres is PostgreSQL as the target of applying: its sessions, its statements and its ledger.
//
// # Invariants
//
//   - The ledger UPDATE is the first statement after BEGIN and stands alone. It names token and sequence, raises a counter, and a
//     transaction in which it finds no row is rolled back. What a step must change exactly is checked before COMMIT is sent.
//   - Values reach the server as what they are: the types of the parameters are those of the columns without their modifiers, so that
//     lengths are checked by the server's assignment; what that would round or cut in silence (decimals, fractions of seconds, trailing
//     blanks) is refused here.
//   - No value passes through time.Time, float64 or reflection on its way.
//   - Sessions have no triggers, no foreign keys and no surprises: session_replication_role=replica, synchronous_commit at least on, UTC, ISO
//     dates, lock_timeout 1 s. Waiting for a lock, deadlocks, lost connections and restarts are a [apply.LostError]: tried again.
//   - Joins of arrays with tables are planned with the array at hand and by index only: a plan made while the table was empty never meets it full.
//
// # Concurrency
//
// A [Target] may be used by any goroutine; an [apply.Session] by one at a time.
package postgres
