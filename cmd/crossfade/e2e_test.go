package main

import (
	"testing"
	"time"

	"github.com/crossfade-io/crossfade/internal/testdb"
)

func TestALiveDatabaseMovesAndEveryRowIsEqual(t *testing.T) {
	r := newRig(t, testdb.NewMySQL(t), testdb.NewPostgres(t, 15), "snapshot: {chunk_rows: 3000}")
	r.seed(40000)
	w := r.startWorkload(4, 2*time.Millisecond)
	r.start()
	s := r.waitReady()
	if s.Snapshot.TablesDone != 5 || s.Verify.Differences != 0 {
		t.Errorf("status %+v", s)
	}
	acked := w.stop()
	r.caughtUp("op")
	r.allEqual()
	r.noneLost(acked)
	if w.failed.Load() > 0 {
		t.Logf("%d transactions of the workload failed", w.failed.Load())
	}
}
