package main

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/crossfade-io/crossfade/internal/control"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

// A database, or NATS, that is cut off, falls silent or is killed at a step of a cutover or a rollback, while the application writes, costs nothing: it ends one way or the other, the
// verb says which, exactly one side is open, and every acknowledged write is in both databases.
func TestWhoeverFailsAtAStepOfACutoverOrARollbackNothingIsLost(t *testing.T) {
	t.Run("MySQL to PostgreSQL", func(t *testing.T) { mysqlToPostgres(t, 6) })
	t.Run("PostgreSQL to PostgreSQL with a pooler", func(t *testing.T) { pooledPostgres(t, 4) })
}

func mysqlToPostgres(t *testing.T, most int) {
	my, pg := testdb.NewMySQL(t), testdb.NewPostgres(t, 18)
	(&struckPair{source: endOnMySQL(t, my), target: endOnPostgres(t, pg), servers: [2]killable{my, pg}}).strikes(t, most)
}

// pooledPostgres has a PgBouncer, through which a client writes too; it is never left paused.
func pooledPostgres(t *testing.T, most int) {
	a, b := testdb.NewPostgres(t, 15), testdb.NewPostgres(t, 18)
	p := &struckPair{source: endOnPostgres(t, a), target: endOnPostgres(t, b), servers: [2]killable{a, b}}
	p.pooler = func(source, target string) string {
		from, err := pgx.ParseConfig(source)
		if err != nil {
			t.Fatal(err)
		}
		s := testdb.NewPgBouncer(t, testdb.PgBouncerConfig{Databases: []string{fmt.Sprintf("app = host=%s port=%d dbname=%s", from.Host, from.Port, from.Database)}})
		p.paused = func() (out []string) { return pausedEntries(t, s) }
		return fmt.Sprintf("switch: [{pgbouncer: {admin: %q, database: app, ini: %q}}]", s.AdminURL(), s.Ini())
	}
	p.strikes(t, most)
}

// pausedEntries lists what of a PgBouncer is paused.
func pausedEntries(t *testing.T, s *testdb.PgBouncerServer) (out []string) {
	t.Helper()
	c, err := pgx.ParseConfig(s.AdminURL())
	if err != nil {
		t.Fatal(err)
	}
	c.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	conn, err := pgx.ConnectConfig(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	rows, err := conn.Query(t.Context(), "SHOW DATABASES")
	if err != nil {
		t.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToMap)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range list {
		if fmt.Sprint(row["paused"]) != "0" {
			out = append(out, fmt.Sprint(row["name"]))
		}
	}
	return out
}

// killable is a server that can be killed and started again.
type killable interface {
	Kill() error
	Start(ctx context.Context) error
}

// struckPair is a migration in which everybody can be struck.
type struckPair struct {
	source, target *end
	servers        [2]killable
	pooler         func(source, target string) string // more of the cutover's configuration; nil: no pooler
	paused         func() []string
}

// acts are those of an attempt that meets nothing unforeseen.
func acts() (out []string) {
	for _, e := range edges() {
		if act, ok := strings.CutSuffix(e, ":before"); ok && act != "journal" {
			out = append(out, act)
		}
	}
	return out
}

// strike is what befalls somebody, and how it ends.
type strike struct {
	name      string
	hit, heal func()
}

// strikes lets everything befall everybody at every step; most: how often in each direction, chosen at random.
func (p *struckPair) strikes(t *testing.T, most int) {
	source, target := p.source, p.target
	seedTraffic(t, source, 300)
	dir, port := t.TempDir(), 0
	srv := natsServer(t, dir, 0)
	port = srv.Addr().(*net.TCPAddr).Port
	proxies := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	there := *source
	here := *target
	toSource, url1 := through(t, proxies, source.url)
	toTarget, url2 := through(t, proxies, target.url)
	toStream, url3 := through(t, proxies, srv.ClientURL())
	there.url, here.url = url1, url2
	more := ""
	if p.pooler != nil {
		more = ", " + p.pooler(url1, url2)
	}
	r := newPair(t, &there, &here, fmt.Sprintf("%q", source.tables), "stream: {url: \""+url3+"\", max_bytes: 1GiB}\ncutover: {reverse: true, max_pause: 10s, timeout: 10s"+more+"}")
	mustly := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	all := []strike{
		{"the source is killed", func() { mustly("kill", p.servers[0].Kill()) }, func() { mustly("start", p.servers[0].Start(t.Context())) }},
		{"the target is killed", func() { mustly("kill", p.servers[1].Kill()) }, func() { mustly("start", p.servers[1].Start(t.Context())) }},
		{"NATS is shut down", func() { srv.Shutdown(); srv.WaitForShutdown() }, func() { srv = natsServer(t, dir, port) }},
	}
	for name, proxy := range map[string]*toxiproxy.Proxy{"source": toSource, "target": toTarget, "stream": toStream} {
		all = append(all, strike{"the " + name + " is cut off", proxy.Stop, func() { mustly("start the proxy", proxy.Start()) }},
			strike{"the " + name + " falls silent", func() { silence(t, proxy) }, func() { proxy.Toxics.ResetToxics(t.Context()) }})
	}
	slices.SortFunc(all, func(a, b strike) int { return strings.Compare(a.name, b.name) })
	seed := uint64(1) // which cases a sample takes is the same everywhere; another number takes others
	if text := os.Getenv("CROSSFADE_STRIKES"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seed = n
	}
	rnd := rand.New(rand.NewPCG(seed, 5))
	t.Logf("seed %d, %d steps, %d strikes at each, both ways", seed, len(acts()), len(all)) // put in its place it gives the same sample

	r.start()
	r.waitReady()
	c := &crasher{t: t, r: r, source: source, target: target, acked: map[int64]bool{}, users: map[*end]string{source: source.user(), target: target.user()}}
	for _, verb := range []string{"cutover", "rollback"} {
		type one struct {
			act string
			s   strike
		}
		var cases []one
		for _, act := range acts() {
			for _, s := range all {
				cases = append(cases, one{act, s})
			}
		}
		rnd.Shuffle(len(cases), func(i, j int) { cases[i], cases[j] = cases[j], cases[i] })
		sample := cases[:min(most, len(cases))]
		t.Logf("%s: %d of %d cases", verb, len(sample), len(cases))
		for _, one := range sample {
			if !t.Run(fmt.Sprintf("%s, %s before %s", verb, one.s.name, one.act), func(t *testing.T) { c.struck(t, verb, one.act, one.s, p.paused) }) {
				return
			}
		}
	}
	c.quiet(t)
	c.level(t)
	sameRows(t, source, target)
	holds(t, source, c.acked)
	holds(t, target, c.acked)
}

// silence keeps every connection open, and nothing passes any more.
func silence(t *testing.T, p *toxiproxy.Proxy) {
	for _, direction := range []string{"upstream", "downstream"} {
		body := fmt.Sprintf(`{"name": "silent_%[1]s", "type": "timeout", "stream": "%[1]s", "attributes": {"timeout": 0}}`, direction)
		if _, err := p.Toxics.AddToxicJson(strings.NewReader(body)); err != nil {
			t.Errorf("silence: %v", err)
		}
	}
}

// quiet waits until nothing is under way, and exactly one side takes writes; it says which.
func (c *crasher) quiet(t *testing.T) (serving *end) {
	t.Helper()
	c.r.until("quiet", 90*time.Second, func(s control.Status) bool {
		if s.State == "completed" {
			serving = c.target
			return s.Error == nil && phaseOf(s) == "soak" && s.Reverse.State == "applying" && s.Reverse.LastCleanAt != nil && s.Reverse.LagSeconds != nil && len(s.Links) == 0
		}
		serving = c.source
		return s.Error == nil && phaseOf(s) == "ready" && s.LagSeconds != nil && len(s.Links) == 0
	})
	other := c.source
	if serving == c.source {
		other = c.target
	}
	c.r.until("the side that serves takes writes", time.Minute, func(control.Status) bool { return c.writes(t, serving) == nil })
	if c.writes(t, other) == nil {
		t.Errorf("both sides take writes")
	}
	return serving
}

// struck brings the migration to where the verb can be run, lets something befall somebody at an act, and sees how it ends.
func (c *crasher) struck(t *testing.T, verb, act string, s strike, paused func() []string) {
	c.r.t = t
	defer func() { c.r.t = c.t }()
	from, to := c.source, c.target
	if verb == "rollback" {
		from, to = c.target, c.source
	}
	for c.quiet(t) != from {
		c.r.must(map[string]string{"cutover": "rollback", "rollback": "cutover"}[verb])
	}
	file := filepath.Join(c.r.dir, "held")
	c.r.stop()
	c.r.env = append(c.r.env, "CROSSFADE_HOLDPOINT="+act+":before="+file)
	c.r.start()
	c.r.env = slices.DeleteFunc(c.r.env, func(s string) bool { return strings.HasPrefix(s, "CROSSFADE_HOLDPOINT") })
	c.quiet(t)
	w := map[*end]*traffic{}
	for e, user := range c.users {
		w[e] = startTraffic(t, e, e.open(user), 2, 5*time.Millisecond)
	}
	w[c.source].next.Store(c.next)
	w[c.target].next.Store(c.next + 1_000_000)
	c.next += 2_000_000
	ended := make(chan outcomeOf, 1)
	go func() {
		for {
			exit, out, errs := c.r.crossfade(verb)
			if exit != 3 || !strings.Contains(errs, "the predicted pause is") { // a busy moment: an operator would try again, too
				ended <- outcomeOf{exit, out + errs}
				return
			}
			pause(200 * time.Millisecond)
		}
	}()
	for end := time.Now().Add(30 * time.Second); ; pause(2 * time.Millisecond) {
		if _, err := os.Stat(file); err == nil {
			break
		}
		select {
		case o := <-ended:
			t.Fatalf("%s ended before %s: exit %d\n%s", verb, act, o.exit, o.text)
		default:
		}
		if time.Now().After(end) {
			t.Fatalf("%s never came to %s", verb, act)
		}
	}
	s.hit()
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	var o outcomeOf
	select { // long enough to be noticed, unless it is of no consequence any more
	case o = <-ended:
	case <-time.After(2 * time.Second):
	}
	s.heal()
	if o.text == "" {
		o = <-ended
	}
	first := o
	for try := 0; o.exit == 1 && try < 20; try++ { // decided, or not known: it goes on
		pause(500 * time.Millisecond)
		exit, out, errs := c.r.crossfade(verb)
		o = outcomeOf{exit, out + errs}
	}
	serving := c.quiet(t)
	if paused != nil {
		if left := paused(); len(left) > 0 {
			t.Errorf("left paused: %v", left)
		}
	}
	switch first.exit {
	case 0:
		if serving != to {
			t.Errorf("%s says that it is done, and the %s serves\n%s", verb, serving.engine, first.text)
		}
	case 3, 5:
		if serving != from {
			t.Errorf("%s says that it is given up, and the %s serves\n%s", verb, serving.engine, first.text)
		}
	case 1:
		if (o.exit == 0) != (serving == to) {
			t.Errorf("%s went on to exit %d, and the %s serves\n%s", verb, o.exit, serving.engine, o.text)
		}
	default:
		t.Errorf("exit %d\n%s", first.exit, first.text)
	}
	for e := range w {
		maps.Copy(c.acked, w[e].stop())
	}
	t.Logf("exit %d, the %s serves", first.exit, serving.engine)
}

type outcomeOf struct {
	exit int
	text string
}
