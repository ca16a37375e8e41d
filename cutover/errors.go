package cutover

import (
	"errors"
	"fmt"
	"strings"

	"github.com/crossfade-io/crossfade/cutover/protocol"
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
	// Name of what was aborted, cutover or rollback, and Side that serves again.
	Name string
	Side protocol.Side
	// Open is false while the gate could not be opened again yet; Settled is false while parts of the abort are still to be done
	// (a new applier, triggers), which [Machine.Recover] does.
	Open, Settled bool
}

func (e *Aborted) Error() string {
	switch {
	case !e.Open:
		return fmt.Sprintf("%s %d aborted: %s; the %s could not be opened yet, this goes on by itself", e.Name, e.Epoch, e.Reason, e.Side)
	case !e.Settled:
		return fmt.Sprintf("%s %d aborted: %s; the %s is open, the rest of the abort goes on by itself", e.Name, e.Epoch, e.Reason, e.Side)
	default:
		return fmt.Sprintf("%s %d aborted: %s; the %s is open", e.Name, e.Epoch, e.Reason, e.Side)
	}
}

// StepFailed says that the decision was made, or cannot be known yet, and that a step after it failed. Calling [Machine.Cutover] again goes
// on with it. Exit code 1.
type StepFailed struct {
	Name  string // cutover or rollback
	Epoch int64
	Step  string
	// Unknown: the step may have had its effect and its status does not say so. [Machine.Settle] settles it.
	Unknown bool
	Err     error
}

func (e *StepFailed) Error() string {
	if e.Unknown {
		return fmt.Sprintf("%[1]s %[2]d: outcome of step %[3]s is unknown: %[4]v; find out, then `crossfade %[1]s --step %[3]s --outcome done|retry`", e.Name, e.Epoch, e.Step, e.Err)
	}
	return fmt.Sprintf("%[1]s %[2]d: step %[3]s failed: %[4]v; run `crossfade %[1]s` again to go on with it", e.Name, e.Epoch, e.Step, e.Err)
}

func (e *StepFailed) Unwrap() error { return e.Err }

// ErrDecided refuses an abort after the decision. Exit code 3.
var ErrDecided = errors.New("it is decided: the side entered serves, it cannot be aborted any more")

// ErrNothing refuses an abort, or settling a step, when there is nothing of the kind. Exit code 3.
var ErrNothing = errors.New("there is no such attempt")
