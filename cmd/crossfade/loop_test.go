package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-io/crossfade/apply"
	"github.com/crossfade-io/crossfade/capture"
	"github.com/crossfade-io/crossfade/configs"
	"github.com/crossfade-io/crossfade/internal/change"
)

// A database is read while the applier of the same migration writes to it: what that one writes does not come back, what the application writes does.
func TestWhatTheApplierWritesIsNotCaptured(t *testing.T) {
	for engine, make := range engines {
		t.Run(engine, func(t *testing.T) {
			e := make(t)
			db := e.open(e.url)
			defer db.Close()
			exec := func(q string) {
				t.Helper()
				if _, err := db.ExecContext(t.Context(), q); err != nil {
					t.Fatalf("%s: %v", q, err)
				}
			}
			exec("CREATE TABLE a (id int PRIMARY KEY, v int)")
			cfg, err := configs.Load(newPair(t, e, e, e.tables, "").config)
			if err != nil {
				t.Fatal(err)
			}
			log := slog.New(slog.DiscardHandler)
			src, err := openSource(t.Context(), cfg, forwardWay(cfg), log)
			if err != nil {
				t.Fatal(err)
			}
			defer src.Close()
			defer func() {
				if err := src.Remove(context.WithoutCancel(t.Context())); err != nil {
					t.Error(err)
				}
			}()
			tables, err := src.Catalog(t.Context(), func(schema, table string) bool { return schema == e.schema && table == "a" })
			if err != nil || len(tables) != 1 {
				t.Fatalf("%d tables, %v", len(tables), err)
			}
			a := newAppliedHere(t, cfg, log, tables[0].Shape())
			if err := src.Setup(t.Context(), tables); err != nil { // which finds the ledger
				t.Fatal(err)
			}
			from, err := src.Position(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			exec("INSERT INTO a VALUES (1, 1)")
			a.apply(0, apply.Step{Op: apply.InsertRows, Rows: a.rows(2, 3)})
			exec("INSERT INTO a VALUES (4, 4)")
			a.apply(1, apply.Step{Op: apply.CopyRows, Rows: a.rows(5, 6, 7)}, apply.Step{Op: apply.DeleteRows, Keys: a.rows(1)})
			a.apply(apply.AllLanes, apply.Step{Op: apply.UpdateRows, Keys: a.rows(5), Rows: a.rows(5)}, apply.Step{Op: apply.EmptyTable})
			a.start() // with a new token
			a.apply(0, apply.Step{Op: apply.PutRows, Rows: a.rows(8)})
			exec("UPDATE a SET v = 9 WHERE id = 8")
			if err := src.Heartbeat(t.Context()); err != nil {
				t.Fatal(err)
			}
			end, err := src.Position(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			tail, err := src.Tail(t.Context(), from, tables)
			if err != nil {
				t.Fatal(err)
			}
			defer tail.Close()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			var got []string
			for {
				if there, err := src.Covers(tail.Place(), end); err != nil {
					t.Fatal(err)
				} else if there {
					break
				}
				ev, err := tail.Next(ctx)
				if err != nil {
					t.Fatal(err)
				}
				if ev.Kind == capture.Row || ev.Kind == capture.Truncate {
					c := &ev.Change
					got = append(got, fmt.Sprint(c.Op, " ", c.Table.KeyString(c.After)))
				}
			}
			want := "insert (id=1), insert (id=4), update (id=8)"
			if strings.Join(got, ", ") != want {
				t.Errorf("saw %s, want %s", strings.Join(got, ", "), want)
			}
		})
	}
}

// appliedHere is an applier of two lanes at one table.
type appliedHere struct {
	t      *testing.T
	target target
	s      apply.Session
	shape  *change.Table
	token  int64
	at     [2]uint64 // the frame that each lane stands on
}

func newAppliedHere(t *testing.T, cfg *configs.Config, log *slog.Logger, shape *change.Table) *appliedHere {
	t.Helper()
	a := &appliedHere{t: t, shape: shape}
	var err error
	if a.target, err = openApplied(t.Context(), cfg, forwardWay(cfg), log); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.target.Remove(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
		a.target.Close()
	})
	shape.Source = "s.a"
	if err := a.target.Setup(t.Context(), []apply.TableSetup{{Source: "s.a", Target: shape}}); err != nil {
		t.Fatal(err)
	}
	a.start()
	if a.s, err = a.target.Session(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.s.Close)
	return a
}

func (a *appliedHere) start() {
	a.t.Helper()
	d, err := a.target.Start(a.t.Context(), len(a.at))
	if err != nil {
		a.t.Fatal(err)
	}
	a.token = d.Token
}

func (a *appliedHere) rows(ids ...int64) (rows []change.Row) {
	for _, id := range ids {
		rows = append(rows, change.Row{change.NewInt(id), change.NewInt(-id)})
	}
	return rows
}

// apply runs the steps as one transaction of a lane, and stands on the next frame: that of both lanes when it is all of them.
func (a *appliedHere) apply(lane int, steps ...apply.Step) {
	a.t.Helper()
	if lane == apply.AllLanes && a.at[0] != a.at[1] {
		a.t.Fatal("a barrier where the lanes stand on different frames")
	}
	from := a.at[max(lane, 0)]
	for i := range steps {
		steps[i].Shape = a.shape
	}
	tx := &apply.Tx{Token: a.token, Lane: lane, Lanes: len(a.at), From: from, To: apply.Place{Seq: from + 1, Sum: 7, Time: 5}, Stream: "stream", Steps: steps, Counts: []apply.Count{{Source: "s.a"}}}
	if err := a.s.Apply(a.t.Context(), tx); err != nil {
		a.t.Fatalf("lane %d: %v", lane, err)
	}
	for i := range a.at {
		if lane == apply.AllLanes || lane == i {
			a.at[i]++
		}
	}
}
