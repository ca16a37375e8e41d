package protocol

import (
	"fmt"
	"hash/maphash"
	"strings"
)

// The exploration: breadth first, so that a trace to what is wrong is among the shortest.

const chunk = 1 << 16 // states are kept in pieces, which need not be copied when there are more

type search struct {
	model
	states [][]state
	parent []uint32
	index  []uint64 // of a hash table with open addressing: state + 1, and above it the hash
	first  []uint32 // of a state's faultless followers in next
	next   []uint32
	n      uint32
	seed   maphash.Seed

	current uint32
	wrong   error
}

func (x *search) at(i uint32) *state { return &x.states[i/chunk][i%chunk] }

// slot finds a state's place in the hash table, given its hash.
func (x *search) slot(s *state, hash uint32) uint32 {
	mask := uint32(len(x.index) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		e := x.index[i]
		if e == 0 || uint32(e>>32) == hash && *x.at(uint32(e) - 1) == *s {
			return i
		}
	}
}

// grow makes room.
func (x *search) grow() {
	old := x.index
	x.index = make([]uint64, 2*len(old))
	mask := uint32(len(x.index) - 1)
	for _, e := range old {
		if e != 0 {
			i := uint32(e>>32) & mask
			for x.index[i] != 0 {
				i = (i + 1) & mask
			}
			x.index[i] = e
		}
	}
}

// add returns the number of a state.
func (x *search) add(s *state) uint32 {
	if uint64(x.n)*2 >= uint64(len(x.index)) {
		x.grow()
	}
	hash := uint32(maphash.Comparable(x.seed, *s))
	i := x.slot(s, hash)
	if x.index[i] == 0 {
		if x.n%chunk == 0 {
			x.states = append(x.states, make([]state, chunk))
		}
		*x.at(x.n) = *s
		x.parent = append(x.parent, x.current)
		x.n++
		x.index[i] = uint64(hash)<<32 | uint64(x.n)
	}
	return uint32(x.index[i]) - 1
}

// explore visits every state of a world and returns how many there are, or the first thing that is wrong; meet also what it came by.
func (w *world) explore() (int, error) {
	n, _, err := w.meet()
	return n, err
}

func (w *world) meet() (int, met, error) {
	x := &search{model: model{world: w, table: w.compile()}, index: make([]uint64, 1<<16), seed: maphash.MakeSeed()}
	x.emit = x.take
	s := w.first()
	x.add(&s)
	limit := uint32(w.limit)
	if limit == 0 {
		limit = 5_000_000
	}
	for ; x.current < x.n && x.wrong == nil; x.current++ {
		if x.n > limit {
			return int(x.n), x.met, fmt.Errorf("more than %d states", limit)
		}
		x.first = append(x.first, uint32(len(x.next)))
		s := *x.at(x.current)
		if bad := x.broken(&s); bad != "" {
			x.wrong = fmt.Errorf("%s\n%s", bad, x.trace(x.current))
			break
		}
		x.follow(&s)
	}
	if x.wrong == nil {
		x.ends()
	}
	return int(x.n), x.met, x.wrong
}

// follow emits what can happen in a state.
func (m *model) follow(s *state) {
	for i := range m.instances {
		m.walks(s, i)
	}
	m.surroundings(s)
}

func (x *search) take(s *state, k kind, l label) {
	if x.wrong != nil {
		return
	}
	if x.bad != "" {
		x.wrong = fmt.Errorf("%s\n%s  %s\n", x.bad, x.trace(x.current), l)
		return
	}
	x.canonical(s)
	if i := x.add(s); k == good {
		x.next = append(x.next, i)
	}
}

// ends looks from which states a good end can be reached without another fault.
func (x *search) ends() {
	x.first = append(x.first, uint32(len(x.next)))
	fine := make([]bool, x.n)
	for changed := true; changed; {
		changed = false
		for i := x.n; i > 0; {
			i--
			if fine[i] {
				continue
			}
			fine[i] = x.atGoodRest(x.at(i))
			for _, j := range x.next[x.first[i]:x.first[i+1]] {
				fine[i] = fine[i] || fine[j]
			}
			changed = changed || fine[i]
		}
	}
	for i, f := range fine {
		if !f {
			x.wrong = fmt.Errorf("L2: from here no good end can be reached\n%s", x.trace(uint32(i)))
			return
		}
	}
}

// trace tells how a state was reached.
func (x *search) trace(i uint32) string {
	var path []uint32
	for ; i != 0; i = x.parent[i] {
		path = append(path, i)
	}
	var out strings.Builder
	at := uint32(0)
	retell := x.model
	for j := len(path) - 1; j >= 0; j-- {
		s, want, told := *x.at(at), *x.at(path[j]), false
		retell.emit = func(n *state, _ kind, l label) {
			x.canonical(n)
			if *n == want && !told {
				told = true
				fmt.Fprintf(&out, "  %2d %s\n", len(path)-j, l)
			}
		}
		retell.bad = ""
		retell.follow(&s)
		at = path[j]
	}
	s := x.at(at)
	fmt.Fprintf(&out, "  then: source %s, target %s; %+v\n", s.db[0].String(), s.db[1].String(), *s)
	return out.String()
}

func (d *database) String() string {
	v := d.view()
	return fmt.Sprintf("open %v epoch %d, attempt %s %d, rows %v", v.Gate.Open, v.Gate.Epoch, v.Attempt.State, v.Attempt.Epoch, d.row)
}

func (l label) String() string {
	side := [2]Side{Source, Target}[l.w.side]
	if l.w.at == 0 {
		return fmt.Sprintf("%s (%s %d)", l.what, side, l.w.part)
	}
	return fmt.Sprintf("%s %s %d, %s is left", l.what, acts[l.w.at], l.w.epoch, side)
}
