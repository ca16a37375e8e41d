package main

import "fmt"

// ledger is what the application knows of the rows that it has written, from acknowledgements alone. Every row carries a version, which each write raises.
// A worker writes rows of its own only, so it has a ledger of its own, and what it knows of a row is in order.
type ledger map[rowKey]entry

// entry is the last acknowledged state of a row.
type entry struct {
	now      state
	maybe    *state // of a commit that may or may not have happened; nobody writes the row after it
	onTarget bool   // written after the switch
}

// state is a version of a row, or that it is gone.
type state struct {
	version uint32
	gone    bool
}

func (s state) String() string {
	if s.gone {
		return "deleted"
	}
	return fmt.Sprintf("version %d", s.version)
}

// effect is what a transaction does to a row.
type effect struct {
	key rowKey
	to  state
}

// acknowledge notes a transaction whose commit returned.
func (l ledger) acknowledge(effects []effect, at side) {
	for _, e := range effects {
		l[e.key] = entry{now: e.to, onTarget: at == target}
	}
}

// doubt notes a transaction whose commit did not return. before tells the state of rows that were not written yet.
func (l ledger) doubt(effects []effect, at side) {
	for _, e := range effects {
		was, known := l[e.key]
		if !known {
			was.now = state{version: 1}
			if e.to == (state{version: 1}) {
				was.now = state{gone: true} // inserted
			}
		}
		to := e.to
		l[e.key] = entry{now: was.now, maybe: &to, onTarget: at == target}
	}
}

// doubted reports whether nobody knows what became of the row.
func (l ledger) doubted(k rowKey) bool { return l[k].maybe != nil }

// version is what the row has, if nobody has deleted it; the shop begins with version 1.
func (l ledger) version(k rowKey) uint32 {
	if e, ok := l[k]; ok {
		return e.now.version
	}
	return 1
}

// holds reports whether what a database has is what was acknowledged.
func (e entry) holds(found state) bool { return found == e.now || e.maybe != nil && found == *e.maybe }
