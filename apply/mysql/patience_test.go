package mysql

import (
	"context"
	"encoding/binary"
	"testing"
	"time"

	"github.com/crossfade-io/crossfade/apply"
)

// What a transaction notes about the keys it has touched may take longer, all together, than a server that hangs is waited for.
func TestASessionIsPatientWhileItsNotesGetOn(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		w.Exec(t, "CREATE TRIGGER crossfade.slow_"+w.Name+" BEFORE INSERT ON crossfade.recopy FOR EACH ROW SET @slept = IF(NEW.migration = '"+w.Name+"', SLEEP(0.3), 0)")
		t.Cleanup(func() {
			w.s.Close() // with what it has locked
			if _, err := w.DB.ExecContext(context.Background(), "DROP TRIGGER crossfade.slow_"+w.Name); err != nil {
				t.Error(err)
			}
		})
		w.target.patience = 3 * time.Second
		tx := w.tx()
		for n := range uint64(20) {
			tx.Recopy = append(tx.Recopy, apply.RecopyKey{Source: "s.t", Key: binary.BigEndian.AppendUint64(nil, n), Seq: 1})
		}
		w.must(tx)
		if n, err := w.s.RecopyPending(t.Context(), "s.t"); n != 20 || err != nil {
			t.Errorf("%d keys are listed, %v", n, err)
		}
	})
}
