// Package apply writes the frames of one stream to a target, each exactly once.
//
// A dispatcher reads frames in order, decodes each once, and gives every change to the lane that its key hashes to. A lane is one
// connection, one ledger row and one order: it folds the changes of several frames into few statements and commits them together with
// its ledger row. What a target is, is the interface [Target]; apply/postgres is one.
//
// # Invariants
//
//   - A lane's rows and its ledger row commit in one transaction. The ledger statement is the first, checks the applier's token and the
//     sequence it starts from, and always changes its row. What a commit came to is read from the ledger, never assumed.
//   - Every [Applier.Run] takes a new token. An applier whose token is no longer in the ledger changes nothing and stops with [ErrRevoked].
//   - A barrier (marker, strict, truncate, a strict key change that needs the old row) runs while every lane stands on the frame before it,
//     and moves all ledger rows in one transaction: so all lanes are before a barrier, or none.
//   - A frame that is not the next one of its stream, in chain, is never applied, whatever the log has let pass; and nothing is applied before the frames
//     that the lanes stand on, those ahead too, are found in the stream.
//   - Until a table is strict its changes are idempotent: insert overwrites, update and delete act on what is there. In a strict table a
//     row that is missing or there twice is a [Violation] and stops everything.
//   - Folding never loses a column and never drops a delete that the target may need; tables whose key bytes do not decide equality, and
//     strict tables with further unique indexes, are applied change by change in order.
//   - What foreign keys of the source do to rows that its log does not name is done in the transaction of the change that they act on, before it. The tables that they tie
//     go through one lane, and are held and replayed together. Every row changed so is told to who watches before it is committed, and noted with the ledger.
//   - A row that is read again, or a change behind it, may meet a neighbour in a further unique index that the source has never seen it with. It is taken
//     away and listed to be read once more; no other row is touched.
//   - A refused row holds its table, in its lane, from the beginning of its frame. Nothing of the table is applied behind it until
//     [Applier.Replay], and [Applier.Floor] keeps its frames.
//   - A lane commits before it waits. An idle lane moves its ledger once a second, never into the middle of a frame that was cut into parts.
//
// # Concurrency
//
// Table states and the lane map belong to the dispatcher. It changes them only while every lane waits at a barrier; the lanes read them
// without locks. Decoded frames are shared by lanes, counted, and never changed once they are routed.
package apply
