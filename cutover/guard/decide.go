package guard

// Action is what a guard is configured to do.
type Action string

const (
	Pause    Action = "pause"
	Rollback Action = "rollback"
	Warn     Action = "warn"
	Hold     Action = "hold"
)

// Stage of a migration, as guards see it.
type Stage string

const (
	Away    Stage = ""        // nothing is watched: it is over, or what was decided is being carried out
	Before  Stage = "before"  // no attempt runs, and the source serves
	Attempt Stage = "attempt" // of a cutover, before its decision
	Soak    Stage = "soak"    // the target serves
	Return  Stage = "return"  // an attempt of a rollback, before its decision
)

// Decision is what follows from a guard whose condition stands.
type Decision string

const (
	None       Decision = ""
	Paused     Decision = "pause"    // the copy is throttled and no cutover let in, until the condition ends
	NoGo       Decision = "no_go"    // no cutover is let in, until the condition ends
	Aborted    Decision = "abort"    // of the attempt that runs
	Held       Decision = "hold"     // no decision, finalize or rollback until resume; an attempt that runs is aborted
	RolledBack Decision = "rollback" // the writes are to move back, if the go/no-go of that lets them
	Warned     Decision = "warn"
)

// Decide says what a rule comes to in a stage.
//
// A difference before the decision is mended by a repair, and a no-go until it is: so a hold that nobody has to lift. In the soak it is the old database that
// differs: going back would serve it, and what is right is for a person to say. A pause throttles the copy and keeps a cutover from beginning; it stops nothing
// that has begun, and is no reason against going back.
func (r Rule) Decide(s Stage) Decision {
	if s == Away {
		return None
	}
	switch r.Do {
	case Warn:
		return Warned
	case Pause:
		if s == Before || s == Attempt {
			return Paused
		}
		return None
	case Hold:
		if r.Measure == Differences && (s == Before || s == Attempt) {
			return stop(s)
		}
		return Held
	case Rollback:
		switch s {
		case Before, Attempt:
			return stop(s)
		case Soak:
			return RolledBack
		case Away, Return: // it is on its way
		}
		return None
	default:
		return None
	}
}

// stop is what keeps a decision from being made.
func stop(s Stage) Decision {
	if s == Attempt {
		return Aborted
	}
	return NoGo
}
