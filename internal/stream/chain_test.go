package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/crossfade-io/crossfade/internal/change"
)

// until polls a condition.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("still not so after 30 s: %s", what)
}

func stats(t testing.TB, l *Log) Stats {
	t.Helper()
	s, err := l.Stats(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConcurrentAppendsStandInOneChain(t *testing.T) {
	both(t, func(t *testing.T, cfg Config) {
		cfg.InFlight = 1 << 20
		l := openAt(t, cfg)
		ctx := testContext(t)
		var wg sync.WaitGroup
		var taken sync.Map
		for g := range 4 {
			wg.Go(func() {
				for n := range 100 {
					seq, err := l.Append(ctx, frameOf(t, g*1000+n, 100+rand.IntN(40000)))
					if err != nil {
						t.Error(err)
						return
					}
					if other, dup := taken.LoadOrStore(seq, g*1000+n); dup {
						t.Errorf("sequence %d was given to %v and %d", seq, other, g*1000+n)
					}
				}
			})
		}
		wg.Wait()
		if err := l.Wait(ctx, 400); err != nil {
			t.Fatal(err)
		}
		r, err := l.Read(ctx, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		for seq := uint64(1); seq <= 400; seq++ {
			f, err := r.Next(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if n, _ := taken.Load(seq); string(f.Position) != fmt.Sprintf("position %v", n) {
				t.Fatalf("sequence %d was given to %v and holds %q", seq, n, f.Position)
			}
		}
	})
}

func TestInFlightBytesAreBounded(t *testing.T) {
	cfg := embeddedConfig(t)
	cfg.InFlight = 1 << 20
	l := openAt(t, cfg)
	ctx := testContext(t)
	most := int64(0)
	for n := 1; n <= 200; n++ {
		if _, err := l.Append(ctx, frameOf(t, n, 100<<10)); err != nil {
			t.Fatal(err)
		}
		l.w.mu.Lock()
		most = max(most, l.w.bytes)
		l.w.mu.Unlock()
	}
	if most > cfg.InFlight || most < cfg.InFlight/2 {
		t.Fatalf("%d bytes were in flight, the budget is %d", most, cfg.InFlight)
	}
}

func TestAFullStreamBlocksAndContinuesAfterPurge(t *testing.T) {
	both(t, func(t *testing.T, cfg Config) {
		cfg.MaxBytes = 2 << 20
		l := openAt(t, cfg)
		ctx := testContext(t)
		const frames = 120
		appended := make(chan error, 1)
		go func() {
			for n := 1; n <= frames; n++ {
				size := 200 << 10
				if n%3 == 0 {
					size = 200 // small ones that would still fit must not overtake
				}
				if _, err := l.Append(ctx, frameOf(t, n, size)); err != nil {
					appended <- err
					return
				}
			}
			appended <- l.Wait(ctx, frames)
		}()
		until(t, "the stream is full", func() bool { s := stats(t, l); return s.Full && s.Blocked != "" })
		if s := stats(t, l); s.Last >= frames || s.Bytes > s.MaxBytes {
			t.Fatalf("a full stream: %+v", s)
		}
		// Append itself blocks only once the in-flight budget is used up too; a context ends the wait.
		r, err := l.Read(ctx, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		for n := 1; n <= frames; n++ {
			f, err := r.Next(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if string(f.Position) != fmt.Sprintf("position %d", n) {
				t.Fatalf("frame %d says %q", n, f.Position)
			}
			if n%4 == 0 {
				if err := l.Purge(ctx, f.Seq); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := <-appended; err != nil {
			t.Fatal(err)
		}
		until(t, "the stream has room", func() bool { s := stats(t, l); return !s.Full && s.Blocked == "" && s.InFlight == 0 })
	})
}

func TestAppendIntoAFullStreamEndsWithItsContext(t *testing.T) {
	cfg := embeddedConfig(t)
	cfg.MaxBytes, cfg.InFlight = 1<<20, 300<<10
	l := openAt(t, cfg)
	short, cancel := context.WithTimeout(testContext(t), time.Second)
	defer cancel()
	n := 0
	var err error
	for err == nil {
		n++
		_, err = l.Append(short, frameOf(t, n, 100<<10))
	}
	wantError(t, err, context.DeadlineExceeded, "blocked", "full")
	ctx := testContext(t)
	for stats(t, l).InFlight > 0 {
		if err := l.Purge(ctx, l.Acked()); err != nil {
			t.Fatal(err)
		}
	}
	// The frame whose Append was given up was never sealed: its number is the next one.
	seq, err := l.Append(ctx, frameOf(t, n, 100<<10))
	if err != nil || seq != uint64(n) {
		t.Fatalf("sequence %d %v, want %d", seq, err, n)
	}
	if err := l.Wait(ctx, seq); err != nil {
		t.Fatal(err)
	}
}

func TestAFrameThatCanNeverFitIsRefused(t *testing.T) {
	cfg := embeddedConfig(t)
	cfg.MaxBytes = 1 << 20
	l := openAt(t, cfg)
	if _, err := l.Append(testContext(t), frameOf(t, 1, 600<<10)); err == nil || !strings.Contains(err.Error(), "max_bytes") {
		t.Fatalf("got %v", err)
	}
	appendN(t, l, 1, 1, 1000)
}

func TestTheSecondWriterIsFenced(t *testing.T) {
	n := startNATS(t)
	ctx := testContext(t)
	a, b := openAt(t, n.config()), openAt(t, n.config())
	if a.ID() != b.ID() || a.Created() == b.Created() {
		t.Fatal("the two do not share one stream")
	}
	appendN(t, a, 1, 10, 1000)
	seq, err := b.Append(ctx, frameOf(t, 99, 1000))
	if err == nil {
		err = b.Wait(ctx, seq)
	}
	wantError(t, err, ErrFenced, "stop the other one")
	_, err = b.Append(ctx, frameOf(t, 100, 1000))
	wantError(t, err, ErrFenced)
	if b.Acked() != 0 {
		t.Fatalf("the fenced writer believes that %d frames are its own", b.Acked())
	}
	appendN(t, a, 11, 20, 1000)
	readN(t, a, 0, 0, 20)
}

// The second writer's frames 11 and on expect exactly the sequence at which the first one stands; only the checksum of the frame there tells them apart.
func TestManyFramesUnderWayDoNotFitBehindAnotherWriters(t *testing.T) {
	n := startNATS(t)
	ctx := testContext(t)
	a, b := openAt(t, n.config()), openAt(t, n.config())
	appendN(t, a, 1, 10, 1000)
	b.w.mu.Lock() // all of them go out together
	var err error
	for k := 1; k <= 50; k++ {
		frame := frameOf(t, 1000+k, 1000)
		s := sent{seq: b.w.next, prev: b.w.sum, data: frame}
		if s.sum, err = change.Seal(frame, b.id, s.seq, s.prev); err != nil {
			t.Fatal(err)
		}
		b.w.push(s)
		b.w.next, b.w.sum = s.seq+1, s.sum
	}
	b.w.pump()
	b.w.mu.Unlock()
	wantError(t, b.Wait(ctx, 50), ErrFenced)
	if b.Acked() != 0 {
		t.Fatalf("frame %d of the fenced writer was acknowledged", b.Acked())
	}
	appendN(t, a, 11, 60, 1000)
	readN(t, a, 0, 0, 60)
}

func TestTwoWritersAtOnceNeverInterleave(t *testing.T) {
	n := startNATS(t)
	for round := range 5 {
		cfg := n.config()
		cfg.Name = fmt.Sprintf("race-%d", round)
		logs := []*Log{openAt(t, cfg), openAt(t, cfg)}
		errs := make([]error, 2)
		var wg sync.WaitGroup
		for i, l := range logs {
			wg.Go(func() {
				for k := 1; k <= 100 && errs[i] == nil; k++ {
					_, errs[i] = l.Append(testContext(t), frameOf(t, i*1000+k, 3000))
				}
				if errs[i] == nil {
					errs[i] = l.Wait(testContext(t), 100)
				}
			})
		}
		wg.Wait()
		winner := 0
		if errs[0] != nil {
			winner = 1
		}
		if errs[winner] != nil {
			t.Fatalf("both writers failed: %v; %v", errs[0], errs[1])
		}
		wantError(t, errs[1-winner], ErrFenced)
		if logs[1-winner].Acked() != 0 {
			t.Fatalf("frame %d of the fenced writer was acknowledged", logs[1-winner].Acked())
		}
		r, err := logs[winner].Read(testContext(t), 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		for k := 1; k <= 100; k++ {
			f, err := r.Next(testContext(t))
			if err != nil || string(f.Position) != fmt.Sprintf("position %d", winner*1000+k) {
				t.Fatalf("frame %d: %q %v", k, f.Position, err)
			}
		}
		r.Close()
	}
}

// proxy passes connections on and cuts each after a number of bytes in either direction.
type proxy struct {
	ln     net.Listener
	target string
	up     func() int64 // bytes until a connection is cut
	down   atomic.Int64
	cuts   atomic.Int64
	wg     sync.WaitGroup
}

func startProxy(t *testing.T, target string, up func() int64) *proxy {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{ln: ln, target: target, up: up}
	p.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			p.wg.Go(func() { p.serve(c) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		p.wg.Wait()
	})
	return p
}

func (p *proxy) serve(c net.Conn) {
	defer c.Close()
	s, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer s.Close()
	up, down := p.up(), p.down.Load()/2+rand.Int64N(p.down.Load())
	var once sync.Once
	end := func() { once.Do(func() { c.Close(); s.Close(); p.cuts.Add(1) }) }
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.CopyN(c, s, down)
		end()
	}()
	_, _ = io.CopyN(s, c, up)
	end()
	<-done
}

func TestACutConnectionLeavesNoHoleAndNoDouble(t *testing.T) {
	n := startNATS(t)
	p := startProxy(t, strings.TrimPrefix(n.url(), "nats://"), func() int64 { return 300<<10 + rand.Int64N(3<<20) })
	p.down.Store(150 << 10) // a frame read to settle the chain must fit
	cfg := n.config()
	cfg.URL = "nats://" + p.ln.Addr().String()
	cfg.InFlight = 2 << 20
	var l *Log
	until(t, "opened through the proxy", func() bool {
		var err error
		l, err = Open(testContext(t), cfg, quietLog())
		return err == nil
	})
	defer l.Close()
	ctx := testContext(t)
	const frames = 800
	for k := 1; k <= frames; k++ {
		if _, err := l.Append(ctx, frameOf(t, k, 1+rand.IntN(40<<10))); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Wait(ctx, frames); err != nil {
		t.Fatal(err)
	}
	direct := openAt(t, n.config())
	if s := stats(t, direct); s.Last != frames || s.First != 1 {
		t.Fatalf("%d frames were appended, the stream holds %d to %d", frames, s.First, s.Last)
	}
	readN(t, direct, 0, 0, frames)
	if p.cuts.Load() < 5 {
		t.Fatalf("only %d connections were cut", p.cuts.Load())
	}
	// Reading through the same weather, though not with a new connection for every few frames.
	p.down.Store(4 << 20)
	readN(t, l, 0, 0, frames)
}

func TestARestartedServerIsContinued(t *testing.T) {
	n := startNATS(t)
	l := openAt(t, n.config())
	ctx := testContext(t)
	r, err := l.Read(ctx, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	appended := make(chan error, 1)
	go func() {
		for k := 1; k <= 600; k++ {
			if _, err := l.Append(ctx, frameOf(t, k, 20<<10)); err != nil {
				appended <- err
				return
			}
		}
		appended <- l.Wait(ctx, 600)
	}()
	for k := 1; k <= 600; k++ {
		if k == 100 || k == 300 {
			n.stop()
			n.start()
		}
		f, err := r.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if string(f.Position) != fmt.Sprintf("position %d", k) {
			t.Fatalf("frame %d says %q", k, f.Position)
		}
	}
	if err := <-appended; err != nil {
		t.Fatal(err)
	}
}

func TestAnAcknowledgementThatNeverComesIsSettledByReading(t *testing.T) {
	cfg := embeddedConfig(t)
	cfg.ackTimeout = 300 * time.Millisecond
	l := openAt(t, cfg)
	if err := l.w.sub.Unsubscribe(); err != nil { // as if every answer were lost
		t.Fatal(err)
	}
	appendN(t, l, 1, 30, 1000)
	readN(t, l, 0, 0, 30)
}

func TestAReaderOutlivesTheLossOfItsConsumer(t *testing.T) {
	l := openAt(t, embeddedConfig(t))
	ctx := testContext(t)
	appendN(t, l, 1, 5, 500)
	r, err := l.Read(ctx, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for k := 1; k <= 10; k++ {
		if k == 4 || k == 8 {
			if err := l.link.js.DeleteConsumer(ctx, l.cfg.frameStream(), r.consumer); err != nil {
				t.Fatal(err)
			}
			appendN(t, l, k+2, k+5, 500)
		}
		f, err := r.Next(ctx)
		if err != nil || f.Seq != uint64(k) {
			t.Fatalf("frame %d: %d %v", k, f.Seq, err)
		}
	}
}

// admin is a client of an external server that can do what an operator can.
func (n *natsServer) admin() jetstream.JetStream {
	n.t.Helper()
	nc, err := nats.Connect(n.url())
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		n.t.Fatal(err)
	}
	return js
}

func TestARecreatedStreamIsForeign(t *testing.T) {
	n := startNATS(t)
	ctx := testContext(t)
	l := openAt(t, n.config())
	appendN(t, l, 1, 5, 500)
	r, err := l.Read(ctx, 5, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	js := n.admin()
	if err := js.DeleteStream(ctx, l.cfg.frameStream()); err != nil {
		t.Fatal(err)
	}
	// The facts of the deleted stream remain: that is refused, with the way out.
	_, err = Open(ctx, n.config(), quietLog())
	wantError(t, err, ErrForeign, "cleanup")
	if err := Remove(ctx, n.config()); err != nil {
		t.Fatal(err)
	}
	again := openAt(t, n.config())
	if !again.Created() || again.ID() == l.ID() {
		t.Fatal("the recreated stream has the identity of the old one")
	}
	appendN(t, again, 1, 8, 500)

	seq, err := l.Append(ctx, frameOf(t, 6, 500))
	if err == nil {
		err = l.Wait(ctx, seq)
	}
	wantError(t, err, ErrForeign, "recreated")
	_, err = r.Next(ctx)
	wantError(t, err, ErrForeign, "recreated")
	_, err = l.Read(ctx, 5, 0)
	wantError(t, err, ErrForeign)
	_, _, err = l.Last(ctx)
	wantError(t, err, ErrForeign)
	if s := stats(t, again); s.Last != 8 {
		t.Fatalf("the old writer wrote into the new stream: %+v", s)
	}
}

func TestADeletedStreamIsForeign(t *testing.T) {
	n := startNATS(t)
	ctx := testContext(t)
	l := openAt(t, n.config())
	appendN(t, l, 1, 5, 500)
	if err := Remove(ctx, n.config()); err != nil {
		t.Fatal(err)
	}
	seq, err := l.Append(ctx, frameOf(t, 6, 500))
	if err == nil {
		err = l.Wait(ctx, seq)
	}
	wantError(t, err, ErrForeign, "deleted")
	if err := l.Put(ctx, "k", []byte("v")); err == nil {
		t.Fatal("a fact was stored in a deleted stream")
	}
	if err := Remove(ctx, n.config()); err != nil {
		t.Fatalf("a second removal: %v", err)
	}
}

func TestAMessageOfSomeoneElseStopsWriterAndReader(t *testing.T) {
	n := startNATS(t)
	ctx := testContext(t)
	l := openAt(t, n.config())
	appendN(t, l, 1, 3, 500)
	js := n.admin()
	if _, err := js.Publish(ctx, l.cfg.frameSubject(l.id), []byte("hello")); err != nil {
		t.Fatal(err)
	}
	r, err := l.Read(ctx, 3, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	_, err = r.Next(ctx)
	wantError(t, err, change.ErrCorrupt, "message 4")
	_, err = r.Next(ctx)
	wantError(t, err, change.ErrCorrupt)
	_, _, err = l.Last(ctx)
	wantError(t, err, change.ErrCorrupt)
	seq, err := l.Append(ctx, frameOf(t, 4, 500))
	if err == nil {
		err = l.Wait(ctx, seq)
	}
	if !errors.Is(err, change.ErrCorrupt) && !errors.Is(err, ErrFenced) {
		t.Fatalf("got %v", err)
	}
	// Frames cannot be deleted one by one.
	s, err := js.Stream(ctx, l.cfg.frameStream())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteMsg(ctx, 2); err == nil {
		t.Fatal("a single frame could be deleted")
	}
}

func TestChangedSettingsOfTheStreamAreRefused(t *testing.T) {
	n := startNATS(t)
	ctx := testContext(t)
	l := openAt(t, n.config())
	js := n.admin()
	s, err := js.Stream(ctx, l.cfg.frameStream())
	if err != nil {
		t.Fatal(err)
	}
	good := s.CachedInfo().Config
	for want, edit := range map[string]func(*jetstream.StreamConfig){
		"max_age":      func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour },
		"discard":      func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardOld },
		"limit of mes": func(c *jetstream.StreamConfig) { c.MaxMsgs = 1e6 },
		"subjects":     func(c *jetstream.StreamConfig) { c.Subjects = append([]string{"other"}, c.Subjects...) },
	} {
		c := good
		edit(&c)
		if _, err := js.UpdateStream(ctx, c); err != nil {
			t.Fatalf("%s: %v", want, err)
		}
		_, err := Open(ctx, n.config(), quietLog())
		wantError(t, err, ErrForeign, want)
	}
	if _, err := js.UpdateStream(ctx, good); err != nil {
		t.Fatal(err)
	}
	openAt(t, n.config())
}

func TestFactsOfAnotherWriterAreNotOverwritten(t *testing.T) {
	n := startNATS(t)
	ctx := testContext(t)
	a, b := openAt(t, n.config()), openAt(t, n.config())
	for _, l := range []*Log{a, b} {
		if err := l.Put(ctx, "schema", []byte("one")); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Put(ctx, "schema", []byte("two")); err != nil {
		t.Fatal(err)
	}
	wantError(t, a.Put(ctx, "schema", []byte("stale")), ErrFenced)
	if v, _, err := a.Get(ctx, "schema"); err != nil || string(v) != "two" {
		t.Fatalf("%q %v", v, err)
	}
	if err := a.Put(ctx, "schema", []byte("three")); err != nil {
		t.Fatal(err)
	}
}
