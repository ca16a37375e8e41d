package mysql

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/crossfade-io/crossfade/capture"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

// relay stands between a server and its clients, and decides in which pieces what the server sends arrives.
type relay struct {
	net.Listener
	most   atomic.Int64 // bytes of a piece
	frozen atomic.Bool  // nothing arrives
}

func newRelay(t testing.TB, server string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{Listener: l}
	r.most.Store(1 << 20)
	t.Cleanup(func() { _ = l.Close() })
	go func() { // ends with the listener
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial("tcp", server)
			if err != nil {
				client.Close()
				continue
			}
			go func() { _, _ = io.Copy(up, client); up.Close() }()
			go r.pieces(client, up)
		}
	}()
	return r
}

func (r *relay) pieces(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	random := rand.New(rand.NewPCG(1, 2))
	buf := make([]byte, 1<<20)
	for {
		n, err := from.Read(buf[:1+random.Int64N(r.most.Load())])
		if err != nil {
			return
		}
		for r.frozen.Load() {
			time.Sleep(time.Millisecond)
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// A wait that ends in the middle of an event, or of a piece of a large one, loses nothing of it.
func TestTheLogIsReadWholeHoweverItArrivesAndHoweverShortTheWaits(t *testing.T) {
	d := testdb.MySQL(t).Database(t)
	s := scoped(t, d)
	d.Exec(t, "CREATE TABLE large (id int PRIMARY KEY, b longblob)")
	from := now(t, s)
	inOneSession(t, d,
		"INSERT INTO large VALUES (1, 'small'), (2, REPEAT('m', 100000))",
		"INSERT INTO large VALUES (3, REPEAT('l', 17000000))", // two packets
		"INSERT INTO large VALUES (4, REPEAT('x', 70000))",
		"UPDATE large SET b = 'again' WHERE id < 5", "DELETE FROM large")
	until := now(t, s)
	want, err := follow(t, s, startTail(t, s, from, tables(t, d)), until)
	if err != nil || len(want) == 0 {
		t.Fatalf("%d events, %v", len(want), err)
	}

	through := newRelay(t, s.cfg.Host)
	s.cfg.Host = through.Addr().String()
	through.most.Store(30_000)
	for _, how := range []string{"plain", "encrypted"} {
		t.Run(how, func(t *testing.T) {
			if how == "encrypted" {
				s.cfg.TLS = &tls.Config{ServerName: "127.0.0.1", RootCAs: authorities(t, d.Server)}
			}
			slow := &impatient{Tail: startTail(t, s, from, tables(t, d))}
			got, err := follow(t, s, slow, until)
			if err != nil {
				t.Fatal(err)
			}
			if lines(got) != lines(want) {
				t.Errorf("%d events arrived in pieces, %d at once, and they are not the same", len(got), len(want))
			}
			for i := range min(len(got), len(want)) {
				if got[i].place != want[i].place {
					t.Errorf("event %d: place %s, not %s", i, got[i].place, want[i].place)
				}
			}
			if slow.given < 10 {
				t.Errorf("only %d waits ended before there was an event: nothing was tried", slow.given)
			}
		})
	}
}

func authorities(t *testing.T, s *testdb.MySQLServer) *x509.CertPool {
	t.Helper()
	pem, err := os.ReadFile(s.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		t.Fatal("no certificate")
	}
	return pool
}

// impatient waits a fraction of a millisecond at a time.
type impatient struct {
	capture.Tail
	given int // waits that ended without an event
}

func (i *impatient) Next(ctx context.Context) (*capture.Event, error) {
	for {
		short, cancel := context.WithTimeout(ctx, 300*time.Microsecond)
		ev, err := i.Tail.Next(short)
		cancel()
		if ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return ev, err
		}
		i.given++
	}
}

// However short the waits are, a server that says nothing for longer than it may is given up; and not before.
func TestASilentServerIsGivenUp(t *testing.T) {
	d := testdb.MySQL(t).Database(t)
	s := scoped(t, d)
	d.Exec(t, "CREATE TABLE a (id int PRIMARY KEY)")
	through := newRelay(t, s.cfg.Host)
	s.cfg.Host, s.cfg.Heartbeat, s.cfg.ReadTimeout = through.Addr().String(), 100*time.Millisecond, 2*time.Second
	tail := startTail(t, s, now(t, s), tables(t, d))
	slow := &impatient{Tail: tail}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); { // longer than it may be silent: it says that it is there
		if _, err := slow.Next(ctx); err != nil {
			t.Fatal(err)
		}
	}
	through.frozen.Store(true)
	began := time.Now()
	var err error
	for err == nil {
		_, err = slow.Next(ctx)
	}
	through.frozen.Store(false)
	var lost *lostError
	if !errors.As(err, &lost) {
		t.Fatalf("it ended with %v", err)
	}
	if took := time.Since(began); took < s.cfg.ReadTimeout-200*time.Millisecond {
		t.Errorf("given up after %s, before the time", took)
	}
}

// What came while nobody listened for longer than the server may be silent is read, not taken for silence.
func TestWhatCameWhileNobodyListenedIsRead(t *testing.T) {
	d := testdb.MySQL(t).Database(t)
	s := scoped(t, d)
	d.Exec(t, "CREATE TABLE a (id int PRIMARY KEY)")
	s.cfg.Heartbeat, s.cfg.ReadTimeout = 100*time.Millisecond, 300*time.Millisecond
	from := now(t, s)
	tail := startTail(t, s, from, tables(t, d))
	for listening := true; listening; { // until a wait ends that began with nothing there
		short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		_, err := tail.Next(short)
		cancel()
		if listening = err == nil; !listening && !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
	}
	d.Exec(t, "INSERT INTO a VALUES (1)")
	away := time.NewTimer(600 * time.Millisecond) // the time itself is what is tested
	<-away.C
	events, err := follow(t, s, tail, now(t, s))
	mustSee(t, events, err, "insert a -> [int 1]", "commit")
}
