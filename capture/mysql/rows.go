package mysql

import (
	"errors"
	"fmt"
	"math/bits"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/crossfade-io/crossfade/internal/change"
)

// rowsEvent is the reading of one rows event: the images that have not been read yet.
type rowsEvent struct {
	table   *loggedTable
	op      change.Op
	partial bool // the new image may hold changes of JSON documents instead of documents
	// unchecked: the session had foreign_key_checks off, so that nothing cascaded.
	unchecked bool

	before, after       []byte // which columns the images have, a bit each
	nBefore, nAfter     int    // how many
	allBefore, allAfter bool   // all of them

	data []byte
}

// Flags of rows events: https://dev.mysql.com/doc/dev/mysql-server/latest/classmysql_1_1binlog_1_1event_1_1Rows__event.html
const (
	stmtEnd           = 1 // the last rows event of its statement
	noForeignKeyCheck = 2
)

// parseRowsEvent reads everything before the images. find gives the table of a number.
func parseRowsEvent(typ replication.EventType, body []byte, find func(uint64) *loggedTable) (r rowsEvent, flags uint16, err error) {
	version := 2
	switch typ {
	case replication.WRITE_ROWS_EVENTv1, replication.UPDATE_ROWS_EVENTv1, replication.DELETE_ROWS_EVENTv1:
		version = 1
	}
	switch typ {
	case replication.WRITE_ROWS_EVENTv1, replication.WRITE_ROWS_EVENTv2:
		r.op = change.Insert
	case replication.UPDATE_ROWS_EVENTv1, replication.UPDATE_ROWS_EVENTv2:
		r.op = change.Update
	case replication.PARTIAL_UPDATE_ROWS_EVENT:
		r.op, r.partial = change.Update, true
	case replication.DELETE_ROWS_EVENTv1, replication.DELETE_ROWS_EVENTv2:
		r.op = change.Delete
	default:
		return r, 0, fmt.Errorf("%s is no rows event", typ)
	}
	c := cursor{b: body}
	id := c.uint(6)
	flags = uint16(c.uint(2))
	r.unchecked = flags&noForeignKeyCheck != 0
	if version == 2 {
		extra := int(c.uint(2))
		c.take(extra - 2)
	}
	width := c.packed()
	if c.short {
		return r, flags, errShort
	}
	if id == 1<<48-1 && len(c.b) == 0 { // only ends the statement
		return rowsEvent{}, flags, nil
	}
	r.table = find(id)
	if r.table == nil {
		return r, flags, fmt.Errorf("rows of table number %d, which has not been described", id)
	}
	if width != uint64(len(r.table.fields)) {
		return r, flags, fmt.Errorf("rows of %d columns of %s, which has %d", width, r.table, len(r.table.fields))
	}
	n := int(width)
	bitmap := c.take((n + 7) / 8)
	if r.op == change.Insert {
		r.after = bitmap
	} else {
		r.before = bitmap
		if r.op == change.Update {
			r.after = c.take((n + 7) / 8)
		}
	}
	if c.short {
		return r, flags, errShort
	}
	r.nBefore, r.nAfter = countBits(r.before, n), countBits(r.after, n)
	r.allBefore, r.allAfter = r.nBefore == n, r.nAfter == n
	r.data = c.b
	if r.nBefore+r.nAfter == 0 && (len(r.data) > 0 || r.table.role == selected) {
		return r, flags, errNoColumns
	}
	return r, flags, nil
}

func countBits(bitmap []byte, n int) (count int) {
	for i, b := range bitmap {
		if left := n - 8*i; left < 8 {
			b &= 1<<left - 1
		}
		count += bits.OnesCount8(b)
	}
	return count
}

func hasBit(bitmap []byte, i int) bool { return bitmap[i>>3]>>(i&7)&1 != 0 }

// skip passes over one row without decoding it.
func (r *rowsEvent) skip() error {
	if r.before != nil {
		if err := r.skipImage(r.before, r.nBefore); err != nil {
			return err
		}
	}
	if r.after != nil {
		if r.partial {
			if err := r.skipPartial(); err != nil {
				return err
			}
		}
		return r.skipImage(r.after, r.nAfter)
	}
	return nil
}

// skipPartial passes over what stands before the new image of a PARTIAL_UPDATE_ROWS_EVENT: options and a bit for each JSON column.
func (r *rowsEvent) skipPartial() error {
	c := cursor{b: r.data}
	if options := c.packed(); options&1 != 0 {
		n := r.table.count(func(f field) bool { return f.typ == typeJSON })
		c.take((n + 7) / 8)
	}
	r.data = c.b
	return c.err()
}

func (r *rowsEvent) skipImage(bitmap []byte, n int) error {
	nulls := (n + 7) / 8
	if len(r.data) < nulls {
		return errShort
	}
	null, b := r.data[:nulls], r.data[nulls:]
	k := 0
	for i, f := range r.table.fields {
		if n != len(r.table.fields) && !hasBit(bitmap, i) {
			continue
		}
		if !hasBit(null, k) {
			prefix, size, err := f.size(b)
			if err != nil {
				return fmt.Errorf("column %d: %w", i+1, err)
			}
			b = b[prefix+size:]
		}
		k++
	}
	r.data = b
	return nil
}

// image decodes one image into row; columns that it does not have become absent.
func (r *rowsEvent) image(row change.Row, bitmap []byte, n int, all bool, scratch []byte) ([]byte, error) {
	nulls := (n + 7) / 8
	if len(r.data) < nulls {
		return scratch, errShort
	}
	null, b := r.data[:nulls], r.data[nulls:]
	columns := r.table.columns
	k := 0
	for i := range columns {
		if !all && !hasBit(bitmap, i) {
			row[i] = change.Value{}
			continue
		}
		if hasBit(null, k) {
			row[i] = change.Value{Kind: change.Null}
			k++
			continue
		}
		k++
		var size int
		var err error
		if row[i], size, scratch, err = columns[i].decode(b, scratch); err != nil {
			return scratch, &columnError{column: i, err: err}
		}
		b = b[size:]
	}
	r.data = b
	return scratch, nil
}

// columnError is a value that could not be decoded.
type columnError struct {
	column int
	err    error
}

func (e *columnError) Error() string { return fmt.Sprintf("column %d: %v", e.column+1, e.err) }
func (e *columnError) Unwrap() error { return e.err }

// errNoColumns: rows that are nothing but defaults cannot even be counted.
var errNoColumns = errors.New("the logged rows have no columns")

// errNoKey: the image does not say which row it is.
var errNoKey = errors.New("the logged row has no key")

// next decodes the next row into c, whose rows live in before and after; their bytes are the event's or lie in scratch.
//
// A column that an update's new image leaves out has not changed: where the old image has it, that is its value. What neither has stays absent.
func (r *rowsEvent) next(c *change.Change, before, after change.Row, scratch []byte) ([]byte, error) {
	*c = change.Change{Table: r.table.shape, Op: r.op, Unchecked: r.unchecked}
	var err error
	if r.before != nil {
		if scratch, err = r.image(before, r.before, r.nBefore, r.allBefore, scratch); err != nil {
			return scratch, err
		}
		if !r.allBefore {
			for _, k := range r.table.shape.Key {
				if before[k].Kind == change.Absent {
					return scratch, errNoKey
				}
			}
		}
		c.Before = before
	}
	if r.after == nil {
		return scratch, nil
	}
	if scratch, err = r.image(after, r.after, r.nAfter, r.allAfter, scratch); err != nil {
		return scratch, err
	}
	c.After = after
	if r.allAfter {
		return scratch, nil
	}
	if r.before != nil {
		for i := range after {
			if after[i].Kind == change.Absent {
				after[i] = before[i]
			}
		}
		return scratch, nil
	}
	for i := range after {
		if after[i].Kind == change.Absent {
			d := &r.table.columns[i].absent
			if !d.known {
				return scratch, &columnError{column: i, err: errNoDefault}
			}
			after[i] = d.value
		}
	}
	return scratch, nil
}

// errNoDefault: the image of an inserted row leaves out a column whose default is not known exactly.
var errNoDefault = errors.New("the logged row leaves the column out and its default is not known exactly")
