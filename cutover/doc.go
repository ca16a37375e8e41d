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
package cutover
