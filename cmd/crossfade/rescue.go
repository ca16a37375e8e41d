package main

import (
	"context"
	"fmt"
	"time"

	"github.com/crossfade-io/crossfade/cutover"
)

// rescueTime is how long a start that cannot reach the target tries to give up an attempt.
const rescueTime = 15 * time.Second

// rescue gives up an attempt that an earlier start left before its decision, although the target cannot be reached: an abort needs the source alone, and
// a pause has to end also when the daemon and the target fail together. The rest of the abort is for the start that finds the target again.
// An attempt whose decision may have been sent stays as it is: only the target can say what became of it.
func (m *migration) rescue(ctx context.Context, unreachable error) error {
	ctx, cancel := context.WithTimeout(ctx, rescueTime)
	defer cancel()
	if err := m.readMapping(ctx); err != nil {
		return err
	}
	g, err := newGates(ctx, m.cfg, &m.ends)
	if err != nil {
		return err
	}
	defer g.close()
	cc, err := cutoverConfig(m.cfg, g)
	if err != nil {
		return err
	}
	cc.Logger = m.log
	machine, err := cutover.New(cc, g.source, g.target, noStream{unreachable}, nil)
	if err != nil {
		return err
	}
	return machine.Recover(ctx)
}

// noStream is the stream of a migration whose target cannot be reached.
type noStream struct{ why error }

func (s noStream) Readiness(context.Context) (cutover.StreamReadiness, error) {
	return cutover.StreamReadiness{}, s.say()
}
func (s noStream) Round(context.Context) error  { return s.say() }
func (s noStream) Halt(context.Context) error   { return s.say() }
func (s noStream) Resume(context.Context) error { return s.say() }
func (s noStream) say() error                   { return fmt.Errorf("nothing is applied: %w", s.why) }
