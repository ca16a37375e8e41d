package mysql

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/change"
)

// loggedTable is a table as a TABLE_MAP_EVENT describes it and, when its rows are wanted, how to decode them.
type loggedTable struct {
	*tableMap
	raw  []byte // the event, to know the same description again
	role role
	// in says in which statement the description is valid: table numbers are given anew for each.
	in uint64

	shape   *change.Table
	columns []column
}

// role says what happens to the rows of a table.
type role uint8

const (
	other    role = iota // counted only
	selected             // returned
	marker               // crossfade's marker table: inserts are markers
	ledger               // crossfade's ledger: a transaction that begins with a row of it may be ours
)

// match makes decoders for the version of the table in force. Everything the log says about the table must agree with the version: a row is never
// decoded with a guess.
func (l *loggedTable) match(t *catalog.Table, collations map[uint64]string) error {
	if len(l.fields) != len(t.Columns) {
		return fmt.Errorf("the log has %d columns, the known version %d (%s)", len(l.fields), len(t.Columns), columnNames(t))
	}
	l.shape = t.Shape()
	l.columns = make([]column, len(l.fields))
	var numeric, character, enumSet, enum, set int
	for i, f := range l.fields {
		c := &t.Columns[i]
		fail := func(format string, args ...any) error {
			return fmt.Errorf("column %d, known as %s %s: %s", i+1, c.Name, c.Type.Full, fmt.Sprintf(format, args...))
		}
		if l.names != nil && string(l.names[i]) != c.Name {
			return fail("the log calls it %s", l.names[i])
		}
		if hasBit(l.nullable, i) != c.Nullable {
			return fail("the log says nullable=%v", !c.Nullable)
		}
		var err error
		if l.columns[i], err = newColumn(c, f); err != nil {
			return fail("%v", err)
		}
		if f.isNumeric() {
			if l.unsigned != nil && f.typ != typeYear {
				if unsigned := l.unsigned[numeric/8]>>(7-numeric%8)&1 != 0; unsigned != c.Type.Unsigned {
					return fail("the log says unsigned=%v", unsigned)
				}
			}
			numeric++
		}
		if l.isCharacter(f) {
			if l.charsets != nil {
				if err := sameCharset(collations, l.charsets[character], &c.Type); err != nil {
					return fail("%v", err)
				}
			}
			character++
		}
		if !f.isEnumOrSet() {
			continue
		}
		cs, err := charsetOf(c.Type.Charset)
		if err != nil {
			return fail("%v", err)
		}
		if l.enumSets != nil {
			if err := sameCharset(collations, l.enumSets[enumSet], &c.Type); err != nil {
				return fail("%v", err)
			}
		}
		enumSet++
		var logged [][]byte
		if f.typ == typeEnum {
			if l.enums != nil {
				logged = l.enums[enum]
			}
			enum++
		} else {
			if l.sets != nil {
				logged = l.sets[set]
			}
			set++
		}
		if logged != nil && !sameLabels(cs, logged, l.columns[i].labels) {
			return fail("the log has other labels: %s", bytes.Join(logged, []byte(", ")))
		}
	}
	return nil
}

func columnNames(t *catalog.Table) string {
	names := make([]string, len(t.Columns))
	for i := range names {
		names[i] = t.Columns[i].Name
	}
	return strings.Join(names, ", ")
}

func sameCharset(collations map[uint64]string, id uint64, t *catalog.Type) error {
	logged, ok := collations[id]
	if !ok {
		return fmt.Errorf("the log says collation %d, which is not known", id)
	}
	known := t.Charset
	if known == "" {
		known = "binary"
	}
	if oldName(logged) != oldName(known) {
		return fmt.Errorf("the log says character set %s, not %s", logged, known)
	}
	return nil
}

// oldName: utf8 is what utf8mb3 was called until MySQL 8.0.30.
func oldName(charset string) string {
	if charset == "utf8" {
		return "utf8mb3"
	}
	return charset
}

func sameLabels(cs *charset, logged, known [][]byte) bool {
	if len(logged) != len(known) {
		return false
	}
	for i := range logged {
		label, err := cs.appendUTF8(nil, logged[i])
		if err != nil || !bytes.Equal(label, known[i]) {
			return false
		}
	}
	return true
}
