package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/spf13/cobra"

	"github.com/crossfade-io/crossfade/cutover"
	"github.com/crossfade-io/crossfade/internal/control"
)

func newFinalize(g *global) *cobra.Command {
	return g.printing(&cobra.Command{Use: "finalize", Short: "End the soak: the way back is closed, the old side stays fenced",
		Long: "End the soak for good: nothing is carried back to the source any more, and what that kept in both databases (slots, publications, the reverse stream) is removed.\n" +
			"The source stays closed to the application. `crossfade cleanup` removes the rest.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.post(cmd, "finalize", control.Request{})
		}})
}

// Finalize ends the soak. It returns when that is settled for ever; what the two directions keep is removed beside it.
func (m *migration) Finalize(ctx context.Context) error {
	m.cutovers.Lock()
	defer m.cutovers.Unlock()
	left := m.unfinished.Load()
	switch {
	case m.finalized():
		return nil
	case left != nil:
		return control.Fail(control.ExitRefused, fmt.Errorf("what was decided is not finished: %s", *left), "finish it first")
	case !m.over():
		return control.Fail(control.ExitRefused, errors.New("the source serves: there is no soak to end"), "`crossfade cutover` comes first; `crossfade cleanup` ends a migration that nobody wants any more")
	}
	if err := m.held(); err != nil {
		return err
	}
	if err := m.machineBack.Finalize(ctx); err != nil {
		var noGo *cutover.NoGo
		if errors.As(err, &noGo) {
			return control.Fail(control.ExitRefused, err, "")
		}
		m.unsettled.fire() // it may have been settled all the same: the database is asked
		return err
	}
	return m.learnDecision(ctx)
}

// runToTheEnd moves rows until the soak is ended, and then removes what that has kept in both databases: a slot that nobody reads keeps the server's log for ever.
func (m *migration) runToTheEnd(ctx context.Context) error {
	flowing, cancel := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() {
		for {
			generation := m.serving.changed.now()
			if m.finalized() {
				cancel()
				return
			}
			if m.serving.changed.after(flowing, generation) != nil {
				return
			}
		}
	})
	err := m.runFlows(flowing)
	byItself := flowing.Err() == nil
	cancel()
	watch.Wait()
	if byItself || ctx.Err() != nil {
		return err
	}
	return m.again(ctx, "finalize", m.removeFlows)
}

// removeFlows removes what both directions keep, but for the stream and the ledger of the one that has filled the target: the report speaks of them.
func (m *migration) removeFlows(ctx context.Context) error {
	if err := m.machine.NoteFinal(ctx); err != nil {
		return err
	}
	if m.twoWay.Goes {
		if err := m.removeReverse(ctx); err != nil {
			return fmt.Errorf("remove the way back: %w", err)
		}
	}
	if err := m.source.Remove(ctx); err != nil {
		return err
	}
	m.removed.Store(true)
	m.log.Info("the soak is ended: the target serves for ever, the source stays closed")
	return nil
}
