package mysql

import (
	"context"
	"fmt"
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

// account writes user@host; a role of MariaDB has no host. Quoted like names it means the same under every sql_mode.
func account(definer string) string {
	at := strings.LastIndexByte(definer, '@')
	if at < 0 || at == len(definer)-1 {
		return quote(strings.TrimSuffix(definer, "@"))
	}
	return quote(definer[:at]) + "@" + quote(definer[at+1:])
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
	out, database, err = s.triggersWhere(ctx, "t.EVENT_OBJECT_SCHEMA = "+text(shape.Schema)+" AND t.EVENT_OBJECT_TABLE = "+text(shape.Name))
	if err != nil {
		err = fmt.Errorf("read the triggers of %s: %w", shape, err)
	}
	return out, database, err
}

// triggerNamed finds a trigger wherever it is: it goes with its table when that is renamed. Nil: there is none.
func (s *session) triggerNamed(ctx context.Context, schema, name string) (*trigger, error) {
	list, _, err := s.triggersWhere(ctx, "t.TRIGGER_SCHEMA = "+text(schema)+" AND t.TRIGGER_NAME = "+text(name))
	if err != nil {
		return nil, fmt.Errorf("look for the trigger %s.%s: %w", schema, name, err)
	}
	if len(list) == 0 {
		return nil, nil
	}
	return &list[0], nil
}

func (s *session) triggersWhere(ctx context.Context, condition string) (out []trigger, database string, err error) {
	rows, err := s.rows(ctx, `SELECT t.TRIGGER_SCHEMA, t.TRIGGER_NAME, t.EVENT_OBJECT_TABLE, t.ACTION_TIMING, t.EVENT_MANIPULATION, t.DEFINER, t.SQL_MODE,
		t.CHARACTER_SET_CLIENT, t.COLLATION_CONNECTION, t.DATABASE_COLLATION, t.ACTION_ORDER, d.DEFAULT_COLLATION_NAME
		FROM information_schema.TRIGGERS t JOIN information_schema.SCHEMATA d ON d.SCHEMA_NAME = t.TRIGGER_SCHEMA
		WHERE `+condition+` AND t.TRIGGER_NAME NOT LIKE 'crossfade\_%' ORDER BY t.ACTION_TIMING, t.EVENT_MANIPULATION, t.ACTION_ORDER`)
	if err != nil {
		return nil, "", err
	}
	for _, r := range rows {
		g := trigger{r[0], r[1], r[2], r[3], r[4], r[5], "", r[6], r[7], r[8], r[9], 0}
		if err := numbers(r, 10, &g.position); err != nil {
			return nil, "", err
		}
		if g.body, err = s.bodyOf(ctx, g.schema, g.name); err != nil {
			return nil, "", err
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
	return triggerBody(rows[0][2], rows[0][1])
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
