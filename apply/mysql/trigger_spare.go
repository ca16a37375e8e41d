package mysql

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/crossfade-io/crossfade/apply"
	"github.com/crossfade-io/crossfade/internal/change"
)

// spare puts the application's triggers on a table inside the condition. All of them are made again, in their order, so that it stays.
func (s *session) spare(ctx context.Context, shape *change.Table) error {
	list, database, err := s.triggersOf(ctx, shape)
	if err != nil {
		return err
	}
	noted, err := s.noted(ctx, "schema_name = "+text(shape.Schema)+" AND table_name = "+text(shape.Name))
	if err != nil {
		return err
	}
	list = withMissing(list, noted)
	todo := false
	for i := range list {
		g := &list[i]
		switch {
		case !g.spared():
			todo = true
			if why := g.unmakable(database); g.database != "" && why != "" {
				return fmt.Errorf("trigger %s cannot be kept from acting on what is applied: %s; drop it, and make it again after the cutover", g, why)
			}
		case noted[g.name] == nil:
			return fmt.Errorf("trigger %s was put inside a condition by another migration, or one whose notes are gone: make it as it was", g)
		}
	}
	if !todo { // but perhaps the last thing of an earlier start
		return s.settleNotes(ctx, noted)
	}
	for i := range list {
		if n := noted[list[i].name]; n != nil && list[i].spared() {
			list[i] = n.trigger
		}
	}
	for i := range list { // all, before the first is changed: one that cannot be made must not leave the others in another order
		if err := s.try(ctx, &list[i], list[i].inside(s.target.cfg.User)); err != nil {
			return err
		}
	}
	for i := range list { // and where each stands
		n := noted[list[i].name]
		if err := s.note(ctx, &list[i], n != nil && n.changing); err != nil {
			return err
		}
	}
	for i := range list {
		if err := s.replace(ctx, &list[i], list[i].inside(s.target.cfg.User)); err != nil {
			return err
		}
		s.target.cfg.Logger.Info("a trigger of the target does not act on what is applied", "trigger", list[i].String(), "table", shape.String())
	}
	return nil
}

// withMissing adds those that whoever replaced them was cut off behind the end of: each to its place among the others, and all to the places that they had.
func withMissing(list []trigger, noted map[string]*note) []trigger {
	for name, n := range noted {
		if n.changing && !slices.ContainsFunc(list, func(g trigger) bool { return g.name == name }) {
			list = append(list, n.trigger)
		}
	}
	for i := range list {
		if n := noted[list[i].name]; n != nil {
			list[i].position = n.position
		}
	}
	slices.SortStableFunc(list, inOrder)
	return list
}

// inOrder is the order in which triggers of a table fire.
func inOrder(a, b trigger) int {
	return cmp.Or(strings.Compare(a.timing, b.timing), strings.Compare(a.event, b.event), cmp.Compare(a.position, b.position), strings.Compare(a.name, b.name))
}

// giveBack makes the triggers that were put inside the condition as they were, wherever they are by now. One that somebody has made anew or dropped stays as it is.
func (s *session) giveBack(ctx context.Context) error {
	rows, err := s.rows(ctx, "SELECT DISTINCT schema_name FROM crossfade.triggers WHERE "+s.mine())
	if err != nil {
		return err
	}
	for _, r := range rows {
		noted, err := s.noted(ctx, "schema_name = "+text(r[0]))
		if err != nil {
			return err
		}
		var list []trigger
		for _, n := range noted {
			now, err := s.triggerNamed(ctx, n.schema, n.name)
			if err != nil {
				return err
			}
			if now == nil && !n.changing || now != nil && !now.spared() {
				continue
			}
			g := n.trigger
			if now != nil {
				g.table = now.table // it was renamed meanwhile
			}
			list = append(list, g)
		}
		slices.SortFunc(list, func(a, b trigger) int { return cmp.Or(strings.Compare(a.table, b.table), inOrder(a, b)) })
		for i := range list {
			if err := s.try(ctx, &list[i], list[i].body); err != nil {
				return err
			}
		}
		for i := range list {
			if err := s.replace(ctx, &list[i], list[i].body); err != nil {
				return err
			}
		}
	}
	if err := s.dropTrials(ctx); err != nil {
		return err
	}
	_, err = s.exec(ctx, "DELETE FROM crossfade.triggers WHERE "+s.mine())
	return classify(err)
}

// dropTrials drops what trials that were cut off have left.
func (s *session) dropTrials(ctx context.Context) error {
	rows, err := s.rows(ctx, "SELECT TRIGGER_SCHEMA FROM information_schema.TRIGGERS WHERE TRIGGER_NAME = "+text(s.trial()))
	if err != nil {
		return err
	}
	for _, r := range rows {
		if _, err := s.exec(ctx, "DROP TRIGGER IF EXISTS "+quote(r[0])+"."+quote(s.trial())); err != nil {
			return classify(err)
		}
	}
	return nil
}

// trial is the name under which triggers are tried, of this migration and side. What such a one does is out of reach: one that is left behind harms nobody.
func (s *session) trial() string {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s %s", s.target.cfg.Migration, s.target.side)
	return fmt.Sprintf("crossfade_trial_%016x", h.Sum64())
}

// try finds out whether a trigger can be made with another body, to the letter, before anything is changed.
func (s *session) try(ctx context.Context, g *trigger, body string) (err error) {
	defer func() { err = errors.Join(err, s.asBefore(ctx)) }()
	trial := quote(g.schema) + "." + quote(s.trial())
	tried := "crossfade_trial: BEGIN\nIF FALSE THEN\n" + strings.TrimRight(body, " \t\r\n;") + "\n;\nEND IF;\nEND"
	for _, q := range []string{g.settings(), "DROP TRIGGER IF EXISTS " + trial, g.create(s.trial(), tried)} {
		if err := s.making(ctx, g, q); err != nil {
			return err
		}
	}
	got, err := s.bodyOf(ctx, g.schema, s.trial())
	if err != nil {
		return err
	}
	if got != tried {
		return fmt.Errorf("make trigger %s again: the server would not keep it as it is; drop it until the cutover is done", g)
	}
	return s.making(ctx, g, "DROP TRIGGER "+trial)
}

// replace makes a trigger anew, with another body, while nobody reads or writes its table. Its note says so as long as it may be gone, and no longer: one that is missing
// then was dropped by somebody else.
func (s *session) replace(ctx context.Context, g *trigger, body string) error {
	if err := s.changing(ctx, g, true); err != nil {
		return err
	}
	dropped, err := s.remake(ctx, g, body)
	if err != nil && dropped {
		return err
	}
	return errors.Join(err, s.changing(context.WithoutCancel(ctx), g, false))
}

// remake is what replace does under the lock of the table. Dropped: the trigger is or may be gone when it fails.
func (s *session) remake(ctx context.Context, g *trigger, body string) (dropped bool, err error) {
	defer func() { err = errors.Join(err, s.asBefore(ctx)) }()
	for _, q := range []string{g.settings(), "LOCK TABLES " + quote(g.schema) + "." + quote(g.table) + " WRITE"} {
		if err := s.making(ctx, g, q); err != nil {
			return false, err
		}
	}
	if err := s.making(ctx, g, "DROP TRIGGER IF EXISTS "+quote(g.schema)+"."+quote(g.name)); err != nil {
		return code(err) == 0, err // the server that refuses it has not dropped it
	}
	return true, s.making(ctx, g, g.create(g.name, body))
}

// settings are those that the trigger was made under.
func (g *trigger) settings() string {
	return fmt.Sprintf("SET SESSION sql_mode = %s, character_set_client = %s, collation_connection = %s", text(g.mode), g.charset, g.collation)
}

func (s *session) making(ctx context.Context, g *trigger, sql string) error {
	if _, err := s.exec(ctx, sql); err != nil {
		return classify(fmt.Errorf("make trigger %s again: %w; %s", g, err, s.triggerRemedy(err)))
	}
	return nil
}

// asBefore lets the session go on with other things.
func (s *session) asBefore(ctx context.Context) error {
	err := s.run(context.WithoutCancel(ctx), "UNLOCK TABLES; "+s.target.settings(false))
	if err != nil {
		s.Close()
	}
	return classify(err)
}

// triggerRemedy is what helps against an error of making a trigger in the name of its owner.
func (s *session) triggerRemedy(err error) string {
	switch {
	case code(err) == 1419:
		return "SET GLOBAL log_bin_trust_function_creators = 1"
	case code(err) == 1146:
		return "its table is not there: make the trigger by hand as crossfade.triggers has it, and delete its row there"
	case code(err) != 1227:
		return "drop it until the cutover is done"
	case s.target.mariadb():
		return "GRANT SET USER ON *.* to the user of target.url, for it belongs to another, or drop it until the cutover is done"
	default:
		return "GRANT SET_ANY_DEFINER ON *.* (before MySQL 8.2: SET_USER_ID) to the user of target.url, for it belongs to another, or drop it until the cutover is done"
	}
}

// spareAll keeps the triggers of all tables from acting on what is applied.
func (s *session) spareAll(ctx context.Context, tables []apply.TableSetup) error {
	for i := range tables {
		if err := s.spare(ctx, tables[i].Target); err != nil {
			return err
		}
	}
	return nil
}
