package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/crossfade-io/crossfade/configs"
	"github.com/crossfade-io/crossfade/cutover/protocol"
	"github.com/crossfade-io/crossfade/internal/control"
)

func newRun(g *global) *cobra.Command {
	var verbose bool
	c := &cobra.Command{Use: "run", Short: "Run the migration: copy, stream, verify, serve the API",
		Long: "The daemon. SIGTERM stops it cleanly, a restart goes on where it stopped.\n" +
			"Before the first frame it exits 2 for configuration, 3 for a failed check, 1 otherwise. After it, it stays up: what stops the migration is\n" +
			"shown by status, and resume tries again.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := g.load()
			if err != nil {
				return err
			}
			level := slog.LevelInfo
			if verbose {
				level = slog.LevelDebug
			}
			log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})).With("migration", cfg.Name)
			return run(cmd.Context(), cfg, log)
		}}
	c.Flags().BoolVar(&verbose, "verbose", false, "log what happens in detail")
	return c
}

// run is the daemon, from the source to the cutover.
func run(ctx context.Context, cfg *configs.Config, log *slog.Logger) error {
	collectEarly()
	release, err := control.Lock(cfg.Dir())
	if err != nil {
		return err
	}
	defer release()
	m := newMigration(cfg, log)
	defer m.close()

	told := ctx // ends when we are told to stop
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	g, ctx := errgroup.WithContext(ctx)
	api := control.NewServer(pendingStatus(cfg))
	g.Go(func() error { return api.Run(ctx, cfg.SocketPath(), cfg.API.Listen) })

	// Both databases and the stream, and whether they belong together.
	if err = m.open(ctx); err != nil && m.source != nil && m.target == nil {
		if rerr := m.rescue(ctx, err); rerr != nil {
			log.Error("whether a cutover attempt is under way could not be settled without the target", "err", rerr)
		}
	}
	if err == nil {
		err = m.prepare(ctx)
	}
	if err != nil {
		stop()
		if failed := g.Wait(); failed != nil {
			err = failed
		}
		if told.Err() != nil {
			err = context.Canceled // whatever that was cut short has said of it
		}
		return ended(told, err, log)
	}

	api.Open(m)
	g.Go(func() error { return m.runToTheEnd(ctx) })
	g.Go(func() error { return m.runCutover(ctx) }) // what an earlier start left of an attempt
	g.Go(func() error { return m.runRecorder(ctx) })
	g.Go(func() error { return m.runGuards(ctx) })
	notify(log, daemon.SdNotifyReady)
	err = g.Wait()
	notify(log, daemon.SdNotifyStopping)
	return ended(told, err, log)
}

// runFlows moves rows, in both directions.
func (m *migration) runFlows(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return m.captureThere(ctx) })                                 // source -> transform -> stream
	g.Go(func() error { return m.runApply(ctx) })                                     // stream -> target
	g.Go(func() error { return m.runFinish(ctx) })                                    // indexes and foreign keys, the first verification
	g.Go(func() error { return m.whileServes(ctx, protocol.Source, m.verifier.Run) }) // source = target
	g.Go(func() error { return m.whileServes(ctx, protocol.Source, m.runStorage) })   // rows rewritten behind the log's back
	g.Go(func() error { return m.runPurge(ctx) })
	g.Go(func() error { return m.runRounds(ctx) })  // how long the way takes
	g.Go(func() error { return m.runReverse(ctx) }) // target -> transform -> stream -> source
	return g.Wait()
}

// ended makes nothing of an error that only says that we were told to stop.
func ended(told context.Context, err error, log *slog.Logger) error {
	if told.Err() != nil && (err == nil || errors.Is(err, context.Canceled)) {
		log.Info("stopped")
		return nil
	}
	return err
}

func notify(log *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("tell systemd", "state", state, "err", err)
	}
}

// again calls work until it ends without a fault of the connection. What needs a person waits for resume.
func (f *flow) again(ctx context.Context, link string, work func(context.Context) error) error {
	wait := 100 * time.Millisecond
	for {
		began := time.Now()
		generation := f.resumes.now()
		err := work(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err == nil {
			f.links.up(link)
			return nil
		}
		if stop := needsPerson(err); stop != nil {
			f.fail(link, stop)
			if err := f.resumes.after(ctx, generation); err != nil {
				return nil
			}
			f.recovered(link)
			continue
		}
		f.links.down(link, err)
		f.log.Warn("connection lost, trying again", "to", link, "err", err)
		if time.Since(began) > 10*time.Second {
			wait = 100 * time.Millisecond
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		wait = min(2*wait, 5*time.Second)
	}
}

func refused(format string, args ...any) error {
	return control.Fail(control.ExitRefused, fmt.Errorf(format, args...), "")
}
