package testdb

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

const childVariable = "CROSSFADE_TESTDB_CHILD"

// childReport is what a child process tells of itself.
type childReport struct {
	Dir     string
	Reaper  int
	Servers []int
}

// child starts servers and then waits to be killed.
func child() error {
	ctx := context.Background()
	my, err := StartMySQL(ctx, "", os.Stderr)
	if err != nil {
		return err
	}
	pg, err := StartPostgres(ctx, "", os.Stderr, 18)
	if err != nil {
		return err
	}
	// A backend that is busy does not look whether its postmaster lives.
	conn, err := pg.Connect(ctx, "postgres")
	if err != nil {
		return err
	}
	busy := conn.PgConn().Exec(ctx, "DO 'BEGIN LOOP END LOOP; END'")
	h := my.house
	report := childReport{Dir: h.dir, Reaper: h.reaper.Process.Pid, Servers: []int{my.Pid(), pg.Pid()}}
	if err := json.NewEncoder(os.Stdout).Encode(report); err != nil {
		return err
	}
	return busy.Close() // never ends by itself
}

func TestNothingOutlivesAKilledProcess(t *testing.T) {
	t.Run("cleaned by the reaper", func(t *testing.T) {
		t.Parallel()
		report, kill := startChild(t)
		kill()
		until(t, "everything is gone", func() error { return remains(report) })
	})
	t.Run("reaper killed too, cleaned by the next process", func(t *testing.T) {
		t.Parallel()
		report, kill := startChild(t)
		if err := syscall.Kill(report.Reaper, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		kill()
		until(t, "the servers are gone", func() error { return alive(report) })
		if !exists(report.Dir) {
			t.Fatalf("%s is gone without anybody to remove it: the test proves nothing", report.Dir)
		}
		if err := removeStale(report.Dir); err != nil {
			t.Fatal(err)
		}
		if err := remains(report); err != nil {
			t.Error(err)
		}
	})
}

func TestALiveProcessKeepsItsDirectory(t *testing.T) {
	s := MySQL(t)
	if err := removeStale(filepath.Join(filepath.Dir(s.house.dir), "crossfade-testdb-*")); err != nil {
		t.Fatal(err)
	}
	if !exists(s.DataDir()) {
		t.Errorf("%s was removed under a running server", s.DataDir())
	}
}

func startChild(t *testing.T) (childReport, func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"=1")
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := sync.OnceFunc(func() {
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		_, _ = io.Copy(io.Discard, stdout)
		var exit *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &exit) {
			t.Errorf("the child ended with %v, want a signal", err)
		}
	})
	t.Cleanup(kill)
	var report childReport
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil {
		t.Fatalf("the child said nothing: %v", err)
	}
	if err := json.Unmarshal(line, &report); err != nil {
		t.Fatal(err)
	}
	if err := alive(report); err == nil {
		t.Fatal("the child has no servers: the test proves nothing")
	}
	return report, kill
}

// alive tells which of the child's servers still run.
func alive(report childReport) error {
	if pids := processesIn(report.Dir); len(pids) > 0 {
		return fmt.Errorf("processes %v still run", pids)
	}
	for _, pid := range report.Servers {
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("server process %d still runs (%v)", pid, err)
		}
	}
	return nil
}

func remains(report childReport) error {
	if exists(report.Dir) {
		return fmt.Errorf("%s is still there", report.Dir)
	}
	return alive(report)
}

func until(t *testing.T, what string, check func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("not reached: %s: %v", what, err)
		case <-tick.C:
		}
	}
}
