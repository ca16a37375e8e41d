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
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/crossfade-io/crossfade/internal/control"
)

// crossfade is the program that moves the shop, run as its users run it: by verbs, with a configuration file.
type crossfade struct {
	binary string
	onExit func(error) // hears that the daemon ended by itself

	dir      string
	daemon   *exec.Cmd // `run`; nil before
	ended    chan struct{}
	stopping atomic.Bool
	client   *control.Client // for showing the status
}

// configuration names no password: they come from the environment.
const configuration = `name: shop
state_dir: %[1]s
source:
  url: mysql://crossfade:${SRC_PW}@%[2]s/shop
  probe_url: mysql://app:${APP_PW}@%[2]s/shop
target:
  url: postgres://crossfade:${DST_PW}@%[3]s/shop
  probe_url: postgres://app:${APP_PW}@%[3]s/shop
transform:
  types:%[4]scutover:
  switch:
    - exec:
        command: [%[5]q, switch, %[6]q]
        status: [%[5]q, where, %[6]q]
api: {listen: ""}
`

// configure writes the configuration.
func (c *crossfade) configure(p *place) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the switch step: %w", err)
	}
	c.dir = p.dir
	text := fmt.Sprintf(configuration, c.file("state"), address(p.my.Port()), address(p.pg.Port()), typeRules, self, p.switchFile())
	if err := os.WriteFile(c.file("crossfade.yaml"), []byte(text), 0o600); err != nil {
		return fmt.Errorf("write the configuration: %w", err)
	}
	return nil
}

func (c *crossfade) file(path ...string) string {
	return filepath.Join(append([]string{c.dir}, path...)...)
}

func (c *crossfade) command(args ...string) *exec.Cmd {
	cmd := exec.Command(c.binary, append(args, "-c", c.file("crossfade.yaml"))...)
	cmd.Dir = c.dir // by which what is left is found and ended, if this process dies
	cmd.Env = append(os.Environ(), "SRC_PW="+secret, "DST_PW="+secret, "APP_PW="+secret)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt at the terminal is for us
	return cmd
}

// start starts the daemon.
func (c *crossfade) start(p *place) error {
	if err := c.configure(p); err != nil {
		return err
	}
	log, err := os.Create(c.file("crossfade.log"))
	if err != nil {
		return fmt.Errorf("start crossfade: %w", err)
	}
	defer log.Close()
	cmd := c.command("run")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start crossfade: %w", err)
	}
	c.client = control.NewClient(c.file("state", "shop", "sock"))
	c.daemon, c.ended = cmd, make(chan struct{})
	go func() { // ends with the process, which stop and kill wait for
		err := cmd.Wait()
		if !c.stopping.Load() {
			c.onExit(fmt.Errorf("crossfade ended by itself (%v); its log ends:\n%s", err, c.log()))
		}
		close(c.ended)
	}()
	return nil
}

// log is the end of the daemon's log.
func (c *crossfade) log() string {
	b, err := os.ReadFile(c.file("crossfade.log"))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}

// stop ends the daemon as systemd does.
func (c *crossfade) stop() error {
	c.stopping.Store(true)
	_ = c.daemon.Process.Signal(syscall.SIGTERM) // it may have ended
	const patience = 20 * time.Second
	select {
	case <-c.ended:
	case <-time.After(patience):
		return fmt.Errorf("crossfade did not end within %s of SIGTERM; its log ends:\n%s", patience, c.log())
	}
	if code := c.daemon.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("crossfade ended with exit code %d; its log ends:\n%s", code, c.log())
	}
	return nil
}

// kill ends the daemon at once, if it runs.
func (c *crossfade) kill() {
	if c.daemon == nil {
		return
	}
	c.stopping.Store(true)
	_ = c.daemon.Process.Kill() // it may have ended
	<-c.ended
}

// verb runs a verb to its end, and returns what it printed and its exit code.
func (c *crossfade) verb(ctx context.Context, args ...string) (out string, exit int, err error) {
	cmd := c.command(args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		return "", -1, fmt.Errorf("crossfade %s: %w", args[0], err)
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() }) // it is a client only, and may have ended
	defer stop()
	err = cmd.Wait()
	if ctx.Err() != nil {
		return "", -1, ctx.Err()
	}
	var ee *exec.ExitError
	if err != nil && !errors.As(err, &ee) {
		return "", -1, fmt.Errorf("crossfade %s: %w", args[0], err)
	}
	if exit = cmd.ProcessState.ExitCode(); exit != 0 {
		err = fmt.Errorf("crossfade %s: exit code %d: %s", args[0], exit, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), exit, err
}

// cutover moves the application. crossfade may say that it is too early, because much is written: then it is asked again.
func (c *crossfade) cutover(ctx context.Context, s *scene) error {
	const refused = 3
	const patience = time.Minute
	s.say("crossfade looks whether it can be now")
	for began := time.Now(); ; {
		_, exit, err := c.verb(ctx, "cutover")
		if exit != refused || time.Since(began) > patience {
			return err
		}
		s.say("not yet: %v", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// report is what the demo shows of `report --json`.
type report struct {
	Verdict          string `json:"verdict"`
	WritePauseMS     int64  `json:"write_pause_ms"`
	ClientPauseMS    int64  `json:"client_pause_ms"`
	PredictedPauseMS int64  `json:"predicted_pause_ms"`
}

func (c *crossfade) report(ctx context.Context) (r report, err error) {
	out, _, err := c.verb(ctx, "report", "--json")
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		return r, fmt.Errorf("read the report: %w", err)
	}
	return r, nil
}
