package gate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/crossfade-io/crossfade/cutover"
	"github.com/crossfade-io/crossfade/cutover/protocol"
)

// trigger is one trigger of a table.
type trigger struct {
	table cutover.Name
	name  string
	event string
}

// epochBase is in which base an epoch stands in a trigger's name.
const epochBase = 36

// gateTrigger names the trigger of an attempt: crossfade_<hash of migration and table>_<epoch>_<event>, at most 42 characters.
func (s *MySQL) gateTrigger(t cutover.Name, epoch int64, letter string) string {
	return "crossfade_" + hash(s.cfg.Migration, t.String()) + "_" + strconv.FormatInt(epoch, epochBase) + "_" + letter
}

// sealTrigger names the trigger that closes a table for good.
func (s *MySQL) sealTrigger(t cutover.Name, letter string) string {
	return "crossfade_" + hash(s.cfg.Migration, t.String()) + "_closed_" + letter
}

// signal is the statement that refuses a write. Drivers take its number for a server that was turned read-only, and connect anew: there they
// may find the new database.
func (s *MySQL) signal() string {
	text := refusal + ", migration " + s.cfg.Migration + " moves to its new database"
	if s.side == protocol.Target {
		text = refusal + ", migration " + s.cfg.Migration + " has not moved to this database"
	}
	if len(text) > 128 {
		text = text[:128]
	}
	return fmt.Sprintf("SIGNAL SQLSTATE '25006' SET MYSQL_ERRNO = %d, MESSAGE_TEXT = '%s'", errGate, text)
}

// body of a gate trigger. It reads the gate without a lock and refuses, so that who is refused locks nothing; only then it shares the row's
// lock and looks again, so that the gate cannot be closed before this transaction has ended. It must be SELECT INTO: a query inside SET locks
// what it reads from REPEATABLE READ on.
//
// A target that was never open is closed by triggers of which nobody holds an older answer that would let him write: they need no lock.
func (s *MySQL) body(epoch int64) string {
	where := fmt.Sprintf("WHERE migration = '%s' AND side = '%s'", s.cfg.Migration, s.side)
	user := "CONVERT(LEFT(USER(), CHAR_LENGTH(USER()) - CHAR_LENGTH(SUBSTRING_INDEX(USER(), '@', -1)) - 1) USING utf8mb4) COLLATE utf8mb4_bin"
	if s.side == protocol.Target && epoch == guardEpoch {
		return fmt.Sprintf(`BEGIN
  DECLARE gate_state VARCHAR(8) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
  IF @crossfade_probe IS NOT NULL OR %[1]s <> %[2]s THEN
    SELECT state INTO gate_state FROM crossfade.gate %[3]s;
    IF gate_state IS NULL OR gate_state <> 'open' THEN %[4]s; END IF;
  END IF;
END`, user, literal(s.cfg.Login.User), where, s.signal())
	}
	return fmt.Sprintf(`BEGIN
  DECLARE gate_state VARCHAR(8) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
  IF @crossfade_probe IS NOT NULL OR %[1]s <> %[2]s THEN
    SELECT state INTO gate_state FROM crossfade.gate %[3]s;
    IF gate_state IS NULL OR gate_state <> 'open' THEN %[4]s; END IF;
    SET gate_state = NULL;
    SELECT state INTO gate_state FROM crossfade.gate %[3]s LOCK IN SHARE MODE;
    IF gate_state IS NULL OR gate_state <> 'open' THEN %[4]s; END IF;
  END IF;
END`, user, literal(s.cfg.Login.User), where, s.signal())
}

// gatedTable is a table that needs triggers.
type gatedTable struct {
	cutover.Name
	parent bool     // not migrated itself
	events []string // letters
}

// gated lists the tables that need triggers: the migrated ones, and every table from which a foreign key can change rows of one of them
// without any trigger being fired, over all levels; those only for what cascades.
func (s *MySQL) gated(ctx context.Context) ([]gatedTable, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT r.CONSTRAINT_SCHEMA, r.TABLE_NAME, r.UNIQUE_CONSTRAINT_SCHEMA, r.REFERENCED_TABLE_NAME,
		r.DELETE_RULE NOT IN ('RESTRICT', 'NO ACTION'), r.UPDATE_RULE NOT IN ('RESTRICT', 'NO ACTION')
		FROM information_schema.REFERENTIAL_CONSTRAINTS r
		WHERE r.DELETE_RULE NOT IN ('RESTRICT', 'NO ACTION') OR r.UPDATE_RULE NOT IN ('RESTRICT', 'NO ACTION')`)
	if err != nil {
		return nil, fmt.Errorf("read foreign keys: %w", err)
	}
	defer rows.Close()
	type parent struct {
		cutover.Name
		onDelete, onUpdate bool
	}
	above := map[cutover.Name][]parent{}
	for rows.Next() {
		var child cutover.Name
		var p parent
		if err := rows.Scan(&child.Schema, &child.Table, &p.Schema, &p.Table, &p.onDelete, &p.onUpdate); err != nil {
			return nil, fmt.Errorf("read foreign keys: %w", err)
		}
		above[child] = append(above[child], p)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read foreign keys: %w", err)
	}
	var out []gatedTable
	for _, t := range s.tables {
		out = append(out, gatedTable{Name: t, events: []string{"i", "u", "d"}})
	}
	for i := 0; i < len(out); i++ {
		for _, p := range above[out[i].Name] {
			at := slices.IndexFunc(out, func(g gatedTable) bool { return g.Name == p.Name })
			if at < 0 {
				at = len(out)
				out = append(out, gatedTable{Name: p.Name, parent: true})
			}
			for letter, cascades := range map[string]bool{"d": p.onDelete, "u": p.onUpdate} {
				if cascades && !slices.Contains(out[at].events, letter) {
					out[at].events = append(out[at].events, letter)
				}
			}
		}
	}
	for _, t := range out {
		slices.Sort(t.events)
	}
	return out, nil
}

// eventOf names the event of a letter.
var eventOf = map[string]string{"i": "INSERT", "u": "UPDATE", "d": "DELETE"}

// triggersOf lists the triggers on our tables of which the name matches, in the order in which they fire.
func (s *MySQL) triggersOf(ctx context.Context, tables []gatedTable) (map[cutover.Name][]trigger, error) {
	out := map[cutover.Name][]trigger{}
	schemas := map[string]bool{}
	for _, t := range tables {
		if schemas[t.Schema] {
			continue
		}
		schemas[t.Schema] = true
		rows, err := s.db.QueryContext(ctx, `SELECT EVENT_OBJECT_SCHEMA, EVENT_OBJECT_TABLE, TRIGGER_NAME, EVENT_MANIPULATION FROM information_schema.TRIGGERS
			WHERE EVENT_OBJECT_SCHEMA = ? AND ACTION_TIMING = 'BEFORE' ORDER BY EVENT_OBJECT_TABLE, EVENT_MANIPULATION, ACTION_ORDER`, t.Schema)
		if err != nil {
			return nil, fmt.Errorf("read triggers of %s: %w", t.Schema, err)
		}
		defer rows.Close()
		for rows.Next() {
			var g trigger
			if err := rows.Scan(&g.table.Schema, &g.table.Table, &g.name, &g.event); err != nil {
				return nil, fmt.Errorf("read triggers of %s: %w", t.Schema, err)
			}
			out[g.table] = append(out[g.table], g)
		}
		if err := rows.Err(); err != nil {
			return nil, fmt.Errorf("read triggers of %s: %w", t.Schema, err)
		}
	}
	return out, nil
}

// Install puts up the triggers of an attempt, before all other triggers of their table, and looks that they stand.
func (s *MySQL) Install(ctx context.Context, epoch int64) (in cutover.Installed, err error) {
	tables, err := s.gated(ctx)
	if err != nil {
		return in, err
	}
	there, err := s.triggersOf(ctx, tables)
	if err != nil {
		return in, err
	}
	in.Tables = len(tables)
	for _, t := range tables {
		if t.parent {
			in.Parents = append(in.Parents, t.String())
		}
		for _, e := range t.events {
			g := trigger{t.Name, s.gateTrigger(t.Name, epoch, e), eventOf[e]}
			if err := s.create(ctx, g, s.body(epoch), "", there[t.Name], &in.Retries); err != nil {
				return in, err
			}
			in.Triggers++
		}
	}
	return in, s.Installed(ctx, epoch)
}

// create makes one trigger. While somebody keeps the table open it tries again: no statement of the application waits behind ours for longer
// than a second at a time.
func (s *MySQL) create(ctx context.Context, t trigger, body, definer string, there []trigger, retries *int) error {
	precedes := ""
	for _, g := range there {
		if g.event == t.event {
			if g.name == t.name {
				return nil
			}
			if precedes == "" && !ours.MatchString(g.name) {
				precedes = " PRECEDES " + quoteMySQL(g.name)
			}
		}
	}
	text := fmt.Sprintf("CREATE%s TRIGGER %s.%s BEFORE %s ON %s.%s FOR EACH ROW%s\n%s", definer, quoteMySQL(t.table.Schema), quoteMySQL(t.name), t.event,
		quoteMySQL(t.table.Schema), quoteMySQL(t.table.Table), precedes, body)
	tries := -1
	err := s.retry(ctx, func() error {
		tries++
		_, err := s.db.ExecContext(ctx, text)
		return err
	})
	if retries != nil {
		*retries += max(tries, 0)
	}
	switch mysqlErr(err) {
	case 0:
		if err == nil {
			return nil
		}
	case errTriggerExists:
		return nil
	case errBinlogTrigger:
		return fmt.Errorf("create a trigger on %s: %w; SET GLOBAL log_bin_trust_function_creators = 1 (in a managed service: in its parameter group)", t.table, err)
	case errTableDenied, errDatabaseDenied, errNoPrivilege:
		return fmt.Errorf("create a trigger on %s: %w; GRANT TRIGGER ON %s.* to the user of %s.url", t.table, err, t.table.Schema, s.side)
	}
	return fmt.Errorf("create a trigger on %s: %w", t.table, err)
}

// ours matches the names of our triggers.
var ours = regexp.MustCompile(`^crossfade_[0-9a-f]{16}_([0-9a-z]+)_[iud]$`)

// Installed looks that every trigger of the attempt stands on every table that needs it now.
func (s *MySQL) Installed(ctx context.Context, epoch int64) error {
	tables, err := s.gated(ctx)
	if err != nil {
		return err
	}
	there, err := s.triggersOf(ctx, tables)
	if err != nil {
		return err
	}
	for _, t := range tables {
		for _, e := range t.events {
			name := s.gateTrigger(t.Name, epoch, e)
			if !slices.ContainsFunc(there[t.Name], func(g trigger) bool { return g.name == name && g.event == eventOf[e] }) {
				return fmt.Errorf("the gate trigger for %s on %s is gone: somebody dropped it or the table was made anew", eventOf[e], t)
			}
		}
	}
	return nil
}

// Uninstall removes the gate triggers of this epoch and of earlier attempts, wherever they stand: a table may have been renamed since. It is for a side that is open: what closes one that
// is entered stays.
func (s *MySQL) Uninstall(ctx context.Context, epoch int64) error {
	return s.drop(ctx, func(name string) bool {
		m := ours.FindStringSubmatch(name)
		if m == nil || m[1] == "closed" {
			return false
		}
		e, err := strconv.ParseInt(m[1], epochBase, 64)
		return err == nil && e <= epoch && e != guardEpoch
	})
}

// drop removes triggers of ours by name, on the tables that are or were gated.
func (s *MySQL) drop(ctx context.Context, which func(name string) bool) error {
	tables, err := s.gated(ctx)
	if err != nil {
		return err
	}
	there, err := s.triggersOf(ctx, tables)
	if err != nil {
		return err
	}
	for _, list := range there {
		for _, g := range list {
			mine := slices.ContainsFunc(tables, func(t gatedTable) bool { return strings.Contains(g.name, hash(s.cfg.Migration, t.String())) })
			if !mine || !which(g.name) {
				continue
			}
			err := s.retry(ctx, func() error {
				_, err := s.db.ExecContext(ctx, "DROP TRIGGER IF EXISTS "+quoteMySQL(g.table.Schema)+"."+quoteMySQL(g.name))
				return err
			})
			if err != nil && mysqlErr(err) != errNoSuchTrigger {
				return fmt.Errorf("drop trigger %s on %s: %w", g.name, g.table, err)
			}
		}
	}
	return nil
}

// Seal closes the migrated tables for good by triggers that need nothing of ours, and removes the gate triggers: so the tables of schema
// crossfade and our user can go, and the old side stays closed. Definer is an account that may do so and stays ('name'@'host'); empty: our
// user, and once that is dropped every write fails because of it. Again it changes nothing.
func (s *MySQL) Seal(ctx context.Context, definer string) error {
	if definer != "" {
		if !accountPattern.MatchString(definer) {
			return fmt.Errorf("seal the %s: definer %q: want 'name'@'host'", s.side, definer)
		}
		definer = " DEFINER = " + definer
	}
	tables, err := s.gated(ctx)
	if err != nil {
		return err
	}
	there, err := s.triggersOf(ctx, tables)
	if err != nil {
		return err
	}
	for _, t := range tables {
		if t.parent {
			continue // it was not moved and serves on; what it cascades into is an old copy
		}
		for _, e := range t.events {
			g := trigger{t.Name, s.sealTrigger(t.Name, e), eventOf[e]}
			if err := s.create(ctx, g, "BEGIN "+s.signal()+"; END", definer, there[t.Name], nil); err != nil {
				return fmt.Errorf("seal the %s: %w", s.side, err)
			}
		}
	}
	return s.drop(ctx, notSealed)
}

// notSealed are our triggers besides those of Seal.
func notSealed(name string) bool {
	m := ours.FindStringSubmatch(name)
	return m != nil && m[1] != "closed"
}

var accountPattern = regexp.MustCompile(`^'[^'\\]+'@'[^'\\]+'$`)

// Unseal removes what Seal put up, and the gate triggers: the old side takes writes again.
func (s *MySQL) Unseal(ctx context.Context) error {
	return s.drop(ctx, func(name string) bool { return ours.MatchString(name) })
}

// Remove deletes what this migration keeps in schema crossfade. The triggers of a source must be gone or sealed: while a gate trigger
// stands, a table that it reads must not go. A seal stays, also on the target.
func (s *MySQL) Remove(ctx context.Context) error {
	if s.side == protocol.Target { // unless it is sealed its tables are the application's from now on
		if err := s.drop(ctx, notSealed); err != nil {
			return err
		}
	}
	tables, err := s.gated(ctx)
	if err != nil {
		return err
	}
	there, err := s.triggersOf(ctx, tables)
	if err != nil {
		return err
	}
	for _, t := range tables {
		for _, g := range there[t.Name] {
			if m := ours.FindStringSubmatch(g.name); m != nil && m[1] != "closed" && strings.Contains(g.name, hash(s.cfg.Migration, t.String())) {
				return fmt.Errorf("remove the gate of %s: trigger %s on %s still reads it", s.cfg.Migration, g.name, t)
			}
		}
	}
	for _, table := range []string{"journal", "attempt", "marker", "gate"} {
		_, err := s.db.ExecContext(ctx, "DELETE FROM crossfade."+table+" WHERE migration = ?", s.cfg.Migration)
		if err != nil && !noTable(err) {
			return fmt.Errorf("remove the gate of %s: crossfade.%s: %w", s.cfg.Migration, table, err)
		}
		var left int
		err = s.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM crossfade."+table).Scan(&left)
		if noTable(err) {
			continue
		}
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("remove the gate of %s: crossfade.%s: %w", s.cfg.Migration, table, err)
		}
		if left == 0 {
			if _, err := s.db.ExecContext(ctx, "DROP TABLE crossfade."+table); err != nil {
				return fmt.Errorf("remove the gate of %s: crossfade.%s: %w", s.cfg.Migration, table, err)
			}
		}
	}
	return nil
}
