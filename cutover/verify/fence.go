package verify

import (
	"context"
	"fmt"
	"time"
)

// Touched compares every touched key until none is left, or until one is found to differ. It is for the time under the fence, when
// nothing changes any more; before that it need not end.
func (v *Verifier) Touched(ctx context.Context) (compared int, err error) {
	if err := v.running.take(ctx); err != nil {
		return 0, err
	}
	defer v.running.give()
	for v.touched.len() > 0 {
		before := v.touched.len()
		if err := v.round(ctx); err != nil {
			return compared, err
		}
		left := v.touched.len()
		compared += max(0, before-left)
		if len(v.State().Differences) > 0 {
			return compared, nil
		}
		if left >= before {
			select {
			case <-ctx.Done():
				return compared, fmt.Errorf("%d touched keys are not compared: %w", left, context.Cause(ctx))
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
	return compared, nil
}

// Predict is how long comparing the touched keys would take now: as long as the background rounds, which compare what a second has touched, or longer when more keys
// than that wait. Where none was ever compared, 50 ms are taken for those that wait.
func (v *Verifier) Predict() time.Duration {
	s := v.State()
	round, _ := v.rounds.High()
	switch {
	case s.TouchedKeys == 0:
		return round
	case s.Rate <= 0:
		return max(round, 50*time.Millisecond)
	}
	return max(round, time.Duration(float64(s.TouchedKeys)/s.Rate*float64(time.Second)))
}
