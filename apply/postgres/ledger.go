package postgres

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/crossfade-io/crossfade/apply"
)

const ledgerSQL = `UPDATE crossfade.ledger SET seq = $4::bigint, sum = $5::bigint, counter = counter + 1, source_time = GREATEST(source_time, $6::bigint),
 marker_epoch = GREATEST(marker_epoch, $7::bigint), stream_id = $8
WHERE migration = $1 AND side = $2 AND token = $3::bigint AND seq = $9::bigint AND ($10::integer < 0 OR lane = $10::integer)
 AND ($11::bigint = 0 OR lane <> GREATEST($10::integer, 0) OR counter = $11::bigint)`

func (s *session) sendLedger(tx *apply.Tx) {
	s.send(ledgerSQL, sent{what: sentLedger, step: -1}, s.target.migration, s.target.side, strconv.FormatInt(tx.Token, 10),
		int64Text(tx.To.Seq), int64Text(tx.To.Sum), strconv.FormatInt(tx.To.Time, 10), strconv.FormatInt(tx.Epoch, 10), tx.Stream,
		int64Text(tx.From), strconv.Itoa(tx.Lane), strconv.FormatInt(tx.Counter, 10))
}

// sendSide queues what belongs to the transaction besides rows and ledger.
func (s *session) sendSide(ctx context.Context, tx *apply.Tx) error {
	m, side := s.target.migration, s.target.side
	other := sent{step: -1}
	for i := range s.tally {
		c := &s.tally[i]
		if c.Copied|c.Inserted|c.Updated|c.Deleted|c.Missed == 0 {
			continue
		}
		s.send(`INSERT INTO crossfade.counts AS c (migration, side, lane, source_table, copied, inserted, updated, deleted, missed)
VALUES ($1, $2, $3::integer, $4, $5::bigint, $6::bigint, $7::bigint, $8::bigint, $9::bigint) ON CONFLICT (migration, side, lane, source_table) DO UPDATE SET
 copied = c.copied + EXCLUDED.copied, inserted = c.inserted + EXCLUDED.inserted, updated = c.updated + EXCLUDED.updated, deleted = c.deleted + EXCLUDED.deleted, missed = c.missed + EXCLUDED.missed`,
			other, m, side, strconv.Itoa(c.Lane), c.Source, strconv.FormatInt(c.Copied, 10), strconv.FormatInt(c.Inserted, 10),
			strconv.FormatInt(c.Updated, 10), strconv.FormatInt(c.Deleted, 10), strconv.FormatInt(c.Missed, 10))
	}
	for i := range tx.Recopy {
		s.sendRecopy(&tx.Recopy[i])
		if err := s.settle(ctx, tx); err != nil {
			return err
		}
	}
	if err := s.sendCascaded(ctx, tx); err != nil {
		return err
	}
	// after the list has grown: a key that was listed and read again in one transaction is off the list, one listed later is not
	for _, k := range tx.Recopied {
		s.send(`DELETE FROM crossfade.recopy WHERE migration = $1 AND side = $2 AND source_table = $3 AND pg_catalog.sha256(key) = pg_catalog.sha256($4::bytea) AND seq <= $5::bigint`,
			other, m, side, k.Source, byteaText(k.Key), int64Text(k.Seq))
		if err := s.settle(ctx, tx); err != nil {
			return err
		}
	}
	for _, h := range tx.Hold {
		s.send(`INSERT INTO crossfade.held (migration, side, lane, source_table, from_seq, key, reason, remedy) VALUES ($1, $2, $3::integer, $4, $5::bigint, $6, $7, $8)
ON CONFLICT (migration, side, lane, source_table) DO UPDATE SET from_seq = EXCLUDED.from_seq, key = EXCLUDED.key, reason = EXCLUDED.reason, remedy = EXCLUDED.remedy`,
			other, m, side, strconv.Itoa(h.Lane), h.Source, int64Text(h.From), printable(h.Key), printable(h.Reason), h.Remedy)
	}
	for _, h := range tx.Release {
		s.send(`DELETE FROM crossfade.held WHERE migration = $1 AND side = $2 AND lane = $3::integer AND source_table = $4`, other, m, side, strconv.Itoa(h.Lane), h.Source)
	}
	for _, p := range tx.Progress {
		s.send(`UPDATE crossfade.tables SET next = NULLIF($4::bytea, ''), next_seq = $5::bigint, rows_copied = $6::bigint, copied = $7::boolean WHERE migration = $1 AND side = $2 AND source_table = $3`,
			other, m, side, p.Source, byteaText(p.Next), int64Text(p.Seq), strconv.FormatInt(p.Rows, 10), strconv.FormatBool(p.Done))
	}
	for _, c := range tx.States {
		state, strictSeq := "copying", "0"
		if c.Strict {
			state, strictSeq = "strict", int64Text(c.Seq)
		}
		s.send(`UPDATE crossfade.tables SET state = $4, one_lane = $5::boolean, strict_seq = CASE WHEN $6::bigint = 0 THEN strict_seq ELSE $6::bigint END,
 shape = CASE WHEN $7::bigint = 0 THEN shape ELSE $7::bigint END WHERE migration = $1 AND side = $2 AND source_table = $3`,
			other, m, side, c.Source, state, strconv.FormatBool(c.OneLane), strictSeq, int64Text(c.Shape))
		s.send(`DELETE FROM crossfade.settled WHERE migration = $1 AND side = $2 AND source_table = $3`, other, m, side, c.Source)
		if c.Settled {
			s.send(`INSERT INTO crossfade.settled (migration, side, source_table) VALUES ($1, $2, $3)`, other, m, side, c.Source)
		}
	}
	return nil
}

func (s *session) sendRecopy(k *apply.RecopyKey) {
	s.send(`INSERT INTO crossfade.recopy AS r (migration, side, source_table, key, seq) VALUES ($1, $2, $3, $4::bytea, $5::bigint)
ON CONFLICT (migration, side, source_table, sha256(key)) DO UPDATE SET seq = GREATEST(r.seq, EXCLUDED.seq)`,
		sent{step: -1}, s.target.migration, s.target.side, k.Source, byteaText(k.Key), int64Text(k.Seq))
}

func byteaText(b []byte) string { return `\x` + hex.EncodeToString(b) }

// printable makes a text that PostgreSQL can store: keys and reasons may quote values that it cannot.
func printable(text string) string {
	if utf8.ValidString(text) && !strings.Contains(text, "\x00") {
		return text
	}
	return strconv.Quote(text)
}

// Ledger implements [apply.Session].
func (s *session) Ledger(ctx context.Context) ([]apply.LaneRow, error) {
	rows, err := s.query(ctx, `SELECT lane, lanes, stream_id, seq, sum, token, counter, marker_epoch, source_time FROM crossfade.ledger WHERE migration = $1 AND side = $2 ORDER BY lane`,
		s.target.migration, s.target.side)
	if err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	out := make([]apply.LaneRow, len(rows))
	for i, r := range rows {
		var n [9]int64
		for c := range n {
			if c == 2 {
				continue
			}
			if n[c], err = strconv.ParseInt(string(r[c]), 10, 64); err != nil {
				return nil, fmt.Errorf("read the ledger: %w", err)
			}
		}
		out[i] = apply.LaneRow{Lane: int(n[0]), Lanes: int(n[1]), Stream: string(r[2]), Seq: uint64(n[3]), Sum: uint64(n[4]), Token: n[5], Counter: n[6], MarkerEpoch: n[7], SourceTime: n[8]}
	}
	return out, nil
}

// RecopyPending implements [apply.Session].
func (s *session) RecopyPending(ctx context.Context, source string) (int64, error) {
	rows, err := s.query(ctx, `SELECT pg_catalog.count(*) FROM crossfade.recopy WHERE migration = $1 AND side = $2 AND source_table = $3`, s.target.migration, s.target.side, source)
	if err != nil {
		return 0, fmt.Errorf("read the re-copy list of %s: %w", source, err)
	}
	return strconv.ParseInt(string(rows[0][0]), 10, 64)
}

// Start implements [apply.Target].
func (t *Target) Start(ctx context.Context, lanes int) (*apply.Durable, error) {
	d := new(apply.Durable)
	s, err := t.connect(ctx, plainSettings)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	err = s.inTransaction(ctx, func() error {
		if _, err := s.exec(ctx, lockKey); err != nil {
			return err
		}
		if err := s.closed(ctx); err != nil {
			return err
		}
		token, err := s.newToken(ctx)
		if err != nil {
			return err
		}
		if token == 0 {
			token = 1
			if err := s.newLanes(ctx, lanes); err != nil {
				return err
			}
		}
		d.Token = token
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
	rows, err := s.query(ctx, "SELECT pg_catalog.to_regclass('crossfade.gate') IS NOT NULL AND pg_catalog.to_regclass('crossfade.attempt') IS NOT NULL")
	if err != nil || string(rows[0][0]) != "t" {
		return err
	}
	gate, err := s.query(ctx, "SELECT state FROM crossfade.gate WHERE migration = $1 AND side = $2 FOR SHARE", s.target.migration, s.target.side)
	if err != nil || len(gate) == 0 {
		return err
	}
	live, err := s.query(ctx, "SELECT 1 FROM crossfade.attempt WHERE migration = $1 AND side = $2 AND state IN ('ARMED', 'FENCED', 'DECIDING', 'ABORTING')", s.target.migration, s.target.side)
	if err == nil && (string(gate[0][0]) == "open" || len(live) > 0) {
		err = apply.ErrOpen
	}
	return err
}

// newLanes makes the ledger's rows, with token 1.
func (s *session) newLanes(ctx context.Context, lanes int) error {
	_, err := s.exec(ctx, `INSERT INTO crossfade.ledger (migration, side, lane, lanes, token) SELECT $1, $2, n, $3::integer, 1 FROM pg_catalog.generate_series(0, $3::integer - 1) AS n`,
		s.target.migration, s.target.side, strconv.Itoa(lanes))
	return err
}

// newToken raises the token of all ledger rows and returns it; 0 when there are none. It waits for transactions under way: when it is committed,
// nothing of an earlier token can be committed any more.
func (s *session) newToken(ctx context.Context) (int64, error) {
	rows, err := s.query(ctx, `WITH top AS (SELECT pg_catalog.max(token) + 1 AS token FROM crossfade.ledger WHERE migration = $1 AND side = $2)
UPDATE crossfade.ledger l SET token = top.token, counter = counter + 1 FROM top WHERE l.migration = $1 AND l.side = $2 RETURNING l.token`, s.target.migration, s.target.side)
	if err != nil {
		return 0, fmt.Errorf("take the applier's token: %w", err)
	}
	if len(rows) == 0 {
		return 0, nil
	}
	return strconv.ParseInt(string(rows[0][0]), 10, 64)
}

// Revoke takes the token, so that no applier can commit any more: it stops with [apply.ErrRevoked]. It returns the token.
func (t *Target) Revoke(ctx context.Context) (token int64, err error) {
	err = t.do(ctx, "revoke the applier", func(s *session) error {
		return s.inTransaction(ctx, func() error {
			if _, err := s.exec(ctx, lockKey); err != nil {
				return err
			}
			token, err = s.newToken(ctx)
			return err
		})
	})
	return token, err
}

// Relane implements [apply.Target].
func (t *Target) Relane(ctx context.Context, token int64, lanes int) error {
	return t.do(ctx, "change the lanes of the ledger", func(s *session) error {
		return s.inTransaction(ctx, func() error {
			if _, err := s.exec(ctx, lockKey); err != nil {
				return err
			}
			if _, err := s.exec(ctx, "SELECT 1 FROM crossfade.ledger WHERE migration = $1 AND side = $2 FOR UPDATE", t.migration, t.side); err != nil {
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
			_, err = s.exec(ctx, `WITH gone AS (DELETE FROM crossfade.ledger WHERE migration = $1 AND side = $2 AND lane >= $3::integer),
 kept AS (UPDATE crossfade.ledger SET lanes = $3::integer, counter = counter + 1 WHERE migration = $1 AND side = $2 AND lane < $3::integer)
INSERT INTO crossfade.ledger (migration, side, lane, lanes, stream_id, seq, sum, token, marker_epoch, source_time)
SELECT $1, $2, n, $3::integer, l.stream_id, l.seq, l.sum, l.token, l.marker_epoch, l.source_time
FROM crossfade.ledger l, pg_catalog.generate_series($4::integer, $3::integer - 1) AS n WHERE l.migration = $1 AND l.side = $2 AND l.lane = 0`,
				t.migration, t.side, strconv.Itoa(lanes), strconv.Itoa(len(rows)))
			return err
		})
	})
}

func (s *session) tables(ctx context.Context) ([]apply.TableRow, error) {
	rows, err := s.query(ctx, `SELECT source_table, target_table, shape, state, one_lane, strict_seq, pg_catalog.encode(next, 'hex'), next_seq, rows_copied, copied,
 EXISTS (SELECT 1 FROM crossfade.settled s WHERE s.migration = t.migration AND s.side = t.side AND s.source_table = t.source_table)
FROM crossfade.tables t WHERE migration = $1 AND side = $2 ORDER BY source_table`, s.target.migration, s.target.side)
	if err != nil {
		return nil, fmt.Errorf("read crossfade.tables: %w", err)
	}
	out := make([]apply.TableRow, len(rows))
	for i, r := range rows {
		t := apply.TableRow{Source: string(r[0]), Target: string(r[1]), Strict: string(r[3]) == "strict", OneLane: string(r[4]) == "t", Copied: string(r[9]) == "t", Settled: string(r[10]) == "t"}
		var errs [5]error
		t.Shape, errs[0] = uint64Of(r[2])
		t.StrictSeq, errs[1] = uint64Of(r[5])
		if r[6] != nil {
			t.Next, errs[2] = hex.DecodeString(string(r[6]))
		}
		t.NextSeq, errs[3] = uint64Of(r[7])
		t.RowsCopied, errs[4] = strconv.ParseInt(string(r[8]), 10, 64)
		if err := errors.Join(errs[:]...); err != nil {
			return nil, fmt.Errorf("read crossfade.tables: %w", err)
		}
		out[i] = t
	}
	return out, nil
}

func (s *session) held(ctx context.Context) ([]apply.Held, error) {
	rows, err := s.query(ctx, `SELECT lane, source_table, from_seq, key, reason, remedy, (extract(epoch FROM since) * 1000000)::bigint FROM crossfade.held WHERE migration = $1 AND side = $2 ORDER BY source_table, lane`,
		s.target.migration, s.target.side)
	if err != nil {
		return nil, fmt.Errorf("read held tables: %w", err)
	}
	out := make([]apply.Held, len(rows))
	for i, r := range rows {
		lane, err1 := strconv.Atoi(string(r[0]))
		from, err2 := uint64Of(r[2])
		since, err3 := strconv.ParseInt(string(r[6]), 10, 64)
		if err := errors.Join(err1, err2, err3); err != nil {
			return nil, fmt.Errorf("read held tables: %w", err)
		}
		out[i] = apply.Held{Lane: lane, Source: string(r[1]), From: from, Key: string(r[3]), Reason: string(r[4]), Remedy: string(r[5]), Since: time.UnixMicro(since)}
	}
	return out, nil
}

func (s *session) counts(ctx context.Context) ([]apply.Count, error) {
	rows, err := s.query(ctx, `SELECT source_table, pg_catalog.sum(copied), pg_catalog.sum(inserted), pg_catalog.sum(updated), pg_catalog.sum(deleted), pg_catalog.sum(missed)
FROM crossfade.counts WHERE migration = $1 AND side = $2 GROUP BY source_table ORDER BY 1`, s.target.migration, s.target.side)
	if err != nil {
		return nil, fmt.Errorf("read counts: %w", err)
	}
	out := make([]apply.Count, len(rows))
	for i, r := range rows {
		var n [5]int64
		for c := range n {
			if n[c], err = strconv.ParseInt(string(r[c+1]), 10, 64); err != nil {
				return nil, fmt.Errorf("read counts: %w", err)
			}
		}
		out[i] = apply.Count{Source: string(r[0]), Copied: n[0], Inserted: n[1], Updated: n[2], Deleted: n[3], Missed: n[4]}
	}
	return out, nil
}
