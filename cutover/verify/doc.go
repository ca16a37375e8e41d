// Package verify proves that every row of the target equals its source row, while both change.
//
// A full pass reads both sides by key range, a round reads the keys that changed meanwhile. Both compare canonical(transform(source row)) with
// canonical(target row), and both are exact although nothing is locked:
//
//	s  := the sequence published last            everything up to it is visible to the source read (proof)
//	read the source
//	p  := the source's position now              the read saw nothing behind it
//	wait until the stream has published past p, and the target has applied that
//	read the target
//	a key without a change above s in the stream has been compared with itself; every other key stays touched
//
// # Invariants
//
//   - A key leaves the touched set only by a comparison that was equal and that had no change of the key above the comparison's s.
//   - The touched set is a checkpoint (a sequence and the keys touched up to it) plus the stream above that sequence, which is never purged
//     below it. A crash loses nothing of it.
//   - The set is bounded. What does not fit makes its table unverified until a full pass; nothing is dropped in silence.
//   - An unequal key is a difference only after further comparisons without a change in between. A difference is kept, across
//     restarts, until the key has been compared equal.
//   - Rows are read by code that shares nothing with the code that wrote them: of PostgreSQL the text that it prints, parsed by internal/canonical; of MySQL
//     and MariaDB as capture reads a source of theirs.
//
// # Decisions
//
// Rows are compared by a 128-bit hash of their canonical form. Memory for a range is 40 bytes a row, whatever the rows hold. The
// columns that differ are found by reading the two rows again, which only a difference pays for.
package verify
