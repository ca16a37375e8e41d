// Package postgres reads a PostgreSQL database (14 to 18): its rows in ranges of the key, and its changes from logical replication.
//
// # Invariants
//
//   - Only committed transactions are returned, in the order of their commits: pgoutput is asked for protocol 1, without streaming and without two phases,
//     under which the rows of an aborted savepoint never come.
//   - A place inside a transaction is the commit record it will have and the number of its rows, counted as they are decoded, whatever their table. It is never
//     an LSN: the rows of one COPY share a few.
//   - What the server may forget follows Release and nothing else: not what was delivered, and never the end of the log that a keepalive names, before which
//     transactions may still end. It is never 0. The server hears from us every few seconds, also while nobody asks for the next event.
//   - A column that an update has not changed and the server keeps apart (TOAST) is absent, unless the whole old row has it. Generated columns are absent in both
//     ways of reading: before PostgreSQL 18 the log does not have them.
//   - A value read by SELECT and the same value read from the log are the same bytes: every session prints under the same settings. Types without a kind of their
//     own are the text that they print.
//   - A read is opened in a snapshot that is proven to see every transaction read from the log so far, each by its id; see [Source.ReadRange].
//   - Nothing is published that has no replica identity over its key: the application's updates would fail, or rows could not be found.
//   - A transaction whose first published row is one of this migration's crossfade.ledger is an applier's of ours: of it the commit alone is returned, provided that Setup found the ledger before.
//   - A message that was read is never lost with the time of whoever asked: it does not come again.
//   - A table of the log that is not the version in force is a [capture.Stop]. So is every message that is not known.
//
// # Concurrency
//
// A Source may be used by several goroutines; a tail by one.
//
// # Decisions
//
// The messages are parsed by code of our own (pgoutput.go): rows are read in place, without a value allocated. Commands and keepalives are
// pglogrepl's. Values are asked for as text: the text of a type is what the configuration, the target and a person see, and binary forms of arrays and
// user types would have to be known one by one. A partitioned table is read through its root, so that a row that moves to another partition stays a
// row of the table. The end of a caller's time is watched once for all calls with one context: a context for each message made reading 2.5 times slower.
//
// The tables are compared with the catalog every few seconds: the log says that a table has changed only with its next row, which for one that was dropped never
// comes. Rows that were rewritten in place are found by the files of their table ([Source.Storage]); what becomes of them is for the verification to say.
package postgres
