package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/crossfade-io/crossfade/configs"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

// The test binary is the demo, and a crossfade that lies, when this variable says so.
const (
	role     = "CROSSFADE_DEMO_TEST_ROLE"
	asDemo   = "demo"
	asLiar   = "liar"
	truthful = "CROSSFADE_DEMO_TEST_CROSSFADE" // the program that the liar stands for
)

func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case asDemo:
		main()
	case asLiar:
		os.Exit(lie(os.Args[1:]))
	}
	code := m.Run()
	if err := testdb.Shutdown(); err != nil {
		fmt.Fprintln(os.Stderr, "stop servers:", err)
		code = max(code, 1)
	}
	if program.dir != "" {
		_ = os.RemoveAll(program.dir) // the system removes it otherwise
	}
	os.Exit(code)
}

// program is crossfade, built once.
var program struct {
	once sync.Once
	dir  string
	err  error
}

func crossfadeBinary(t *testing.T) string {
	t.Helper()
	program.once.Do(func() {
		if program.dir, program.err = os.MkdirTemp("", "crossfade-demo-test-"); program.err != nil {
			return
		}
		build := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(program.dir, "crossfade"), "../crossfade")
		build.Env = append(os.Environ(), "CGO_ENABLED=0") // as make does, so that it is built already
		if out, err := build.CombinedOutput(); err != nil {
			program.err = fmt.Errorf("%w: %s", err, out)
		}
	})
	if program.err != nil {
		t.Fatal(program.err)
	}
	return filepath.Join(program.dir, "crossfade")
}

// show is a demo that runs.
type show struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines chan string // of standard output, as they come
	mu    sync.Mutex
	out   bytes.Buffer // both outputs
	ended chan struct{}
}

// start starts a small demo.
func start(t *testing.T, crossfade string, env ...string) *show {
	t.Helper()
	s := &show{t: t, lines: make(chan string, 10_000), ended: make(chan struct{})}
	s.cmd = exec.Command(os.Args[0], "-bin", crossfade, "-rows", "8000", "-rate", "80", "-after", "1s")
	s.cmd.Env = append(append(os.Environ(), role+"="+asDemo), env...)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	s.cmd.Stderr = s
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		for in := bufio.NewScanner(stdout); in.Scan(); {
			_, _ = s.Write([]byte(in.Text() + "\n")) // a buffer takes all
			s.lines <- in.Text()
		}
		close(s.lines)
		_ = s.cmd.Wait() // its state is asked for
		close(s.ended)
	}()
	t.Cleanup(func() {
		select {
		case <-s.ended:
		default:
			_ = s.cmd.Process.Kill() // it may end just now
			<-s.ended
		}
		if t.Failed() {
			t.Logf("the demo said:\n%s", s.said())
		}
	})
	return s
}

func (s *show) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.Write(b)
}

func (s *show) said() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.String()
}

// sees waits for a line that begins so.
func (s *show) sees(beginning string) {
	s.t.Helper()
	deadline := time.After(3 * time.Minute)
	for {
		select {
		case line, more := <-s.lines:
			if !more {
				s.t.Fatalf("the demo ended without saying %q", beginning)
			}
			if strings.HasPrefix(line, beginning) {
				return
			}
		case <-deadline:
			s.t.Fatalf("the demo did not say %q", beginning)
		}
	}
}

// exit waits for the end.
func (s *show) exit() int {
	s.t.Helper()
	select {
	case <-s.ended:
	case <-time.After(4 * time.Minute):
		s.t.Fatal("the demo does not end")
	}
	return s.cmd.ProcessState.ExitCode()
}

// left lists directories and processes of the demo.
func (s *show) left() (out []string) {
	s.t.Helper()
	mine := fmt.Sprintf("crossfade-testdb-%d-%d-", os.Geteuid(), s.cmd.Process.Pid)
	for _, tmp := range []string{os.TempDir(), "/var/tmp"} {
		dirs, err := filepath.Glob(filepath.Join(tmp, mine+"*"))
		if err != nil {
			s.t.Fatal(err)
		}
		out = append(out, dirs...)
	}
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		s.t.Fatal(err)
	}
	for _, p := range processes { // those that end just now cannot be read
		dir, _ := os.Readlink(p + "/cwd")
		args, _ := os.ReadFile(p + "/cmdline")
		if strings.Contains(dir, mine) || strings.Contains(string(args), mine) {
			out = append(out, fmt.Sprintf("%s in %s: %q", p, dir, args))
		}
	}
	return out
}

// nothingLeft fails when something outlives the demo; what is still ending is waited for as long as patience.
func (s *show) nothingLeft(patience time.Duration) {
	s.t.Helper()
	end := time.Now().Add(patience)
	for {
		left := s.left()
		if len(left) == 0 {
			return
		}
		if time.Now().After(end) {
			s.t.Fatalf("left behind:\n%s", strings.Join(left, "\n"))
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// liar makes a program that is crossfade, but spoils the databases after the cutover and after the cleanup.
func liar(t *testing.T) (path, env string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "liar")
	script := fmt.Sprintf("#!/bin/sh\n%s=%s exec %q \"$@\"\n", role, asLiar, os.Args[0])
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return path, truthful + "=" + crossfadeBinary(t)
}

func lie(args []string) int {
	if err := os.Setenv(role, asDemo); err != nil { // for the switch step
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	binary := os.Getenv(truthful)
	if args[0] == "run" {
		fmt.Fprintln(os.Stderr, syscall.Exec(binary, append([]string{binary}, args...), os.Environ()))
		return 1
	}
	cmd := exec.Command(binary, args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	err := cmd.Run()
	if err == nil {
		cfg, e := configs.Load(args[len(args)-1])
		if e != nil {
			fmt.Fprintln(os.Stderr, e)
			return 1
		}
		switch args[0] {
		case "cutover":
			err = spoilNew(cfg)
		case "cleanup":
			err = reopenOld(cfg)
		}
	}
	var ee *exec.ExitError
	switch {
	case errors.As(err, &ee):
		return ee.ExitCode()
	case err != nil:
		fmt.Fprintln(os.Stderr, "spoil:", err)
		return 1
	}
	return 0
}

// spoilNew alters rows in the new database, and takes back the last change of orders that the application does not touch again.
func spoilNew(cfg *configs.Config) error {
	ctx := context.Background()
	c, err := pgx.ParseConfig(cfg.Target.URL.WithoutPassword())
	if err != nil {
		return err
	}
	c.Password = secret
	conn, err := pgx.ConnectConfig(ctx, c)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, s := range []string{
		"UPDATE customers SET email = 'x' || email WHERE id % 10 = 0",
		"UPDATE orders SET version = version - 1 WHERE status = 'shipped'",
	} {
		if tag, err := conn.Exec(ctx, s); err != nil || tag.RowsAffected() == 0 {
			return fmt.Errorf("%s: %s, %w", s, tag, err)
		}
	}
	return nil
}

// reopenOld takes the gate from one table of the old database.
func reopenOld(cfg *configs.Config) error {
	old, err := openMySQLShop(cfg.Source.URL.Address(), "crossfade", secret, 1)
	if err != nil {
		return err
	}
	defer old.close()
	var trigger string
	if err := old.db.QueryRow("SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_TABLE = 'products' AND EVENT_MANIPULATION = 'UPDATE'").Scan(&trigger); err != nil {
		return err
	}
	_, err = old.db.Exec("DROP TRIGGER " + trigger)
	return err
}
