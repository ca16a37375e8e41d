// Package capture merges the snapshot of a source and the tail of its log into one ordered stream of frames.
//
// An engine gives a [Tail] and reads under proof; this package decides what is published when, and what the place after it is.
//
// # Invariants
//
//   - Only committed transactions are published, in the order of the source's log, whole or in pieces.
//   - Every frame carries the place after it. Inside a transaction that is the place before the transaction and the number of its rows that
//     are done, counted as logged, before selection, filter and mapping; so a restart goes on at exactly the next row.
//   - A chunk is published only if its read has been proven to see every change published before it.
//   - What is not understood is a [Stop], never skipped. What stands before it is published.
//   - Rows that are read again are noted beside the stream before their deletion is published, until they are durable in it: a crash between loses none.
//   - Positions are opaque here: only the engine that wrote one reads it.
package capture
