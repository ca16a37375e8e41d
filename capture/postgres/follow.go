package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/crossfade-io/crossfade/capture"
)

// answer is who a database is. A standby that is promoted goes on under the same system identifier, on another timeline.
type answer struct {
	system, database string
	timeline         int64
}

func parseAnswer(s string) (id answer, err error) {
	f := strings.Split(s, "/")
	if len(f) != 3 {
		return id, fmt.Errorf("%q is no identity of a database of PostgreSQL", s)
	}
	id.system, id.database = f[0], f[2]
	id.timeline, err = strconv.ParseInt(f[1], 10, 64)
	return id, err
}

// Identity tells this database from every other. A promoted standby is another: its timeline is. The tails that are opened from now on read from this one.
func (s *Source) Identity(ctx context.Context) (id string, err error) {
	// The timeline of the log as it is written now: the control file has it only after the first checkpoint.
	err = s.pool.QueryRow(ctx, `SELECT format('%s/%s/%s', (SELECT system_identifier FROM pg_control_system()), ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int,
		(SELECT oid FROM pg_database WHERE datname = current_database()))`).Scan(&id)
	if err != nil {
		return "", fmt.Errorf("ask %s which database it is: %w", s.host(), err)
	}
	s.answered.Store(&id)
	return id, nil
}

// Follows reports, by a nil error, that the server that answers now goes on where another one, which answered as was, has been read up to p: it was promoted on a timeline that leaves the other's behind
// that place. What was read beyond it the promoted server never had.
func (s *Source) Follows(ctx context.Context, p, was string) error {
	at, err := parsePosition(p)
	if err != nil {
		return err
	}
	now, err := s.Identity(ctx)
	if err != nil {
		return err
	}
	before, err := parseAnswer(was)
	if err != nil {
		return err
	}
	after, err := parseAnswer(now)
	if err != nil {
		return err
	}
	stop := &capture.Stop{Position: p, Object: s.host(), Remedy: "connect it to the server that was read, or run `crossfade cleanup` and start again"}
	switch {
	case before.system != after.system || before.database != after.database:
		stop.Reason = fmt.Sprintf("another database answers (%s) than the one that was read (%s)", now, was)
		return stop
	case after.timeline <= before.timeline:
		stop.Reason = fmt.Sprintf("a server on timeline %d answers, and timeline %d was read: an older one is back", after.timeline, before.timeline)
		return stop
	}
	fork, found, err := s.fork(ctx, before.timeline, after.timeline)
	switch {
	case err != nil:
		return err
	case !found:
		stop.Reason = fmt.Sprintf("a server on timeline %d answers, which does not come from timeline %d, which was read", after.timeline, before.timeline)
		return stop
	case at.lsn > fork || at.inside() && at.in >= fork: // of a transaction read in part the commit record begins there
		stop.Reason = fmt.Sprintf("the server that was promoted left the log at %s, and it was read up to %s: what lies between was lost in the failover, and is in the target", lsnText(fork), lsnText(max(at.lsn, at.in)))
		stop.Remedy = "run `crossfade cleanup` and start again; synchronized_standby_slots (PostgreSQL 17) keeps the log from being read before the standby has it"
		return stop
	}
	s.pool.Reset() // its sessions may lead to the server that was
	return nil
}

// fork is where a timeline was left by the ones that came to the newest.
func (s *Source) fork(ctx context.Context, timeline, newest int64) (lsn uint64, found bool, err error) {
	conn, err := s.replication(ctx)
	if err != nil {
		return 0, false, err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	history, err := pglogrepl.TimelineHistory(ctx, conn, int32(newest))
	if err != nil {
		return 0, false, fmt.Errorf("ask %s for the history of timeline %d: %w", s.host(), newest, err)
	}
	for line := range strings.SplitSeq(string(history.Content), "\n") {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != strconv.FormatInt(timeline, 10) {
			continue
		}
		lsn, err = parseLSN(f[1])
		return lsn, err == nil, err
	}
	return 0, false, nil
}

// replication opens a session that may ask for the log.
func (s *Source) replication(ctx context.Context) (*pgconn.PgConn, error) {
	cfg := s.conn.Copy().Config
	cfg.RuntimeParams["replication"] = "database"
	conn, err := pgconn.ConnectConfig(ctx, &cfg)
	if err != nil {
		return nil, fmt.Errorf("read the log of %s: %w", s.host(), err)
	}
	return conn, nil
}

// same fails when another server answers on a session of the log than the one that was asked who it is.
func (s *Source) same(ctx context.Context, conn *pgconn.PgConn) error {
	text := s.answered.Load()
	if text == nil {
		return nil
	}
	want, err := parseAnswer(*text)
	if err != nil {
		return err
	}
	got, err := pglogrepl.IdentifySystem(ctx, conn)
	if err != nil {
		return fmt.Errorf("ask %s which server it is: %w", s.host(), err)
	}
	if got.SystemID != want.system || int64(got.Timeline) != want.timeline {
		return fmt.Errorf("read the log of %s: server %s/%d answers where %s/%d did a moment ago", s.host(), got.SystemID, got.Timeline, want.system, want.timeline)
	}
	return nil
}
