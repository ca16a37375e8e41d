// Package gate closes and opens the two sides of a migration for the application, and executes the statements of a cutover on them.
//
// The truth of a side is its row in crossfade.gate. Triggers on the migrated tables read it and refuse the application's writes unless it says
// open; our own sessions are exempt.
//
//   - MySQL and MariaDB, the side being left: row triggers, put up only for an attempt. They read the gate first without a lock and refuse, and only then
//     share-lock its row: so closing the gate waits for every transaction that has written, and whoever comes later is refused. Their names
//     carry the attempt's epoch, so that removing those of one attempt, however late, does not touch those of the next.
//   - PostgreSQL, the side being left: a statement trigger that asks nothing and always fires, for superusers and replicas too. The fence locks the tables,
//     which waits for all who have written, lists their partitions again, enables it, and writes the marker behind all rows, in one transaction. It is
//     opened by disabling it: a statement that looks the trigger up late must find it.
//   - The side entered: a trigger from the first day. It only reads the row: for a side that was never open nobody holds an older answer that would let him
//     write, and opening is the update of one row without a table lock. MySQL and MariaDB fire it for rows only: TRUNCATE and DDL pass it, and are found
//     by the verification. It stays when the side is left later, beside the fence.
//
// Each end is left and entered once when a cutover is rolled back, and again in another one. So both do both, whichever engine they have. A side that has been open is closed by its fence, also
// when it is entered next: an old snapshot may still read an open gate, and the fence does not ask it. After the decision it lets the applier through: in MySQL that user is exempt
// anyway, in PostgreSQL the trigger does not fire for sessions that replicate any more. Opening such a side of PostgreSQL locks its tables for a moment, and nobody but us
// writes to them then.
//
// # Invariants
//
//   - A statement is one transaction. It locks its row, checks it by the rule of package protocol, and else changes nothing. Its decision is
//     that package's code, run on the rows read under the lock.
//   - A missing gate row refuses.
//   - No session of ours waits longer than a second for a lock.
//   - Another server than the one asked for executes nothing.
package gate
