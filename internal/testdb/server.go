package testdb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// server is one server process with its directory: what MySQLServer and PostgresServer have in common.
type server struct {
	house    *house
	name     string // "MySQL 9.7.4"
	dir      string // data, tls, tmp and the log
	argv     []string
	graceful syscall.Signal
	orphaned syscall.Signal // sent by the kernel when this process dies
	ping     func(ctx context.Context) error
	port     int
	reserved io.Closer // the port
	tls      tlsFiles
	kept     bool // the directory is the caller's
	owned    bool // by one test: it goes with all that is in it

	mu     sync.Mutex
	cmd    *exec.Cmd // nil while stopped
	exited chan struct{}
	exit   error // why it exited; read after exited is closed
}

// startTimeout is generous: a machine may run many servers at once, and crash recovery takes its time.
const startTimeout = 2 * time.Minute

// Start starts a stopped or killed server on its data and port, and returns when it answers.
func (s *server) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd != nil && !s.gone() {
		return fmt.Errorf("start %s: it is running", s.name)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("not ready within %s", startTimeout))
	defer cancel()
	if err := s.launch(); err != nil {
		return fmt.Errorf("start %s: %w", s.name, err)
	}
	if err := s.await(ctx); err != nil {
		err = fmt.Errorf("start %s: %w; its log ends:\n%s", s.name, err, tail(s.Log()))
		return errors.Join(err, s.kill())
	}
	return nil
}

func (s *server) launch() error {
	log, err := os.OpenFile(s.logPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	if err := s.house.id.own(s.logPath()); err != nil {
		return err
	}
	cmd := s.house.command(s.dir, s.argv...)
	cmd.Stdout, cmd.Stderr = log, log
	dieWithParent(cmd.SysProcAttr, s.orphaned)
	if err := spawn(cmd); err != nil {
		return err
	}
	s.cmd, s.exited = cmd, make(chan struct{})
	go func() { // ends with the process, which kill and Stop wait for
		s.exit = cmd.Wait()
		close(s.exited)
	}()
	return nil
}

// command is a program of a server, run as the serving identity, in a directory of its own.
func (h *house) command(dir string, argv ...string) *exec.Cmd {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = filepath.Join(dir, "tmp")
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + cmd.Dir, "TMPDIR=" + cmd.Dir, "TZ=UTC", "LC_ALL=C.UTF-8",
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt at the terminal is for us, not for it
	if h.id.other {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(h.id.uid), Gid: uint32(h.id.gid)}
	}
	return cmd
}

func (s *server) await(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		select {
		case <-s.exited:
			return fmt.Errorf("it exited: %w", errors.Join(s.exit, last))
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), last)
		case <-tick.C:
		}
		if last = s.ping(ctx); last == nil {
			return nil
		}
	}
}

func (s *server) gone() bool {
	select {
	case <-s.exited:
		return true
	default:
		return false
	}
}

// Stop shuts the server down in order. Its data stay for Start.
func (s *server) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return nil
	}
	if err := s.cmd.Process.Signal(s.graceful); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", s.name, err)
	}
	const patience = time.Minute
	select {
	case <-s.exited:
		s.cmd = nil
		return nil
	case <-time.After(patience):
		err := fmt.Errorf("stop %s: still running after %s; its log ends:\n%s", s.name, patience, tail(s.Log()))
		return errors.Join(err, s.kill())
	}
}

// Kill ends the server and its children with SIGKILL, and returns when they are gone. Its data stay for Start.
func (s *server) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kill()
}

func (s *server) kill() error {
	if s.cmd == nil {
		return nil
	}
	// Stopped first, it has no children between our counting and our killing. PostgreSQL gives each child a group of its
	// own, so a group does not reach them.
	err := s.cmd.Process.Signal(syscall.SIGSTOP)
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s: %w", s.name, err)
	}
	children := processesIn(s.dir)
	if err := s.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s: %w", s.name, err)
	}
	if len(children) > 0 {
		killIn(s.dir)
	}
	<-s.exited
	s.cmd = nil
	return nil
}

// Restart stops the server in order and starts it again.
func (s *server) Restart(ctx context.Context) error {
	if err := s.Stop(); err != nil {
		return err
	}
	return s.Start(ctx)
}

// Port returns the TCP port on 127.0.0.1, the same over restarts.
func (s *server) Port() int { return s.port }

// Pid returns the process id of the server, 0 while it is stopped.
func (s *server) Pid() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil || s.gone() {
		return 0
	}
	return s.cmd.Process.Pid
}

// Log returns what the server has logged so far.
func (s *server) Log() string {
	data, err := os.ReadFile(s.logPath())
	if err != nil {
		return fmt.Sprintf("(no log: %v)", err)
	}
	return string(data)
}

func (s *server) logPath() string { return filepath.Join(s.dir, "server.log") }

// DataDir returns the server's data directory.
func (s *server) DataDir() string { return filepath.Join(s.dir, "data") }

// CAFile returns the certificate to verify the server with (sslrootcert); its name is localhost or 127.0.0.1.
func (s *server) CAFile() string { return s.tls.ca }

// ClientCertFile and ClientKeyFile return a certificate signed by the same authority (sslcert, sslkey).
func (s *server) ClientCertFile() string { return s.tls.clientCert }

// ClientKeyFile returns the key of ClientCertFile.
func (s *server) ClientKeyFile() string { return s.tls.clientKey }

// destroy ends the server for good and removes its files.
func (s *server) destroy() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	if s.cmd != nil {
		// Shared memory is freed by a PostgreSQL that ends itself, however hastily.
		sig := s.orphaned
		if s.kept {
			sig = s.graceful
		}
		if e := s.cmd.Process.Signal(sig); e != nil && !errors.Is(e, os.ErrProcessDone) {
			err = fmt.Errorf("stop %s: %w", s.name, e)
		}
		select {
		case <-s.exited:
			killIn(s.dir)
			s.cmd = nil
		case <-time.After(20 * time.Second):
			err = errors.Join(err, s.kill())
		}
	}
	err = errors.Join(err, freeLeftMemory(s.DataDir()), s.discard())
	s.house.remove(s)
	return err
}

// freeLeftMemory frees the segment of a PostgreSQL that was killed and not started again: its lock file names it.
func freeLeftMemory(data string) error {
	lock, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	lines := strings.Split(string(lock), "\n")
	if len(lines) < 7 {
		return nil // killed before it had any
	}
	var key uint64
	var id int
	if _, err := fmt.Sscan(lines[6], &key, &id); err != nil {
		return nil // killed while writing it
	}
	if err := freeSharedMemory(int32(key), id); err != nil {
		return fmt.Errorf("free shared memory %d: %w", id, err)
	}
	return nil
}

// spawn starts a command from one thread that lives as long as the process: the parent-death signal is sent when the
// thread ends that started the child, and Go ends threads at its own discretion.
func spawn(cmd *exec.Cmd) error {
	spawnerOnce.Do(func() {
		go func() {
			runtime.LockOSThread()
			for r := range spawner {
				r.done <- r.cmd.Start()
			}
		}()
	})
	r := spawnRequest{cmd: cmd, done: make(chan error, 1)}
	spawner <- r
	return <-r.done
}

type spawnRequest struct {
	cmd  *exec.Cmd
	done chan error
}

var (
	spawner     = make(chan spawnRequest)
	spawnerOnce sync.Once
)
