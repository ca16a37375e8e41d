package main

import (
	"context"
	"fmt"
	"hash/fnv"
	"log/slog"
	"net/url"
	"strings"
	"time"

	tomysql "github.com/crossfade-io/crossfade/apply/mysql"
	topostgres "github.com/crossfade-io/crossfade/apply/postgres"
	"github.com/crossfade-io/crossfade/capture/mysql"
	"github.com/crossfade-io/crossfade/capture/postgres"
	"github.com/crossfade-io/crossfade/configs"
	"github.com/crossfade-io/crossfade/cutover/verify"
	"github.com/crossfade-io/crossfade/internal/change"
	"github.com/crossfade-io/crossfade/internal/stream"
)

// databaseName is the migration's name as databases and the broker take it.
func databaseName(name string) string { return strings.ReplaceAll(name, "-", "_") }

// openSource connects the end that is read.
func openSource(ctx context.Context, cfg *configs.Config, w way, log *slog.Logger) (source, error) {
	u := w.from
	if u.Engine() == configs.Postgres {
		s, err := postgres.Open(ctx, postgres.Config{URL: postgresURL(u), Migration: databaseName(cfg.Name), Slot: databaseName(w.name), Heartbeat: time.Second, Readers: cfg.Snapshot.Parallel + 2}, log)
		if err != nil {
			return nil, err
		}
		return s, nil
	}
	tls, err := u.TLSConfig()
	if err != nil {
		return nil, &usageError{fmt.Errorf("%s.url: %w", w.fills.Other(), err)}
	}
	s, err := mysql.Open(ctx, mysql.Config{
		Engine: change.Engine(u.Engine()), Host: u.Address(), User: u.User(), Password: u.Password().Reveal(), Database: u.Database(), TLS: tls,
		ServerID: serverID(w.name), Migration: databaseName(cfg.Name), Heartbeat: time.Second, ReadTimeout: 35 * time.Second,
		Selected: w.selected, Readers: cfg.Snapshot.Parallel + 2, Key: string(w.fills.Other()) + ".url",
	}, log)
	if err != nil {
		return nil, err // and no source that is nil inside
	}
	return s, nil
}

// serverID is the id under which the tail registers with the source. It is the same at every start, so that the server ends the session of an
// earlier start that it still believes in, and unlikely to be another replica's.
func serverID(name string) uint32 {
	h := fnv.New32a()
	fmt.Fprintf(h, "crossfade %s", name)
	return h.Sum32()%0x3fffffff + 0x40000000
}

// openCopied connects the end that is filled, as verification sees it.
func openCopied(ctx context.Context, cfg *configs.Config, w way) (copied, error) {
	key := string(w.fills) + ".url"
	if u := w.to; u.Engine() != configs.Postgres {
		tls, err := u.TLSConfig()
		if err != nil {
			return nil, &usageError{fmt.Errorf("%s: %w", key, err)}
		}
		rows, err := mysql.Open(ctx, mysql.Config{Engine: change.Engine(u.Engine()), Host: u.Address(), User: u.User(), Password: u.Password().Reveal(), TLS: tls,
			Migration: databaseName(cfg.Name), Selected: func(string, string) bool { return true }, Readers: 8, Key: key}, slog.New(slog.DiscardHandler))
		if err != nil {
			return nil, err
		}
		return verify.NewMySQL(rows, databaseName(cfg.Name), string(w.fills)), nil
	}
	p, err := verify.OpenPostgres(ctx, postgresURL(w.to), databaseName(cfg.Name), string(w.fills))
	if err != nil {
		return nil, err // and no target that is nil inside
	}
	return p, nil
}

// openApplied connects the end that is filled, as the applier sees it.
func openApplied(ctx context.Context, cfg *configs.Config, w way, log *slog.Logger) (target, error) {
	if u := w.to; u.Engine() != configs.Postgres {
		tls, err := u.TLSConfig()
		if err != nil {
			return nil, &usageError{fmt.Errorf("%s.url: %w", w.fills, err)}
		}
		t, err := tomysql.Open(ctx, tomysql.Config{Engine: change.Engine(u.Engine()), Addr: u.Address(), User: u.User(), Password: u.Password().Reveal(), TLS: tls, Migration: databaseName(cfg.Name), Side: string(w.fills), Logger: log})
		if err != nil {
			return nil, err
		}
		return t, nil
	}
	t, err := topostgres.Open(ctx, topostgres.Config{URL: postgresURL(w.to), Migration: databaseName(cfg.Name), Side: string(w.fills), Logger: log})
	if err != nil {
		return nil, err
	}
	return t, nil
}

// postgresURL writes the URL with its password, which only the driver sees.
func postgresURL(u configs.URL) string {
	out := url.URL{Scheme: "postgres", User: url.UserPassword(u.User(), u.Password().Reveal()), Host: u.Address(), Path: "/" + u.Database()}
	q := url.Values{"sslmode": {string(u.SSLMode())}}
	for key, v := range map[string]string{"sslrootcert": u.SSLRootCert(), "sslcert": u.SSLCert(), "sslkey": u.SSLKey()} {
		if v != "" {
			q.Set(key, v)
		}
	}
	out.RawQuery = q.Encode()
	return out.String()
}

func streamConfig(cfg *configs.Config, w way) stream.Config {
	s := stream.Config{Name: w.name, Replicas: cfg.Stream.Replicas, MaxBytes: int64(cfg.Stream.MaxBytes), Keep: cfg.Stream.Keep}
	if cfg.Stream.URL.IsZero() {
		s.Dir = w.streamDir(cfg)
	} else {
		s.URL = natsURL(cfg.Stream.URL)
	}
	return s
}

// natsURL writes the URL with its password, which only the client library sees.
func natsURL(u configs.URL) string {
	parts := make([]string, 0, 3)
	for _, a := range u.Addresses() {
		s := "nats://"
		if t := u.Token(); !t.IsZero() {
			s += t.Reveal() + "@"
		} else if u.User() != "" {
			s += u.User() + ":" + u.Password().Reveal() + "@"
		}
		parts = append(parts, s+a)
	}
	return strings.Join(parts, ",")
}
