package cutover

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/crossfade-io/crossfade/cutover/protocol"
)

// Exec is a switch step that runs a program.
type Exec struct {
	Label   string   // its name in reports; unique
	Command []string // moves traffic
	Status  []string // prints source or target: where traffic goes now; empty: it cannot be asked
	Timeout time.Duration
}

func (x *Exec) Name() string { return x.Label }

// Run runs the command to its end, or kills it and all it started when the time is up: then what it did is unknown.
func (x *Exec) Run(ctx context.Context, e SwitchEnv) error {
	_, err := x.run(ctx, x.Command, e)
	return err
}

// Active runs the status command.
func (x *Exec) Active(ctx context.Context, e SwitchEnv) (protocol.Side, error) {
	if len(x.Status) == 0 {
		return "", ErrNoStatus
	}
	out, err := x.run(ctx, x.Status, e)
	if err != nil {
		return "", err
	}
	switch s := protocol.Side(strings.TrimSpace(out)); s {
	case protocol.Source, protocol.Target:
		return s, nil
	default:
		return "", fmt.Errorf("status command %s printed %q, not source or target", x.Status[0], clip(out))
	}
}

func (x *Exec) run(ctx context.Context, argv []string, e SwitchEnv) (string, error) {
	timeout := x.Timeout
	if timeout == 0 {
		timeout = 10 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "CROSSFADE_MIGRATION="+e.Migration, "CROSSFADE_EPOCH="+strconv.FormatInt(e.Epoch, 10),
		"CROSSFADE_DIRECTION="+e.Direction, "CROSSFADE_ACTIVE="+string(e.Active), "CROSSFADE_ACTIVE_URL="+e.ActiveURL)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay) && cmd.ProcessState.Success(): // it left something running that keeps its output
		return stdout.String(), nil
	case cmd.Process == nil:
		return "", fmt.Errorf("start %s: %w", argv[0], err)
	case ctx.Err() != nil:
		return "", fmt.Errorf("%s did not end within %v and was killed: %w", argv[0], timeout, errors.Join(ErrUnknownOutcome, err))
	case !cmd.ProcessState.Exited():
		return "", fmt.Errorf("%s: %w: %s", argv[0], errors.Join(ErrUnknownOutcome, err), clip(stderr.String()))
	default:
		return "", fmt.Errorf("%s: %w: %s", argv[0], err, clip(stderr.String()))
	}
}

// clip makes a program's output fit into a message.
func clip(s string) string {
	s = strings.TrimSpace(s)
	if len(s) > 300 {
		return s[:300] + "..."
	}
	return s
}
