package change

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

func table() *Table {
	t := &Table{Schema: "shop", Name: "orders", Source: "shop.orders", Key: []int{0, 2}, Columns: []Column{
		{Name: "id", Type: "numeric(20,0)", Kind: Int}, {Name: "note", Type: "text", Kind: Text, Nullable: true},
		{Name: "region", Type: "bytea", Kind: Bytes}, {Name: "price", Type: "numeric(10,2)", Kind: Decimal}}}
	t.ID()
	return t
}

func everyKind() []Value {
	b := func(k Kind, s string) Value { return Value{Kind: k, B: []byte(s)} }
	return []Value{{}, {Kind: Null}, NewBool(true), NewBool(false), NewInt(0), NewInt(-1), NewInt(math.MinInt64), NewInt(math.MaxInt64),
		NewUint(math.MaxUint64), NewUint(7), NewFloat32(math.SmallestNonzeroFloat32), NewFloat32(float32(math.Copysign(0, -1))),
		NewFloat64(math.MaxFloat64), NewFloat64(math.Copysign(0, -1)), b(Decimal, "-12345678901234567890.000000000000000000000000000001"),
		b(Text, ""), b(Text, "héllo\x00"), b(Bytes, "\x00\xff"), b(Date, "0000-00-00"), b(Time, "-838:59:59.000001"),
		b(DateTime, "2024-00-10 00:00:00"), b(Timestamp, "1970-01-01 00:00:01"), b(JSON, `{"a": 1.0}`), b(Bits, "0101")}
}

func TestEveryValueReadsBackAsItWasWritten(t *testing.T) {
	for _, v := range everyKind() {
		enc := AppendValue(nil, v)
		got, rest, err := ReadValue(append(enc, 0xAA))
		if err != nil || len(rest) != 1 {
			t.Fatalf("%s %s: rest %d, %v", v.Kind, v, len(rest), err)
		}
		if got.Kind != v.Kind || got.N != v.N || !bytes.Equal(got.B, v.B) {
			t.Errorf("%s: wrote %v, read %v", v.Kind, v, got)
		}
		for cut := range len(enc) {
			if got, _, err := ReadValue(enc[:cut]); err == nil {
				t.Errorf("%s cut to %d bytes reads as %v", v.Kind, cut, got)
			}
		}
	}
}

func sample() []Change {
	tb := table()
	row := func(id int64, note Value, region string) Row {
		return Row{NewInt(id), note, {Kind: Bytes, B: []byte(region)}, {Kind: Decimal, B: []byte("1.50")}}
	}
	key := Row{NewInt(1), {}, {Kind: Bytes, B: []byte("eu")}, {}}
	partial := row(1, Value{}, "us")
	partial[3] = Value{}
	return []Change{
		{Table: tb, Op: Insert, After: row(1, NewText("a"), "eu")},
		{Table: tb, Op: Update, After: row(1, Value{Kind: Null}, "eu")},
		{Table: tb, Op: Update, Before: key, After: partial},
		{Table: tb, Op: Update, Before: row(2, NewText("old"), "eu"), After: row(3, NewText("new"), "eu")},
		{Table: tb, Op: Delete, Before: key},
		{Table: tb, Op: Truncate},
		{Table: tb, Op: Refused, After: row(9, NewText("raw"), "eu"), Err: "price: out of range"},
		{Table: tb, Op: Copy, After: row(4, NewText("c"), "eu")},
	}
}

func build(t testing.TB, cs []Change) []byte {
	t.Helper()
	var b Builder
	for i := range cs {
		if err := b.Add(&cs[i]); err != nil {
			t.Fatal(err)
		}
	}
	frames, err := b.Frames(Changes, TxEnd, Place{After: "gtid:x:1-5", Time: 1700000000000000}, nil)
	if err != nil || len(frames) != 1 {
		t.Fatalf("%d frames, %v", len(frames), err)
	}
	return frames[0]
}

func one(tb *Table) func(uint64) (*Table, error) {
	return func(id uint64) (*Table, error) {
		if id != tb.ID() {
			return nil, errors.New("unknown shape")
		}
		return tb, nil
	}
}

func TestAFrameGivesBackItsChanges(t *testing.T) {
	cs := sample()
	cs = append(cs, Change{Table: cs[4].Table, Op: Delete, Before: cs[4].Before, Unchecked: true})
	b := build(t, cs)
	if _, err := Seal(b, StreamID{1}, 7, 99); err != nil {
		t.Fatal(err)
	}
	f, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if f.Seq != 7 || f.Prev != 99 || f.Flags != TxEnd || string(f.Position) != "gtid:x:1-5" || f.Count != uint32(len(cs)) {
		t.Errorf("header %+v", f.Header)
	}
	var a Arena
	got, err := f.Decode(nil, &a, one(cs[0].Table))
	if err != nil {
		t.Fatal(err)
	}
	for i := range cs {
		if !same(cs[i].Before, got[i].Before) || !same(cs[i].After, got[i].After) || got[i].Op != cs[i].Op || got[i].Err != cs[i].Err || got[i].Unchecked != cs[i].Unchecked {
			t.Errorf("change %d: wrote %+v, read %+v", i, cs[i], got[i])
		}
	}
}

func same(a, b Row) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Kind != b[i].Kind || a[i].N != b[i].N || !bytes.Equal(a[i].B, b[i].B) {
			return false
		}
	}
	return true
}

func TestFrameFormatIsTheGoldenOne(t *testing.T) {
	b := build(t, sample())
	if _, err := Seal(b, StreamID{1, 2, 3}, 42, 4711); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("testdata", "frame-v1.hex")
	got := hex.Dump(b)
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the frame format changed; frames in streams of running migrations would not be read:\n%s", got)
	}
}

func TestOneFlippedBitIsRefused(t *testing.T) {
	b := build(t, sample())
	if _, err := Seal(b, StreamID{1}, 7, 99); err != nil {
		t.Fatal(err)
	}
	for i := range b {
		for bit := range 8 {
			b[i] ^= 1 << bit
			if _, err := Parse(b); err == nil {
				t.Errorf("byte %d bit %d flipped: accepted", i, bit)
			}
			b[i] ^= 1 << bit
		}
	}
}

func TestPartsBecomeTheFrameAgainAlsoAfterAWriterDiedBetweenThem(t *testing.T) {
	tb := table()
	big := bytes.Repeat([]byte("0123456789"), MaxFrame/4)
	c := Change{Table: tb, Op: Insert, After: Row{NewInt(1), {Kind: Text, B: big}, {Kind: Bytes, B: []byte("eu")}, {Kind: Null}}}
	var b Builder
	if err := b.Add(&c); err != nil {
		t.Fatal(err)
	}
	parts, err := b.Frames(Changes, TxEnd, Place{Before: "p1", After: "p2"}, nil)
	if err != nil || len(parts) < 3 {
		t.Fatalf("%d parts, %v", len(parts), err)
	}
	order := append(append([][]byte{}, parts[:2]...), parts...) // a writer dies after two parts, the next begins again
	var a Assembler
	var prev uint64
	for i, p := range order {
		p = bytes.Clone(p)
		if len(p) > MaxFrame {
			t.Fatalf("part of %d bytes", len(p))
		}
		sum, err := Seal(p, StreamID{1}, uint64(i+1), prev)
		if err != nil {
			t.Fatal(err)
		}
		prev = sum
		f, err := Parse(p)
		if err != nil {
			t.Fatal(err)
		}
		last := i == len(order)-1
		if want := map[bool]string{true: "p2", false: "p1"}[last]; string(f.Position) != want {
			t.Errorf("part %d carries position %q, want %q", i, f.Position, want)
		}
		whole, ok, err := a.Add(f)
		if err != nil || ok != last {
			t.Fatalf("part %d: ok %v, %v", i, ok, err)
		}
		if !ok {
			continue
		}
		var ar Arena
		got, err := whole.Decode(nil, &ar, one(tb))
		if err != nil || len(got) != 1 || !same(got[0].After, c.After) || whole.Seq != uint64(len(order)) || whole.Sum != sum {
			t.Errorf("whole frame: %d changes, %v", len(got), err)
		}
	}
}

func TestDecodingAllocatesNothingPerValue(t *testing.T) {
	tb := table()
	var b Builder
	for i := range 1000 {
		c := Change{Table: tb, Op: Insert, After: Row{NewInt(int64(i)), NewText("note"), {Kind: Bytes, B: []byte("eu")}, {Kind: Decimal, B: []byte("1.50")}}}
		if err := b.Add(&c); err != nil {
			t.Fatal(err)
		}
	}
	frames, err := b.Frames(Changes, TxEnd, Place{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Seal(frames[0], StreamID{}, 1, 0); err != nil {
		t.Fatal(err)
	}
	var a Arena
	var dst []Change
	shape := one(tb)
	n := testing.AllocsPerRun(20, func() {
		a.Reset()
		f, err := Parse(frames[0])
		if err != nil {
			t.Fatal(err)
		}
		if dst, err = f.Decode(dst[:0], &a, shape); err != nil || len(dst) != 1000 {
			t.Fatal(len(dst), err)
		}
	})
	if n > 2 {
		t.Errorf("%v allocations for 4000 values", n)
	}
}

func TestControlMessagesReadBack(t *testing.T) {
	m := ControlMessage{Type: Progress, Table: "shop.orders", Next: []byte{1, 2}, Rows: 20000}
	b, err := NewControl(m, "pos", 5)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Seal(b, StreamID{}, 1, 0); err != nil {
		t.Fatal(err)
	}
	f, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	got, err := f.ReadControl()
	if err != nil || !reflect.DeepEqual(got, m) || string(f.Position) != "pos" {
		t.Errorf("read %+v at %q, %v", got, f.Position, err)
	}
	unknown, err := NewControl(ControlMessage{Type: "surprise"}, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Seal(unknown, StreamID{}, 1, 0); err != nil {
		t.Fatal(err)
	}
	if f, err = Parse(unknown); err != nil {
		t.Fatal(err)
	}
	if _, err := f.ReadControl(); err == nil {
		t.Error("an unknown control message was accepted")
	}
}

func TestAKeyReadsBack(t *testing.T) {
	row := Row{NewInt(-5), NewText("x"), {Kind: Bytes, B: []byte{0, 1}}, {Kind: Null}}
	k := AppendKey(nil, []int{2, 0}, row)
	got, err := ReadKey(k, 2)
	if err != nil || got[1].Int() != -5 || !bytes.Equal(got[0].B, []byte{0, 1}) {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := ReadKey(append(k, 0), 2); err == nil {
		t.Error("bytes after the key were accepted")
	}
}

func FuzzFrame(f *testing.F) {
	b := build(f, sample())
	if _, err := Seal(b, StreamID{1}, 7, 99); err != nil {
		f.Fatal(err)
	}
	f.Add(b[headerSize:], uint8(Changes))
	tb := table()
	f.Fuzz(func(t *testing.T, payload []byte, kind uint8) {
		frame := appendHeader(nil, FrameKind(kind), 0, 0, 3, 0, 0)
		frame = append(frame, payload...)
		if _, err := Seal(frame, StreamID{}, 1, 0); err != nil {
			t.Fatal(err)
		}
		fr, err := Parse(frame)
		if err != nil {
			return
		}
		var a Arena
		cs, err := fr.Decode(nil, &a, func(uint64) (*Table, error) { return tb, nil })
		if err != nil {
			return
		}
		var again Builder
		for i := range cs {
			if err := again.Add(&cs[i]); err != nil {
				t.Fatalf("decoded change %d cannot be written: %v", i, err)
			}
		}
	})
}
