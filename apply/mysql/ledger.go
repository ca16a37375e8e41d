package mysql

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/crossfade-io/crossfade/apply"
)

// mine selects the rows of this migration and side.
func (s *session) mine() string {
	return "migration = " + text(s.target.migration) + " AND side = " + text(s.target.side)
}

func (s *session) key() string { return text(s.target.migration) + ", " + text(s.target.side) }

// moveLedger begins the transaction and moves its ledger rows.
func (s *session) moveLedger(ctx context.Context, tx *apply.Tx) error {
	if _, err := s.exec(ctx, "START TRANSACTION"); err != nil {
		return classify(err)
	}
	lane, want := "", uint64(1)
	if tx.Lane == apply.AllLanes {
		want = uint64(tx.Lanes)
	} else {
		lane = fmt.Sprintf(" AND lane = %d", tx.Lane)
	}
	if tx.Counter != 0 {
		lane += fmt.Sprintf(" AND (lane <> %d OR counter = %d)", max(tx.Lane, 0), tx.Counter)
	}
	r, err := s.exec(ctx, fmt.Sprintf("UPDATE crossfade.ledger SET seq = %s, sum = %s, counter = counter + 1, source_time = GREATEST(source_time, %d), marker_epoch = GREATEST(marker_epoch, %d), stream_id = %s WHERE %s AND token = %d AND seq = %s%s",
		int64Text(tx.To.Seq), int64Text(tx.To.Sum), tx.To.Time, tx.Epoch, text(tx.Stream), s.mine(), tx.Token, int64Text(tx.From), lane))
	if err != nil {
		return classify(err)
	}
	if r.AffectedRows != want {
		return apply.ErrMoved
	}
	return nil
}

// writeSide writes what belongs to the transaction besides rows and ledger.
func (s *session) writeSide(ctx context.Context, tx *apply.Tx) error {
	var b []string
	add := func(format string, args ...any) { b = append(b, fmt.Sprintf(format, args...)) }
	for i := range s.tally {
		c := &s.tally[i]
		if c.Copied|c.Inserted|c.Updated|c.Deleted|c.Missed == 0 {
			continue
		}
		add("INSERT INTO crossfade.counts (migration, side, lane, source_table, copied, inserted, updated, deleted, missed) VALUES (%s, %d, %s, %d, %d, %d, %d, %d) ON DUPLICATE KEY UPDATE copied = copied + %[4]d, inserted = inserted + %[5]d, updated = updated + %[6]d, deleted = deleted + %[7]d, missed = missed + %[8]d",
			s.key(), c.Lane, text(c.Source), c.Copied, c.Inserted, c.Updated, c.Deleted, c.Missed)
	}
	for _, k := range tx.Recopy {
		add("INSERT INTO crossfade.recopy (migration, side, source_table, hash, `key`, seq) VALUES (%s, %s, %s, %s, %s) ON DUPLICATE KEY UPDATE seq = GREATEST(seq, %[5]s)", s.key(), text(k.Source), hash(k.Key), bytesText(k.Key), int64Text(k.Seq))
	}
	if len(tx.Cascaded) > 0 && tx.Touched != nil {
		add("DELETE FROM crossfade.cascaded WHERE %s AND seq <= %s", s.mine(), int64Text(min(tx.Forget, 1<<63-1)))
	}
	for _, k := range tx.Cascaded {
		lists := []string{"cascaded"}
		if k.Again {
			lists = append(lists, "recopy")
		}
		for _, list := range lists {
			add("INSERT INTO crossfade.%s (migration, side, source_table, hash, `key`, seq) VALUES (%s, %s, %s, %s, %s) ON DUPLICATE KEY UPDATE seq = GREATEST(seq, %[6]s)", list, s.key(), text(k.Source), hash(k.Key), bytesText(k.Key), int64Text(k.Seq))
		}
	}
	// after the list has grown: a key that was listed and read again in one transaction is off the list, one listed later is not
	for _, k := range tx.Recopied {
		add("DELETE FROM crossfade.recopy WHERE %s AND source_table = %s AND hash = %s AND seq <= %s", s.mine(), text(k.Source), hash(k.Key), int64Text(k.Seq))
	}
	for _, h := range tx.Hold {
		add("INSERT INTO crossfade.held (migration, side, lane, source_table, from_seq, `key`, reason, remedy) VALUES (%s, %d, %s, %s, %s, %s, %s) ON DUPLICATE KEY UPDATE from_seq = %[4]s, `key` = %[5]s, reason = %[6]s, remedy = %[7]s",
			s.key(), h.Lane, text(h.Source), int64Text(h.From), text(printable(h.Key)), text(printable(h.Reason)), text(h.Remedy))
	}
	for _, h := range tx.Release {
		add("DELETE FROM crossfade.held WHERE %s AND lane = %d AND source_table = %s", s.mine(), h.Lane, text(h.Source))
	}
	for _, p := range tx.Progress {
		next := "NULL"
		if len(p.Next) > 0 {
			next = bytesText(p.Next)
		}
		add("UPDATE crossfade.tables SET next = %s, next_seq = %s, rows_copied = %d, copied = %t WHERE %s AND source_table = %s", next, int64Text(p.Seq), p.Rows, p.Done, s.mine(), text(p.Source))
	}
	for _, c := range tx.States {
		set := fmt.Sprintf("state = 'copying', one_lane = %t", c.OneLane)
		if c.Strict {
			set = fmt.Sprintf("state = 'strict', one_lane = %t", c.OneLane)
			if c.Seq != 0 {
				set += ", strict_seq = " + int64Text(c.Seq)
			}
		}
		if c.Shape != 0 {
			set += ", shape = " + int64Text(c.Shape)
		}
		add("UPDATE crossfade.tables SET %s WHERE %s AND source_table = %s", set, s.mine(), text(c.Source))
		add("DELETE FROM crossfade.settled WHERE %s AND source_table = %s", s.mine(), text(c.Source))
		if c.Settled {
			add("INSERT INTO crossfade.settled (migration, side, source_table) VALUES (%s, %s)", s.key(), text(c.Source))
		}
	}
	for len(b) > 0 {
		n, size := 0, 0
		for n < len(b) && (n == 0 || size+len(b[n]) <= maxStatementBytes) {
			size += len(b[n])
			n++
		}
		if err := s.run(ctx, strings.Join(b[:n], ";")); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

func bytesText(b []byte) string { return "x'" + hex.EncodeToString(b) + "'" }

func hash(key []byte) string {
	sum := sha256.Sum256(key)
	return bytesText(sum[:])
}

// printable makes a text of what may quote values that are none.
func printable(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return strconv.Quote(s)
}

// numbers reads integers of a row from a column on.
func numbers(row []string, from int, into ...*int64) error {
	for i, n := range into {
		v, err := strconv.ParseInt(row[from+i], 10, 64)
		if err != nil {
			return err
		}
		*n = v
	}
	return nil
}

// Ledger implements [apply.Session].
func (s *session) Ledger(ctx context.Context) ([]apply.LaneRow, error) {
	rows, err := s.rows(ctx, "SELECT stream_id, lane, lanes, seq, sum, token, counter, marker_epoch, source_time FROM crossfade.ledger WHERE "+s.mine()+" ORDER BY lane")
	if err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	out := make([]apply.LaneRow, len(rows))
	for i, r := range rows {
		l := apply.LaneRow{Stream: r[0]}
		var lane, lanes, seq, sum int64
		if err := numbers(r, 1, &lane, &lanes, &seq, &sum, &l.Token, &l.Counter, &l.MarkerEpoch, &l.SourceTime); err != nil {
			return nil, fmt.Errorf("read the ledger: %w", err)
		}
		l.Lane, l.Lanes, l.Seq, l.Sum = int(lane), int(lanes), uint64(seq), uint64(sum)
		out[i] = l
	}
	return out, nil
}

// RecopyPending implements [apply.Session].
func (s *session) RecopyPending(ctx context.Context, source string) (n int64, err error) {
	rows, err := s.rows(ctx, "SELECT COUNT(*) FROM crossfade.recopy WHERE "+s.mine()+" AND source_table = "+text(source))
	if err != nil {
		return 0, fmt.Errorf("read the re-copy list of %s: %w", source, err)
	}
	return n, numbers(rows[0], 0, &n)
}

// alone runs f in a transaction that no other of its kind runs beside.
func (s *session) alone(ctx context.Context, f func() error) (err error) {
	name := text("crossfade " + s.target.migration)
	got, err := s.rows(ctx, "SELECT GET_LOCK("+name+", 5)")
	if err != nil {
		return err
	}
	if got[0][0] != "1" {
		return &apply.LostError{Err: errors.New("another applier is being started on the target")}
	}
	defer func() {
		if _, e := s.rows(ctx, "SELECT RELEASE_LOCK("+name+")"); e != nil && err == nil {
			err = e
		}
	}()
	if _, err := s.exec(ctx, "START TRANSACTION"); err != nil {
		return classify(err)
	}
	if err := f(); err != nil {
		s.rollback(ctx)
		return err
	}
	_, err = s.exec(ctx, "COMMIT")
	return classify(err)
}

// Start implements [apply.Target].
func (t *Target) Start(ctx context.Context, lanes int) (*apply.Durable, error) {
	d := new(apply.Durable)
	s, err := t.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	err = s.alone(ctx, func() (err error) {
		if err := s.closed(ctx); err != nil {
			return err
		}
		if d.Token, err = s.newToken(ctx); err != nil {
			return err
		}
		if d.Token == 0 {
			d.Token = 1
			if err := s.newLanes(ctx, lanes); err != nil {
				return err
			}
		}
		if d.Lanes, err = s.Ledger(ctx); err != nil {
			return err
		}
		if d.Tables, err = s.tables(ctx); err != nil {
			return err
		}
		if d.Held, err = s.held(ctx); err != nil {
			return err
		}
		if d.Counts, err = s.counts(ctx); err != nil {
			return err
		}
		d.Cascaded, err = s.cascaded(ctx)
		return err
	})
	return d, err
}

// closed says by a nil error that the side is closed, and keeps it so until the transaction ends.
func (s *session) closed(ctx context.Context) error {
	there, err := s.rows(ctx, "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'crossfade' AND TABLE_NAME IN ('gate', 'attempt')")
	if err != nil || there[0][0] != "2" {
		return err
	}
	gate, err := s.rows(ctx, "SELECT state FROM crossfade.gate WHERE "+s.mine()+" LOCK IN SHARE MODE")
	if err != nil || len(gate) == 0 {
		return err
	}
	live, err := s.rows(ctx, "SELECT 1 FROM crossfade.attempt WHERE "+s.mine()+" AND state IN ('ARMED', 'FENCED', 'DECIDING', 'ABORTING')")
	if err == nil && (gate[0][0] == "open" || len(live) > 0) {
		err = apply.ErrOpen
	}
	return err
}

// newLanes makes the ledger's rows, with token 1.
func (s *session) newLanes(ctx context.Context, lanes int) error {
	var rows []string
	for n := range lanes {
		rows = append(rows, fmt.Sprintf("(%s, %d, %d, 1)", s.key(), n, lanes))
	}
	_, err := s.exec(ctx, "INSERT INTO crossfade.ledger (migration, side, lane, lanes, token) VALUES "+strings.Join(rows, ", "))
	return classify(err)
}

// newToken raises the token of all ledger rows and returns it; 0 when there are none. It waits for transactions under way: when it is committed, nothing of
// an earlier token can be committed any more.
func (s *session) newToken(ctx context.Context) (int64, error) {
	rows, err := s.rows(ctx, "SELECT token FROM crossfade.ledger WHERE "+s.mine()+" ORDER BY token DESC FOR UPDATE")
	if err != nil {
		return 0, fmt.Errorf("take the applier's token: %w", err)
	}
	if len(rows) == 0 {
		return 0, nil
	}
	var token int64
	if err := numbers(rows[0], 0, &token); err != nil {
		return 0, err
	}
	token++
	_, err = s.exec(ctx, fmt.Sprintf("UPDATE crossfade.ledger SET token = %d, counter = counter + 1 WHERE %s", token, s.mine()))
	return token, classify(err)
}

// Relane implements [apply.Target].
func (t *Target) Relane(ctx context.Context, token int64, lanes int) error {
	return t.do(ctx, "change the lanes of the ledger", func(s *session) error {
		return s.alone(ctx, func() error {
			if _, err := s.rows(ctx, "SELECT 1 FROM crossfade.ledger WHERE "+s.mine()+" FOR UPDATE"); err != nil {
				return err
			}
			rows, err := s.Ledger(ctx)
			if err != nil {
				return err
			}
			held, err := s.held(ctx)
			if err != nil {
				return err
			}
			if err := apply.CanRelane(rows, held, token); err != nil {
				return err
			}
			statements := []string{
				fmt.Sprintf("DELETE FROM crossfade.ledger WHERE %s AND lane >= %d", s.mine(), lanes),
				fmt.Sprintf("UPDATE crossfade.ledger SET lanes = %d, counter = counter + 1 WHERE %s", lanes, s.mine()),
			}
			l := rows[0]
			for n := len(rows); n < lanes; n++ {
				statements = append(statements, fmt.Sprintf("INSERT INTO crossfade.ledger (migration, side, lane, lanes, stream_id, seq, sum, token, marker_epoch, source_time) VALUES (%s, %d, %d, %s, %s, %s, %d, %d, %d)",
					s.key(), n, lanes, text(l.Stream), int64Text(l.Seq), int64Text(l.Sum), l.Token, l.MarkerEpoch, l.SourceTime))
			}
			return classify(s.run(ctx, strings.Join(statements, ";")))
		})
	})
}

func (s *session) tables(ctx context.Context) ([]apply.TableRow, error) {
	rows, err := s.rows(ctx, "SELECT source_table, target_table, state, COALESCE(HEX(next), ''), shape, one_lane, strict_seq, next_seq, rows_copied, copied, EXISTS (SELECT 1 FROM crossfade.settled s WHERE s.migration = t.migration AND s.side = t.side AND s.source_table = t.source_table) FROM crossfade.tables t WHERE "+s.mine()+" ORDER BY source_table")
	if err != nil {
		return nil, fmt.Errorf("read crossfade.tables: %w", err)
	}
	out := make([]apply.TableRow, len(rows))
	for i, r := range rows {
		t := apply.TableRow{Source: r[0], Target: r[1], Strict: r[2] == "strict"}
		var shape, one, strict, next, done, settled int64
		if err := numbers(r, 4, &shape, &one, &strict, &next, &t.RowsCopied, &done, &settled); err != nil {
			return nil, fmt.Errorf("read crossfade.tables: %w", err)
		}
		if r[3] != "" {
			if t.Next, err = hex.DecodeString(r[3]); err != nil {
				return nil, fmt.Errorf("read crossfade.tables: %w", err)
			}
		}
		t.Shape, t.OneLane, t.StrictSeq, t.NextSeq, t.Copied, t.Settled = uint64(shape), one == 1, uint64(strict), uint64(next), done == 1, settled == 1
		out[i] = t
	}
	return out, nil
}

func (s *session) held(ctx context.Context) ([]apply.Held, error) {
	rows, err := s.rows(ctx, "SELECT source_table, `key`, reason, remedy, lane, from_seq, CAST(UNIX_TIMESTAMP(since) * 1000000 AS SIGNED) FROM crossfade.held WHERE "+s.mine()+" ORDER BY source_table, lane")
	if err != nil {
		return nil, fmt.Errorf("read held tables: %w", err)
	}
	out := make([]apply.Held, len(rows))
	for i, r := range rows {
		var lane, from, since int64
		if err := numbers(r, 4, &lane, &from, &since); err != nil {
			return nil, fmt.Errorf("read held tables: %w", err)
		}
		out[i] = apply.Held{Lane: int(lane), Source: r[0], From: uint64(from), Key: r[1], Reason: r[2], Remedy: r[3], Since: time.UnixMicro(since)}
	}
	return out, nil
}

func (s *session) counts(ctx context.Context) ([]apply.Count, error) {
	rows, err := s.rows(ctx, "SELECT source_table, SUM(copied), SUM(inserted), SUM(updated), SUM(deleted), SUM(missed) FROM crossfade.counts WHERE "+s.mine()+" GROUP BY source_table ORDER BY 1")
	if err != nil {
		return nil, fmt.Errorf("read counts: %w", err)
	}
	out := make([]apply.Count, len(rows))
	for i, r := range rows {
		c := apply.Count{Source: r[0]}
		if err := numbers(r, 1, &c.Copied, &c.Inserted, &c.Updated, &c.Deleted, &c.Missed); err != nil {
			return nil, fmt.Errorf("read counts: %w", err)
		}
		out[i] = c
	}
	return out, nil
}
