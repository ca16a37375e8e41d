package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-io/crossfade/cutover/protocol"
	"github.com/crossfade-io/crossfade/internal/control"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

// edges are the places at which an attempt that meets nothing unforeseen can be cut off: before and after every statement, every effect outside and every write of the journal.
func edges() (out []string) {
	for at := protocol.Arm; at != protocol.Rest; {
		m, ok := protocol.MoveOf(at)
		if !ok {
			break
		}
		out = append(out, string(at)+":before", string(at)+":after")
		at = m.Next[protocol.Done]
	}
	return append(out, "journal:before", "journal:after")
}

// A daemon that dies at any edge of a cutover or of a rollback, while the application writes to whichever side takes it, is started again and ends it, one way or the other, with exactly one
// side open and every acknowledged write in both databases. From PostgreSQL a sample of the edges is tried.
func TestACrashAtAnyEdgeOfACutoverAndOfARollbackLosesNothing(t *testing.T) {
	t.Run("MySQL to PostgreSQL", func(t *testing.T) {
		crashes(t, endOnMySQL(t, testdb.MySQL(t)), endOnPostgres(t, testdb.Postgres(t, 18)), len(edges()))
	})
	t.Run("PostgreSQL to PostgreSQL", func(t *testing.T) {
		crashes(t, endOnPostgres(t, testdb.Postgres(t, 15)), endOnPostgres(t, testdb.Postgres(t, 18)), 5)
	})
}

// crashes cuts off cutovers and rollbacks at some edges of each; most: all.
func crashes(t *testing.T, source, target *end, most int) {
	seed := uint64(time.Now().UnixNano())
	rnd := rand.New(rand.NewPCG(seed, 3))
	t.Logf("seed %d, %d edges each way", seed, len(edges()))
	seedTraffic(t, source, 600)
	r := newPair(t, source, target, fmt.Sprintf("%q", source.tables), "cutover: {reverse: true, max_pause: 20s}")
	r.start()
	r.waitReady()
	c := &crasher{t: t, r: r, source: source, target: target, acked: map[int64]bool{}}
	c.users = map[*end]string{source: source.user(), target: target.user()}
	for _, verb := range []string{"cutover", "rollback"} {
		all := edges()
		rnd.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for _, edge := range all[:min(most, len(all))] {
			if !t.Run(verb+" "+edge, func(t *testing.T) { c.at(t, verb, edge) }) {
				return
			}
		}
	}
	c.level(t)
	sameRows(t, source, target)
	holds(t, source, c.acked)
	holds(t, target, c.acked)
}

// crasher runs one migration through many crashes.
type crasher struct {
	t              *testing.T
	r              *rig
	source, target *end
	users          map[*end]string
	acked          map[int64]bool
	next           int64
}

// settled waits until one side serves, and what keeps the other one current runs and is verified.
func (c *crasher) settled(t *testing.T) (serving *end) {
	t.Helper()
	c.r.until("settled", time.Minute, func(s control.Status) bool {
		switch {
		case s.Error != nil:
			t.Fatalf("stopped: %s", *s.Error)
		case s.State == "completed":
			serving = c.target
			return s.Reverse != nil && s.Reverse.State == "applying" && s.Reverse.LastCleanAt != nil && s.Reverse.LagSeconds != nil && phaseOf(s) == "soak"
		default:
			serving = c.source
			return phaseOf(s) == "ready" && s.Reverse != nil && s.Reverse.State == "watching" && s.LagSeconds != nil
		}
		return false
	})
	c.r.until("the side that serves takes writes", time.Minute, func(control.Status) bool { return c.writes(t, serving) == nil })
	for e := range c.users {
		if e != serving && c.writes(t, e) == nil {
			t.Errorf("both sides take writes")
		}
	}
	return serving
}

func (c *crasher) writes(t *testing.T, e *end) error {
	db := e.open(c.users[e])
	defer db.Close()
	_, err := db.ExecContext(t.Context(), "UPDATE account SET note = 'probe' WHERE id = 1")
	return err
}

// at brings the migration to where the verb can be run, and cuts it off at an edge.
func (c *crasher) at(t *testing.T, verb, edge string) {
	c.r.t = t
	defer func() { c.r.t = c.t }()
	from := c.source
	if verb == "rollback" {
		from = c.target
	}
	for c.settled(t) != from {
		c.r.must(map[string]string{"cutover": "rollback", "rollback": "cutover"}[verb])
	}
	c.r.stop()
	c.r.env = append(c.r.env, "CROSSFADE_FAILPOINT="+edge)
	c.r.start()
	c.r.env = slices.DeleteFunc(c.r.env, func(s string) bool { return strings.HasPrefix(s, "CROSSFADE_FAILPOINT") })
	c.settled(t)
	w := map[*end]*traffic{}
	for e, user := range c.users {
		w[e] = startTraffic(t, e, e.open(user), 2, 4*time.Millisecond)
	}
	w[c.source].next.Store(c.next)
	w[c.target].next.Store(c.next + 1_000_000)
	exit, out, errs := c.r.crossfade(verb)
	if exit == 3 {
		t.Fatalf("%s: exit %d\n%s%s", verb, exit, out, errs)
	}
	if code := c.r.exited(10 * time.Second); code != -1 {
		t.Errorf("the daemon ended with %d and not at the edge; %s: exit %d\n%s%s", code, verb, exit, out, errs)
	}
	c.r.start()
	serving := c.settled(t)
	for e := range w {
		maps.Copy(c.acked, w[e].stop())
	}
	c.next += 2_000_000
	t.Logf("the %s serves", serving.engine)
}

// level waits until both ends hold the same writes.
func (c *crasher) level(t *testing.T) {
	c.r.until("level", time.Minute, func(control.Status) bool {
		const q = "SELECT count(*), max(id) FROM op"
		return strings.Join(rowsOf(t, c.target, q), "") == strings.Join(rowsOf(t, c.source, q), "")
	})
}
