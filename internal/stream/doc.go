// Package stream is the durable, ordered log between capture and apply: one JetStream stream per migration, embedded in this process or on an
// external NATS server, through the same code.
//
// A [Log] has one writer, [Log.Append], and any number of readers, [Log.Read]. Beside the frames it keeps small facts (schema versions) outside
// the purge, the last value of each key: [Log.Put], [Log.Get], [Log.Keys].
//
// # Invariants
//
//   - Acknowledged means fsynced. The embedded server runs with sync always and Open refuses it without; on an external server it is
//     the operator's part (sync_interval: always), because a client cannot see it.
//   - Frames stand in one chain. Each carries the stream's id, its sequence, the checksum of the frame before it and its own, and is published
//     with the expected last sequence. So no retry doubles a frame, no lost message leaves a hole, and a second writer is refused ([ErrFenced]).
//   - A frame is sealed once. Every retry, after a disconnect, a timeout or a full stream, sends the same bytes to the same place.
//   - Anything that is not the continuation of what the reader stands on is an error with its own name ([ErrHole], [ErrForeign], [ErrShrunk],
//     [ErrPurged], change.ErrCorrupt), never skipped and never waited for in silence.
//   - A full stream, or a disk about to be full, is back-pressure: Append blocks, [Stats] says why, nothing is dropped.
//   - The last frame is never purged: the next writer resumes from it.
//
// # Decisions
//
// The subject carries the stream's id, so a writer that outlives its stream cannot write into one recreated under the same name.
// Single frames are read through the leader (no direct get): a replica that lags would look like a stream that shrank.
// Each Reader has a connection of its own, so bulk reads delay neither acknowledgements nor each other, and the broker's limit of bytes
// pending for one client is never shared.
package stream
