package postgres

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/crossfade-io/crossfade/apply"
	"github.com/crossfade-io/crossfade/internal/change"
)

// family is a parent and the tables that refer to it, over three levels, and a tree that refers to itself.
type family struct {
	parent, child, line, sub, tree *change.Table
	setups                         []apply.TableSetup
}

const familyDDL = `CREATE TABLE parent (id bigint PRIMARY KEY, name text); CREATE TABLE child (id bigint PRIMARY KEY, parent_id bigint, name text);
CREATE TABLE line (parent_id bigint, n bigint, PRIMARY KEY (parent_id, n)); CREATE TABLE sub (id bytea PRIMARY KEY, child_id bigint); CREATE TABLE tree (id bigint PRIMARY KEY, up bigint)`

func newFamily() *family {
	table := func(name string, keys []int, columns ...string) *change.Table {
		t := &change.Table{Engine: change.Postgres, Schema: "public", Name: name, Source: "shop." + name, Key: keys}
		for _, c := range columns {
			col := change.Column{Name: c, Type: "bigint", Kind: change.Int, Nullable: true}
			switch {
			case c == "name":
				col.Type, col.Kind = "text", change.Text
			case name == "sub" && c == "id":
				col.Type, col.Kind = "bytea", change.Bytes
			}
			t.Columns = append(t.Columns, col)
		}
		return t
	}
	f := &family{parent: table("parent", []int{0}, "id", "name"), child: table("child", []int{0}, "id", "parent_id", "name"), line: table("line", []int{0, 1}, "parent_id", "n"),
		sub: table("sub", []int{0}, "id", "child_id"), tree: table("tree", []int{0}, "id", "up")}
	f.setups = []apply.TableSetup{
		{Source: "shop.parent", Target: f.parent, Group: "parent", Ties: []apply.Tie{
			{Child: f.child, Columns: []int{1}, OnDelete: apply.CascadeAction, OnUpdate: apply.CascadeAction}, {Child: f.line, Columns: []int{0}, OnDelete: apply.CascadeAction, OnUpdate: apply.CascadeAction}}},
		{Source: "shop.child", Target: f.child, Group: "parent", Ties: []apply.Tie{{Child: f.sub, Columns: []int{1}, OnDelete: apply.SetNullAction}}},
		{Source: "shop.line", Target: f.line, Group: "parent"}, {Source: "shop.sub", Target: f.sub, Group: "parent"},
		{Source: "shop.tree", Target: f.tree, Group: "tree", Ties: []apply.Tie{{Child: f.tree, Columns: []int{1}, OnDelete: apply.CascadeAction}}},
	}
	return f
}

func ints(values ...int64) change.Row {
	var out change.Row
	for _, v := range values {
		out = append(out, change.NewInt(v))
	}
	return out
}

func (f *family) fill() (all []change.Change) {
	for id := int64(1); id <= 3; id++ {
		all = append(all, ins(f.parent, change.Row{change.NewInt(id), change.NewText("p")}))
		for n := range int64(2) {
			c := 10*id + n
			all = append(all, ins(f.child, change.Row{change.NewInt(c), change.NewInt(id), change.NewText("c")}), ins(f.line, ints(id, n)),
				ins(f.sub, change.Row{{Kind: change.Bytes, B: []byte{byte(c), 0}}, change.NewInt(c)}))
		}
	}
	for _, r := range [][2]int64{{1, 1}, {2, 1}, {3, 2}, {4, 3}, {5, 5}, {6, 5}} { // 1 and 5 refer to themselves
		all = append(all, ins(f.tree, ints(r[0], r[1])))
	}
	return all
}

func (w *world) family(want string) {
	w.t.Helper()
	w.expect(`SELECT 'p ' || (SELECT string_agg(id::text, ' ' ORDER BY id) FROM parent) || ', c ' || coalesce((SELECT string_agg(id || ':' || coalesce(parent_id::text, '-'), ' ' ORDER BY id) FROM child), '') || ', l ' ||
coalesce((SELECT string_agg(parent_id || ':' || n, ' ' ORDER BY parent_id, n) FROM line), '') || ', s ' || coalesce((SELECT string_agg(get_byte(id, 0) || ':' || coalesce(child_id::text, '-'), ' ' ORDER BY id) FROM sub), '') ||
', t ' || coalesce((SELECT string_agg(id::text, ' ' ORDER BY id) FROM tree), '')`, want)
}

// touchedKeys collects what an applier says of cascades.
type touchedKeys struct {
	mu   sync.Mutex
	keys []string
}

func (k *touchedKeys) add(list []apply.Cascaded) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, c := range list {
		k.keys = append(k.keys, fmt.Sprintf("%s %x %d", c.Source, c.Key, c.Seq))
	}
}

func (k *touchedKeys) sorted() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := slices.Clone(k.keys)
	slices.Sort(out)
	return slices.Compact(out)
}

// What the source's foreign keys did to rows that its log does not name is done here: over all levels, by the values that were there before the change, and only
// for sessions that check foreign keys. Every row is counted, noted with the ledger, and told to who watches, again after a restart.
func TestForeignKeysOfTheSourceAreCarriedOut(t *testing.T) {
	f := newFamily()
	w := newWorld(t, 17, familyDDL, f.setups...)
	told := new(touchedKeys)
	w.opts.Cascaded, w.opts.Forget = told.add, func() uint64 { return 0 }
	w.start()
	for _, s := range f.setups {
		w.log.control(t, change.ControlMessage{Type: change.Strict, Table: s.Source})
	}
	w.log.add(t, f.fill()...)
	w.applied()
	w.db.Exec(t, "DELETE FROM crossfade.counts")
	unchecked := del(f.parent, change.Row{change.NewInt(2), {}})
	unchecked.Unchecked = true
	// The child that came to 3 before it went is gone, the one that left it stays.
	w.log.add(t, upd(f.child, change.Row{change.NewInt(10), change.NewInt(3), {}}), upd(f.child, change.Row{change.NewInt(31), change.NewInt(1), {}}), del(f.parent, change.Row{change.NewInt(3), {}}),
		rekey(f.parent, change.Row{change.NewInt(1), {}}, change.Row{change.NewInt(9), change.NewText("moved")}), unchecked, del(f.tree, ints(1, 0)))
	w.applied()
	w.family("p 9, c 11:9 20:2 21:2 31:9, l 2:0 2:1 9:0 9:1, s 10:- 11:11 20:20 21:21 30:- 31:31, t 5 6")
	for source, want := range map[string]int{"shop.parent": -2, "shop.child": -2, "shop.line": -2, "shop.sub": 0, "shop.tree": -4} {
		if n := w.net(source); n != want {
			t.Errorf("%s: the counts say %d rows more, want %d", source, n, want)
		}
	}
	keys := told.sorted()
	if len(keys) != 2+2+2+2+4+3 { // deleted: 2 children, 2 lines, 3 of the tree; emptied: 2 subs; moved: 2 children, 2 lines under 2 keys each
		t.Errorf("%d keys were told: %s", len(keys), strings.Join(keys, "\n"))
	}
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	told.mu.Lock()
	told.keys = nil
	told.mu.Unlock()
	w.start()
	w.applied()
	if again := told.sorted(); !slices.Equal(again, keys) {
		t.Errorf("after a restart these were told:\n%s\nbefore it:\n%s", strings.Join(again, "\n"), strings.Join(keys, "\n"))
	}
}

// While a table is copied a chunk may have read a child behind the change that a cascade belongs to. What the cascade does to it may be wrong then, and it is read
// again. When the stream has passed what was read only rows that were read again since are.
func TestAChildThatACascadeMeetsWhileItIsCopiedIsReadAgain(t *testing.T) {
	f := newFamily()
	w := newWorld(t, 15, familyDDL, f.setups...)
	w.start()
	child := func(id, parent int64) change.Row {
		return change.Row{change.NewInt(id), change.NewInt(parent), change.NewText("c")}
	}
	gone := func(id int64) change.Change { return del(f.parent, change.Row{change.NewInt(id), {}}) }
	list := func(want string) {
		t.Helper()
		w.applied()
		w.expect("SELECT coalesce(string_agg(source_table || ' ' || right(key::text, 2), ', ' ORDER BY key), '') FROM crossfade.recopy", want)
	}
	w.log.chunk(t, f.child, child(1, 7), child(2, 8), child(3, 9), child(4, 6))
	w.log.add(t, gone(7))
	list("shop.child 02")
	w.log.control(t, change.ControlMessage{Type: change.Settled, Table: "shop.child"})
	w.log.add(t, gone(8))
	list("shop.child 02")
	for restart := range 2 { // it is as settled after a restart
		w.log.add(t, ins(f.child, child(20+int64(restart), 5)), gone(5))
		list("shop.child 02")
		if err := w.stop(); err != nil {
			t.Fatal(err)
		}
		w.start()
	}
	again := change.AppendKey(nil, []int{0}, ints(1))
	w.log.control(t, change.ControlMessage{Type: change.Recopied, Table: "shop.child", Keys: [][]byte{again}})
	w.log.rows(t, change.Chunk, &change.ChunkMeta{Table: "shop.child", Recopy: true}, change.Change{Table: f.child, Op: change.Copy, After: child(1, 9)})
	list("")
	w.log.add(t, gone(9)) // children 1 and 3: only 1 was read again
	list("shop.child 02")
	w.log.control(t, change.ControlMessage{Type: change.Recopied, Table: "shop.child", Keys: [][]byte{again}})
	list("")
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	w.start() // now nobody knows which rows were read again
	w.log.add(t, gone(6))
	list("shop.child 08")
}

// Tables that foreign keys tie together are held and replayed together: a cascade of one must not miss rows that wait in another.
func TestTiedTablesAreHeldAndReplayedTogether(t *testing.T) {
	f := newFamily()
	w := newWorld(t, 16, familyDDL+"; ALTER TABLE child ADD CHECK (name <> 'bad')", f.setups...)
	w.start()
	for _, s := range f.setups {
		w.log.control(t, change.ControlMessage{Type: change.Strict, Table: s.Source})
	}
	w.log.add(t, f.fill()...)
	bad := w.log.add(t, ins(f.child, change.Row{change.NewInt(99), change.NewInt(1), change.NewText("bad")}))
	w.log.add(t, del(f.parent, change.Row{change.NewInt(1), {}}), ins(f.line, ints(2, 7)), ins(f.tree, ints(7, 6)))
	w.applied()
	for _, source := range []string{"shop.parent", "shop.child", "shop.line", "shop.sub"} {
		if _, from, h := w.held(source); from != bad || source != "shop.child" && !strings.Contains(h.Reason, "shop.child") {
			t.Errorf("%s is held from %d: %+v", source, from, h)
		}
	}
	if lanes, _, _ := w.held("shop.tree"); lanes != 0 {
		t.Error("a table of another group is held")
	}
	w.family("p 1 2 3, c 10:1 11:1 20:2 21:2 30:3 31:3, l 1:0 1:1 2:0 2:1 3:0 3:1, s 10:10 11:11 20:20 21:21 30:30 31:31, t 1 2 3 4 5 6 7")
	w.db.Exec(t, "ALTER TABLE child DROP CONSTRAINT child_name_check")
	if err := w.applier.Replay(t.Context(), "shop.line"); err != nil {
		t.Fatal(err)
	}
	for _, source := range []string{"shop.parent", "shop.child"} {
		if err := w.applier.Replay(t.Context(), source); !errors.Is(err, apply.ErrNotHeld) {
			t.Errorf("%s was not replayed with it: %v", source, err)
		}
	}
	w.family("p 2 3, c 20:2 21:2 30:3 31:3, l 2:0 2:1 2:7 3:0 3:1, s 10:- 11:- 20:20 21:21 30:30 31:31, t 1 2 3 4 5 6 7")
	if held := w.applier.Stats().Held; len(held) != 0 {
		t.Errorf("still held: %+v", held)
	}
}
