package mysql

import (
	"bytes"
	"cmp"
	"compress/zlib"
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/crossfade-io/crossfade/capture"
)

// What MariaDB does otherwise than MySQL: its events, and its snapshots.

// Flags of a MARIADB_GTID_EVENT: https://mariadb.com/kb/en/gtid_event/
const (
	mariadbStandalone  = 1   // no COMMIT or XID follows
	mariadbGroupCommit = 2   // a number of 8 bytes follows
	mariadbPreparedXA  = 64  // the group ends in XA PREPARE
	mariadbCompletedXA = 128 // the group is an XA COMMIT or XA ROLLBACK
)

// startMariaDB begins a group of events. Other than MySQL's, the event stands for BEGIN too.
func (t *tail) startMariaDB(e *event) error {
	if !t.cfg.mariadb {
		return t.damaged(errors.New("an event of MariaDB"))
	}
	c := cursor{b: e.body}
	id := domainGTID{n: c.uint(8), domain: uint32(c.uint(4)), server: e.server}
	flags := c.uint8()
	xid := ""
	if flags&mariadbGroupCommit != 0 {
		c.take(8)
	}
	if flags&(mariadbPreparedXA|mariadbCompletedXA) != 0 {
		format := int32(c.uint(4))
		first, second := c.uint8(), c.uint8()
		gtrid, bqual := c.take(first), c.take(second)
		xid = hex.EncodeToString(gtrid) + "." + hex.EncodeToString(bqual) + "." + strconv.Itoa(int(format))
	}
	err := t.start(e, transactionStart{}, c.err())
	if err != nil {
		return err
	}
	if t.tx.again, err = t.passed(id); err != nil {
		return err
	}
	if p := t.pos.part; t.pos.row > 0 && p.n > 0 && !t.tx.again && p != id {
		return t.stop("binlog", fmt.Sprintf("transaction %s comes first where %s was being read: the order of the log has changed", appendDomains(nil, []domainGTID{id}), appendDomains(nil, []domainGTID{p})),
			"read from the server that the migration was started on, or start again with a new snapshot")
	}
	t.tx.domain = id
	t.tx.open = flags&mariadbStandalone == 0
	if flags&mariadbPreparedXA != 0 {
		t.tx.xid = xid
	}
	return nil
}

// readSequences lists the sequences: each is a table of one row in the log.
func readSequences(ctx context.Context, db *sql.DB) (map[name]bool, error) {
	rows, err := db.QueryContext(ctx, "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES WHERE TABLE_TYPE = 'SEQUENCE'")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[name]bool{}
	for rows.Next() {
		var n name
		if err := rows.Scan(&n.schema, &n.table); err != nil {
			return nil, err
		}
		out[n] = true
	}
	return out, rows.Err()
}

// compressed unpacks an event of which a part is compressed (log_bin_compress), and judges it as if it were not.
func (t *tail) compressed(e *event) (bool, error) {
	if cap(t.unpacked) > keepBuffer {
		t.unpacked = nil
	}
	typ, head, err := compressedHead(e)
	if err == nil {
		t.unpacked, err = inflate(append(t.unpacked[:0], e.body[:head]...), e.body[head:])
	}
	if err != nil {
		return false, t.damaged(fmt.Errorf("%s: %w", e.typ, err))
	}
	plain := *e
	plain.typ, plain.body = typ, t.unpacked
	if typ == replication.QUERY_EVENT {
		return t.query(&plain)
	}
	return t.rowsEvent(&plain)
}

// compressedHead is what the event is when it is unpacked, and where its compressed part begins.
func compressedHead(e *event) (typ replication.EventType, head int, err error) {
	c := cursor{b: e.body}
	bitmaps := 1
	switch e.typ {
	case replication.MARIADB_QUERY_COMPRESSED_EVENT:
		c.take(4 + 4)
		schema := c.uint8()
		c.take(2)
		c.take(int(c.uint(2)))
		c.take(schema + 1)
		return replication.QUERY_EVENT, len(e.body) - len(c.b), c.err()
	case replication.MARIADB_WRITE_ROWS_COMPRESSED_EVENT_V1:
		typ = replication.WRITE_ROWS_EVENTv1
	case replication.MARIADB_UPDATE_ROWS_COMPRESSED_EVENT_V1:
		typ, bitmaps = replication.UPDATE_ROWS_EVENTv1, 2
	case replication.MARIADB_DELETE_ROWS_COMPRESSED_EVENT_V1:
		typ = replication.DELETE_ROWS_EVENTv1
	default:
		return 0, 0, errors.New("it is not known as compressed")
	}
	c.take(6 + 2)
	n := c.packed()
	if n > 4096 {
		return 0, 0, fmt.Errorf("rows of %d columns", n)
	}
	c.take(bitmaps * ((int(n) + 7) / 8))
	return typ, len(e.body) - len(c.b), c.err()
}

// maxInflated bounds what one event unfolds to: a server writes no longer ones.
const maxInflated = 1 << 30

// inflate appends what a compressed part holds: one byte with the algorithm and the size of the length, the length, big-endian, and zlib's data.
func inflate(dst, part []byte) ([]byte, error) {
	if len(part) < 1 {
		return dst, errShort
	}
	if algorithm := part[0] >> 4 & 7; algorithm != 0 {
		return dst, fmt.Errorf("compression %d is not known", algorithm)
	}
	n := int(part[0] & 7)
	if n < 1 || n > 4 || len(part) < 1+n {
		return dst, errShort
	}
	size := 0
	for _, b := range part[1 : 1+n] {
		size = size<<8 | int(b)
	}
	if size > maxInflated {
		return dst, fmt.Errorf("%d bytes in one event", size)
	}
	z, err := zlib.NewReader(bytes.NewReader(part[1+n:]))
	if err != nil {
		return dst, err
	}
	at := len(dst)
	buf := bytes.NewBuffer(dst)
	if _, err = io.Copy(buf, io.LimitReader(z, int64(size)+1)); err != nil {
		return dst, err
	}
	if got := buf.Len() - at; got != size {
		return dst, fmt.Errorf("%d bytes instead of %d", got, size)
	}
	return buf.Bytes(), nil
}

// mariadbSnapshot opens a read-only transaction that sees everything up to at. MariaDB says of such a transaction which place of the log it shows; where
// that lies before at, it is tried again. A log that goes on without a commit (a new file) is moved past at by a commit of our own.
func (s *Source) mariadbSnapshot(ctx context.Context, w *wire, at *position) error {
	bounded, cancel := context.WithTimeout(ctx, s.proofWait)
	defer cancel()
	for {
		if err := w.exec(openSnapshot); err != nil {
			return err
		}
		shown, err := s.snapshotPlace(w, at)
		if err != nil {
			return err
		}
		covered, err := shown.covers(at)
		if err != nil || covered {
			return err
		}
		if err := w.exec("ROLLBACK"); err != nil {
			return err
		}
		switch err := s.Heartbeat(bounded); {
		case bounded.Err() != nil && ctx.Err() == nil, isServerError(err, erLockWait):
			return fmt.Errorf("%w: the newest snapshot shows %s, %s was read", capture.ErrNotVisible, &shown, at)
		case err != nil:
			return err
		}
		select {
		case <-bounded.Done(): // found out above
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// snapshotPlace is the place of the log that the open transaction shows, to be compared with another.
func (s *Source) snapshotPlace(w *wire, with *position) (position, error) {
	file, ok, err := w.one("SELECT VARIABLE_VALUE FROM information_schema.SESSION_STATUS WHERE VARIABLE_NAME = 'BINLOG_SNAPSHOT_FILE'")
	if err != nil {
		return position{}, fmt.Errorf("ask for the place of a snapshot: %w", err)
	}
	text, ok2, err := w.one("SELECT VARIABLE_VALUE FROM information_schema.SESSION_STATUS WHERE VARIABLE_NAME = 'BINLOG_SNAPSHOT_POSITION'")
	if err != nil {
		return position{}, fmt.Errorf("ask for the place of a snapshot: %w", err)
	}
	pos, err := strconv.ParseUint(text, 10, 64)
	if err != nil || !ok || !ok2 || file == "" {
		return position{}, fmt.Errorf("the server does not say which place of its log a snapshot shows (%q, %q)", file, text)
	}
	p := filePosition(file, pos)
	if with.on == "" {
		return p, nil
	}
	id, _, err := w.one(s.identityQuery())
	if err != nil {
		return p, fmt.Errorf("ask whose a snapshot is: %w", err)
	}
	if p.on = tagOf(id); p.on == with.on && !with.passing {
		return p, nil
	}
	if text, _, err = w.one(fmt.Sprintf("SELECT BINLOG_GTID_POS('%s', %d)", file, pos)); err != nil {
		return p, fmt.Errorf("ask for the GTIDs that a snapshot shows: %w", err)
	}
	if text != "" {
		p.domains, err = parseDomains(text)
	}
	return p, err
}

// domainGTID names a transaction of MariaDB. Numbers begin at 1 in each domain.
type domainGTID struct {
	domain, server uint32
	n              uint64
}

// setDomain notes the last transaction of a domain.
func (p *position) setDomain(g domainGTID) {
	for i := range p.domains {
		if p.domains[i].domain == g.domain {
			p.domains[i] = g
			return
		}
	}
	p.domains = append(p.domains, g)
	slices.SortFunc(p.domains, func(a, b domainGTID) int { return cmp.Compare(a.domain, b.domain) })
}

func appendDomains(dst []byte, list []domainGTID) []byte {
	for i, g := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendUint(dst, uint64(g.domain), 10)
		dst = strconv.AppendUint(append(dst, '-'), uint64(g.server), 10)
		dst = strconv.AppendUint(append(dst, '-'), g.n, 10)
	}
	return dst
}

// parseDomains reads what MariaDB writes: 0-1-100,3-2-7. A domain comes once.
func parseDomains(s string) (out []domainGTID, err error) {
	for part := range strings.SplitSeq(s, ",") {
		f := strings.Split(strings.TrimSpace(part), "-")
		var n [3]uint64
		if len(f) != len(n) {
			return nil, fmt.Errorf("%q is no GTID of MariaDB", part)
		}
		for i := range n {
			if n[i], err = strconv.ParseUint(f[i], 10, [3]int{32, 32, 64}[i]); err != nil {
				return nil, fmt.Errorf("%q is no GTID of MariaDB", part)
			}
		}
		g := domainGTID{domain: uint32(n[0]), server: uint32(n[1]), n: n[2]}
		if slices.ContainsFunc(out, func(o domainGTID) bool { return o.domain == g.domain }) {
			return nil, fmt.Errorf("domain %d comes twice in %q", g.domain, s)
		}
		out = append(out, g)
	}
	slices.SortFunc(out, func(a, b domainGTID) int { return cmp.Compare(a.domain, b.domain) })
	return out, nil
}

// containsDomains compares the history behind a place of the log with the one that was read: after RESET MASTER, or on a server restored from a backup, a file of that
// name and size may hold another.
func (s *Source) containsDomains(ctx context.Context, at *position, stop *capture.Stop) error {
	there, err := s.gtidsAt(ctx, at.file, at.pos)
	if err != nil {
		return err
	}
	for _, g := range at.domains {
		if !slices.Contains(there, g) {
			stop.Reason = fmt.Sprintf("its log is another than the one that was read: at %s:%d stand the GTIDs %q, and %s was read (RESET MASTER, or a restored backup)",
				at.file, at.pos, appendDomains(nil, there), appendDomains(nil, at.domains))
			return stop
		}
	}
	return nil
}
