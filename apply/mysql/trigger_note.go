package mysql

import (
	"context"
	"fmt"
	"strings"
)

// note is what a trigger was before it was put inside the condition.
type note struct {
	trigger
	changing bool // one or the other may be gone: somebody replaces it, or was cut off
}

// noted are the notes that a condition selects, by the trigger's name. Of one schema, for a name is one trigger's there.
func (s *session) noted(ctx context.Context, condition string) (map[string]*note, error) {
	rows, err := s.rows(ctx, "SELECT schema_name, name, table_name, timing, event, definer, body, mode, charset, collation, changing, position FROM crossfade.triggers WHERE "+s.mine()+" AND "+condition)
	if err != nil {
		return nil, fmt.Errorf("read what the triggers were: %w", err)
	}
	out := map[string]*note{}
	for _, r := range rows {
		n := &note{trigger{r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7], r[8], r[9], "", 0}, r[10] == "1"}
		if err := numbers(r, 11, &n.position); err != nil {
			return nil, err
		}
		out[n.name] = n
	}
	return out, nil
}

// note writes down what a trigger is, before it is changed; changing: it may be gone already.
func (s *session) note(ctx context.Context, g *trigger, changing bool) error {
	_, err := s.exec(ctx, "REPLACE INTO crossfade.triggers (migration, side, schema_name, name, table_name, timing, event, definer, body, mode, charset, collation, changing, position) VALUES ("+s.key()+", "+
		strings.Join([]string{text(g.schema), text(g.name), text(g.table), text(g.timing), text(g.event), text(g.definer), text(g.body), text(g.mode), text(g.charset), text(g.collation)}, ", ")+
		fmt.Sprintf(", %v, %d)", changing, g.position))
	return classify(err)
}

// changing notes that a trigger may be gone from now on, or no more.
func (s *session) changing(ctx context.Context, g *trigger, on bool) error {
	_, err := s.exec(ctx, fmt.Sprintf("UPDATE crossfade.triggers SET changing = %v WHERE %s AND schema_name = %s AND name = %s", on, s.mine(), text(g.schema), text(g.name)))
	return classify(err)
}

// settleNotes notes of triggers that all stand that none is gone.
func (s *session) settleNotes(ctx context.Context, noted map[string]*note) error {
	for _, n := range noted {
		if !n.changing {
			continue
		}
		if err := s.changing(ctx, &n.trigger, false); err != nil {
			return err
		}
	}
	return nil
}

// notePositions gives notes of an earlier version their place: none was kept.
func (s *session) notePositions(ctx context.Context) error {
	rows, err := s.rows(ctx, "SELECT COUNT(*) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = 'crossfade' AND TABLE_NAME = 'triggers' AND COLUMN_NAME = 'position'")
	if err == nil && rows[0][0] == "0" {
		_, err = s.exec(ctx, "ALTER TABLE crossfade.triggers ADD COLUMN position int NOT NULL DEFAULT 0")
	}
	return classify(err)
}
