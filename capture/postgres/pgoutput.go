package postgres

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The messages of pgoutput, protocol version 1: https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html
const (
	msgBegin    = 'B'
	msgCommit   = 'C'
	msgOrigin   = 'O'
	msgRelation = 'R'
	msgType     = 'Y'
	msgInsert   = 'I'
	msgUpdate   = 'U'
	msgDelete   = 'D'
	msgTruncate = 'T'
)

// message is one message, parsed as far as its kind says. Slices are those of the bytes it was parsed from.
type message struct {
	kind byte

	lsn  uint64 // of the commit record, in msgBegin; behind it, in msgCommit
	time int64  // of the commit, microseconds since 2000
	xid  uint32 // msgBegin

	oid      uint32 // of the table
	oldKind  byte   // 'K': the key only, 'O': the whole row; 0: no old row
	old, new []byte // tuples
	relation relation
	oids     []uint32 // msgTruncate
}

// relation is what the log says about a table before its first row.
type relation struct {
	schema, name string
	identity     byte // d, n, f or i
	columns      []logColumn
}

type logColumn struct {
	name string
	key  bool // part of the replica identity
	oid  uint32
	mod  int32
}

var errShort = errors.New("it is cut short")

// cursor reads a message from its start. What is not there makes it short.
type cursor struct {
	b     []byte
	short bool
}

func (c *cursor) take(n int) []byte {
	if n < 0 || n > len(c.b) {
		c.short, c.b = true, nil
		return nil
	}
	out := c.b[:n:n]
	c.b = c.b[n:]
	return out
}

func (c *cursor) uint8() byte {
	if b := c.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) uint16() int {
	if b := c.take(2); b != nil {
		return int(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (c *cursor) uint32() uint32 {
	if b := c.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (c *cursor) uint64() uint64 {
	if b := c.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// text reads up to a zero byte.
func (c *cursor) text() string {
	for i, b := range c.b {
		if b == 0 {
			s := string(c.b[:i])
			c.b = c.b[i+1:]
			return s
		}
	}
	c.short, c.b = true, nil
	return ""
}

// parse reads one message into m. Whatever is not known here is an error.
func (m *message) parse(b []byte) error {
	c := cursor{b: b}
	*m = message{kind: c.uint8(), oids: m.oids[:0]}
	switch m.kind {
	case msgBegin:
		m.lsn, m.time, m.xid = c.uint64(), int64(c.uint64()), c.uint32()
	case msgCommit:
		if flags := c.uint8(); flags != 0 {
			return fmt.Errorf("a commit with flags %#x", flags)
		}
		c.uint64() // of the commit record
		m.lsn, m.time = c.uint64(), int64(c.uint64())
	case msgOrigin:
		c.uint64()
		c.text()
	case msgType:
		c.uint32()
		c.text()
		c.text()
	case msgRelation:
		m.parseRelation(&c)
	case msgInsert, msgUpdate, msgDelete:
		return m.parseRow(&c)
	case msgTruncate:
		n := c.uint32()
		c.uint8() // CASCADE, RESTART IDENTITY: the tables that it reached are all listed
		for ; n > 0 && !c.short; n-- {
			m.oids = append(m.oids, c.uint32())
		}
	default:
		return fmt.Errorf("a message of kind %q", m.kind)
	}
	return m.end(&c)
}

func (m *message) end(c *cursor) error {
	switch {
	case c.short:
		return fmt.Errorf("a message of kind %q: %w", m.kind, errShort)
	case len(c.b) > 0:
		return fmt.Errorf("a message of kind %q has %d bytes more than it should", m.kind, len(c.b))
	}
	return nil
}

func (m *message) parseRelation(c *cursor) {
	m.oid = c.uint32()
	m.relation.schema, m.relation.name, m.relation.identity = c.text(), c.text(), c.uint8()
	if m.relation.schema == "" {
		m.relation.schema = "pg_catalog" // the protocol leaves its name out
	}
	for n := c.uint16(); n > 0 && !c.short; n-- {
		flags := c.uint8()
		m.relation.columns = append(m.relation.columns, logColumn{key: flags&1 != 0, name: c.text(), oid: c.uint32(), mod: int32(c.uint32())})
	}
}

func (m *message) parseRow(c *cursor) error {
	m.oid = c.uint32()
	for {
		kind := c.uint8()
		tuple := c.tuple()
		switch {
		case c.short:
			return m.end(c)
		case (kind == 'K' || kind == 'O') && m.kind != msgInsert && m.old == nil:
			m.oldKind, m.old = kind, tuple
			if m.kind == msgDelete {
				return m.end(c)
			}
		case kind == 'N' && m.kind != msgDelete:
			m.new = tuple
			return m.end(c)
		default:
			return fmt.Errorf("a message of kind %q holds a row of kind %q", m.kind, kind)
		}
	}
}

// tuple passes over a row and returns it.
func (c *cursor) tuple() []byte {
	start := c.b
	for n := c.uint16(); n > 0 && !c.short; n-- {
		switch c.uint8() {
		case 'n', 'u':
		case 't':
			c.take(int(c.uint32()))
		default: // binary is not asked for
			c.short, c.b = true, nil
		}
	}
	if c.short {
		return nil
	}
	return start[: len(start)-len(c.b) : len(start)-len(c.b)]
}
