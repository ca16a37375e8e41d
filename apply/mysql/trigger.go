package mysql

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/crossfade-io/crossfade/apply"
	"github.com/crossfade-io/crossfade/internal/change"
)

// The application's triggers have acted on the source already: what is applied brings their work with it. MySQL cannot switch triggers off for a session. So those on the target's tables
// are made again inside a condition that spares our user, and as they were when the migration is removed. What they were is noted before. Nobody writes in between: the
// table is locked.

// spares begins the body of a trigger that was put inside the condition. A label is no comment: no server leaves it out.
const spares = "crossfade_spares: BEGIN"

// trigger is one of the application's, with what it was made under.
type trigger struct {
	schema, name, table    string
	timing, event, definer string
	body                   string
	mode                   string // sql_mode
	charset, collation     string // of the connection that made it
	database               string // collation of the database then
	position               int64  // among those of its time and event
}

func (g *trigger) String() string { return g.schema + "." + g.name }

func (g *trigger) spared() bool { return strings.HasPrefix(g.body, spares) }

// inside is the body in the condition.
func (g *trigger) inside(user string) string {
	const who = "CONVERT(LEFT(USER(), CHAR_LENGTH(USER()) - CHAR_LENGTH(SUBSTRING_INDEX(USER(), '@', -1)) - 1) USING utf8mb4) COLLATE utf8mb4_bin"
	return fmt.Sprintf("%s\nIF %s <> CONVERT(0x%x USING utf8mb4) THEN\n%s\n;\nEND IF;\nEND", spares, who, user, strings.TrimRight(g.body, " \t\r\n;"))
}

func (g *trigger) create(name, body string) string {
	return fmt.Sprintf("CREATE DEFINER = %s TRIGGER %s.%s %s %s ON %s.%s FOR EACH ROW\n%s", account(g.definer), quote(g.schema), quote(name), g.timing, g.event, quote(g.schema), quote(g.table), body)
}

// account quotes user@host; a role of MariaDB has no host.
func account(definer string) string {
	at := strings.LastIndexByte(definer, '@')
	if at < 0 || at == len(definer)-1 {
		return text(strings.TrimSuffix(definer, "@"))
	}
	return text(definer[:at]) + "@" + text(definer[at+1:])
}

// unmakable says why a trigger cannot be made again just as it is; empty: it can. Its text comes to us in UTF-8, and has to be sent in the character set that it was made in.
func (g *trigger) unmakable(database string) string {
	ascii := strings.IndexFunc(g.body+g.schema+g.name+g.table+g.definer, func(r rune) bool { return r >= 0x80 }) < 0
	switch {
	case !ascii && !strings.HasPrefix(g.charset, "utf8"):
		return "it was made by a connection in " + g.charset + ", and it or a name in it holds other characters than ASCII"
	case g.database != database:
		return "it was made when the collation of its database was " + g.database
	case strings.Contains(g.mode, "ORACLE"):
		return "it was made under sql_mode ORACLE"
	}
	return ""
}

// triggersOf lists the application's triggers on a table, in the order in which they fire, and the collation of the database now.
func (s *session) triggersOf(ctx context.Context, shape *change.Table) (out []trigger, database string, err error) {
	rows, err := s.rows(ctx, `SELECT t.TRIGGER_SCHEMA, t.TRIGGER_NAME, t.EVENT_OBJECT_TABLE, t.ACTION_TIMING, t.EVENT_MANIPULATION, t.DEFINER, t.SQL_MODE,
		t.CHARACTER_SET_CLIENT, t.COLLATION_CONNECTION, t.DATABASE_COLLATION, t.ACTION_ORDER, d.DEFAULT_COLLATION_NAME
		FROM information_schema.TRIGGERS t JOIN information_schema.SCHEMATA d ON d.SCHEMA_NAME = t.TRIGGER_SCHEMA
		WHERE t.EVENT_OBJECT_SCHEMA = `+text(shape.Schema)+" AND t.EVENT_OBJECT_TABLE = "+text(shape.Name)+` AND t.TRIGGER_NAME NOT LIKE 'crossfade\_%' ORDER BY t.ACTION_TIMING, t.EVENT_MANIPULATION, t.ACTION_ORDER`)
	if err != nil {
		return nil, "", fmt.Errorf("read the triggers of %s: %w", shape, err)
	}
	for _, r := range rows {
		g := trigger{r[0], r[1], r[2], r[3], r[4], r[5], "", r[6], r[7], r[8], r[9], 0}
		if err := numbers(r, 10, &g.position); err != nil {
			return nil, "", err
		}
		if g.body, err = s.bodyOf(ctx, g.schema, g.name); err != nil {
			return nil, "", fmt.Errorf("read the triggers of %s: %w", shape, err)
		}
		out, database = append(out, g), r[11]
	}
	return out, database, nil
}

// bodyOf reads what a trigger does as it was written. MySQL's information_schema shows its literals without their escapes: that would be another trigger.
func (s *session) bodyOf(ctx context.Context, schema, name string) (string, error) {
	rows, err := s.rows(ctx, "SHOW CREATE TRIGGER "+quote(schema)+"."+quote(name))
	if err != nil {
		return "", err
	}
	if len(rows) != 1 || len(rows[0]) < 3 {
		return "", fmt.Errorf("trigger %s.%s is not shown", schema, name)
	}
	return triggerBody(rows[0][2])
}

// noted are the triggers that were put inside the condition, as they were, by name. Changing are those of which one or the other may be gone: whoever replaced them was cut off.
func (s *session) noted(ctx context.Context, shape *change.Table) (was map[string]*trigger, changing map[string]bool, err error) {
	rows, err := s.rows(ctx, "SELECT schema_name, name, table_name, timing, event, definer, body, mode, charset, collation, changing, position FROM crossfade.triggers WHERE "+s.mine()+
		" AND schema_name = "+text(shape.Schema)+" AND table_name = "+text(shape.Name))
	if err != nil {
		return nil, nil, fmt.Errorf("read what the triggers of %s were: %w", shape, err)
	}
	was, changing = map[string]*trigger{}, map[string]bool{}
	for _, r := range rows {
		g := &trigger{r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7], r[8], r[9], "", 0}
		if err := numbers(r, 11, &g.position); err != nil {
			return nil, nil, err
		}
		was[g.name] = g
		changing[r[1]] = r[10] == "1"
	}
	return was, changing, nil
}

func (s *session) note(ctx context.Context, g *trigger) error {
	_, err := s.exec(ctx, "REPLACE INTO crossfade.triggers VALUES ("+s.key()+", "+strings.Join([]string{text(g.schema), text(g.name), text(g.table), text(g.timing), text(g.event), text(g.definer),
		text(g.body), text(g.mode), text(g.charset), text(g.collation)}, ", ")+fmt.Sprintf(", true, %d)", g.position))
	return classify(err)
}

func (s *session) settleNote(ctx context.Context, g *trigger, sql string) error {
	_, err := s.exec(ctx, sql+" WHERE "+s.mine()+" AND schema_name = "+text(g.schema)+" AND name = "+text(g.name))
	return classify(err)
}

// spare puts the application's triggers on a table inside the condition. All of them are made again, in their order, so that it stays.
func (s *session) spare(ctx context.Context, shape *change.Table) error {
	list, database, err := s.triggersOf(ctx, shape)
	if err != nil {
		return err
	}
	was, changing, err := s.noted(ctx, shape)
	if err != nil {
		return err
	}
	list = withMissing(list, was, changing)
	todo := false
	for i := range list {
		g := &list[i]
		switch {
		case !g.spared():
			todo = true
			if why := g.unmakable(database); g.database != "" && why != "" {
				return fmt.Errorf("trigger %s cannot be kept from acting on what is applied: %s; drop it, and make it again after the cutover", g, why)
			}
		case was[g.name] == nil:
			return fmt.Errorf("trigger %s was put inside a condition by another migration, or one whose notes are gone: make it as it was", g)
		}
	}
	if !todo {
		for name, g := range was { // the last thing of an earlier start
			if !changing[name] {
				continue
			}
			if err := s.settleNote(ctx, g, "UPDATE crossfade.triggers SET changing = false"); err != nil {
				return err
			}
		}
		return nil
	}
	for i := range list {
		if g := was[list[i].name]; g != nil && list[i].spared() {
			list[i] = *g
		}
	}
	for i := range list { // all, before the first is changed: one that cannot be made must not leave the others in another order
		if err := s.try(ctx, &list[i], list[i].inside(s.target.cfg.User)); err != nil {
			return err
		}
	}
	for i := range list { // and where each stands
		if err := s.note(ctx, &list[i]); err != nil {
			return err
		}
	}
	for i := range list {
		g := &list[i]
		if err := s.replace(ctx, g, g.inside(s.target.cfg.User)); err != nil {
			return err
		}
		if err := s.settleNote(ctx, g, "UPDATE crossfade.triggers SET changing = false"); err != nil {
			return err
		}
		s.target.cfg.Logger.Info("a trigger of the target does not act on what is applied", "trigger", g.String(), "table", shape.String())
	}
	return nil
}

// withMissing adds those that whoever replaced them was cut off behind the end of: each to its place among the others, and all to the places that they had.
func withMissing(list []trigger, was map[string]*trigger, changing map[string]bool) []trigger {
	for name, g := range was {
		if changing[name] && !listed(list, name) {
			list = append(list, *g)
		}
	}
	for i := range list {
		if g := was[list[i].name]; g != nil {
			list[i].position = g.position
		}
	}
	slices.SortStableFunc(list, func(a, b trigger) int {
		return cmp.Or(strings.Compare(a.timing, b.timing), strings.Compare(a.event, b.event), cmp.Compare(a.position, b.position), strings.Compare(a.name, b.name))
	})
	return list
}

func listed(list []trigger, name string) bool {
	for i := range list {
		if list[i].name == name {
			return true
		}
	}
	return false
}

// giveBack makes the triggers of a table as they were. One that somebody has made anew or dropped stays as it is now.
func (s *session) giveBack(ctx context.Context, shape *change.Table) error {
	list, _, err := s.triggersOf(ctx, shape)
	if err != nil {
		return err
	}
	was, changing, err := s.noted(ctx, shape)
	if err != nil {
		return err
	}
	there := slices.Clone(list)
	list = withMissing(list, was, changing)
	for i := range list {
		g := was[list[i].name]
		if g == nil || listed(there, g.name) && !list[i].spared() {
			continue
		}
		if err := s.try(ctx, g, g.body); err != nil {
			return err
		}
		if err := s.settleNote(ctx, g, "UPDATE crossfade.triggers SET changing = true"); err != nil {
			return err
		}
		if err := s.replace(ctx, g, g.body); err != nil {
			return err
		}
	}
	for _, g := range was {
		if err := s.settleNote(ctx, g, "DELETE FROM crossfade.triggers"); err != nil {
			return err
		}
	}
	return nil
}

// trial is the name under which a trigger is tried. What it does is out of reach: one that is left behind harms nobody.
func (g *trigger) trial() string { return quote(g.schema) + ".`crossfade_trial`" }

// try finds out whether a trigger can be made with another body, to the letter, before anything is changed.
func (s *session) try(ctx context.Context, g *trigger, body string) (err error) {
	defer func() { err = errors.Join(err, s.asBefore(ctx)) }()
	tried := "crossfade_trial: BEGIN\nIF FALSE THEN\n" + strings.TrimRight(body, " \t\r\n;") + "\n;\nEND IF;\nEND"
	for _, q := range []string{g.settings(), "DROP TRIGGER IF EXISTS " + g.trial(), g.create("crossfade_trial", tried)} {
		if err := s.making(ctx, g, q); err != nil {
			return err
		}
	}
	got, err := s.bodyOf(ctx, g.schema, "crossfade_trial")
	if err != nil {
		return err
	}
	if got != tried {
		return fmt.Errorf("make trigger %s again: the server would not keep it as it is; drop it until the cutover is done", g)
	}
	return s.making(ctx, g, "DROP TRIGGER "+g.trial())
}

// replace makes a trigger anew, with another body, while nobody reads or writes its table.
func (s *session) replace(ctx context.Context, g *trigger, body string) (err error) {
	defer func() { err = errors.Join(err, s.asBefore(ctx)) }()
	for _, q := range []string{
		g.settings(),
		"LOCK TABLES " + quote(g.schema) + "." + quote(g.table) + " WRITE",
		"DROP TRIGGER IF EXISTS " + quote(g.schema) + "." + quote(g.name),
		g.create(g.name, body),
	} {
		if err := s.making(ctx, g, q); err != nil {
			return err
		}
	}
	return nil
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
	case code(err) != 1227:
		return "drop it until the cutover is done"
	case s.target.mariadb():
		return "GRANT SET USER ON *.* to the user of target.url, for it belongs to another, or drop it until the cutover is done"
	default:
		return "GRANT SET_ANY_DEFINER ON *.* (before MySQL 8.2: SET_USER_ID) to the user of target.url, for it belongs to another, or drop it until the cutover is done"
	}
}

// triggers says what will become of the triggers on a table.
func (c *checker) triggers(ctx context.Context, shape *change.Table) error {
	list, database, err := c.session.triggersOf(ctx, shape)
	if err != nil {
		return err
	}
	tried := map[string]error{}
	for i := range list {
		g := &list[i]
		if g.spared() {
			continue
		}
		refused, known := tried[g.definer]
		if !known {
			if refused, err = c.session.scratch(ctx, g.schema, "DEFINER = "+account(g.definer)); err != nil {
				return err
			}
			tried[g.definer] = refused
		}
		switch why := g.unmakable(database); {
		case why != "":
			c.add("error", "target_triggers", shape.String(), "the trigger "+g.name+" would act on what is applied, and cannot be kept from it: "+why, "drop it, and make it again when the cutover is done")
		case refused != nil:
			c.add("error", "target_triggers", shape.String(), "the trigger "+g.name+" would act on what is applied, and cannot be kept from it: "+refused.Error(), c.session.triggerRemedy(refused))
		default:
			c.add("warning", "target_triggers", shape.String(), "the trigger "+g.name+" must not act on what is applied: it is put inside a condition that spares the user of target.url, until cleanup", "nothing, or drop it until the cutover is done")
		}
	}
	return nil
}

// Acting lists the triggers on the tables that act on what is applied: those that somebody has made since Setup.
func (t *Target) Acting(ctx context.Context, tables []apply.TableSetup) (names []string, err error) {
	err = t.do(ctx, "look for triggers", func(s *session) error {
		names = nil
		for i := range tables {
			list, _, err := s.triggersOf(ctx, tables[i].Target)
			if err != nil {
				return err
			}
			for n := range list {
				if !list[n].spared() {
					names = append(names, list[n].String())
				}
			}
		}
		return nil
	})
	return names, err
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

// giveBackAll makes all triggers as they were.
func (s *session) giveBackAll(ctx context.Context) error {
	rows, err := s.rows(ctx, "SELECT DISTINCT schema_name, table_name FROM crossfade.triggers WHERE "+s.mine())
	if err != nil {
		return err
	}
	for _, r := range rows {
		if err := s.giveBack(ctx, &change.Table{Schema: r[0], Name: r[1]}); err != nil {
			return err
		}
	}
	return nil
}
