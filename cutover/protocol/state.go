package protocol

import "fmt"

// Side is one of the two ends as the configuration names them, for ever: also after roles have changed.
type Side string

const (
	Source Side = "source"
	Target Side = "target"
)

// Other is the opposite side.
func (s Side) Other() Side {
	if s == Source {
		return Target
	}
	return Source
}

// Role is what a side is in an attempt.
type Role uint8

const (
	Leaving  Role = iota // closed by the fence; the attempt's row lives here
	Entering             // opened by the decision
)

func (r Role) String() string {
	if r == Leaving {
		return "leaving"
	}
	return "entering"
}

// State of an attempt, as its row says.
type State uint8

const (
	None      State = iota // no attempt was ever made
	Armed                  // the epoch is taken, gate triggers are being installed; no client sees anything
	Fenced                 // the gate of the side being left is closed
	Deciding               // the opening of the other side may have been sent
	Decided                // the other side is open and traffic was moved
	Aborting               // no opening was or will be sent for this epoch; being undone
	Aborted                // undone
	Finalized              // no attempt: whoever wrote it ended the soak, and this side, which is open, is never left again
	states
)

var stateNames = [states]string{"NONE", "ARMED", "FENCED", "DECIDING", "DECIDED", "ABORTING", "ABORTED", "FINALIZED"}

func (s State) String() string {
	if s < states {
		return stateNames[s]
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// ParseState reads the name of a state as it stands in the attempt's row.
func ParseState(s string) (State, error) {
	for i, n := range stateNames {
		if n == s {
			return State(i), nil
		}
	}
	return None, fmt.Errorf("unknown state %q of an attempt: run the version that wrote it", s)
}

// Live reports whether an attempt in this state is not yet settled.
func (s State) Live() bool { return s == Armed || s == Fenced || s == Deciding || s == Aborting }

// Gate says whether a side accepts the application's writes.
type Gate struct {
	Open  bool
	Epoch int64
}

// Attempt is the newest attempt to leave a side.
type Attempt struct {
	State State
	Epoch int64
}

// DB is what one database knows of one side of a migration.
type DB struct {
	Gate    Gate
	Attempt Attempt
	// Tokens counts how often the applier that writes to this side was locked out.
	Tokens int64
}
