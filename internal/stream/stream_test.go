package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/crossfade-io/crossfade/internal/change"
)

func quietLog() *slog.Logger {
	if os.Getenv("STREAM_TEST_LOG") != "" {
		return slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	return slog.New(slog.NewTextHandler(io.Discard, nil))
}

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// frameOf makes an unsealed frame that says n and is about size bytes long.
func frameOf(t testing.TB, n, size int) []byte {
	t.Helper()
	b, err := plainFrame(n, size)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func plainFrame(n, size int) ([]byte, error) {
	return change.NewControl(change.ControlMessage{Type: change.Heartbeat, Detail: strings.Repeat("x", max(0, size-120))}, fmt.Sprintf("position %d", n), int64(n))
}

func openAt(t testing.TB, cfg Config) *Log {
	t.Helper()
	l, err := Open(testContext(t), cfg, quietLog())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func embeddedConfig(t testing.TB) Config {
	return Config{Dir: filepath.Join(t.TempDir(), "stream"), Name: "shop-1", MaxBytes: 256 << 20}
}

// natsServer is an external server on a port of its own.
type natsServer struct {
	t    testing.TB
	dir  string
	port int
	// payload is the server's max_payload.
	payload int32
	srv     *server.Server
}

func startNATS(t testing.TB) *natsServer {
	n := &natsServer{t: t, dir: t.TempDir(), port: server.RANDOM_PORT, payload: maxPayload}
	n.start()
	t.Cleanup(n.stop)
	return n
}

func (n *natsServer) start() {
	n.t.Helper()
	srv, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: n.port, NoSigs: true, NoLog: true, JetStream: true, StoreDir: n.dir, SyncAlways: true,
		MaxPayload: n.payload, JetStreamMaxStore: 1 << 40,
	})
	if err != nil {
		n.t.Fatal(err)
	}
	go srv.Start()
	if !srv.ReadyForConnections(20 * time.Second) {
		n.t.Fatal("the test's NATS server did not start")
	}
	n.srv = srv
	n.port = srv.Addr().(*net.TCPAddr).Port
}

func (n *natsServer) stop() {
	n.srv.Shutdown()
	n.srv.WaitForShutdown()
}

func (n *natsServer) url() string { return n.srv.ClientURL() }

func (n *natsServer) config() Config {
	return Config{URL: n.url(), Name: "shop-1", MaxBytes: 256 << 20}
}

// both runs a test on the embedded and on an external server.
func both(t *testing.T, test func(t *testing.T, cfg Config)) {
	t.Run("embedded", func(t *testing.T) { test(t, embeddedConfig(t)) })
	t.Run("external", func(t *testing.T) { test(t, startNATS(t).config()) })
}

func appendN(t testing.TB, l *Log, from, to, size int) {
	t.Helper()
	ctx := testContext(t)
	for n := from; n <= to; n++ {
		seq, err := l.Append(ctx, frameOf(t, n, size))
		if err != nil {
			t.Fatal(err)
		}
		if seq != uint64(n) {
			t.Fatalf("frame %d was given sequence %d", n, seq)
		}
	}
	if err := l.Wait(ctx, uint64(to)); err != nil {
		t.Fatal(err)
	}
}

// readN reads frames from..to after the ledger's place and checks what they say. It returns the last one.
func readN(t testing.TB, l *Log, after, sum uint64, to int) change.Frame {
	t.Helper()
	ctx := testContext(t)
	r, err := l.Read(ctx, after, sum)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var f change.Frame
	for n := int(after) + 1; n <= to; n++ {
		if f, err = r.Next(ctx); err != nil {
			t.Fatal(err)
		}
		if f.Seq != uint64(n) || string(f.Position) != fmt.Sprintf("position %d", n) {
			t.Fatalf("frame %d says %q at sequence %d", n, f.Position, f.Seq)
		}
	}
	return f
}

func wantError(t testing.TB, err, want error, says ...string) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want %v", err, want)
	}
	for _, s := range says {
		if !strings.Contains(err.Error(), s) {
			t.Fatalf("error %q does not say %q", err, s)
		}
	}
}

func TestFramesAreReadInTheOrderTheyWereAppended(t *testing.T) {
	both(t, func(t *testing.T, cfg Config) {
		l := openAt(t, cfg)
		if !l.Created() {
			t.Fatal("the first Open did not create the stream")
		}
		if _, ok, err := l.Last(testContext(t)); ok || err != nil {
			t.Fatalf("last frame of an empty stream: %v %v", ok, err)
		}
		appendN(t, l, 1, 300, 300)
		appendN(t, l, 301, 340, 200<<10)
		f := readN(t, l, 0, 0, 340)
		last, ok, err := l.Last(testContext(t))
		if err != nil || !ok || last.Sum != f.Sum || last.Seq != 340 {
			t.Fatalf("last frame: %v %v %v", last.Header, ok, err)
		}
		if l.Acked() != 340 || l.InFlight() != 0 {
			t.Fatalf("acked %d, in flight %d", l.Acked(), l.InFlight())
		}
	})
}

func TestRestartContinuesTheChain(t *testing.T) {
	both(t, func(t *testing.T, cfg Config) {
		l := openAt(t, cfg)
		id := l.ID()
		appendN(t, l, 1, 20, 2000)
		f := readN(t, l, 0, 0, 10)
		l.Close()
		l = openAt(t, cfg)
		if l.Created() || l.ID() != id {
			t.Fatalf("created %v, id %s, was %s", l.Created(), l.ID(), id)
		}
		if l.Acked() != 20 {
			t.Fatalf("acked %d after restart", l.Acked())
		}
		appendN(t, l, 21, 30, 2000)
		readN(t, l, 10, f.Sum, 30)
	})
}

func TestAReaderWaitsForTheNextFrame(t *testing.T) {
	both(t, func(t *testing.T, cfg Config) {
		l := openAt(t, cfg)
		ctx := testContext(t)
		r, err := l.Read(ctx, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
		if _, err := r.Next(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("empty stream: %v", err)
		}
		for n := 1; n <= 5; n++ {
			got := make(chan error, 1)
			go func() {
				f, err := r.Next(ctx)
				if err == nil && f.Seq != uint64(n) {
					err = fmt.Errorf("sequence %d", f.Seq)
				}
				got <- err
			}()
			appendN(t, l, n, n, 500)
			if err := <-got; err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestFactsOutliveRestartsAndKeepTheLastValue(t *testing.T) {
	both(t, func(t *testing.T, cfg Config) {
		ctx := testContext(t)
		l := openAt(t, cfg)
		keys := []string{"shape.0011aabb", "schema/shop.Größe *>", "a=b", ".."}
		for i, k := range keys {
			for v := range 3 {
				if err := l.Put(ctx, k, fmt.Appendf(nil, "%d-%d", i, v)); err != nil {
					t.Fatal(err)
				}
			}
		}
		l.Close()
		l = openAt(t, cfg)
		for i, k := range keys {
			v, ok, err := l.Get(ctx, k)
			if err != nil || !ok || string(v) != fmt.Sprintf("%d-2", i) {
				t.Fatalf("fact %q: %q %v %v", k, v, ok, err)
			}
		}
		if _, ok, err := l.Get(ctx, "none"); ok || err != nil {
			t.Fatalf("missing fact: %v %v", ok, err)
		}
		got, err := l.Keys(ctx, "")
		if err != nil || len(got) != len(keys) {
			t.Fatalf("keys: %q %v", got, err)
		}
		if got, err := l.Keys(ctx, "shape."); err != nil || len(got) != 1 || got[0] != keys[0] {
			t.Fatalf("keys: %q %v", got, err)
		}
	})
}

func TestALockedDirectoryNamesItsHolder(t *testing.T) {
	cfg := embeddedConfig(t)
	l := openAt(t, cfg)
	_, err := Open(testContext(t), cfg, quietLog())
	wantError(t, err, ErrLocked, fmt.Sprintf("pid %d", os.Getpid()), "shop-1", cfg.Dir)
	wantError(t, Remove(testContext(t), cfg), ErrLocked)
	l.Close()
	if err := Remove(testContext(t), cfg); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(cfg.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("the directory is still there: %v", err)
	}
	if l := openAt(t, cfg); !l.Created() {
		t.Fatal("the stream outlived its removal")
	}
}

func TestAFactIsReadOnceTheServerIsBack(t *testing.T) {
	n := startNATS(t)
	l := openAt(t, n.config())
	ctx := testContext(t)
	if err := l.Put(ctx, "shape.1", []byte("a")); err != nil {
		t.Fatal(err)
	}
	n.stop()
	until(t, "the loss is noticed", func() bool { return !l.link.nc.IsConnected() })
	type answer struct {
		data []byte
		ok   bool
		err  error
	}
	got := make(chan answer, 1)
	go func() {
		data, ok, err := l.Get(ctx, "shape.1")
		got <- answer{data, ok, err}
	}()
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, _, err := l.Get(gone, "shape.1"); !errors.Is(err, context.Canceled) {
		t.Errorf("whoever is called off gets %v", err)
	}
	select {
	case a := <-got:
		t.Fatalf("without a server: %q %v %v", a.data, a.ok, a.err)
	case <-time.After(500 * time.Millisecond): // far longer than a refusal takes
	}
	n.start()
	if a := <-got; a.err != nil || !a.ok || string(a.data) != "a" {
		t.Fatalf("after it came back: %q %v %v", a.data, a.ok, a.err)
	}
}
