package main

import (
	"context"
	"errors"
	"time"
)

// roundEvery is how often it is measured, while nobody asks, how long a commit on the source takes to be in every lane's ledger. Each costs the source a commit.
const roundEvery = 2 * time.Second

// runRounds measures rounds while the flow applies.
func (f *flow) runRounds(ctx context.Context) error {
	tick := time.NewTicker(roundEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := f.round(ctx); err != nil && ctx.Err() == nil {
			f.log.Debug("a round was not measured", "err", err)
		}
	}
}

// errNoRounds: nothing goes round.
var errNoRounds = errors.New("nothing is applied, or not all is copied yet")

// round measures one. One that was under way when the applier was stopped says nothing; one that lasted longer than its context took at least as long.
func (f *flow) round(ctx context.Context) error {
	stops := f.applying.changed.now()
	if !f.streams() {
		return errNoRounds
	}
	end := f.pace.Begin()
	err := f.goRound(ctx)
	end((err == nil || errors.Is(err, context.DeadlineExceeded)) && stops == f.applying.changed.now())
	return err
}

// streams: what the source commits is on its way to be applied, and nothing else.
func (f *flow) streams() bool {
	return (f.filled() || f.progress.finished.Load()) && f.applying.wanted() && f.progress.publisher.Load() != nil
}

func (f *flow) goRound(ctx context.Context) error {
	applier := f.applying.now()
	if applier == nil {
		return errNoRounds
	}
	if err := f.source.Heartbeat(ctx); err != nil {
		return err
	}
	seq, err := f.published(ctx)
	if err != nil {
		return err
	}
	return applier.Wait(ctx, seq)
}

// published waits until everything that the source has committed is in the stream, durably, and returns the last frame of it.
func (f *flow) published(ctx context.Context) (uint64, error) {
	position, err := f.source.Position(ctx)
	if err != nil {
		return 0, err
	}
	if err := (streamView{f}).WaitCovered(ctx, position); err != nil {
		return 0, err
	}
	seq := f.progress.publisher.Load().Published().Seq
	return seq, f.stream.Wait(ctx, seq)
}
