package postgres

import "sync"

// seen remembers which transactions have been read from the log, until a snapshot has been proven to see them: commits become visible in another order
// than they are logged, and with a synchronous standby that is away, any time later.
type seen struct {
	mu     sync.Mutex
	all    []transactionID
	known  uint64 // from here on every transaction read is in the list, or proven
	proven uint64 // up to here every transaction read is visible
}

// mostSeen bounds the list: 16 MiB.
const mostSeen = 1 << 20

type transactionID struct {
	lsn uint64 // of its commit record
	xid uint32
}

// begin says that a log is read from a place on.
func (s *seen) begin(lsn uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all, s.known = s.all[:0], lsn
}

func (s *seen) add(lsn uint64, xid uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all) >= mostSeen { // nobody has asked for a proof for long: the next one goes the other way
		s.all, s.known = s.all[:0], lsn
	}
	if n := len(s.all); n == 0 || s.all[n-1].lsn != lsn {
		s.all = append(s.all, transactionID{lsn, xid})
	}
}

// until returns the ids of the transactions up to a place that are not proven. whole says that the list has all of them.
func (s *seen) until(p position) (xids []int64, whole bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.all {
		if t.lsn < p.lsn || p.inside() && t.lsn <= p.in {
			xids = append(xids, int64(t.xid))
		}
	}
	return xids, s.proven >= s.known
}

// prove says that everything up to a place is visible, for good.
func (s *seen) prove(p position) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.proven = max(s.proven, p.lsn)
	n := 0
	for n < len(s.all) && s.all[n].lsn < s.proven {
		n++
	}
	s.all = append(s.all[:0], s.all[n:]...)
}
