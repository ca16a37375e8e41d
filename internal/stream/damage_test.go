package stream

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/crossfade-io/crossfade/internal/change"
)

// blocks lists the frame stream's block files in order.
func blocks(t *testing.T, dir string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".blk") && strings.Contains(path, "frames") {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(files, func(a, b string) int {
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		return strings.Compare(a, b)
	})
	return files
}

// forgetIndex removes the server's index files, as a crash does.
func forgetIndex(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == "index.db" {
			return os.Remove(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// fill appends 200 frames of 200 KiB, which is several block files, and closes the log.
func fill(t *testing.T, cfg Config) {
	t.Helper()
	l := openAt(t, cfg)
	appendN(t, l, 1, 200, 200<<10)
	l.Close()
	if n := len(blocks(t, cfg.Dir)); n < 4 {
		t.Fatalf("the test needs several block files, there are %d", n)
	}
}

// readToError reads until the reader gives up, checking each frame before.
func readToError(t *testing.T, l *Log) (uint64, error) {
	t.Helper()
	ctx := testContext(t)
	r, err := l.Read(ctx, 0, 0)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	for n := uint64(1); ; n++ {
		f, err := r.Next(ctx)
		if err != nil {
			return n - 1, err
		}
		if f.Seq != n {
			t.Fatalf("frame %d came in place of %d", f.Seq, n)
		}
	}
}

func damaged(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, ErrHole) && !errors.Is(err, change.ErrCorrupt) {
		t.Fatalf("damage was reported as %v", err)
	}
}

func TestDamageInTheMiddleIsFoundAndNeverSkipped(t *testing.T) {
	damage := map[string]func(t *testing.T, path string){
		"block cut in half": func(t *testing.T, path string) {
			st, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(path, st.Size()/2); err != nil {
				t.Fatal(err)
			}
		},
		"one byte flipped": func(t *testing.T, path string) {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			b[len(b)/2] ^= 0x10
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"block gone": func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		},
		"block zeroed": func(t *testing.T, path string) {
			st, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, make([]byte, st.Size()), 0o600); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, hurt := range damage {
		for _, crash := range []bool{false, true} {
			t.Run(name+map[bool]string{true: " and a crash", false: ""}[crash], func(t *testing.T) {
				cfg := embeddedConfig(t)
				fill(t, cfg)
				files := blocks(t, cfg.Dir)
				hurt(t, files[len(files)/2])
				if crash {
					forgetIndex(t, cfg.Dir)
				}
				l := openAt(t, cfg)
				n, err := readToError(t, l)
				damaged(t, err)
				if n == 0 || n >= 199 {
					t.Fatalf("%d frames were read before the error %v", n, err)
				}
				t.Logf("%d frames, then: %v", n, err)
			})
		}
	}
}

// cutTail cuts the last frames off the last block.
func cutTail(t *testing.T, dir string) {
	t.Helper()
	files := blocks(t, dir)
	tail := files[len(files)-1]
	st, err := os.Stat(tail)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(tail, st.Size()-300<<10); err != nil {
		t.Fatal(err)
	}
}

func TestADamagedTailIsNotContinued(t *testing.T) {
	cfg := embeddedConfig(t)
	fill(t, cfg)
	cutTail(t, cfg.Dir) // the index still counts the frames
	l := openAt(t, cfg)
	ctx := testContext(t)
	_, _, err := l.Last(ctx)
	wantError(t, err, ErrHole, "last one", "new snapshot")
	_, err = l.Append(ctx, frameOf(t, 201, 1000))
	wantError(t, err, ErrHole)
	_, err = l.Read(ctx, 200, 0)
	wantError(t, err, ErrHole)
	// No frame follows that could show the gap: the reader asks by itself.
	n, err := readToError(t, l)
	wantError(t, err, ErrHole)
	if n != 198 {
		t.Fatalf("%d frames were read before the error %v", n, err)
	}
}

func TestATailLostInACrashIsNotContinuedPastTheLedger(t *testing.T) {
	cfg := embeddedConfig(t)
	fill(t, cfg)
	cutTail(t, cfg.Dir)
	forgetIndex(t, cfg.Dir) // the server takes what is left for the whole
	l := openAt(t, cfg)
	ctx := testContext(t)
	last, ok, err := l.Last(ctx)
	if err != nil || !ok || last.Seq != 198 {
		t.Fatalf("last frame %d %v %v", last.Seq, ok, err)
	}
	_, err = l.Read(ctx, 200, 0)
	wantError(t, err, ErrShrunk)
	appendN(t, l, 199, 203, 1000) // frames that nobody applied come again from the source
	readN(t, l, 198, last.Sum, 203)
}

// copyDir copies a stopped server's files.
func copyDir(t *testing.T, from, to string) {
	t.Helper()
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

func TestARestoredOlderCopyIsRefusedAlsoAfterItWasContinued(t *testing.T) {
	cfg := embeddedConfig(t)
	ctx := testContext(t)
	l := openAt(t, cfg)
	appendN(t, l, 1, 100, 1000)
	l.Close()
	backup := filepath.Join(t.TempDir(), "backup")
	copyDir(t, cfg.Dir, backup)
	l = openAt(t, cfg)
	appendN(t, l, 101, 150, 1000)
	ledger, ok, err := l.Last(ctx)
	if err != nil || !ok {
		t.Fatal(err)
	}
	l.Close()
	copyDir(t, backup, cfg.Dir)

	l = openAt(t, cfg)
	_, err = l.Read(ctx, ledger.Seq, ledger.Sum)
	wantError(t, err, ErrShrunk, "150", "100")
	wantError(t, l.Purge(ctx, ledger.Seq), ErrShrunk)
	// Capture started first and published another history over the same sequences.
	for n := 101; n <= 200; n++ {
		if _, err := l.Append(ctx, frameOf(t, 5000+n, 1000)); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Wait(ctx, 200); err != nil {
		t.Fatal(err)
	}
	_, err = l.Read(ctx, ledger.Seq, ledger.Sum)
	wantError(t, err, ErrShrunk, "frame 150", "cleanup")
	// Also when the frame at the ledger's place is purged: the next one does not follow it.
	if err := l.Purge(ctx, ledger.Seq); err != nil {
		t.Fatal(err)
	}
	until(t, "purged", func() bool { return stats(t, l).First == 151 })
	r, err := l.Read(ctx, ledger.Seq, ledger.Sum)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	_, err = r.Next(ctx)
	wantError(t, err, ErrShrunk, "it follows")
}

func TestALedgerBelowTheFirstKeptFrameIsRefused(t *testing.T) {
	both(t, func(t *testing.T, cfg Config) {
		l := openAt(t, cfg)
		ctx := testContext(t)
		appendN(t, l, 1, 100, 1000)
		if err := l.Purge(ctx, 50); err != nil {
			t.Fatal(err)
		}
		if s := stats(t, l); s.First != 51 || s.Last != 100 {
			t.Fatalf("%+v", s)
		}
		readN(t, l, 50, 0, 100)
		for _, after := range []uint64{0, 1, 49} {
			_, err := l.Read(ctx, after, 0)
			wantError(t, err, ErrPurged, "first frame kept is 51")
		}
	})
}

func TestThePurgeKeepsTheLastFrameAndTheChainGoesOn(t *testing.T) {
	both(t, func(t *testing.T, cfg Config) {
		l := openAt(t, cfg)
		ctx := testContext(t)
		appendN(t, l, 1, 30, 1000)
		if err := l.Purge(ctx, 30); err != nil {
			t.Fatal(err)
		}
		if s := stats(t, l); s.First != 30 || s.Last != 30 {
			t.Fatalf("%+v", s)
		}
		l.Close()
		l = openAt(t, cfg)
		last, ok, err := l.Last(ctx)
		if err != nil || !ok || last.Seq != 30 {
			t.Fatalf("last frame %d %v %v", last.Seq, ok, err)
		}
		appendN(t, l, 31, 35, 1000)
		readN(t, l, 30, last.Sum, 35)
		readN(t, l, 29, 0, 35)
	})
}

func TestAppliedFramesStayForKeep(t *testing.T) {
	cfg := embeddedConfig(t)
	cfg.Keep = 400 * time.Millisecond
	l := openAt(t, cfg)
	ctx := testContext(t)
	appendN(t, l, 1, 100, 1000)
	reported := time.Now()
	until(t, "purged", func() bool {
		if err := l.Purge(ctx, 60); err != nil {
			t.Fatal(err)
		}
		return stats(t, l).First == 61
	})
	if kept := time.Since(reported); kept < cfg.Keep {
		t.Fatalf("applied frames were kept for %s, not %s", kept, cfg.Keep)
	}
}

func TestReportsAgeWithoutGrowing(t *testing.T) {
	var p purger
	start := time.Unix(1000, 0)
	const keep = 10 * time.Minute
	longest := 0
	for s := 0; s < 7200; s++ {
		now := start.Add(time.Duration(s) * time.Second)
		got := p.due(uint64(s), now, keep)
		if got > 0 && int(got) > s-600 {
			t.Fatalf("at second %d frame %d may go", s, got)
		}
		if s > 700 && int(got) < s-600-30 {
			t.Fatalf("at second %d only frame %d may go", s, got)
		}
		longest = max(longest, len(p.reports))
	}
	if longest > 70 {
		t.Fatalf("%d reports were remembered", longest)
	}
}

func TestAFullPurgeBySomeoneElseIsNotContinued(t *testing.T) {
	n := startNATS(t)
	ctx := testContext(t)
	l := openAt(t, n.config())
	appendN(t, l, 1, 10, 1000)
	s, err := n.admin().Stream(ctx, l.cfg.frameStream())
	if err != nil {
		t.Fatal(err)
	}
	r, err := l.Read(ctx, 5, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := s.Purge(ctx); err != nil {
		t.Fatal(err)
	}
	_, err = r.Next(ctx)
	wantError(t, err, ErrPurged)
	_, _, err = l.Last(ctx)
	wantError(t, err, ErrHole)
	_, err = l.Read(ctx, 10, 0)
	wantError(t, err, ErrHole)
	l.Close()
	l = openAt(t, n.config())
	_, err = l.Append(ctx, frameOf(t, 11, 1000))
	wantError(t, err, ErrHole, "new snapshot")
}

func TestADamagedFactIsNotReturned(t *testing.T) {
	n := startNATS(t)
	ctx := testContext(t)
	l := openAt(t, n.config())
	if err := l.Put(ctx, "schema", []byte("one")); err != nil {
		t.Fatal(err)
	}
	if _, err := n.admin().Publish(ctx, l.cfg.factSubject(l.id, token("schema")), []byte("two")); err != nil {
		t.Fatal(err)
	}
	_, _, err := l.Get(ctx, "schema")
	wantError(t, err, change.ErrCorrupt)
	wantError(t, l.Put(ctx, "schema", []byte("three")), ErrFenced)
}

func TestFactsThatWentAwayAreRefused(t *testing.T) {
	n := startNATS(t)
	ctx := testContext(t)
	l := openAt(t, n.config())
	appendN(t, l, 1, 1, 100)
	if err := n.admin().DeleteStream(ctx, l.cfg.factStream()); err != nil {
		t.Fatal(err)
	}
	_, err := Open(ctx, n.config(), quietLog())
	wantError(t, err, ErrForeign, "missing", "cleanup")
}

func TestAnEmbeddedServerWithoutSyncAlwaysIsRefused(t *testing.T) {
	cfg := embeddedConfig(t)
	_, err := open(testContext(t), cfg, quietLog(), func() *server.Options {
		o := serverOptions(cfg.Dir, cfg.Name)
		o.SyncAlways = false
		return o
	})
	if err == nil || !strings.Contains(err.Error(), "sync always") {
		t.Fatalf("got %v", err)
	}
	l := openAt(t, cfg) // the directory was let go of
	if !l.srv.srv.JetStreamConfig().SyncAlways {
		t.Fatal("the embedded server acknowledges before fsync")
	}
	s, err := l.link.js.Stream(testContext(t), l.cfg.frameStream())
	if err != nil {
		t.Fatal(err)
	}
	sc := s.CachedInfo().Config
	if sc.PersistMode != jetstream.DefaultPersistMode || sc.Storage != jetstream.FileStorage || sc.Discard != jetstream.DiscardNew || len(sc.Subjects) != 1 {
		t.Fatalf("%+v", sc)
	}
}

// listening returns the lines of /proc/net/tcp and tcp6 that stand for listening sockets of this process.
func listening(t *testing.T) map[string]bool {
	t.Helper()
	ours := map[string]bool{}
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		// An entry may be gone by now: the directory's own.
		if link, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && strings.HasPrefix(link, "socket:[") {
			ours[strings.TrimSuffix(strings.TrimPrefix(link, "socket:["), "]")] = true
		}
	}
	found := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		b, err := os.ReadFile(table)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(b) {
			if f := strings.Fields(string(line)); len(f) > 9 && f[3] == "0A" && ours[f[9]] {
				found[f[1]] = true
			}
		}
	}
	return found
}

func TestTheEmbeddedServerOpensNoPort(t *testing.T) {
	before := len(listening(t))
	l := openAt(t, embeddedConfig(t))
	appendN(t, l, 1, 3, 100)
	if n := len(listening(t)); n != before {
		t.Fatalf("%d sockets listen, %d did before", n, before)
	}
	if a := l.srv.srv.Addr(); a != nil {
		t.Fatalf("the embedded server listens on %s", a)
	}
	// The measure itself sees a server that does listen.
	startNATS(t)
	if n := len(listening(t)); n != before+1 {
		t.Fatalf("%d sockets listen beside an external server, want %d", n, before+1)
	}
}

func TestMaxBytesIsDecidedOnce(t *testing.T) {
	cfg := embeddedConfig(t)
	cfg.MaxBytes = 0
	l := openAt(t, cfg)
	free, err := freeBytes(cfg.Dir)
	if err != nil {
		t.Fatal(err)
	}
	first := stats(t, l).MaxBytes
	if diff := first - free/2; diff > 1<<30 || diff < -1<<30 {
		t.Fatalf("max_bytes %d, %d are free", first, free)
	}
	l.Close()
	if again := stats(t, openAt(t, cfg)).MaxBytes; again != first {
		t.Fatalf("max_bytes was %d and is %d", first, again)
	}
}

func TestMaxBytesCanBeChanged(t *testing.T) {
	cfg := embeddedConfig(t)
	l := openAt(t, cfg)
	appendN(t, l, 1, 100, 100<<10)
	l.Close()
	cfg.MaxBytes = 2 << 20 // less than is stored: nothing is dropped, nothing more is taken
	l = openAt(t, cfg)
	if s := stats(t, l); s.MaxBytes != 2<<20 || s.First != 1 || s.Last != 100 {
		t.Fatalf("%+v", s)
	}
	if _, err := l.Append(testContext(t), frameOf(t, 101, 1000)); err != nil {
		t.Fatal(err)
	}
	until(t, "full", func() bool { return stats(t, l).Full })
	readN(t, l, 0, 0, 100)
	if err := l.Purge(testContext(t), 100); err != nil {
		t.Fatal(err)
	}
	if err := l.Wait(testContext(t), 101); err != nil {
		t.Fatal(err)
	}
}

func TestAnExternalServerThatCannotServeIsRefused(t *testing.T) {
	ctx := testContext(t)
	n := startNATS(t)
	cfg := n.config()
	cfg.MaxBytes = 0
	_, err := Open(ctx, cfg, quietLog())
	if err == nil || !strings.Contains(err.Error(), "stream.max_bytes") {
		t.Fatalf("got %v", err)
	}
	n.stop()
	_, err = Open(ctx, n.config(), quietLog())
	if err == nil || !strings.Contains(err.Error(), "stream.url") {
		t.Fatalf("got %v", err)
	}
	n.payload = 1 << 20
	n.start()
	_, err = Open(ctx, n.config(), quietLog())
	if err == nil || !strings.Contains(err.Error(), "max_payload: 8MB") {
		t.Fatalf("got %v", err)
	}
	bad := n.config()
	bad.URL = "nats://user:secret@127.0.0.1:1,nats://user:secret@127.0.0.1:2"
	_, err = Open(ctx, bad, quietLog())
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Fatalf("got %v", err)
	}
}
