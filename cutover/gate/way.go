package gate

import (
	"fmt"

	"github.com/crossfade-io/crossfade/cutover"
	"github.com/crossfade-io/crossfade/cutover/protocol"
)

// way is which end of the migration a side is, and what it is on the way taken: each is left once and entered once when a cutover is rolled back.
type way struct {
	side protocol.Side
	back bool
}

func (w way) role() protocol.Role {
	if (w.side == protocol.Source) != w.back {
		return protocol.Leaving
	}
	return protocol.Entering
}

// left is the side whose attempts this database's journal is about: its own, or the other's.
func (w way) left() protocol.Side {
	if w.role() == protocol.Leaving {
		return w.side
	}
	return w.side.Other()
}

// takes refuses a statement of the other role.
func (w way) takes(c cutover.Call) error {
	if c.Rule.On == w.role() {
		return nil
	}
	return fmt.Errorf("%s is a statement of the side %s, on this way the %s is the one %s: this is a bug", c.Rule.Act, c.Rule.On, w.side, w.role())
}

// here and there name a table at this end and at the other.
func (w way) here(t cutover.Table) cutover.Name {
	if w.side == protocol.Source {
		return t.Source
	}
	return t.Target
}

func (w way) there(t cutover.Table) cutover.Name { return way{side: w.side.Other()}.here(t) }

// number is the column of a table at this end whose numbers the server hands out; empty: none.
func (w way) number(t cutover.Table) string {
	if w.side == protocol.Source {
		return t.AutoIncrement
	}
	return t.Sequence
}
