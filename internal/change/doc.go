// Package change is the event model: typed values, rows, changes, and the frames that carry them through the stream.
//
// A row is a slice of [Value], one per column of its [Table]. A [Change] is one row event. A frame is one stream message:
// a fixed header, the source position after it, a piece of JSON for control messages, and rows in a compact binary form.
//
// # Invariants
//
//   - The package imports the standard library only. Everything else stands on it.
//   - Absent is not Null. Absent says that the log did not carry the column; nobody may write it.
//   - A frame is sealed once, with the stream it belongs to, its sequence and the checksum of the frame before it. [Parse]
//     refuses a frame of which one bit differs.
//   - Decoding allocates nothing per value: values alias the frame's bytes and live in an [Arena] that the caller resets.
//   - Rows name their shape by its hash ([Table.ID]), so a row is always decoded with the shape it was written in.
//
// # Decisions
//
// Values that have no exact machine form (decimals, dates, times) travel as canonical text. It costs some bytes, and in return nothing
// is rounded, a zero or partial date is still a value, and both the log and the snapshot can be compared byte for byte.
// The checksum is two CRC32s (Castagnoli and IEEE), both computed by the processor: 64 bits at several GB/s with the standard library.
package change
