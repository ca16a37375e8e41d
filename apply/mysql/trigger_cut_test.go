package mysql

import (
	"context"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/crossfade-io/crossfade/apply"
)

// cutter leads to a server until a number of statements has been sent, the last of them with its effect or without; then it is as if the process that sends them were dead.
type cutter struct {
	t      *testing.T
	listen net.Listener
	to     string
	left   atomic.Int64
	cut    context.CancelFunc
}

func newCutter(t *testing.T, to string) *cutter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{t: t, listen: l, to: to}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go c.pass(conn)
		}
	}()
	return c
}

func (c *cutter) pass(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", c.to)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		_, _ = io.Copy(client, server)
		_ = client.Close()
	}()
	var head [4]byte
	for {
		if _, err := io.ReadFull(client, head[:]); err != nil {
			return
		}
		packet := make([]byte, binary.LittleEndian.Uint32([]byte{head[0], head[1], head[2], 0}))
		if _, err := io.ReadFull(client, packet); err != nil {
			return
		}
		if head[3] == 0 && packet[0] == 3 && c.left.Add(-1) < 0 { // a query
			c.cut()
			return
		}
		if _, err := server.Write(append(head[:], packet...)); err != nil {
			return
		}
	}
}

// after runs f, cut off after n statements; it reports whether f came to its end.
func (c *cutter) after(n int, w *world, f func(ctx context.Context, t *Target) error) bool {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	c.left.Store(1 << 40)
	cfg := w.target.cfg
	cfg.Addr = c.listen.Addr().String()
	target, err := Open(ctx, cfg)
	if err != nil {
		c.t.Fatal(err)
	}
	defer target.Close()
	c.cut = cancel
	c.left.Store(int64(n))
	err = f(ctx, target)
	if err != nil && ctx.Err() == nil {
		c.t.Fatalf("cut off after %d statements: %v", n, err)
	}
	return err == nil
}

// Wherever the start or the removal is cut off, the next one finds all triggers, in their order, and in the end they are what they were.
func TestTriggersAreAllThereInTheirOrderWhereverTheirChangeIsCutOff(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.trustCreators()
		each(t, w.DB, "CREATE TRIGGER z BEFORE INSERT ON t FOR EACH ROW SET NEW.name = CONCAT(COALESCE(NEW.name, ''), 'z')",
			"CREATE TRIGGER m BEFORE INSERT ON t FOR EACH ROW SET NEW.name = CONCAT(COALESCE(NEW.name, ''), 'm')",
			"CREATE TRIGGER a BEFORE INSERT ON t FOR EACH ROW SET NEW.name = CONCAT(COALESCE(NEW.name, ''), 'a')")
		was := w.triggerText()
		c := newCutter(t, w.target.cfg.Addr)
		setup := []apply.TableSetup{{Source: "s.t", Target: w.shape}}
		spared := func(ctx context.Context, target *Target) error { return target.Setup(ctx, setup) }
		removed := func(ctx context.Context, target *Target) error {
			return target.do(ctx, "give the triggers back", func(s *session) error { return s.giveBack(ctx) })
		}
		const step = 3 // another third of the statements at each run
		first, cuts := rand.IntN(step), 0
		for n := first; ; n += step {
			done := c.after(n, w, spared)
			if err := w.target.Setup(t.Context(), setup); err != nil {
				t.Fatalf("after a start cut off at statement %d: %v", n, err)
			}
			const order = "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_TABLE = 't' AND TRIGGER_NAME NOT LIKE 'crossfade%' AND ACTION_STATEMENT LIKE 'crossfade_spares%' AND TRIGGER_SCHEMA = "
			if got := w.list(order + "'" + w.Name + "' ORDER BY ACTION_ORDER"); got != "z\nm\na" {
				t.Fatalf("after a start cut off at statement %d those that spare us are %q", n, got)
			}
			if left := w.list("SELECT COUNT(*) FROM crossfade.triggers WHERE changing AND migration = '" + w.Name + "'"); left != "0" {
				t.Fatalf("after a start cut off at statement %d notes are not settled: %s", n, left)
			}
			back := c.after(n, w, removed)
			if err := removed(t.Context(), w.target); err != nil {
				t.Fatalf("after a removal cut off at statement %d: %v", n, err)
			}
			if now := w.triggerText(); now != was {
				t.Fatalf("after a removal cut off at statement %d the triggers were\n%s\nand are\n%s", n, was, now)
			}
			if done && back {
				break
			}
			cuts++
		}
		if cuts < 10 {
			t.Errorf("cut off only %d times", cuts)
		}
		t.Logf("cut off %d times, after statements %d, %d and so on", cuts, first, first+step)
	})
}

// A trigger that was tried and left behind, for whoever did it was cut off, does nothing.
func TestATriggerLeftBehindByATrialDoesNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.trustCreators()
		w.Exec(t, "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW SET NEW.n = 1")
		c := newCutter(t, w.target.cfg.Addr)
		setup := []apply.TableSetup{{Source: "s.t", Target: w.shape}}
		left := ""
		for n := 0; left == ""; n++ {
			if c.after(n, w, func(ctx context.Context, target *Target) error { return target.Setup(ctx, setup) }) {
				t.Fatal("no trial was left behind")
			}
			left = w.list("SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_NAME LIKE 'crossfade%' AND TRIGGER_SCHEMA = '" + w.Name + "'")
		}
		w.Exec(t, "DROP TRIGGER g; INSERT INTO t VALUES (1, 'a', 5)")
		if got := w.list("SELECT n FROM t"); got != "5.00" {
			t.Errorf("%s has made %s of it", left, got)
		}
		if err := w.target.Setup(t.Context(), setup); err != nil { // nothing is tried any more
			t.Fatal(err)
		}
		if err := w.target.Remove(t.Context()); err != nil {
			t.Fatal(err)
		}
		if there := w.list("SELECT COUNT(*) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = '" + w.Name + "'"); there != "0" {
			t.Errorf("%s is still there", left)
		}
	})
}

// A trigger that somebody drops stays dropped, also when the lock for its change was not granted before.
func TestATriggerThatIsDroppedStaysSoThoughItsChangeHadFailed(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.trustCreators()
		w.Exec(t, "CREATE TRIGGER z BEFORE INSERT ON t FOR EACH ROW SET NEW.n = 1; CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW SET NEW.n = 2")
		conn, err := w.DB.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		for _, q := range []string{"BEGIN", "SELECT * FROM t"} { // a reader keeps the table from being locked, but not the trial from being made
			if _, err := conn.ExecContext(t.Context(), q); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		setup := []apply.TableSetup{{Source: "s.t", Target: w.shape}}
		if err := w.target.Setup(ctx, setup); err == nil {
			t.Fatal("the triggers were changed under a reader")
		}
		if left := w.list("SELECT COUNT(*) FROM crossfade.triggers WHERE changing AND migration = '" + w.Name + "'"); left != "0" {
			t.Errorf("%s notes say that a trigger may be gone", left)
		}
		if _, err := conn.ExecContext(t.Context(), "ROLLBACK"); err != nil {
			t.Fatal(err)
		}
		w.Exec(t, "DROP TRIGGER g")
		if err := w.target.Setup(t.Context(), setup); err != nil {
			t.Fatal(err)
		}
		const names = "SELECT GROUP_CONCAT(TRIGGER_NAME) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = "
		if got := w.list(names + "'" + w.Name + "'"); got != "z" {
			t.Errorf("there are %s", got)
		}
		w.Exec(t, "DROP TRIGGER z")
		if err := w.target.do(t.Context(), "give back", func(s *session) error { return s.giveBack(t.Context()) }); err != nil {
			t.Fatal(err)
		}
		if got := w.list("SELECT COUNT(*) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = '" + w.Name + "'"); got != "0" {
			t.Errorf("%s triggers have come back", got)
		}
	})
}

// A table may be renamed while its triggers are inside the condition: they go with it, and come back where they are.
func TestTriggersComeBackOnATableThatWasRenamed(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.trustCreators()
		each(t, w.DB, "CREATE TRIGGER z BEFORE INSERT ON t FOR EACH ROW SET NEW.n = 1", "CREATE TRIGGER a BEFORE INSERT ON t FOR EACH ROW SET NEW.n = NEW.n + 2")
		was := w.triggerText()
		setup := []apply.TableSetup{{Source: "s.t", Target: w.shape}}
		if err := w.target.Setup(t.Context(), setup); err != nil {
			t.Fatal(err)
		}
		w.Exec(t, "RENAME TABLE t TO t_old; CREATE TABLE t LIKE t_old; CREATE TRIGGER n BEFORE INSERT ON t FOR EACH ROW SET NEW.n = 9")
		if err := w.target.Setup(t.Context(), setup); err != nil {
			t.Fatal(err)
		}
		if err := w.target.Remove(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := w.list("SELECT GROUP_CONCAT(EVENT_OBJECT_TABLE, ' ', TRIGGER_NAME ORDER BY 1, ACTION_ORDER) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = '" + w.Name + "'"); !strings.Contains(got, "t_old z") || !strings.Contains(got, "t_old a") || !strings.Contains(got, "t n") {
			t.Errorf("there are %s", got)
		}
		w.Exec(t, "DROP TABLE t; RENAME TABLE t_old TO t")
		if now := w.triggerText(); now != was {
			t.Errorf("the triggers were\n%s\nand are\n%s", was, now)
		}
	})
}

// What the notes of an earlier version lack is added, and they are good.
func TestNotesOfTriggersOfAnEarlierVersionAreGood(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.trustCreators()
		w.Exec(t, "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW SET NEW.n = 1")
		was := w.triggerText()
		setup := []apply.TableSetup{{Source: "s.t", Target: w.shape}}
		if err := w.target.Setup(t.Context(), setup); err != nil {
			t.Fatal(err)
		}
		w.Exec(t, "ALTER TABLE crossfade.triggers DROP COLUMN position")
		if err := w.target.Setup(t.Context(), setup); err != nil {
			t.Fatal(err)
		}
		w.Exec(t, "ALTER TABLE crossfade.triggers DROP COLUMN position")
		if err := w.target.Remove(t.Context()); err != nil {
			t.Fatal(err)
		}
		if now := w.triggerText(); now != was {
			t.Errorf("the triggers were\n%s\nand are\n%s", was, now)
		}
	})
}

// A trigger may belong to somebody with a quote or a backslash in his name, and be made under any mode.
func TestATriggerOfADefinerWithQuotesComesBack(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.trustCreators()
		each(t, w.DB, "SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES,ANSI_QUOTES'", "CREATE DEFINER = `o'n`@`%` TRIGGER g BEFORE INSERT ON t FOR EACH ROW SET NEW.n = 1",
			"CREATE DEFINER = `b\\`@`%` TRIGGER h BEFORE INSERT ON t FOR EACH ROW SET NEW.n = 2")
		was := w.triggerText()
		if err := w.target.Setup(t.Context(), []apply.TableSetup{{Source: "s.t", Target: w.shape}}); err != nil {
			t.Fatal(err)
		}
		if err := w.target.Remove(t.Context()); err != nil {
			t.Fatal(err)
		}
		if now := w.triggerText(); now != was {
			t.Errorf("the triggers were\n%s\nand are\n%s", was, now)
		}
	})
}

// What is not ASCII reaches us in another character set than it was written in; where that cannot be undone, nothing is touched.
func TestATriggerInAnotherCharacterSetIsRefusedWithItsReason(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.trustCreators()
		each(t, w.DB, "SET NAMES latin1", "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW SET NEW.name = 'caf\xe9'")
		was := w.triggerText()
		err := w.target.Setup(t.Context(), []apply.TableSetup{{Source: "s.t", Target: w.shape}})
		if err == nil || !strings.Contains(err.Error(), "latin1") || !strings.Contains(err.Error(), "drop it") {
			t.Errorf("setup: %v", err)
		}
		if now := w.triggerText(); now != was {
			t.Errorf("the triggers were\n%s\nand are\n%s", was, now)
		}
	})
}
