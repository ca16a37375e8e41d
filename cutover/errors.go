package cutover

import (
	"errors"
	"fmt"
	"strings"
)

// ErrBusy is wrapped by errors of a statement that the server rolled back because of a lock: it changed nothing and may be sent again.
var ErrBusy = errors.New("a lock was not granted in time")

// ErrCrash, returned by a failpoint, makes the machine stop where it stands, as if its process had died there. For tests.
var ErrCrash = errors.New("stopped by a failpoint")

// NoGo says that the cutover was refused before it began. Exit code 3.
type NoGo struct{ Reasons []Finding }

func (e *NoGo) Error() string {
	var b strings.Builder
	b.WriteString("cutover refused")
	for i, r := range e.Reasons {
		if i == 0 {
			b.WriteString(": ")
		} else {
			b.WriteString("; ")
		}
		b.WriteString(r.Reason)
	}
	return b.String()
}

// Aborted says that an attempt was given up: the side being left serves again. Exit code 5.
type Aborted struct {
	Epoch  int64
	Reason string
	// Open is false while the gate could not be opened again yet; Settled is false while parts of the abort are still to be done
	// (a new applier, triggers), which [Machine.Recover] does.
	Open, Settled bool
}

func (e *Aborted) Error() string {
	switch {
	case !e.Open:
		return fmt.Sprintf("cutover %d aborted: %s; the source could not be opened yet, this goes on by itself", e.Epoch, e.Reason)
	case !e.Settled:
		return fmt.Sprintf("cutover %d aborted: %s; the source is open, the rest of the abort goes on by itself", e.Epoch, e.Reason)
	default:
		return fmt.Sprintf("cutover %d aborted: %s; the source is open", e.Epoch, e.Reason)
	}
}

// StepFailed says that the decision was made, or cannot be known yet, and that a step after it failed. Calling [Machine.Cutover] again goes
// on with it. Exit code 1.
type StepFailed struct {
	Epoch int64
	Step  string
	// Unknown: the step may have had its effect and its status does not say so. [Machine.Settle] settles it.
	Unknown bool
	Err     error
}

func (e *StepFailed) Error() string {
	if e.Unknown {
		return fmt.Sprintf("cutover %d: outcome of step %s is unknown: %v; find out, then `crossfade cutover --step %s --outcome done|retry`", e.Epoch, e.Step, e.Err, e.Step)
	}
	return fmt.Sprintf("cutover %d: step %s failed: %v; run `crossfade cutover` again to go on with it", e.Epoch, e.Step, e.Err)
}

func (e *StepFailed) Unwrap() error { return e.Err }

// ErrDecided refuses an abort after the decision. Exit code 3.
var ErrDecided = errors.New("the cutover is decided: the target serves, it cannot be aborted any more")

// ErrNothing refuses an abort, or settling a step, when there is nothing of the kind. Exit code 3.
var ErrNothing = errors.New("there is no such attempt")
