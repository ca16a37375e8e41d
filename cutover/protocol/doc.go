// Package protocol is the cutover as data: the states of an attempt, the statements that are sent to the two databases, and the moves of
// whoever runs it. The daemon executes these tables on real databases; the tests of this package explore them exhaustively.
//
// One side is being left (its gate is open, its application writes go there), the other is entered. Forward the source is left and the
// target entered; a rollback is the same table with the sides exchanged.
//
// # Invariants
//
//   - A statement is one transaction that locks its row, checks it by its [Rule] and otherwise changes nothing: it may run late, twice or never.
//   - Nobody remembers. Whoever does not know the outcome of a statement reads the databases ([Look], [Settle]) and goes on from there.
//   - Who may end an attempt is settled on the side being left, by compare-and-set: to Deciding, before the opening is first sent, or to
//     Aborting. Once Deciding, only the gate of the side entered settles it: it is found open, or its epoch is raised so that it can never open.
//   - The package imports the standard library only and knows no database.
package protocol
