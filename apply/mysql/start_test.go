package mysql

import (
	"errors"
	"testing"

	"github.com/crossfade-io/crossfade/apply"
)

// On the way back the rows are there: the applier starts behind a frame with strict tables, never goes back behind what it has applied, and an earlier one cannot commit.
func TestAnApplierStartsBehindTheFrameThatItIsTold(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		back, err := Open(t.Context(), Config{Engine: w.shape.Engine, Addr: w.target.cfg.Addr, User: w.target.cfg.User, Password: w.target.cfg.Password, Migration: w.Name, Side: "source"})
		if err != nil {
			t.Fatal(err)
		}
		defer back.Close()
		tables := []apply.TableSetup{{Source: "s.t", Target: w.shape, Unique: true, Filled: true}}
		w.Exec(t, "CREATE TRIGGER named BEFORE INSERT ON t FOR EACH ROW SET NEW.name = 'x'")
		if err := back.Setup(t.Context(), tables); err != nil {
			t.Fatal(err)
		}
		spared := func() string {
			return w.list("SELECT COUNT(*) FROM crossfade.triggers WHERE side = 'source' AND migration = '" + w.Name + "'")
		}
		if n := spared(); n != "0" {
			t.Errorf("%s triggers are not the application's although it still writes", n)
		}
		startAt := func(seq, sum uint64) {
			t.Helper()
			if err := back.StartAt(t.Context(), tables, 2, "there", apply.Place{Seq: seq, Sum: sum}); err != nil {
				t.Fatal(err)
			}
		}
		startAt(7, 1<<63+5)
		if n := spared(); n != "1" {
			t.Errorf("%s triggers are kept from what is applied", n)
		}
		d, err := back.Start(t.Context(), 2)
		if err != nil {
			t.Fatal(err)
		}
		startAt(3, 1)
		if len(d.Tables) != 1 || !d.Tables[0].Strict || !d.Tables[0].Copied || !d.Tables[0].OneLane {
			t.Errorf("tables %+v", d.Tables)
		}
		again, err := back.Start(t.Context(), 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range again.Lanes {
			if l.Seq != 7 || l.Sum != 1<<63+5 || l.Stream != "there" || l.Token <= d.Token {
				t.Errorf("lane %+v, the token was %d", l, d.Token)
			}
		}
		s, err := back.Session(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		tx := &apply.Tx{Token: d.Token, Lane: 0, Lanes: 2, From: 7, To: apply.Place{Seq: 8}, Stream: "there"}
		if err := s.Apply(t.Context(), tx); !errors.Is(err, apply.ErrMoved) {
			t.Errorf("an applier with an earlier token: %v", err)
		}
		for _, q := range []string{"CREATE TABLE IF NOT EXISTS crossfade.gate (migration varchar(64), side varchar(16), state varchar(16), epoch bigint)", "CREATE TABLE IF NOT EXISTS crossfade.attempt (migration varchar(64), side varchar(16), epoch bigint, state varchar(16))",
			"INSERT INTO crossfade.gate (migration, side, state, epoch) VALUES ('" + w.Name + "', 'source', 'open', 1)"} {
			w.Exec(t, q)
		}
		defer w.Exec(t, "DELETE FROM crossfade.gate WHERE migration = '"+w.Name+"'; DELETE FROM crossfade.attempt WHERE migration = '"+w.Name+"'")
		refused := func(when string) {
			t.Helper()
			if _, err := back.Start(t.Context(), 2); !errors.Is(err, apply.ErrOpen) {
				t.Errorf("an applier %s: %v", when, err)
			}
		}
		refused("of an open side")
		w.Exec(t, "UPDATE crossfade.gate SET state = 'closed' WHERE migration = '"+w.Name+"'; INSERT INTO crossfade.attempt (migration, side, epoch, state) VALUES ('"+w.Name+"', 'source', 2, 'FENCED')")
		refused("of a side that is being left")
		w.Exec(t, "UPDATE crossfade.attempt SET state = 'DECIDED' WHERE migration = '"+w.Name+"'")
		if _, err := back.Start(t.Context(), 2); err != nil {
			t.Errorf("an applier of a side that was left: %v", err)
		}
		if err := back.Remove(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}
