// Package cutover moves an application's writes from one database to the other, or gives up and leaves everything as it was.
//
// It drives two gates (package gate), the stream, the verification and the switch steps through the interfaces in deps.go, along the tables
// of package protocol. It keeps nothing in memory that matters: the rows in schema crossfade of both databases say how far an attempt is,
// and any instance can abort it or carry it forward.
//
// # Invariants
//
//   - Before Begin every failure aborts, and an abort needs only the side being left. After Open nothing aborts: what fails is named and
//     tried again on demand. In between only the gate of the side entered decides, however long that takes.
//   - The intent of an effect is written before it, its evidence after it. Of a switch step only the instance whose intent was written runs
//     it; a step of unknown outcome is asked where traffic goes, and if that does not answer it, a person is.
//   - An error from a database says that the outcome is unknown, unless it wraps [ErrBusy].
//   - The journal of an attempt is its report: [Machine.Report] only reads.
//
// # The predicted pause
//
// The go/no-go says how long writes will pause, and refuses above max_pause. The parts are measured, by doing what the pause will do:
//
//   - Drain: a row of ours is committed on the side left, and timed until every lane's ledger has it. The daemon does so every few seconds, the go/no-go three times
//     more. That takes the backlog and a stuck lane with it, so the lag is not added: it would count the same rows twice, and counts from commit times, which are
//     those of the newest change and jump when a source is quiet. Idle lanes are hurried in both.
//   - Verify: rounds of the touched keys. One compares what a second has touched, which is more than what a fence leaves.
//   - Prove, journal, way back: the same reads, probes and commits as under the fence, timed now.
//   - Poolers and switch steps: how long they take to say where traffic goes, as often as they will be talked to. What a PAUSE waits for, the client with the longest
//     transaction, and what an exec step does cannot be measured without doing it.
//   - Fence: a commit, and a constant for the clients that have written and must end. Measuring it would make them wait; nothing is learned from earlier fences,
//     for there are hardly any.
//
// Of rounds a high percentile is taken (package rounds), not the mean: the pause is one round, and a refusal costs less than a pause that is too long.
package cutover
