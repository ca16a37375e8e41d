package mysql

import (
	"context"
	"fmt"

	"github.com/crossfade-io/crossfade/capture"
)

// identityQuery asks a server for what tells it from every other, a copy of it included. MariaDB has no identity of its own: copies differ in the machine, the port or the directory.
func (s *Source) identityQuery() string {
	if s.mariadb() {
		return "SELECT CONCAT_WS('/', @@hostname, @@port, @@server_id, @@datadir)"
	}
	return "SELECT @@server_uuid"
}

// Identity tells this server from every other, a copy of it included. The tails that are opened from now on read from this one.
func (s *Source) Identity(ctx context.Context) (string, error) {
	var id string
	if err := s.db.QueryRowContext(ctx, s.identityQuery()).Scan(&id); err != nil {
		return "", fmt.Errorf("ask %s which server it is: %w", s.cfg.Host, err)
	}
	s.answered.Store(&id)
	return id, nil
}

// Follows reports, by a nil error, that the server that answers now goes on where another one, which answered as was, has been read up to p. With GTIDs that can be known: it has all that was read, under
// the names that it had there. A file and an offset mean nothing on another server.
func (s *Source) Follows(ctx context.Context, p, was string) error {
	at, err := parsePosition(p)
	if err != nil {
		return err
	}
	if at.byFile && (!s.mariadb() || at.on == "") {
		return &capture.Stop{Position: p, Object: s.cfg.Host, Reason: fmt.Sprintf("another server answers than %s, which was read, and its log has other files and offsets", was),
			Remedy: "connect it to that server, or run `crossfade cleanup` and start again; with gtid_mode=ON a server that takes over is followed"}
	}
	if err := s.Contains(ctx, p); err != nil {
		return err
	}
	s.forgetSessions()
	return nil
}

// forgetSessions ends those that nobody uses: they may lead to the server that was.
func (s *Source) forgetSessions() {
	s.db.SetMaxIdleConns(0)
	s.db.SetMaxIdleConns(idleSessions)
	s.readers.forget()
}

// expected is who must answer on a new session; empty: anybody.
func (s *Source) expected() string {
	if id := s.answered.Load(); id != nil {
		return *id
	}
	return ""
}
