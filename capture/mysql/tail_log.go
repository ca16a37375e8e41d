package mysql

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/crossfade-io/crossfade/capture"
)

// between: the event may not stand inside a transaction.
func (t *tail) between(e *event) error {
	if t.tx.started {
		return t.damaged(fmt.Errorf("%s inside a transaction", e.typ))
	}
	return nil
}

// format reads a FORMAT_DESCRIPTION_EVENT, with which every file begins.
func (t *tail) format(e *event) error {
	if err := t.between(e); err != nil {
		return err
	}
	const versionAt, lengthsAt = 2, 2 + 50 + 4 + 1
	c := cursor{b: e.body}
	if v := c.uint(2); v != 4 {
		return t.damaged(fmt.Errorf("binlog of version %d", v))
	}
	version := string(bytes.TrimRight(c.take(50), "\x00"))
	// Only rows events with table numbers of 6 bytes are known.
	if at := lengthsAt + int(replication.TABLE_MAP_EVENT) - 1; len(e.body) <= at || e.body[at] != 8 {
		return t.damaged(errors.New("table descriptions of another version"))
	}
	t.version = versionNumber(version)
	if mariadb := strings.Contains(version, "MariaDB"); mariadb != t.cfg.mariadb || t.version < 50700 || mariadb && t.version < mariadbVersions {
		return t.stop("binlog", fmt.Sprintf("it was written by %s", version), "only logs of MySQL 5.7 and later or of MariaDB 10 and later can be read, each as that engine")
	}
	return nil
}

// hasChecksum reads the algorithm out of a FORMAT_DESCRIPTION_EVENT: one byte, with room for the checksum behind it.
func hasChecksum(raw []byte) bool {
	return len(raw) > headerSize+5 && raw[len(raw)-5] == byte(replication.BINLOG_CHECKSUM_ALG_CRC32)
}

// versionNumber turns 9.7.1-debug into 90701.
func versionNumber(s string) int {
	n := 0
	for i, part := range strings.SplitN(s, ".", 3) {
		if end := strings.IndexFunc(part, func(r rune) bool { return r < '0' || r > '9' }); end >= 0 {
			part = part[:end]
		}
		v, err := strconv.Atoi(part)
		if err != nil {
			return 0
		}
		n += v * [3]int{10000, 100, 1}[i]
	}
	return n
}

func (t *tail) rotate(e *event) error {
	if err := t.between(e); err != nil {
		return err
	}
	c := cursor{b: e.body}
	pos := c.uint(8)
	if c.short {
		return t.damaged(errShort)
	}
	t.file, t.filePos = string(c.b), pos
	if !t.pos.byFile || t.file == t.pos.file && pos == t.pos.pos {
		return nil
	}
	if t.pos.inside() && !t.pos.passing {
		return t.damaged(fmt.Errorf("the log goes on at %s:%d, not inside the transaction that was being read", t.file, pos))
	}
	if cmp, err := compareFiles(t.file, t.pos.file); err != nil || cmp < 0 {
		return t.damaged(fmt.Errorf("the log goes from %s back to %s", t.pos.file, t.file))
	}
	t.pos.file, t.pos.pos = t.file, pos
	return nil
}

// start begins a transaction.
func (t *tail) start(e *event, s transactionStart, err error) error {
	switch {
	case err != nil:
		return t.damaged(err)
	case t.tx.started:
		return t.damaged(fmt.Errorf("transaction %s begins inside another", s.id))
	}
	t.tx = transaction{started: true, id: s.id, time: s.time}
	if s.time == 0 {
		t.tx.time = int64(e.time) * 1_000_000
	}
	if t.pos.byFile {
		if e.end != 0 && t.filePos-uint64(e.size) != t.pos.pos {
			return t.damaged(fmt.Errorf("a transaction begins at %d, not at %d", t.filePos-uint64(e.size), t.pos.pos))
		}
		return nil
	}
	switch {
	case s.id.isZero():
		return t.stop("gtid_mode", "the source has begun to write transactions without a GTID, and this migration follows GTIDs",
			"set gtid_mode=ON again, and start again with a new snapshot")
	case t.pos.set.has(s.id):
		return t.damaged(fmt.Errorf("transaction %s comes a second time", s.id))
	case t.pos.inside() && s.id != t.pos.in:
		return t.stop("binlog", fmt.Sprintf("transaction %s comes first where %s was being read: the order of the log has changed", s.id, t.pos.in),
			"read from the server that the migration was started on, or start again with a new snapshot")
	}
	return nil
}

// commit ends the transaction.
func (t *tail) commit() (bool, error) {
	t.ending = false
	if t.tx.rows < t.skip && !t.tx.own { // the rows of our own are not counted
		return false, t.damaged(fmt.Errorf("it has %d rows, of which %d had been read before", t.tx.rows, t.skip))
	}
	t.skip = 0
	t.pos.in, t.pos.part, t.pos.row = gtid{}, domainGTID{}, 0
	if t.pos.byFile {
		t.pos.pos = t.filePos
		if t.tx.domain.n > 0 {
			t.pos.setDomain(t.tx.domain)
		}
	} else {
		t.pos.set.add(t.tx.id)
	}
	if t.tx.settled != "" {
		t.pos.prepared = slices.DeleteFunc(t.pos.prepared, func(x string) bool { return x == t.tx.settled })
	}
	if t.tx.prepared != "" {
		t.pos.prepared = append(t.pos.prepared, t.tx.prepared)
	}
	t.event = capture.Event{Kind: capture.Commit, Time: t.tx.time}
	t.tx = transaction{}
	return true, nil
}

// returning notes that the caller gets what has just been read.
func (t *tail) returning() { t.pos.in, t.pos.part, t.pos.row = t.tx.id, t.tx.domain, t.tx.rows }
