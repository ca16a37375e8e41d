package change

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
)

// Bits of the second byte of a change record: which rows follow, and in what form.
const (
	hasBefore   = 1 << iota
	beforeIsKey // only the key columns, in key order
	hasAfter
	hasErr
	unchecked
)

// Builder collects changes into one frame. The zero value is ready to use. A builder is reused: [Builder.Frames] empties it.
type Builder struct {
	shapes  []*Table
	records []byte
	count   int
}

// Add appends a change; it copies all it keeps. For updates and deletes Before may hold the key columns only.
func (b *Builder) Add(c *Change) error {
	ref := -1
	for i, s := range b.shapes {
		if s == c.Table {
			ref = i
			break
		}
	}
	if ref < 0 {
		ref = len(b.shapes)
		b.shapes = append(b.shapes, c.Table)
	}
	if err := check(c); err != nil {
		return err
	}
	form := byte(0)
	if c.Before != nil {
		form |= hasBefore
		if keyOnly(c.Table, c.Before) {
			form |= beforeIsKey
		}
	}
	if c.After != nil {
		form |= hasAfter
	}
	if c.Err != "" {
		form |= hasErr
	}
	if c.Unchecked {
		form |= unchecked
	}
	d := append(b.records, byte(c.Op), form)
	d = binary.AppendUvarint(d, uint64(ref))
	switch {
	case form&beforeIsKey != 0:
		d = AppendKey(d, c.Table.Key, c.Before)
	case form&hasBefore != 0:
		for _, v := range c.Before {
			d = AppendValue(d, v)
		}
	}
	for _, v := range c.After {
		d = AppendValue(d, v)
	}
	if form&hasErr != 0 {
		d = binary.AppendUvarint(d, uint64(len(c.Err)))
		d = append(d, c.Err...)
	}
	b.records = d
	b.count++
	return nil
}

func check(c *Change) error {
	n := len(c.Table.Columns)
	if c.Before != nil && len(c.Before) != n || c.After != nil && len(c.After) != n {
		return fmt.Errorf("%s of %s: rows of %d and %d values for %d columns", c.Op, c.Table, len(c.Before), len(c.After), n)
	}
	switch c.Op {
	case Insert, Upsert, Copy, Update:
		if c.After == nil {
			return fmt.Errorf("%s of %s has no row", c.Op, c.Table)
		}
	case Delete:
		if c.Before == nil {
			return fmt.Errorf("delete of %s has no row", c.Table)
		}
	case Truncate, Refused:
	default:
		return fmt.Errorf("%s of %s cannot be put into a frame", c.Op, c.Table)
	}
	return nil
}

func keyOnly(t *Table, row Row) bool {
	for i := range row {
		if row[i].Kind != Absent && !t.IsKey(i) {
			return false
		}
	}
	return len(t.Key) > 0
}

// Len is the number of changes collected, Size about the bytes of the frame they make.
func (b *Builder) Len() int  { return b.count }
func (b *Builder) Size() int { return len(b.records) + 10*len(b.shapes) + headerSize }

// Shapes are the shapes of the rows collected. They must be stored before the frame is published.
func (b *Builder) Shapes() []*Table { return b.shapes }

// Place is where a frame stands in the source's log.
type Place struct {
	Before string // the position of the frame published before it: parts that are not the last carry it, so that a restart reads the row again
	After  string // the position after it
	Time   int64  // commit time of its newest change, microseconds since 1970
}

// Frames returns what was collected as one unsealed frame, or as parts when it is larger than [MaxFrame], and empties the builder. Kind is
// Changes or Chunk; meta may be nil.
func (b *Builder) Frames(kind FrameKind, flags Flags, place Place, meta *ChunkMeta) ([][]byte, error) {
	var m []byte
	if meta != nil {
		var err error
		if m, err = json.Marshal(meta); err != nil {
			return nil, fmt.Errorf("chunk description: %w", err)
		}
	}
	out := make([]byte, 0, headerSize+len(place.After)+len(m)+9*len(b.shapes)+8+len(b.records))
	out = appendHeader(out, kind, flags, place.Time, b.count, len(place.After), len(m))
	out = append(out, place.After...)
	out = append(out, m...)
	out = binary.AppendUvarint(out, uint64(len(b.shapes)))
	for _, s := range b.shapes {
		out = binary.LittleEndian.AppendUint64(out, s.ID())
	}
	out = append(out, b.records...)
	b.shapes, b.records, b.count = b.shapes[:0], b.records[:0], 0
	if cap(b.records) > MaxFrame { // one very large row must not hold its memory for ever
		b.records = nil
	}
	if len(out) <= MaxFrame {
		return [][]byte{out}, nil
	}
	return cut(out, place), nil
}

// cut splits an unsealed frame into parts; each part's payload is a piece of the whole frame. The last part carries the position after the frame, the
// others the one before it.
func cut(frame []byte, place Place) [][]byte {
	const piece = MaxFrame - 64<<10
	var parts [][]byte
	flags := FirstPart
	for len(frame) > 0 {
		n, position := min(piece, len(frame)), place.Before
		if n == len(frame) {
			flags |= LastPart
			position = place.After
		}
		p := appendHeader(make([]byte, 0, headerSize+len(position)+n), Part, flags, place.Time, 0, len(position), 0)
		p = append(p, position...)
		parts = append(parts, append(p, frame[:n]...))
		frame = frame[n:]
		flags = 0
	}
	return parts
}

// Assembler puts parts together again. The zero value is ready to use.
//
// A writer that dies between two parts leaves a beginning without an end; its successor publishes the row again from its first part. So an
// unfinished frame is dropped when anything but its next part follows. Nothing can be lost by that: a hole in the stream is found by the chain of checksums.
type Assembler struct {
	whole []byte
	// Limit is the largest frame it builds, in bytes; 0 means no limit.
	Limit int64
}

// Pending reports whether parts have been seen whose last one has not.
func (a *Assembler) Pending() bool { return len(a.whole) > 0 }

// Add takes the next frame of the stream in order. It returns a frame that can be applied, with ok true: f itself, or the frame whose last part f was,
// under f's sequence and checksum. With ok false more parts follow.
func (a *Assembler) Add(f Frame) (whole Frame, ok bool, err error) {
	if f.Kind != Part {
		a.whole = nil
		return f, true, nil
	}
	if f.Flags&FirstPart != 0 {
		a.whole = nil
	} else if len(a.whole) == 0 {
		return f, false, fmt.Errorf("%w: frame %d continues a frame whose first part is not before it", ErrCorrupt, f.Seq)
	}
	a.whole = append(a.whole, f.Payload...)
	if a.Limit > 0 && int64(len(a.whole)) > a.Limit {
		return f, false, fmt.Errorf("frame %d: a row larger than stream.max_row (%d bytes): raise it and resume", f.Seq, a.Limit)
	}
	if f.Flags&LastPart == 0 {
		return f, false, nil
	}
	b := a.whole
	a.whole = nil
	if _, err := Seal(b, f.Stream, f.Seq, f.Prev); err != nil {
		return f, false, err
	}
	if whole, err = Parse(b); err != nil {
		return f, false, err
	}
	whole.Sum = f.Sum
	return whole, true, nil
}

// Arena holds the values of decoded rows, in blocks that are used again after Reset. The zero value is ready to use.
type Arena struct {
	block []Value
	used  int
	full  [][]Value
}

const arenaBlock = 4096

// Row returns a row of n values; its contents are whatever was there before.
func (a *Arena) Row(n int) Row {
	if a.used+n > len(a.block) {
		if a.block != nil {
			a.full = append(a.full, a.block)
		}
		a.block = make([]Value, max(arenaBlock, n))
		a.used = 0
	}
	r := a.block[a.used : a.used+n : a.used+n]
	a.used += n
	return r
}

// Reset makes the arena's memory free for use again. Rows taken from it before are no longer valid.
func (a *Arena) Reset() {
	if len(a.full) > 0 { // one block that holds all the next time
		n := len(a.block)
		for _, f := range a.full {
			n += len(f)
		}
		a.full, a.block = nil, make([]Value, min(n, 1<<20))
	}
	a.used = 0
}

// Decode appends the frame's changes to dst. Rows live in the arena, their bytes in the frame. Shape finds a shape by its ID.
func (f *Frame) Decode(dst []Change, arena *Arena, shape func(id uint64) (*Table, error)) ([]Change, error) {
	fail := func(err error) ([]Change, error) { return dst, fmt.Errorf("decode frame %d: %w", f.Seq, err) }
	b := f.Payload
	n, l := binary.Uvarint(b)
	if l <= 0 || n > uint64(len(b)-l)/8 {
		return fail(errShort)
	}
	b = b[l:]
	var few [16]*Table
	shapes := few[:0]
	for range n {
		t, err := shape(binary.LittleEndian.Uint64(b))
		if err != nil {
			return fail(err)
		}
		shapes = append(shapes, t)
		b = b[8:]
	}
	for range f.Count {
		var c Change
		var err error
		if c, b, err = readChange(b, arena, shapes); err != nil {
			return fail(err)
		}
		dst = append(dst, c)
	}
	if len(b) != 0 {
		return fail(fmt.Errorf("%w: %d bytes after the last change", ErrCorrupt, len(b)))
	}
	return dst, nil
}

func readChange(b []byte, arena *Arena, shapes []*Table) (c Change, rest []byte, err error) {
	if len(b) < 3 {
		return c, nil, errShort
	}
	c.Op = Op(b[0])
	form := b[1]
	ref, l := binary.Uvarint(b[2:])
	if l <= 0 || ref >= uint64(len(shapes)) || form > hasBefore|beforeIsKey|hasAfter|hasErr|unchecked {
		return c, nil, fmt.Errorf("%w: change names shape %d of %d, form %d", ErrCorrupt, ref, len(shapes), form)
	}
	b = b[2+l:]
	c.Table, c.Unchecked = shapes[ref], form&unchecked != 0
	n := len(c.Table.Columns)
	if form&hasBefore != 0 {
		c.Before = arena.Row(n)
		if form&beforeIsKey != 0 {
			clear(c.Before)
			for _, k := range c.Table.Key {
				if c.Before[k], b, err = ReadValue(b); err != nil {
					return c, nil, err
				}
			}
		} else if b, err = readRow(b, c.Before); err != nil {
			return c, nil, err
		}
	}
	if form&hasAfter != 0 {
		c.After = arena.Row(n)
		if b, err = readRow(b, c.After); err != nil {
			return c, nil, err
		}
	}
	if form&hasErr != 0 {
		n, l := binary.Uvarint(b)
		if l <= 0 || n > uint64(len(b)-l) {
			return c, nil, errShort
		}
		c.Err, b = string(b[l:l+int(n)]), b[l+int(n):]
	}
	return c, b, check(&c)
}

func readRow(b []byte, row Row) ([]byte, error) {
	var err error
	for i := range row {
		if row[i], b, err = ReadValue(b); err != nil {
			return nil, err
		}
	}
	return b, nil
}
