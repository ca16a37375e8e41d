package postgres

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/crossfade-io/crossfade/apply"
	"github.com/crossfade-io/crossfade/internal/change"
)

func (w *world) nothingHeld() {
	w.t.Helper()
	w.applied()
	for _, h := range w.applier.Stats().Held {
		w.t.Errorf("%s is held from %d: row %s: %s", h.Source, h.From, h.Key, h.Reason)
	}
}

// listed expects these keys, of which all columns are the key's, to be on the list of rows to be read again.
func (w *world) listed(keys ...change.Row) {
	w.t.Helper()
	var want []string
	for _, k := range keys {
		all := make([]int, len(k))
		for i := range k {
			all[i] = i
		}
		want = append(want, fmt.Sprintf("%x", change.AppendKey(nil, all, k)))
	}
	slices.Sort(want)
	w.expect("SELECT string_agg(encode(key, 'hex'), ' ' ORDER BY key) FROM crossfade.recopy", strings.Join(want, " "))
}

// pageTable is a table of nullable numbers.
func pageTable(name string, columns ...string) *change.Table {
	t := &change.Table{Engine: change.Postgres, Schema: "public", Name: name, Source: "shop." + name, Key: []int{0}}
	for _, c := range columns {
		t.Columns = append(t.Columns, change.Column{Name: c, Type: "bigint", Kind: change.Int, Nullable: true})
	}
	return t
}

// A chunk that was read behind the change of a parent's key has the children under the new key already, when a cascade wants to bring them there.
func TestACascadeThatMeetsANewerRowUnderTheNewKeyListsBoth(t *testing.T) {
	f := newFamily()
	w := newWorld(t, 15, familyDDL, f.setups...)
	w.start()
	w.log.chunk(t, f.parent, change.Row{change.NewInt(2), change.NewText("p")})
	w.log.chunk(t, f.line, ints(2, 1), ints(2, 5)) // read before parent 2 became 22
	w.log.chunk(t, f.line, ints(22, 1))            // and after it
	w.log.add(t, rekey(f.parent, change.Row{change.NewInt(2), {}}, change.Row{change.NewInt(22), change.NewText("p")}))
	w.nothingHeld()
	w.expect("SELECT count(*)::text FROM line", "0")
	w.listed(ints(2, 1), ints(2, 5), ints(22, 1), ints(22, 5))
}

// A row that was read again, and may be newer than the log, gets another key by a cascade: what is to stand under the new key is read again, too.
func TestARowReadAgainThatACascadeMovesIsReadAgainUnderBothKeys(t *testing.T) {
	f := newFamily()
	w := newWorld(t, 15, familyDDL+"; ALTER TABLE line ADD v bigint", f.setups...)
	f.line.Columns = append(f.line.Columns, change.Column{Name: "v", Type: "bigint", Kind: change.Int, Nullable: true})
	w.start()
	p := func(id int64) change.Row { return change.Row{change.NewInt(id), change.NewText("p")} }
	key := func(values ...int64) []byte { return change.AppendKey(nil, []int{0, 1}, ints(values...)) }
	w.log.chunk(t, f.parent, p(2), p(3))
	w.log.chunk(t, f.line, ints(2, 1, 100), ints(3, 1, 300))
	w.log.control(t, change.ControlMessage{Type: change.Settled, Table: "shop.line"})
	// On the source parent 2 becomes 22, its line with it, and there are a new parent 2 and a new line. The key is read again behind all that.
	w.log.control(t, change.ControlMessage{Type: change.Recopied, Table: "shop.line", Keys: [][]byte{key(2, 1)}})
	w.log.rows(t, change.Chunk, &change.ChunkMeta{Table: "shop.line", Recopy: true}, change.Change{Table: f.line, Op: change.Copy, After: ints(2, 1, 200)})
	w.log.add(t, rekey(f.parent, change.Row{change.NewInt(2), {}}, p(22)), ins(f.parent, p(2)), ins(f.line, ints(2, 1, 200)))
	w.log.add(t, rekey(f.parent, change.Row{change.NewInt(3), {}}, p(33))) // nobody has read its line again
	w.nothingHeld()
	const lines = "SELECT string_agg(parent_id || ':' || n || '=' || v, ' ' ORDER BY parent_id) FROM line"
	w.expect(lines, "2:1=200 33:1=300")
	w.listed(ints(2, 1), ints(22, 1))
	w.log.control(t, change.ControlMessage{Type: change.Recopied, Table: "shop.line", Keys: [][]byte{key(2, 1), key(22, 1)}})
	w.log.rows(t, change.Chunk, &change.ChunkMeta{Table: "shop.line", Recopy: true},
		change.Change{Table: f.line, Op: change.Copy, After: ints(2, 1, 200)}, change.Change{Table: f.line, Op: change.Copy, After: ints(22, 1, 100)})
	w.nothingHeld()
	w.expect(lines, "2:1=200 22:1=100 33:1=300")
}

// While a strict table is repaired a cascade may give a child a value that a repaired row, which is newer, has in a further unique index.
func TestACascadeThatMeetsARepairedRowInAUniqueIndexHoldsNothing(t *testing.T) {
	f := newFamily()
	for i := range f.setups {
		if f.setups[i].Source == "shop.child" {
			f.setups[i].Unique, f.setups[i].UniqueSQL = true, []string{"CREATE UNIQUE INDEX IF NOT EXISTS child_u ON child (parent_id, name)"}
		}
	}
	w := newWorld(t, 15, familyDDL, f.setups...)
	w.start()
	child := func(id, parent int64) change.Row {
		return change.Row{change.NewInt(id), change.NewInt(parent), change.NewText("c")}
	}
	for _, s := range f.setups {
		w.log.control(t, change.ControlMessage{Type: change.Strict, Table: s.Source})
	}
	p := func(id int64) change.Row { return change.Row{change.NewInt(id), change.NewText("p")} }
	w.log.add(t, ins(f.parent, p(1)), ins(f.parent, p(2)), ins(f.child, child(1, 1)), ins(f.child, child(2, 2)))
	w.applied()
	// On the source parent 2 becomes 9, its child 2 goes, and child 1 comes to 9: there the repair reads it.
	one := change.AppendKey(nil, []int{0}, ints(1))
	w.log.control(t, change.ControlMessage{Type: change.Recopied, Table: "shop.child", Keys: [][]byte{one}})
	w.log.rows(t, change.Chunk, &change.ChunkMeta{Table: "shop.child", Recopy: true}, change.Change{Table: f.child, Op: change.Copy, After: child(1, 9)})
	w.log.add(t, rekey(f.parent, change.Row{change.NewInt(2), {}}, p(9)))
	w.nothingHeld()
	w.listed(ints(2))
	w.log.add(t, del(f.child, child(2, 9)), upd(f.child, child(1, 9)))
	w.nothingHeld()
	two := change.AppendKey(nil, []int{0}, ints(2))
	w.log.control(t, change.ControlMessage{Type: change.Recopied, Table: "shop.child", Keys: [][]byte{two}})
	w.log.control(t, change.ControlMessage{Type: change.Settled, Table: "shop.child"})
	w.log.add(t, rekey(f.parent, change.Row{change.NewInt(9), {}}, p(10))) // now nothing can be in the way: nothing is listed any more
	w.applied()
	w.expect("SELECT count(*)::text FROM crossfade.recopy", "0")
	w.log.control(t, change.ControlMessage{Type: change.Strict, Table: "shop.child"})
	w.nothingHeld()
	w.expect("SELECT string_agg(id || ':' || parent_id, ' ') FROM child", "1:10")
	if n := w.net("shop.child"); n != 1 {
		t.Errorf("the counts say %d children", n)
	}
}

// A cascade that is older than a repaired row takes it away, and does to its children what never happened. They are read again, too: their table is not strict meanwhile.
func TestWhatACascadeDoesThroughARepairedRowIsReadAgain(t *testing.T) {
	f := newFamily()
	w := newWorld(t, 15, familyDDL, f.setups...)
	w.start()
	child := func(id, parent int64) change.Row {
		return change.Row{change.NewInt(id), change.NewInt(parent), change.NewText("c")}
	}
	leaf := func(id byte, child int64) change.Row {
		return change.Row{{Kind: change.Bytes, B: []byte{id, 0}}, change.NewInt(child)}
	}
	p := func(id int64) change.Row { return change.Row{change.NewInt(id), change.NewText("p")} }
	key := func(row change.Row) []byte { return change.AppendKey(nil, []int{0}, row) }
	for _, s := range f.setups {
		w.log.control(t, change.ControlMessage{Type: change.Strict, Table: s.Source})
	}
	w.log.add(t, ins(f.parent, p(1)), ins(f.parent, p(2)), ins(f.child, child(1, 1)), ins(f.child, child(2, 2)), ins(f.sub, leaf(1, 1)), ins(f.sub, leaf(2, 2)))
	w.applied()
	// On the source child 1 leaves 2 before that goes, and comes back to it when there is one again. So it is read with parent 2.
	w.log.control(t, change.ControlMessage{Type: change.Recopied, Table: "shop.sub"})
	w.log.control(t, change.ControlMessage{Type: change.Recopied, Table: "shop.child", Keys: [][]byte{key(ints(1))}})
	w.log.rows(t, change.Chunk, &change.ChunkMeta{Table: "shop.child", Recopy: true}, change.Change{Table: f.child, Op: change.Copy, After: child(1, 2)})
	w.log.add(t, del(f.parent, p(2)), ins(f.parent, p(2)), upd(f.child, child(1, 2)), upd(f.sub, leaf(1, 1)))
	w.nothingHeld()
	w.expect("SELECT string_agg(source_table || ' ' || encode(key, 'hex'), ', ' ORDER BY key) FROM crossfade.recopy", fmt.Sprintf("shop.child %x, shop.sub %x", key(ints(1)), key(leaf(1, 0))))
	w.log.control(t, change.ControlMessage{Type: change.Recopied, Table: "shop.child", Keys: [][]byte{key(ints(1))}})
	w.log.rows(t, change.Chunk, &change.ChunkMeta{Table: "shop.child", Recopy: true}, change.Change{Table: f.child, Op: change.Copy, After: child(1, 2)})
	w.log.control(t, change.ControlMessage{Type: change.Strict, Table: "shop.child"})
	w.log.control(t, change.ControlMessage{Type: change.Recopied, Table: "shop.sub", Keys: [][]byte{key(leaf(1, 0))}})
	w.log.rows(t, change.Chunk, &change.ChunkMeta{Table: "shop.sub", Recopy: true}, change.Change{Table: f.sub, Op: change.Copy, After: leaf(1, 1)})
	w.log.control(t, change.ControlMessage{Type: change.Strict, Table: "shop.sub"})
	w.nothingHeld()
	w.family("p 1 2, c 1:2, l , s 1:1 2:-, t ")
	for source, want := range map[string]int{"shop.child": 1, "shop.sub": 2} {
		if n := w.net(source); n != want {
			t.Errorf("%s: the counts say %d rows, want %d", source, n, want)
		}
	}
}

// More children than are looked at together, in a circle: a whole page of them may be rows that go already.
func TestACircleOfMoreRowsThanAPageGoesWhole(t *testing.T) {
	for _, n := range []int64{cascadePage, cascadePage + 1, 3*cascadePage + 7} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			tenant, user, address := pageTable("tenant", "id"), pageTable("users", "id", "tenant", "address"), pageTable("address", "id", "usr")
			setups := []apply.TableSetup{
				{Source: "shop.tenant", Target: tenant, Group: "g", Ties: []apply.Tie{{Child: user, Columns: []int{1}, OnDelete: apply.CascadeAction}}},
				{Source: "shop.users", Target: user, Group: "g", Ties: []apply.Tie{{Child: address, Columns: []int{1}, OnDelete: apply.CascadeAction}}},
				{Source: "shop.address", Target: address, Group: "g", Ties: []apply.Tie{{Child: user, Columns: []int{2}, OnDelete: apply.SetNullAction}}},
			}
			w := newWorld(t, 15, "CREATE TABLE tenant (id bigint PRIMARY KEY); CREATE TABLE users (id bigint PRIMARY KEY, tenant bigint, address bigint); CREATE TABLE address (id bigint PRIMARY KEY, usr bigint)", setups...)
			w.start()
			for _, s := range setups {
				w.log.control(t, change.ControlMessage{Type: change.Strict, Table: s.Source})
			}
			w.log.add(t, ins(tenant, ints(1)), ins(tenant, ints(2)))
			for i := int64(1); i <= n; i++ { // the address of a user is that of the next
				w.log.add(t, ins(user, ints(i, 1, i%n+1)), ins(address, ints(i, i)))
			}
			w.log.add(t, ins(user, ints(n+1, 2, 1))) // of another tenant
			w.log.add(t, del(tenant, ints(1)))
			w.applied()
			w.expect("SELECT string_agg(id || ':' || tenant || ':' || coalesce(address::text, '-'), ' ') FROM users", fmt.Sprintf("%d:2:-", n+1))
			w.expect("SELECT count(*)::text FROM address", "0")
		})
	}
}

// A key may change into one that the target calls equal. A citext of its own stands for the collations of MySQL.
func TestChildrenFollowAKeyThatTheTargetCallsEqual(t *testing.T) {
	text := func(name string, nullable bool) change.Column {
		return change.Column{Name: name, Type: "text", Kind: change.Text, Nullable: nullable}
	}
	parent := &change.Table{Engine: change.Postgres, Schema: "public", Name: "cp", Source: "shop.cp", Key: []int{0}, Columns: []change.Column{text("code", false)}}
	child := pageTable("cc", "id")
	child.Columns = append(child.Columns, text("code", true))
	setups := []apply.TableSetup{{Source: "shop.cp", Target: parent, Group: "g", Ties: []apply.Tie{{Child: child, Columns: []int{1}, OnUpdate: apply.CascadeAction}}}, {Source: "shop.cc", Target: child, Group: "g"}}
	w := newWorld(t, 15, "CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false); CREATE DOMAIN folded AS text COLLATE ci; CREATE TABLE cp (code folded PRIMARY KEY); CREATE TABLE cc (id bigint PRIMARY KEY, code folded)", setups...)
	w.start()
	for _, s := range setups {
		w.log.control(t, change.ControlMessage{Type: change.Strict, Table: s.Source})
	}
	w.log.add(t, ins(parent, change.Row{change.NewText("a")}))
	for i := range int64(2*cascadePage + 1) {
		w.log.add(t, ins(child, change.Row{change.NewInt(i), change.NewText("a")}))
	}
	w.log.add(t, rekey(parent, change.Row{change.NewText("a")}, change.Row{change.NewText("A")}))
	w.applied()
	w.expect(`SELECT count(*)::text FROM cc WHERE code COLLATE "C" = 'A'`, fmt.Sprint(2*cascadePage+1))
}

// cascadePage is how many children apply looks at together.
const cascadePage = 1000
