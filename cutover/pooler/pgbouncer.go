package pooler

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/crossfade-io/crossfade/cutover"
	"github.com/crossfade-io/crossfade/cutover/protocol"
)

// Config of a PgBouncer.
type Config struct {
	Label    string // its name in reports; unique
	Admin    string // URL of the console, with its password
	Database string // the entry
	Ini      string // the file that holds the entry and is rewritten; or
	Exec     []string
	// ExecTimeout bounds Exec. 0: 10 s.
	ExecTimeout    time.Duration
	Source, Target Address
}

// PgBouncer is a switch step: a pooler that is paused before the fence, and afterwards pointed to the side that serves, and resumed.
type PgBouncer struct {
	cfg     Config
	console *pgconn.Config
}

var _ cutover.Pooler = (*PgBouncer)(nil)

// NewPgBouncer connects to nothing.
func NewPgBouncer(cfg Config) (*PgBouncer, error) {
	c, err := pgconn.ParseConfig(cfg.Admin)
	if err != nil {
		return nil, fmt.Errorf("switch step %s: admin: %w", cfg.Label, err) // the driver hides the password
	}
	if cfg.Source.same(cfg.Target) {
		return nil, fmt.Errorf("switch step %s: source and target have one address, %s: PgBouncer cannot tell them apart", cfg.Label, cfg.Source)
	}
	c.ConnectTimeout = commandTimeout
	c.RuntimeParams = map[string]string{"application_name": "crossfade"} // it refuses what it does not know
	return &PgBouncer{cfg: cfg, console: c}, nil
}

func (p *PgBouncer) Name() string { return p.cfg.Label }

// Repeatable: rewriting the file twice is rewriting it once; what a command does is not known.
func (p *PgBouncer) Repeatable() bool { return len(p.cfg.Exec) == 0 }

// Pause returns once no client is in a transaction and none can begin one. When it fails, clients go on.
func (p *PgBouncer) Pause(ctx context.Context) error {
	c, err := dial(ctx, p.console)
	if err != nil {
		return p.named(err)
	}
	defer c.close()
	_, err = c.do(ctx, "PAUSE "+quote(p.cfg.Database))
	if err == nil {
		var now state
		if now, err = c.read(ctx, p.cfg.Database); err == nil && !now.paused {
			err = errors.New("it is not paused after PAUSE")
		}
	}
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("clients did not end their transactions in time: %w", errors.Join(context.Cause(ctx), err))
	}
	c.close() // first: after a RESUME a PAUSE that still waits would wait for ever (pgbouncer issue 715)
	back, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*commandTimeout)
	defer cancel()
	return errors.Join(p.named(err), p.Resume(back))
}

// Resume lets clients go on, and reads back that they can. Where nothing is paused it changes nothing.
func (p *PgBouncer) Resume(ctx context.Context) error {
	return p.session(ctx, func(ctx context.Context, c *console) error { return p.resume(ctx, c) })
}

func (p *PgBouncer) resume(ctx context.Context, c *console) error {
	_, err := c.do(ctx, "RESUME "+quote(p.cfg.Database)) // it is an error when nothing is paused
	now, readErr := c.read(ctx, p.cfg.Database)
	switch {
	case readErr != nil:
		return errors.Join(err, readErr)
	case now.paused:
		return errors.Join(err, errors.New("it is still paused after RESUME"))
	default:
		return nil
	}
}

// Standing says where clients go, and whether they are held back.
func (p *PgBouncer) Standing(ctx context.Context) (at protocol.Side, paused bool, err error) {
	err = p.session(ctx, func(ctx context.Context, c *console) error {
		now, err := c.read(ctx, p.cfg.Database)
		if err != nil {
			return err
		}
		at, err = p.side(now.at)
		paused = now.paused
		return err
	})
	return at, paused, err
}

func (p *PgBouncer) side(a Address) (protocol.Side, error) {
	switch {
	case a.same(p.cfg.Source):
		return protocol.Source, nil
	case a.same(p.cfg.Target):
		return protocol.Target, nil
	default:
		return "", fmt.Errorf("the entry %q leads to %s, which is neither the source, %s, nor the target, %s; write host, port and dbname there as in the URL",
			p.cfg.Database, a, p.cfg.Source, p.cfg.Target)
	}
}

// Active says where clients go. That they are held back is an error: nothing was moved for them yet, and nobody may be about to.
func (p *PgBouncer) Active(ctx context.Context, _ cutover.SwitchEnv) (protocol.Side, error) {
	at, paused, err := p.Standing(ctx)
	if err == nil && paused {
		err = p.named(fmt.Errorf("the entry %q leads to the %s and is paused; send PgBouncer RESUME %[1]s when nobody needs that", p.cfg.Database, at))
	}
	if err != nil {
		return "", err
	}
	return at, nil
}

// Run points the entry to the side that serves. Clients go on only once PgBouncer says that it leads there.
func (p *PgBouncer) Run(ctx context.Context, e cutover.SwitchEnv) error {
	to := p.cfg.Source
	if e.Active == protocol.Target {
		to = p.cfg.Target
	}
	if err := p.rewrite(ctx, e, to); err != nil {
		return err
	}
	return p.session(ctx, func(ctx context.Context, c *console) error {
		if _, err := c.do(ctx, "RELOAD"); err != nil {
			return err
		}
		now, err := c.read(ctx, p.cfg.Database)
		if err != nil {
			return err
		}
		if !now.at.same(to) {
			return fmt.Errorf("after RELOAD the entry %q leads to %s, not to %s: does PgBouncer read the file that was rewritten?", p.cfg.Database, now.at, to)
		}
		return p.resume(ctx, c)
	})
}

func (p *PgBouncer) rewrite(ctx context.Context, e cutover.SwitchEnv, to Address) error {
	if len(p.cfg.Exec) > 0 {
		x := cutover.Exec{Label: p.cfg.Label, Command: p.cfg.Exec, Timeout: p.cfg.ExecTimeout}
		return x.Run(ctx, e)
	}
	return rewriteFile(p.cfg.Ini, p.cfg.Database, to)
}

// session has a time of its own: every command in it is answered at once.
func (p *PgBouncer) session(ctx context.Context, f func(context.Context, *console) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, commandTimeout, fmt.Errorf("the console did not answer within %v", commandTimeout))
	defer cancel()
	c, err := dial(ctx, p.console)
	if err == nil {
		defer c.close()
		err = f(ctx, c)
	}
	if err != nil && ctx.Err() != nil {
		err = errors.Join(context.Cause(ctx), err)
	}
	return p.named(err)
}

func (p *PgBouncer) named(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("PgBouncer at %s:%d: %w", p.console.Host, p.console.Port, err)
}
