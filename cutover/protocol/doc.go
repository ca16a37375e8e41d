// Package protocol is the cutover as data: the states of an attempt, the statements that are sent to the two databases, and the moves of
// whoever runs it. The daemon executes these tables on real databases; the tests of this package explore them exhaustively.
//
// One side is being left (its gate is open, its application writes go there), the other is entered. Forward the source is left and the
// target entered; a rollback is the same table with the sides exchanged, and both can be repeated. Every database has a gate and a row of attempts to
// leave its side. A decided attempt stays as it is: which side is open says whether traffic has come back since.
//
// # Invariants
//
//   - A statement is one transaction that locks its row, checks it by its [Rule] and otherwise changes nothing: it may run late, twice or never.
//   - Nobody remembers. Whoever does not know the outcome of a statement reads the databases ([Look], [Settle]) and goes on from there.
//   - Who may end an attempt is settled on the side being left, by compare-and-set: to Deciding, before the opening is first sent, or to
//     Aborting. Once Deciding, only the gate of the side entered settles it: it is found open, or its epoch is raised so that it can never open.
//   - A side is claimed for its opening only when the attempt by which it was once left is settled. So a rollback begins only once the cutover is
//     Decided, and nobody finds a gate that says less about the older attempt than it did.
//   - [Finalize] takes the row of attempts of the side that is open, as [Arm] does: the soak ends, or a rollback lives, never both.
//   - The package imports the standard library only and knows no database.
package protocol
