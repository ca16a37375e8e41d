package mysql

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/go-mysql-org/go-mysql/replication"
)

// errShort is what the reading of a damaged event comes to.
var errShort = errors.New("the event is cut short")

// cursor reads the fields of an event. Reading past the end gives zeros and sets short.
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

// uint reads a little-endian number of n bytes.
func (c *cursor) uint(n int) uint64 { return littleEndian(c.take(n)) }

func (c *cursor) uint8() int {
	if len(c.b) < 1 {
		c.short = true
		return 0
	}
	v := c.b[0]
	c.b = c.b[1:]
	return int(v)
}

// packed reads a number of MySQL's variable length.
func (c *cursor) packed() uint64 {
	switch first := c.uint8(); first {
	case 0xfc:
		return c.uint(2)
	case 0xfd:
		return c.uint(3)
	case 0xfe:
		return c.uint(8)
	case 0xfb, 0xff: // NULL and error in the client protocol; no number
		c.short = true
		return 0
	default:
		return uint64(first)
	}
}

// sized reads bytes with their length, a packed number, before them.
func (c *cursor) sized() []byte {
	n := c.packed()
	if n > uint64(len(c.b)) {
		c.short, c.b = true, nil
		return nil
	}
	return c.take(int(n))
}

// named reads a name with its length in one byte before it and a zero behind it.
func (c *cursor) named() []byte {
	s := c.take(c.uint8())
	if len(c.b) < 1 || c.b[0] != 0 {
		c.short = true
		return nil
	}
	c.b = c.b[1:]
	return s
}

func (c *cursor) err() error {
	if c.short {
		return errShort
	}
	return nil
}

const headerSize = replication.EventHeaderSize

// event is one event of the log: its header and its body, without checksum.
type event struct {
	time   uint32
	typ    replication.EventType
	size   uint32 // as it stands in the log
	end    uint32 // offset behind it in the file; 0 inside a compressed transaction and in events that are not in the file
	flags  uint16
	server uint32
	body   []byte
}

func (e *event) artificial() bool { return e.flags&replication.LOG_EVENT_ARTIFICIAL_F != 0 }

// parseEvent reads the header and cuts the checksum off, having compared it.
func parseEvent(raw []byte, checksum bool) (event, error) {
	if len(raw) < headerSize {
		return event{}, errShort
	}
	e := event{
		time:   binary.LittleEndian.Uint32(raw),
		typ:    replication.EventType(raw[4]),
		server: binary.LittleEndian.Uint32(raw[5:]),
		size:   binary.LittleEndian.Uint32(raw[9:]),
		end:    binary.LittleEndian.Uint32(raw[13:]),
		flags:  binary.LittleEndian.Uint16(raw[17:]),
		body:   raw[headerSize:],
	}
	if int(e.size) != len(raw) {
		return e, fmt.Errorf("%s says it has %d bytes and has %d", e.typ, e.size, len(raw))
	}
	if checksum {
		n := len(raw) - replication.BinlogChecksumLength
		if n < headerSize {
			return e, errShort
		}
		if want := binary.LittleEndian.Uint32(raw[n:]); crc32.ChecksumIEEE(raw[:n]) != want {
			return e, fmt.Errorf("%s before offset %d has another checksum than it says: the binlog is damaged", e.typ, e.end)
		}
		e.body = raw[headerSize:n]
	}
	return e, nil
}

// transactionStart is what a GTID event says.
type transactionStart struct {
	id   gtid  // zero for an anonymous transaction
	time int64 // commit time on this server, microseconds since 1970; 0 when the event does not say
}

// parseGTIDEvent reads GTID_EVENT and ANONYMOUS_GTID_EVENT.
func parseGTIDEvent(body []byte, anonymous bool) (transactionStart, error) {
	c := cursor{b: body}
	var s transactionStart
	c.uint8() // flags
	copy(s.id.uuid[:], c.take(16))
	s.id.n = int64(c.uint(8))
	if anonymous {
		s.id = gtid{}
	} else if s.id.n < 1 && !c.short {
		return s, fmt.Errorf("transaction number %d", s.id.n)
	}
	if err := c.err(); err != nil {
		return s, err
	}
	const logicalTimestamps = 2
	if len(c.b) >= 1+16+7 && c.uint8() == logicalTimestamps {
		c.take(16) // last committed, sequence number
		s.time = int64(c.uint(7) &^ (1 << 55))
	}
	return s, nil
}

// parseTaggedGTIDEvent reads GTID_TAGGED_LOG_EVENT, which is written in a format of its own.
func parseTaggedGTIDEvent(body []byte) (s transactionStart, err error) {
	defer func() {
		if p := recover(); p != nil { // the library checks no lengths
			err = fmt.Errorf("%w: %v", errShort, p)
		}
	}()
	var e replication.GtidTaggedLogEvent
	if err := e.Decode(body); err != nil {
		return s, err
	}
	if len(e.SID) != 16 || e.GNO < 1 {
		return s, fmt.Errorf("transaction %x:%d", e.SID, e.GNO)
	}
	copy(s.id.uuid[:], e.SID)
	s.id.tag, s.id.n, s.time = e.Tag.String(), e.GNO, int64(e.ImmediateCommitTimestamp)
	return s, nil
}

// query is a QUERY_EVENT.
type query struct {
	database string // default database
	sqlMode  uint64
	client   uint64 // collation of the client's character set; 0 when not said
	failed   int    // error number that the statement ended with on the source
	text     []byte
}

// parseQuery reads a QUERY_EVENT. Of the status variables, which are written in the order of their numbers except for the catalog, only the mode and
// the character set matter here; the first unknown one ends their reading, as it does in MySQL.
func parseQuery(body []byte) (query, error) {
	var q query
	c := cursor{b: body}
	c.take(4 + 4) // thread, duration
	schema := c.uint8()
	q.failed = int(c.uint(2))
	vars := cursor{b: c.take(int(c.uint(2)))}
	q.database = string(c.take(schema))
	if c.uint8() != 0 {
		c.short = true
	}
	if err := c.err(); err != nil {
		return q, err
	}
	q.text = c.b
	for len(vars.b) > 0 {
		switch vars.uint8() {
		case 0, 10: // flags, size on the master
			vars.take(4)
		case 1:
			q.sqlMode = vars.uint(8)
		case 2: // catalog, old form
			vars.take(vars.uint8() + 1)
		case 3: // auto increment
			vars.take(4)
		case 4:
			q.client = vars.uint(2)
			vars.take(4)
		case 5, 6: // time zone, catalog
			vars.take(vars.uint8())
		default:
			vars.b = nil
		}
	}
	if vars.short {
		return q, errShort
	}
	return q, nil
}
