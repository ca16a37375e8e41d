package postgres

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-io/crossfade/capture"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !cond(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s did not come", what)
		}
	}
}

// promoted restarts a server as a standby does that is promoted: recovery from an archive that has nothing ends at once, on a new timeline.
func promoted(t *testing.T, d *testdb.PostgresDB) {
	t.Helper()
	if err := d.Server.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(d.Server.DataDir(), "recovery.signal"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := d.Server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end of recovery", func() bool {
		conn, err := d.Server.Connect(context.Background(), d.Name)
		if err != nil {
			return false
		}
		defer conn.Close(context.Background())
		var in bool
		return conn.QueryRow(context.Background(), "SELECT pg_is_in_recovery()").Scan(&in) == nil && !in
	})
}

// A server that takes over is followed from the place that was read, unless that lies behind the place where it left the log: what was read beyond it, it never had.
func TestAPromotedServerIsFollowedUnlessItLacksWhatWasRead(t *testing.T) {
	d := testdb.NewPostgres(t, 18, "restore_command=false").Database(t)
	d.Exec(t, "CREATE TABLE a (id int PRIMARY KEY, v int)")
	s := follow(t, d)
	was, err := s.Identity(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tail := s.tail(s.from)
	d.Exec(t, "INSERT INTO a VALUES (1, 1)")
	s.sees(tail, "insert a -> [int 1 | int 1]")
	read := tail.Place()
	if err := tail.Close(); err != nil {
		t.Fatal(err)
	}
	promoted(t, d)
	eventually(t, "a refusal of the server that took over, before it was asked who it is", func() bool { // the first answers may come over sessions of the server that was
		_, err := s.Tail(t.Context(), read, nil)
		if err == nil {
			t.Fatal("it is read")
		}
		return strings.Contains(err.Error(), "answers where")
	})
	now, err := s.Identity(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if now == was {
		t.Fatalf("after a promotion it is still %s", was)
	}
	if err := s.Follows(t.Context(), read, was); err != nil {
		t.Fatal(err)
	}
	tail = s.tail(read)
	defer tail.Close()
	d.Exec(t, "INSERT INTO a VALUES (2, 2)")
	s.sees(tail, "insert a -> [int 2 | int 2]")
	var stop *capture.Stop
	for name, c := range map[string]struct{ position, was, says string }{
		"read beyond the fork":                              {tail.Place(), was, "was lost in the failover"},
		"read into a transaction that ends behind the fork": {read + ";in=FFFF/0;row=1", was, "was lost in the failover"},
		"another cluster":                                   {read, "1" + was, "another database answers"},
		"the old one is back":                               {read, strings.Replace(now, "/", "/1", 1), "an older one is back"},
	} {
		if err := s.Follows(t.Context(), c.position, c.was); !errors.As(err, &stop) || !strings.Contains(stop.Reason, c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
