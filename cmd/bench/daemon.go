package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/crossfade-io/crossfade/internal/control"
)

// daemon is `crossfade run` as a process.
type daemon struct {
	program, config, socket string
	verbose                 bool

	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	log  lockedBuffer
}

// newDaemon writes a configuration: the two ends, without TLS as for everybody here, no way back, and otherwise what one gets who writes nothing.
func (b *bench) newDaemon(name, target string) (*daemon, error) {
	state := filepath.Join(b.dir, name)
	d := &daemon{program: b.program, config: filepath.Join(b.dir, name+".yaml"), socket: filepath.Join(state, name, "sock"), verbose: b.verbose}
	type end map[string]any
	config := map[string]any{ // JSON is YAML
		"name": name, "state_dir": state, "api": end{"listen": ""}, "cutover": end{"reverse": false},
		"source": end{"url": b.source.URL(database) + "?sslmode=disable", "tables": []string{database + ".orders"}},
		"target": end{"url": b.target.URL(target)},
	}
	text, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	return d, os.WriteFile(d.config, text, 0o600)
}

// start is called by the main goroutine, which is tied to the main thread: see dieWithParent.
func (d *daemon) start() error {
	d.cmd = exec.Command(d.program, "run", "-c", d.config)
	d.cmd.Stderr = &d.log
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt at the terminal is for us
	dieWithParent(d.cmd.SysProcAttr)
	if err := d.cmd.Start(); err != nil {
		return err
	}
	d.done = make(chan struct{})
	go func(c *exec.Cmd, done chan struct{}) {
		_ = c.Wait() // its state is asked for
		close(done)
	}(d.cmd, d.done)
	return nil
}

// alive is an error when it has ended by itself, or has stopped working.
func (d *daemon) alive() error {
	select {
	case <-d.done:
		return fmt.Errorf("crossfade has ended: %s; its log:\n%s", d.cmd.ProcessState, d.log.String())
	default:
		return nil
	}
}

// settled waits until everything is copied, followed and compared.
func (d *daemon) settled(ctx context.Context) error {
	client := control.NewClient(d.socket)
	for {
		if err := d.alive(); err != nil {
			return err
		}
		s, err := client.Status(ctx)
		if err == nil && s.Error != nil {
			return fmt.Errorf("crossfade has stopped: %s", *s.Error)
		}
		if err == nil && s.Verify.LastCleanAt != nil && s.Verify.TouchedKeys == 0 && s.Stream.Applied == s.Stream.Last {
			return nil
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

// stop ends it as systemd does.
func (d *daemon) stop() error {
	if d.cmd == nil {
		return nil
	}
	select {
	case <-d.done:
	default:
		if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return err
		}
	}
	var err error
	select {
	case <-d.done:
	case <-time.After(time.Minute):
		err = errors.Join(errors.New("crossfade does not end"), d.cmd.Process.Kill())
		<-d.done
	}
	if code := d.cmd.ProcessState.ExitCode(); code != 0 {
		err = errors.Join(err, fmt.Errorf("crossfade ended with %s; its log:\n%s", d.cmd.ProcessState, d.log.String()))
	}
	if d.verbose {
		_, werr := os.Stderr.WriteString(d.log.String())
		err = errors.Join(err, werr)
	}
	d.log.reset()
	d.cmd = nil
	return err
}

func (d *daemon) pid() int { return d.cmd.Process.Pid }

// stopDaemon ends the daemon that runs, if one does.
func (b *bench) stopDaemon() error {
	if b.daemon == nil {
		return nil
	}
	return b.daemon.stop()
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *lockedBuffer) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b.Reset()
}
