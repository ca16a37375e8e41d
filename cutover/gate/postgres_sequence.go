package gate

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/crossfade-io/crossfade/cutover"
	"github.com/crossfade-io/crossfade/cutover/protocol"
)

// ends name a sequence that no column owns at this end and at the other.
func (w way) ends(c cutover.Counter) (here, there cutover.Name) {
	if w.side == protocol.Source {
		return c.Source, c.Target
	}
	return c.Target, c.Source
}

// free reads a sequence that no column owns, and the last number it has issued; 0: none that anybody knows of.
func (s *Postgres) free(ctx context.Context, conn *pgx.Conn, c cutover.Counter) (q cutover.Sequence, issued uint64, err error) {
	here, there := s.ends(c)
	q = cutover.Sequence{Table: there.String(), Free: true, Down: c.Down}
	quoted := quotePostgres(here)
	var last, start, step, least, most int64
	var called bool
	if err := conn.QueryRow(ctx, "SELECT p.seqrelid::regclass::text, s.last_value, s.is_called, p.seqstart, p.seqincrement, p.seqmin, p.seqmax, p.seqcycle FROM "+quoted+" s, pg_sequence p WHERE p.seqrelid = $1::text::regclass", quoted).
		Scan(&q.Name, &last, &called, &start, &step, &least, &most, &q.Cycle); err != nil {
		return q, 0, fmt.Errorf("sequence %s: %w; the %s needs it, and its user SELECT and UPDATE on it", here, err, s.side)
	}
	if step < 0 != c.Down {
		return q, 0, fmt.Errorf("sequence %s of the %s goes by %d, the other way than when the migration began", here, s.side, step)
	}
	q.Max = cutover.Number(most, false)
	if q.Step = uint64(step); c.Down {
		q.Max, q.Step = cutover.Number(least, true), -uint64(step)
	}
	if q.Now = cutover.Number(last, c.Down); !called { // it is the next one
		q.Now--
	}
	if called || last != start {
		issued = q.Now
	}
	return q, issued, nil
}

// raiseFree sets a sequence that no column owns, never back.
func (s *Postgres) raiseFree(ctx context.Context, tx pgx.Tx, q cutover.Sequence) error {
	further := map[bool]string{false: "GREATEST", true: "LEAST"}[q.Down]
	_, err := tx.Exec(ctx, "SELECT setval($1::text::regclass, "+further+"(last_value, $2::bigint), true) FROM "+q.Name, q.Name, cutover.ValueOf(min(q.SetTo, q.Max), q.Down))
	return err
}

// mayRaise proves that the sequences which no column owns can be raised: one may belong to somebody else than the tables. One that is not there is named by whoever reads it.
func (s *Postgres) mayRaise(ctx context.Context, conn *pgx.Conn) (out []cutover.Finding, err error) {
	for _, c := range s.cfg.Sequences {
		here, _ := s.ends(c)
		may := true
		if err := conn.QueryRow(ctx, "SELECT COALESCE(has_sequence_privilege(to_regclass($1), 'UPDATE'), true)", quotePostgres(here)).Scan(&may); err != nil {
			return out, err
		}
		if !may {
			out = append(out, finding("error", "privilege", here.String(), fmt.Sprintf("GRANT SELECT, UPDATE ON SEQUENCE %s to the user of %s.url", quotePostgres(here), s.side), "the sequence cannot be raised"))
		}
	}
	return out, nil
}

// checkSequences names those of the schemas that are left alone here: made since the migration began, or the other end has no sequences.
func (s *Postgres) checkSequences(ctx context.Context, conn *pgx.Conn) (out []cutover.Finding, err error) {
	known, schemas := map[cutover.Name]bool{}, []string{}
	for _, c := range s.cfg.Sequences {
		here, _ := s.ends(c)
		known[here] = true
	}
	for _, t := range s.cfg.Tables {
		schemas = append(schemas, s.here(t).Schema)
	}
	rows, err := conn.Query(ctx, `SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND n.nspname = ANY($1)
		AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i', 'e')) ORDER BY 1, 2`, schemas)
	if err != nil {
		return nil, err
	}
	var n cutover.Name
	_, err = pgx.ForEachRow(rows, []any{&n.Schema, &n.Table}, func() error {
		if !known[n] {
			out = append(out, finding("warning", "sequence", n.String(), fmt.Sprintf("make one on the %s by hand, ahead of its numbers, or have the application take them from elsewhere", s.side.Other()),
				"no column owns it, and nothing on the %s goes on with its numbers", s.side.Other()))
		}
		return nil
	})
	return out, err
}
