package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/crossfade-io/crossfade/internal/control"
)

// demo is one run.
type demo struct {
	options
	screen *screen
	scenes []*scene

	place     place
	app       *application
	open      atomic.Bool // the shop
	crossfade *crossfade
	status    atomic.Pointer[control.Status] // the newest; nil before the daemon answers
	copyRate  int64                          // rows a second
	report    report
	ledger    ledger
	verdict   verdict
}

// workers is how many connections the application has.
const workers = 12

// run plays the scenes, and fails unless all went well. Whatever happens, nothing goes on afterwards but the servers.
func (d *demo) run(ctx context.Context) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	d.app = &application{workers: workers, rate: d.rate, shop: extentOf(d.rows), sales: newTimeline(), onError: fail}
	d.crossfade = &crossfade{binary: d.binary, onExit: fail}
	defer d.app.abandon()
	defer d.crossfade.kill()

	plays := []func(context.Context, *scene) error{d.startServers, d.openShop, d.copyRows, d.finishTables, d.verifyRows, d.cutOver, d.sellOn, d.cleanUp, d.judge}
	for _, name := range []string{"servers", "shop", "copy", "finish", "verify", "cutover", "go on", "clean up", "judge"} {
		d.scenes = append(d.scenes, &scene{name: name})
	}
	began := time.Now()
	d.screen.watch(d.picture, d.told)
	defer d.screen.close()
	for i, play := range plays {
		s := d.scenes[i]
		s.begin()
		if err := play(ctx, s); err != nil {
			s.fail()
			if ctx.Err() != nil {
				err = context.Cause(ctx) // what made the others give up
			}
			return fmt.Errorf("%s: %w", s.name, err)
		}
		s.end()
		d.screen.milestone(s.plain())
	}
	d.screen.close()
	return d.conclude(time.Since(began))
}

// playing is the scene that goes on, nil at the end.
func (d *demo) playing() *scene {
	for _, s := range d.scenes {
		if s.ended() == 0 {
			return s
		}
	}
	return nil
}
