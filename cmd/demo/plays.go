package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/crossfade-io/crossfade/internal/control"
)

// glance is how long passes between two looks at what goes on.
const glance = 50 * time.Millisecond

func (d *demo) startServers(ctx context.Context, s *scene) error {
	s.say("starting")
	if err := d.place.open(ctx, s); err != nil {
		return err
	}
	s.say("MySQL %s and PostgreSQL %s, every commit on disk", d.place.my.Version(), d.place.pg.Version())
	return nil
}

// openShop fills the old database and lets the application sell.
func (d *demo) openShop(ctx context.Context, s *scene) error {
	db, err := d.place.my.Open("shop")
	if err != nil {
		return err
	}
	defer db.Close()
	var rows atomic.Int64
	if err := d.meanwhile(func() error { return seed(ctx, db, d.app.shop, &rows) }, func() { s.advance(rows.Load(), int64(d.rows)) }); err != nil {
		return err
	}
	d.app.switchFile = d.place.switchFile()
	if d.app.databases, err = d.place.shops(workers); err != nil {
		return err
	}
	d.app.start(ctx)
	d.open.Store(true)
	s.say("%s rows in %d tables; open, %d sales a second", count(rows.Load()), tables, d.rate)
	return nil
}

// meanwhile shows progress until something has come to its end.
func (d *demo) meanwhile(do func() error, show func()) error {
	ended := make(chan error, 1)
	go func() { ended <- do() }()
	tick := time.NewTicker(glance)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			return err
		case <-tick.C:
			show()
		}
	}
}

// copyRows starts crossfade, and ends when every table is whole in the new database.
func (d *demo) copyRows(ctx context.Context, s *scene) error {
	if err := d.crossfade.start(&d.place); err != nil {
		return err
	}
	began := time.Now()
	var copied int64
	var last uint64 // of the stream, when it had all of every table
	err := d.follow(ctx, func(st control.Status) bool {
		copied = st.Snapshot.RowsDone
		if last == 0 {
			s.advance(copied, st.Snapshot.RowsEstimated)
		} else {
			s.advance(0, 0)
			s.say("%s rows are read; PostgreSQL takes the last %d frames", count(copied), last-min(st.Stream.Applied, last))
		}
		if last == 0 && len(st.Tables) == int(tables) && !slices.ContainsFunc(st.Tables, func(t control.TableStatus) bool { return t.State != "strict" }) {
			last = st.Stream.Last
		}
		return last > 0 && st.Stream.Applied >= last
	})
	d.copyRate = perSecond(copied, time.Since(began))
	s.say("%s rows, %s a second, while the shop sells", count(copied), count(d.copyRate))
	return err
}

// finishTables ends when the new database has its indexes, foreign keys and statistics, and crossfade begins to compare.
func (d *demo) finishTables(ctx context.Context, s *scene) error {
	s.say("indexes, foreign keys, checks and statistics")
	return d.follow(ctx, func(st control.Status) bool { return st.State == "validating" || ready(st) })
}

// verifyRows ends when crossfade has compared every row.
func (d *demo) verifyRows(ctx context.Context, s *scene) error {
	began := time.Now()
	var compared int64
	err := d.follow(ctx, func(st control.Status) bool {
		compared = 0
		for _, t := range st.Tables {
			compared += t.RowsVerified
		}
		s.advance(compared, st.Snapshot.RowsDone)
		return ready(st)
	})
	s.say("%s rows are equal, %s compared a second", count(compared), count(perSecond(compared, time.Since(began))))
	return err
}

func ready(st control.Status) bool { return st.Phase != nil && *st.Phase == "ready" }

// follow keeps the status, until it is as wanted.
func (d *demo) follow(ctx context.Context, reached func(control.Status) bool) error {
	const patience = 5 * time.Minute
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("crossfade did not come that far within %s", patience))
	defer cancel()
	tick := time.NewTicker(glance)
	defer tick.Stop()
	for {
		st, err := d.look(ctx)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, control.ErrNotRunning): // it does not listen yet
		case err != nil:
			return err
		case st.Error != nil:
			return fmt.Errorf("crossfade stopped: %s", *st.Error)
		case reached(st):
			return nil
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// look asks for the status once.
func (d *demo) look(ctx context.Context) (control.Status, error) {
	st, err := d.crossfade.client.Status(ctx)
	if err == nil {
		d.status.Store(&st)
	}
	return st, err
}

// cutOver moves the application, while it sells.
func (d *demo) cutOver(ctx context.Context, s *scene) (err error) {
	err = d.meanwhile(func() error { return d.crossfade.cutover(ctx, s) }, func() {
		if st, err := d.look(ctx); err == nil && st.Cutover.Step != nil {
			s.say("%s", *st.Cutover.Step)
		}
	})
	if err != nil {
		return err
	}
	if d.report, err = d.crossfade.report(ctx); err != nil {
		return err
	}
	s.say("sells on PostgreSQL; paused %d ms, predicted %d ms", d.report.WritePauseMS, d.report.PredictedPauseMS)
	return nil
}

// sellOn lets the application sell on the new database for a while, and closes the shop.
func (d *demo) sellOn(ctx context.Context, s *scene) (err error) {
	end := time.Now().Add(d.after)
	if err := d.follow(ctx, func(control.Status) bool {
		s.say("%s sales on PostgreSQL", count(d.app.sales.total(target)))
		return time.Now().After(end) && d.app.sales.total(target) > 0
	}); err != nil {
		return err
	}
	d.ledger, err = d.app.stop()
	s.say("%s sales on PostgreSQL, and the shop closes", count(d.app.sales.total(target)))
	return err
}

// cleanUp ends crossfade and lets it remove what it made for itself.
func (d *demo) cleanUp(ctx context.Context, s *scene) error {
	s.say("crossfade removes what it made for itself, and is gone")
	if err := d.crossfade.stop(); err != nil {
		return err
	}
	_, _, err := d.crossfade.verb(ctx, "cleanup")
	return err
}

func perSecond(n int64, in time.Duration) int64 { return int64(float64(n) / max(in.Seconds(), 0.001)) }
