package stream

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The tests that kill a process, or break its disk, run this binary again as that process.
const (
	childEnv = "CROSSFADE_STREAM_TEST_CHILD"
	dirEnv   = "CROSSFADE_STREAM_TEST_DIR"
)

func TestMain(m *testing.M) {
	var err error
	switch child := os.Getenv(childEnv); child {
	case "":
		os.Exit(m.Run())
	case "publish":
		err = publishForEver()
	case "small-files":
		err = publishToBrokenDisk()
	default:
		err = fmt.Errorf("unknown child %q", child)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func childConfig() Config {
	return Config{Dir: os.Getenv(dirEnv), Name: "shop-1", MaxBytes: 1 << 30, InFlight: 4 << 20}
}

// publishForEver appends frames of many sizes and prints each newly acknowledged sequence.
func publishForEver() error {
	ctx := context.Background()
	l, err := Open(ctx, childConfig(), quietLog())
	if err != nil {
		return err
	}
	go func() {
		for seq := l.Acked(); ; seq++ {
			if err := l.Wait(ctx, seq); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			fmt.Println(seq)
		}
	}()
	for n := int(l.Acked()) + 1; ; n++ {
		b, err := plainFrame(n, 100+rand.IntN(1<<(6+rand.IntN(13))))
		if err != nil {
			return err
		}
		if _, err := l.Append(ctx, b); err != nil {
			return err
		}
	}
}

func childCommand(t *testing.T, kind, dir string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childEnv+"="+kind, dirEnv+"="+dir)
	cmd.Stderr = os.Stderr
	return cmd
}

func TestKilledProcessLosesNoAcknowledgedFrame(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "stream")
	var acked uint64
	for round := range 4 {
		cmd := childCommand(t, "publish", dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		after := 50 + rand.IntN(400)
		for n := 0; n < after && lines.Scan(); n++ {
		}
		if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		for { // what it said before it died counts too
			if v, err := strconv.ParseUint(strings.TrimSpace(lines.Text()), 10, 64); err == nil {
				acked = v
			}
			if !lines.Scan() {
				break
			}
		}
		if err := cmd.Wait(); err == nil {
			t.Fatal("the child ended by itself")
		}
		cfg := childConfig()
		cfg.Dir = dir
		l := openAt(t, cfg)
		last, ok, err := l.Last(testContext(t))
		if err != nil || !ok {
			t.Fatalf("round %d: last frame: %v %v", round, ok, err)
		}
		if last.Seq < acked {
			t.Fatalf("round %d: frame %d was acknowledged, the stream ends at %d", round, acked, last.Seq)
		}
		readN(t, l, 0, 0, int(last.Seq))
		appendN(t, l, int(last.Seq)+1, int(last.Seq)+3, 100)
		acked = last.Seq + 3
		l.Close()
	}
	if acked < 200 {
		t.Fatalf("only %d frames were published", acked)
	}
}

// publishToBrokenDisk appends until the disk takes no more: files may not grow beyond 3 MiB, which is what a disk that fails looks like.
func publishToBrokenDisk() error {
	signal.Ignore(syscall.SIGXFSZ)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Second)
	defer cancel()
	cfg := childConfig()
	cfg.ackTimeout = time.Second
	l, err := Open(ctx, cfg, quietLog())
	if err != nil {
		return err
	}
	limit := syscall.Rlimit{Cur: 3 << 20, Max: 3 << 20}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	for n := 1; ; n++ {
		b, err := plainFrame(n, 100<<10)
		if err != nil {
			return err
		}
		if _, err := l.Append(ctx, b); err != nil {
			fmt.Printf("%d\n%v\n", l.Acked(), err)
			return nil
		}
	}
}

func TestAFailedDiskEndsTheLogWithItsReason(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "stream")
	out, err := childCommand(t, "small-files", dir).Output()
	if err != nil {
		t.Fatal(err)
	}
	first, text, _ := strings.Cut(string(out), "\n")
	acked, err := strconv.Atoi(first)
	if err != nil || acked < 10 {
		t.Fatalf("the child said %q", out)
	}
	for _, s := range []string{ErrStorage.Error(), "file too large", dir, "nothing acknowledged is lost"} {
		if !strings.Contains(text, s) {
			t.Fatalf("the error %q does not say %q", text, s)
		}
	}
	cfg := childConfig()
	cfg.Dir = dir
	l := openAt(t, cfg)
	if l.Acked() < uint64(acked) {
		t.Fatalf("%d frames were acknowledged, %d are there", acked, l.Acked())
	}
	readN(t, l, 0, 0, acked)
	appendN(t, l, int(l.Acked())+1, int(l.Acked())+5, 1000)
}
