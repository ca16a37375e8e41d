package postgres

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/crossfade-io/crossfade/apply"
)

// What a transaction notes about the keys it has touched may take longer, all together, than a server that hangs is waited for.
func TestASessionIsPatientWhileItsNotesGetOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 15, itemDDL, apply.TableSetup{Source: "shop.items", Target: itemTable()})
	w.db.Exec(t, `CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_catalog.pg_sleep(0.3); RETURN NEW; END $$;
		CREATE TRIGGER slow BEFORE INSERT ON crossfade.recopy FOR EACH ROW EXECUTE FUNCTION slow(); ALTER TABLE crossfade.recopy ENABLE ALWAYS TRIGGER slow`)
	d, err := w.target.Start(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	w.target.patience = 3 * time.Second
	s, err := w.target.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	tx := &apply.Tx{Token: d.Token, Lanes: 1, To: apply.Place{Seq: 1, Sum: 1, Time: 1}, Stream: "stream"}
	for n := range uint64(20) { // of a length at which the server is asked for its answers
		tx.Recopy = append(tx.Recopy, apply.RecopyKey{Source: "shop.items", Key: binary.BigEndian.AppendUint64(make([]byte, flushBytes/2), n), Seq: 1})
	}
	if err := s.Apply(t.Context(), tx); err != nil {
		t.Fatal(err)
	}
	if n, err := s.RecopyPending(t.Context(), "shop.items"); n != 20 || err != nil {
		t.Errorf("%d keys are listed, %v", n, err)
	}
}
