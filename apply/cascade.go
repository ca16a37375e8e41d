package apply

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/crossfade-io/crossfade/internal/change"
)

// A source that logs a deleted parent and not what its foreign keys did to the children (MariaDB, MySQL before 9.6) leaves that to us. The lane that applies
// the parent's change first carries out what the source's foreign keys say, over all levels, by the values that the target holds: in a table whose rows
// are exact that is what the source did, since everything before it in the log has been applied, in one order. So tables that are tied by such foreign keys go through one lane, and are held
// and replayed together.
//
// A table that is being copied is not exact: a chunk may have been read behind the parent's change, and then hold a child that became one only later,
// perhaps by a cascade that is not in the log. So a child that a cascade meets while its table is copied is listed to be read again. When the stream has passed
// everything that the reads have seen (the settled frame) only rows read again since can be newer than the log; without that a busy table would never be done.
//
// A cascade that goes through a table finds only the rows that are in the target: one that is not copied yet, or that waits to be read again, would hide its own
// children. So a table is copied when those through which cascades reach it are strict, and it is cleared before. Where tables refer to each other in a circle, or one to
// itself, there is no such order: a cascade through rows that are being copied may be missed there. The verification finds what is left behind.
//
// The alternative was to expand cascades in capture. That would need the children as they were at that place of the log, which nobody but the target has.

// Action is what a foreign key does to a child.
type Action uint8

const (
	NoAction Action = iota
	CascadeAction
	SetNullAction
)

// Tie is a foreign key whose actions are carried out here. It refers to the key of the parent's target table.
type Tie struct {
	Child   *change.Table // target shape
	Columns []int         // of Child, in the order of the parent's key
	// OnDelete and OnUpdate say what becomes of the children of a key that goes, and of one that changes.
	OnDelete, OnUpdate Action
}

// Cascade is what a step of foreign keys knows beside its rows.
type Cascade struct {
	tables map[string]*Table // that are tied, by source
	counts map[string]int    // of the tables, in Tx.Counts
}

// Shapes are the tables that the step may change.
func (c *Cascade) Shapes() (out []*change.Table) {
	for _, t := range c.tables {
		for i := range t.Setup.Ties {
			if child := t.Setup.Ties[i].Child; !slices.Contains(out, child) {
				out = append(out, child)
			}
		}
	}
	return out
}

// Cascaded is the key of a row that a cascade has changed.
type Cascaded struct {
	RecopyKey
	Again bool // it has to be read again
}

// cascadePage is how many children are looked at together.
const cascadePage = 1000

// maxCascaded is how many keys one transaction notes. Of a table with more only that it changed is noted: its key is empty then.
const maxCascaded = 100_000

// CascadeSession is what carries out a cascade: a [Session] in the middle of a transaction.
type CascadeSession interface {
	// Children returns up to limit rows of the tie's child table that refer to one of the parents, rows in which the parent's key stands. Only their keys are
	// there. Shape is the parent's. Those that refer to now already, byte for byte, are left out: a server may call an old key and a new one equal.
	Children(ctx context.Context, tie *Tie, shape *change.Table, parents []change.Row, now change.Row, limit int) ([]change.Row, error)
	// Run runs one step, and counts what it changes.
	Run(ctx context.Context, st *Step) error
}

// walk is one cascade under way.
type walk struct {
	session CascadeSession
	cascade *Cascade
	tx      *Tx
	going   map[string]map[string]bool // keys, by table, of rows that go and whose children are being looked at: a circle ends at them
}

func keyOf(t *change.Table, row change.Row) string {
	return string(change.AppendKey(nil, t.Key, row))
}

// Follow carries out what foreign keys do when the rows of a cascade step go, or get another key. It notes the children in tx.
func (st *Step) Follow(ctx context.Context, tx *Tx, session CascadeSession) error {
	w := &walk{session: session, cascade: st.Cascade, tx: tx, going: map[string]map[string]bool{}}
	if len(st.Rows) == 0 {
		return w.from(ctx, st.Shape, st.Keys, nil, false)
	}
	for i := range st.Keys {
		if err := w.from(ctx, st.Shape, st.Keys[i:i+1], st.Rows[i], false); err != nil {
			return err
		}
	}
	return nil
}

// from looks at the children of rows that go, or of one whose key becomes now's. In doubt whether that happens to these rows at all, for they may be newer than the log, the children
// are read again where that is possible.
func (w *walk) from(ctx context.Context, parent *change.Table, rows []change.Row, now change.Row, doubt bool) error {
	ties := w.cascade.tables[parent.Source].Setup.Ties
	if len(ties) == 0 || len(rows) == 0 {
		return nil
	}
	if now == nil {
		going := w.going[parent.Source]
		if going == nil {
			going = map[string]bool{}
			w.going[parent.Source] = going
		}
		for _, r := range rows {
			going[keyOf(parent, r)] = true
		}
		defer func() {
			for _, r := range rows {
				delete(going, keyOf(parent, r))
			}
		}()
	}
	for i := range ties {
		action := ties[i].OnDelete
		if now != nil {
			action = ties[i].OnUpdate
		}
		if action != NoAction {
			if err := w.along(ctx, &ties[i], parent, action, rows, now, doubt); err != nil {
				return err
			}
		}
	}
	return nil
}

// along follows one foreign key, page by page: the children of a page are not found again.
func (w *walk) along(ctx context.Context, tie *Tie, parent *change.Table, action Action, rows []change.Row, now change.Row, doubt bool) error {
	child := tie.Child
	first := ""
	for more := true; more; {
		limit, going := cascadePage, map[string]bool(nil)
		if now == nil { // rows that go already are found, too
			going = w.going[child.Source]
			limit += len(going)
		}
		children, err := w.session.Children(ctx, tie, parent, rows, now, limit)
		if err != nil {
			return err
		}
		more = len(children) == limit
		children = slices.DeleteFunc(children, func(c change.Row) bool { return going[keyOf(child, c)] })
		if len(children) == 0 {
			return nil
		}
		if len(children) > cascadePage {
			children, more = children[:cascadePage], true
		}
		if keyOf(child, children[0]) == first {
			return fmt.Errorf("the foreign key of %s to %s finds row %s again after it was changed: does a trigger of the target change it back", child, parent, child.KeyString(children[0]))
		}
		first = keyOf(child, children[0])
		if action == CascadeAction && now == nil {
			err = w.remove(ctx, child, children, doubt)
		} else {
			err = w.change(ctx, tie, parent, action, children, now, doubt)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// remove deletes children. What becomes of their own comes first, as their rows are needed to find them.
func (w *walk) remove(ctx context.Context, child *change.Table, children []change.Row, doubt bool) error {
	var sure, unsure []change.Row
	for _, c := range children {
		again := w.uncertain(child, c, doubt)
		w.note(child, c, again)
		if again {
			unsure = append(unsure, c)
		} else {
			sure = append(sure, c)
		}
	}
	if err := w.from(ctx, child, sure, nil, doubt); err != nil {
		return err
	}
	if err := w.from(ctx, child, unsure, nil, true); err != nil {
		return err
	}
	return w.delete(ctx, child, children)
}

// delete deletes rows, of which some may have gone as children of another.
func (w *walk) delete(ctx context.Context, t *change.Table, keys []change.Row) error {
	return w.session.Run(ctx, &Step{Shape: t, Op: DeleteRows, Keys: keys, Tally: TallyCleared, Count: w.cascade.counts[t.Source]})
}

// change gives children another foreign key, or none.
//
// While rows of their table are read again the new key, or a value of a further unique index, may be taken by a row that is newer than the log. So a child that could
// meet one is taken away, with what stands under its new key, and both are read again.
func (w *walk) change(ctx context.Context, tie *Tie, parent *change.Table, action Action, children []change.Row, now change.Row, doubt bool) error {
	child, t := tie.Child, w.cascade.tables[tie.Child.Source]
	moves := action == CascadeAction && slices.ContainsFunc(tie.Columns, func(col int) bool { return slices.Contains(child.Key, col) })
	st := &Step{Shape: child, Op: UpdateRows, Exact: true, Tally: TallyUpdated, Count: w.cascade.counts[child.Source]}
	if moves {
		st.Op, st.Ordered = RekeyRows, true
	}
	var away []change.Row
	for _, c := range children {
		row := tie.rewrite(parent, c, now)
		again := w.uncertain(child, c, doubt)
		if moves {
			if err := w.from(ctx, child, []change.Row{c}, row, doubt || again); err != nil {
				return err
			}
			again = again || w.uncertain(child, row, doubt)
		}
		drop := !t.Strict && (t.Setup.Unique && t.WasStrict && t.loose() || moves && again)
		w.note(child, c, again || drop)
		if moves {
			w.note(child, row, again || drop)
		}
		switch {
		case drop && moves:
			away = append(away, c, row)
		case drop:
			away = append(away, c)
		default:
			st.Keys, st.Rows = append(st.Keys, c), append(st.Rows, row)
		}
	}
	if len(away) > 0 {
		if err := w.delete(ctx, child, away); err != nil {
			return err
		}
	}
	if len(st.Keys) == 0 {
		return nil
	}
	return w.session.Run(ctx, st)
}

// uncertain reports whether the row of a child has to be read again when a cascade has come upon it.
func (w *walk) uncertain(child *change.Table, row change.Row, doubt bool) bool {
	t := w.cascade.tables[child.Source]
	return !t.Strict && (doubt && t.loose() || t.inexact(change.AppendKey(nil, child.Key, row)))
}

// rewrite returns the child's key and its foreign key, as it refers to now's key, or to nothing.
func (tie *Tie) rewrite(parent *change.Table, c, now change.Row) change.Row {
	row := make(change.Row, len(tie.Child.Columns))
	for _, k := range tie.Child.Key {
		row[k] = c[k]
	}
	for n, col := range tie.Columns {
		row[col] = change.Value{Kind: change.Null}
		if now != nil && tie.OnUpdate == CascadeAction {
			row[col] = now[parent.Key[n]]
		}
	}
	return row
}

// note notes a row that is changed.
func (w *walk) note(t *change.Table, row change.Row, again bool) {
	k := RecopyKey{Source: t.Source, Seq: w.tx.To.Seq}
	if w.tx.From == w.tx.To.Seq { // a replay changes rows behind the frame that all lanes stand on already
		k.Seq++
	}
	if len(w.tx.Cascaded) < maxCascaded || again {
		k.Key = change.AppendKey(nil, t.Key, row)
		w.tx.Cascaded = append(w.tx.Cascaded, Cascaded{k, again})
	} else if last := &w.tx.Cascaded[len(w.tx.Cascaded)-1]; last.Source != t.Source || last.Key != nil {
		w.tx.Cascaded = append(w.tx.Cascaded, Cascaded{RecopyKey: k})
	}
}

// acts reports whether the table's foreign keys act on a change, and so whether it needs a step of its own before it.
func (t *Table) acts(c *change.Change) bool {
	if c.Unchecked {
		return false
	}
	return slices.ContainsFunc(t.Setup.Ties, func(tie Tie) bool {
		return c.Op == change.Delete && tie.OnDelete != NoAction || c.KeyChanged() && tie.OnUpdate != NoAction
	})
}

// cascadeWork is what a change on which foreign keys act counts for when transactions are measured out, in changes: nobody knows how many children it has.
const cascadeWork = 100

// work is how much items are, for the bounds of a transaction.
func work(fr *frame, items []item) int {
	n := len(items)
	for i := range items {
		c, s := &fr.changes[items[i].index], fr.shapes[items[i].index]
		if len(s.table.Setup.Ties) > 0 && s.table.acts(c) {
			n += cascadeWork - 1
		}
	}
	return n
}

// cascade puts a step before a change on which foreign keys act. Nothing of the tied tables may pass it, in either direction.
func (b *batch) cascade(t *Table, c *change.Change) {
	if b.cascades == nil {
		b.cascades = map[string]*Cascade{}
	}
	group := b.cascades[t.Setup.Group]
	if group == nil {
		group = &Cascade{tables: map[string]*Table{}, counts: map[string]int{}}
		for _, x := range t.tied {
			group.tables[x.Setup.Source] = x
			group.counts[x.Setup.Source] = b.countOf(x)
		}
		b.cascades[t.Setup.Group] = group
	}
	if b.joins(t, c) {
		at := &b.tx.Steps[len(b.tx.Steps)-2]
		at.Keys = append(at.Keys, c.Before)
		return
	}
	for _, x := range t.tied {
		delete(b.open, x)
	}
	st := Step{Shape: c.Table, Op: CascadeRows, Keys: []change.Row{c.Before}, Ordered: true, Cascade: group, Count: b.countOf(t), window: b.next()}
	if c.Op == change.Update {
		st.Rows = []change.Row{c.After}
	}
	b.tx.Steps = append(b.tx.Steps, st)
}

// joins reports whether a delete can go with the one before it: rows of one table go one after another, and their cascades do not come back to it.
func (b *batch) joins(t *Table, c *change.Change) bool {
	n := len(b.tx.Steps)
	if n < 2 || c.Op != change.Delete || t.circular || !t.hashable || b.tx.Single {
		return false
	}
	before, last := &b.tx.Steps[n-2], &b.tx.Steps[n-1]
	return before.Op == CascadeRows && before.Shape == c.Table && len(before.Rows) == 0 && len(before.Keys) < cascadePage && last.Op == DeleteRows && last.Shape == c.Table
}

// loose reports whether rows of the table are read again, so that others may be listed. From the settled frame on none is, or the strict frame would find a list that is not empty.
func (t *Table) loose() bool { return !t.settled || t.fresh != nil }

// inexact reports whether the target's row may be newer than the place of the log that is being applied.
func (t *Table) inexact(key []byte) bool {
	switch {
	case t.Strict:
		return false
	case !t.settled:
		return true
	default:
		return t.fresh[string(key)]
	}
}

// cascadedInto reports whether foreign keys that are carried out here can change the table's rows.
func (t *Table) cascadedInto() bool {
	return slices.ContainsFunc(t.tied, func(p *Table) bool {
		return slices.ContainsFunc(p.Setup.Ties, func(tie Tie) bool { return tie.Child.Source == t.Setup.Source })
	})
}

// tie connects the tables that go through one lane together.
func tie(tables map[string]*Table) error {
	groups := map[string][]*Table{}
	for _, t := range tables {
		if g := t.Setup.Group; g != "" {
			groups[g] = append(groups[g], t)
		} else {
			t.tied = []*Table{t}
		}
	}
	for _, t := range tables {
		t.circular = reaches(tables, t, t, map[*Table]bool{})
	}
	for name, members := range groups {
		slices.SortFunc(members, func(a, b *Table) int { return cmp.Compare(a.Setup.Source, b.Setup.Source) })
		for _, t := range members {
			t.tied = members
			for i := range t.Setup.Ties {
				child := t.Setup.Ties[i].Child.Source
				if !slices.ContainsFunc(members, func(x *Table) bool { return x.Setup.Source == child }) {
					return fmt.Errorf("apply table %s: its foreign keys change %s, which is not in its group %s: this is a bug", t.Setup.Source, child, name)
				}
			}
		}
	}
	return nil
}

// reaches reports whether cascades of rows of one table reach another.
func reaches(tables map[string]*Table, from, to *Table, seen map[*Table]bool) bool {
	if seen[from] {
		return false
	}
	seen[from] = true
	return slices.ContainsFunc(from.Setup.Ties, func(tie Tie) bool {
		child := tables[tie.Child.Source]
		return child != nil && (child == to || reaches(tables, child, to, seen))
	})
}

// cleared makes a frame that empties a table.
func (r *run) cleared(m *change.ControlMessage, seq uint64) (*frame, error) {
	t := r.tables[m.Table]
	if t == nil {
		return nil, fmt.Errorf("frame %d clears %s, which is not part of this migration", seq, m.Table)
	}
	s, err := r.targetShape(t)
	if err != nil {
		return nil, err
	}
	fr := r.pool.get()
	fr.changes = append(fr.changes, change.Change{Table: t.Setup.Target, Op: change.Truncate})
	fr.shapes = append(fr.shapes, s)
	return fr, nil
}

// settle notes that no row of the table is newer than the stream.
func (r *run) settle(ctx, work context.Context, m *change.ControlMessage, place Place) error {
	t := r.tables[m.Table]
	if t == nil {
		return fmt.Errorf("frame %d settles %s, which is not part of this migration", place.Seq, m.Table)
	}
	err := r.atBarrier(ctx, func() error {
		tx := r.tx(place)
		if r.heldAnywhere(t) { // its replay comes to this frame
			return r.commit(work, &tx)
		}
		tx.States = []StateChange{settledState(t, place.Seq)}
		if err := r.commit(work, &tx); err != nil {
			return err
		}
		t.becomeSettled()
		return nil
	})
	if err != nil {
		return fmt.Errorf("settle %s in frame %d: %w", m.Table, place.Seq, err)
	}
	return nil
}

func settledState(t *Table, seq uint64) StateChange {
	return StateChange{Source: t.Setup.Source, OneLane: t.OneLane, Settled: true, Seq: seq}
}

func (t *Table) becomeSettled() { t.settled, t.noted, t.fresh = true, true, nil }

// freshen notes that rows of the table are about to be read again, while all lanes stand. After a crash nobody knows which these were: then all may be newer than
// the stream.
func (r *run) freshen(work context.Context, t *Table, keys [][]byte) error {
	if !t.settled || !t.cascadedInto() {
		return nil
	}
	if t.noted {
		tx := r.tx(r.place)
		tx.States = []StateChange{{Source: t.Setup.Source, OneLane: t.OneLane, Seq: r.place.Seq}}
		if err := r.commit(work, &tx); err != nil {
			return err
		}
		t.noted = false
	}
	if t.fresh == nil { // also when no key is named: the table is loose
		t.fresh = map[string]bool{}
	}
	for _, k := range keys {
		t.fresh[string(k)] = true
	}
	return nil
}

// watch lets a transaction tell who watches the changes what its cascades come upon.
func (r *run) watch(tx *Tx) {
	if r.a.opts.Cascaded == nil {
		return
	}
	tx.Touched = r.a.opts.Cascaded
	if r.a.opts.Forget != nil {
		tx.Forget = r.a.opts.Forget()
	}
}

// Blame makes an error of a step that a cascade has run one of the step of the transaction that the cascade belongs to. A child that is not as it was
// found a moment ago is changed by somebody else.
func (st *Step) Blame(err error, step int) error {
	var refusal *Refusal
	var mismatch *Mismatch
	switch {
	case errors.As(err, &refusal):
		return &Refusal{Step: step, Row: 0, Unique: refusal.Unique, Code: refusal.Code, Reason: fmt.Sprintf("its %s into %s: %s", st.Op, st.Shape, refusal.Reason)}
	case errors.As(err, &mismatch):
		return &Mismatch{Step: step, Row: 0, Want: mismatch.Want, Got: mismatch.Got}
	}
	return err
}

// KeyValue reads a value of a key column as the server prints it; binary ones as they are.
func KeyValue(c *change.Column, text []byte) (v change.Value, err error) {
	switch c.Kind {
	case change.Int, change.Uint, change.Decimal:
		if n, err := strconv.ParseInt(string(text), 10, 64); err == nil {
			return change.NewInt(n), nil
		}
		if n, err := strconv.ParseUint(string(text), 10, 64); err == nil {
			return change.NewUint(n), nil
		}
		return v, fmt.Errorf("%s: %q is no whole number", c.Name, text)
	case change.Text, change.Date, change.Bytes:
		return change.Value{Kind: c.Kind, B: slices.Clone(text)}, nil
	default:
		return v, fmt.Errorf("%s: a %s cannot be the key of a row that cascades change", c.Name, c.Kind)
	}
}
