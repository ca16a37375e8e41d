package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// recoveryTime is how long the embedded server may take to read its files after a crash: terabytes are not expected, slow disks are.
const recoveryTime = 15 * time.Minute

// embedded is a NATS server inside this process that nobody else can reach.
type embedded struct {
	srv  *server.Server
	lock *os.File
	dir  string
	log  *serverLog
}

func serverOptions(dir, name string) *server.Options {
	return &server.Options{
		ServerName:   "crossfade-" + name,
		DontListen:   true,
		NoSigs:       true,
		JetStream:    true,
		StoreDir:     dir,
		SyncAlways:   true,
		MaxPayload:   maxPayload,
		MaxPending:   256 << 20,
		MaxSubs:      0,
		PingInterval: 2 * time.Minute,
		// The limit is the stream's own max_bytes; the server's default would follow the free disk from start to start.
		JetStreamMaxStore:      1 << 60,
		JetStreamMaxMemory:     256 << 20,
		DisableJetStreamBanner: true,
	}
}

// startServer locks the directory and starts the server on it. It returns when the files are recovered.
func startServer(ctx context.Context, dir string, opts *server.Options, migration string, log *slog.Logger) (*embedded, error) {
	lock, err := lockDir(dir, migration)
	if err != nil {
		return nil, err
	}
	e := &embedded{lock: lock, dir: dir, log: &serverLog{log: log}}
	if e.srv, err = server.NewServer(opts); err != nil {
		lock.Close()
		return nil, fmt.Errorf("open stream in %s: embedded server: %w", dir, err)
	}
	e.srv.SetLoggerV2(e.log, false, false, false)
	started := make(chan struct{})
	go func() {
		defer close(started)
		e.srv.Start()
	}()
	begin := time.Now()
	slow := time.NewTicker(10 * time.Second)
	defer slow.Stop()
	for ready := false; !ready; {
		select {
		case <-started:
			ready = true
		case <-slow.C:
			log.Info("the stream is still being recovered", "dir", dir, "seconds", int(time.Since(begin).Seconds()))
			if time.Since(begin) > recoveryTime {
				e.abandon(started)
				return nil, fmt.Errorf("open stream in %s: the embedded server was not ready after %s: %s", dir, recoveryTime, e.log.lastOr("it gave no reason"))
			}
		case <-ctx.Done():
			e.abandon(started)
			return nil, fmt.Errorf("open stream in %s: %w", dir, ctx.Err())
		}
	}
	if !e.srv.ReadyForConnections(time.Second) || !e.srv.JetStreamEnabled() {
		e.close()
		return nil, fmt.Errorf("open stream in %s: the embedded server did not start: %s", dir, e.log.lastOr("it gave no reason"))
	}
	if err := e.durable(); err != nil {
		e.close()
		return nil, err
	}
	return e, nil
}

// durable refuses a server that would acknowledge before fsync, or that anyone could reach.
func (e *embedded) durable() error {
	jc := e.srv.JetStreamConfig()
	if jc == nil || !jc.SyncAlways {
		return fmt.Errorf("open stream in %s: the embedded server does not sync always: acknowledged frames could be lost in a power failure; this is a defect of the program", e.dir)
	}
	if a := e.srv.Addr(); a != nil {
		return fmt.Errorf("open stream in %s: the embedded server listens on %s: this is a defect of the program", e.dir, a)
	}
	return nil
}

// abandon ends a server that is still starting, without waiting longer than its recovery allows: the lock is held until it has ended.
func (e *embedded) abandon(started <-chan struct{}) {
	e.srv.Shutdown()
	<-started
	e.close()
}

func (e *embedded) close() {
	e.srv.Shutdown()
	e.srv.WaitForShutdown()
	e.lock.Close()
}

// serverLog hands the server's log to slog and keeps the last error, which says why storage failed.
type serverLog struct {
	log  *slog.Logger
	mu   sync.Mutex
	last string
}

func (s *serverLog) keep(format string, v []any) string {
	m := fmt.Sprintf(format, v...)
	s.mu.Lock()
	s.last = m
	s.mu.Unlock()
	return m
}

func (s *serverLog) lastOr(none string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == "" {
		return none
	}
	return s.last
}

// Noticef is the server's report of normal work; ours says what matters.
func (s *serverLog) Noticef(format string, v ...any) {
	if s.log.Enabled(context.Background(), slog.LevelDebug) {
		s.log.Debug("nats: " + strings.TrimSpace(fmt.Sprintf(format, v...)))
	}
}
func (s *serverLog) Debugf(format string, v ...any) { s.Noticef(format, v...) }
func (s *serverLog) Tracef(format string, v ...any) { s.Noticef(format, v...) }
func (s *serverLog) Warnf(format string, v ...any)  { s.log.Warn("nats: " + fmt.Sprintf(format, v...)) }
func (s *serverLog) Errorf(format string, v ...any) { s.log.Error("nats: " + s.keep(format, v)) }

// Fatalf must not end the process: Open reports what it said.
func (s *serverLog) Fatalf(format string, v ...any) { s.log.Error("nats: " + s.keep(format, v)) }

// removeFiles deletes what a server kept in dir. It takes the lock, so nothing runs there.
func removeFiles(dir, migration string) error {
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	lock, err := lockDir(dir, migration)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := os.RemoveAll(storeDir(dir)); err != nil {
		return fmt.Errorf("remove stream: %w", err)
	}
	if err := os.Remove(lock.Name()); err != nil {
		return fmt.Errorf("remove stream: %w", err)
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, os.ErrNotExist) && !isNotEmpty(err) {
		return fmt.Errorf("remove stream: %w", err)
	}
	return nil
}
