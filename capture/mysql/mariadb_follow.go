package mysql

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/crossfade-io/crossfade/capture"
)

// A MariaDB server that takes over has the same transactions in files of its own, and those of different domains perhaps in another order. So a place of the log says which server's file it names. On another
// server reading begins at a file that holds nothing but what had been read at its beginning, and passes over transactions until the last one read of every domain has come.

// tagOf a server is what stands for it in a position.
func tagOf(identity string) string {
	sum := sha256.Sum256([]byte(identity))
	return hex.EncodeToString(sum[:4])
}

// domainOf returns the last transaction of a domain; its number is 0 when there is none.
func domainOf(list []domainGTID, domain uint32) domainGTID {
	for _, g := range list {
		if g.domain == domain {
			return g
		}
	}
	return domainGTID{domain: domain}
}

// within reports whether everything in a is in b. Numbers rise in a domain.
func within(a, b []domainGTID) bool {
	for _, g := range a {
		if domainOf(b, g.domain).n < g.n {
			return false
		}
	}
	return true
}

// coversByDomain is covers for places of which one is not a file and an offset of the same server's log.
func (p *position) coversByDomain(q *position) (bool, error) {
	need := q.domains
	if len(need) == 0 {
		need = q.upto
	}
	if len(p.domains) == 0 && len(need) > 0 || len(need) == 0 && len(p.domains) > 0 {
		return false, fmt.Errorf("source positions %s and %s cannot be compared: they are of two servers, and one names no GTIDs", p, q)
	}
	if !within(need, p.domains) {
		return false, nil
	}
	switch {
	case q.row == 0 || q.part.n == 0:
		return q.row == 0, nil
	case domainOf(p.domains, q.part.domain).n >= q.part.n:
		return true, nil
	default:
		return p.part == q.part && p.row >= q.row, nil
	}
}

// gtidsAt asks for the last transaction of each domain before a place of the server's log, between two transactions. For that the server reads the file up to there.
func (s *Source) gtidsAt(ctx context.Context, file string, pos uint64) ([]domainGTID, error) {
	var text *string
	if err := s.db.QueryRowContext(ctx, "SELECT BINLOG_GTID_POS(?, ?)", file, pos).Scan(&text); err != nil {
		return nil, fmt.Errorf("ask %s for the GTIDs at %s:%d: %w", s.cfg.Host, file, pos, s.cfg.explain(err))
	}
	if text == nil {
		return nil, &capture.Stop{Position: fmt.Sprintf("file:%s:%d", file, pos), Object: s.cfg.Host, Reason: "its log is another than the one that was read: it has no such place (RESET MASTER, or a restored backup)",
			Remedy: "start the migration again with a new snapshot"}
	}
	if *text == "" {
		return nil, nil
	}
	out, err := parseDomains(*text)
	if err != nil {
		return nil, fmt.Errorf("the GTIDs of %s at %s:%d: %w", s.cfg.Host, file, pos, err)
	}
	return out, nil
}

// tag is that of the server that answers.
func (s *Source) tag(ctx context.Context) (string, error) {
	id, err := s.Identity(ctx)
	return tagOf(id), err
}

// place is the end of MariaDB's log, with what says on another server that it has been reached.
func (s *Source) place(ctx context.Context, file string, pos uint64) (p position, err error) {
	p = filePosition(file, pos)
	if p.on, err = s.tag(ctx); err != nil {
		return p, err
	}
	p.upto, err = s.newest(ctx)
	return p, err
}

// newest is the last transaction of each domain.
func (s *Source) newest(ctx context.Context) (out []domainGTID, err error) {
	var text string
	if err = s.db.QueryRowContext(ctx, "SELECT @@GLOBAL.gtid_binlog_pos").Scan(&text); err == nil && text != "" {
		out, err = parseDomains(text)
	}
	if err != nil {
		return nil, fmt.Errorf("ask %s for its GTIDs: %w", s.cfg.Host, err)
	}
	return out, nil
}

// translate finds where the log of the server that answers goes on from a place in another's. Stop says why it does not.
func (s *Source) translate(ctx context.Context, at *position, stop *capture.Stop) (position, error) {
	out := at.clone()
	end, err := s.newest(ctx)
	if err != nil {
		return out, err
	}
	need := slices.Clone(at.domains)
	if at.part.n > 0 {
		need = append(slices.DeleteFunc(need, func(g domainGTID) bool { return g.domain == at.part.domain }), at.part)
	}
	switch {
	case len(at.domains) == 0:
		stop.Reason = fmt.Sprintf("another server answers than the one that was read, and the place %s names no GTIDs", at)
		return out, stop
	case !within(need, end):
		stop.Reason = fmt.Sprintf("it lacks transactions that have been read: it has %s, and %s was read (a failover, a restored backup)", appendDomains(nil, end), appendDomains(nil, need))
		stop.Remedy = "connect it to a server that has them, or " + stop.Remedy
		return out, stop
	}
	files, err := s.binlogs(ctx)
	if err != nil {
		return out, err
	}
	for _, f := range slices.Backward(files) {
		begin, err := s.gtidsAt(ctx, f.name, 4)
		if err != nil {
			return out, err
		}
		if within(begin, at.domains) {
			out.file, out.pos, out.passing = f.name, 4, true
			out.on, err = s.tag(ctx)
			return out, err
		}
	}
	stop.Reason = fmt.Sprintf("binlogs that have not been read are purged: the oldest is %s, and %s was read", files[0].name, appendDomains(nil, at.domains))
	stop.Remedy += ", and raise binlog_expire_logs_seconds"
	return out, stop
}

// here is a position as a place in the log of the server that answers, and the transactions that come again from there.
func (s *Source) here(ctx context.Context, at position) (position, []domainGTID, error) {
	on, err := s.tag(ctx)
	if err != nil {
		return at, nil, err
	}
	stop := &capture.Stop{Position: at.String(), Object: s.cfg.Host, Remedy: "start the migration again with a new snapshot"}
	if at.on != "" && at.on != on {
		if at, err = s.translate(ctx, &at, stop); err != nil {
			return at, nil, err
		}
	}
	if at.upto = nil; len(at.domains) == 0 && !at.passing { // where a migration begins
		var gone *capture.Stop
		if at.domains, err = s.gtidsAt(ctx, at.file, at.pos); err != nil && !errors.As(err, &gone) { // a place that is gone the server refuses when it is asked for the log
			return at, nil, err
		}
	}
	if at.on = on; !at.passing {
		return at, nil, nil
	}
	past, err := s.behind(ctx, &at, stop)
	at.passing = len(past) > 0
	return at, past, err
}

// behind lists the transactions that have been read and come again from a place on.
func (s *Source) behind(ctx context.Context, at *position, stop *capture.Stop) (past []domainGTID, err error) {
	begin, err := s.gtidsAt(ctx, at.file, at.pos)
	if err != nil {
		return nil, err
	}
	for _, g := range at.domains {
		switch b := domainOf(begin, g.domain); {
		case b == g:
		case b.n >= g.n:
			stop.Reason = fmt.Sprintf("its log is another than the one that was read: at %s:%d stand the GTIDs %s, and %s was read", at.file, at.pos, appendDomains(nil, begin), appendDomains(nil, at.domains))
			return nil, stop
		default:
			past = append(past, g)
		}
	}
	return past, nil
}

// passed reports whether a transaction had been read before. The last one read of its domain must come, and be the same.
func (t *tail) passed(id domainGTID) (bool, error) {
	at := slices.IndexFunc(t.past, func(g domainGTID) bool { return g.domain == id.domain })
	if at < 0 {
		return false, nil
	}
	last := t.past[at]
	if id.n < last.n {
		return true, nil
	}
	if id != last {
		return false, t.stop("binlog", fmt.Sprintf("its history is another than the one that was read: %s comes where %s had been read", appendDomains(nil, []domainGTID{id}), appendDomains(nil, []domainGTID{last})),
			"connect it to a server that has what was read, or start the migration again with a new snapshot")
	}
	t.past = slices.Delete(t.past, at, at+1)
	t.pos.passing = len(t.past) > 0
	return true, nil
}

// pass leaves out an event of a transaction that had been read before.
func (t *tail) pass(e *event) error {
	end := false
	switch e.typ {
	case replication.XID_EVENT, replication.XA_PREPARE_LOG_EVENT:
		end = true
	case replication.MARIADB_QUERY_COMPRESSED_EVENT:
		end = !t.tx.open // what stands alone is one statement
	case replication.QUERY_EVENT:
		q, err := parseQuery(e.body)
		if err != nil {
			return t.damaged(err)
		}
		text := string(q.text)
		end = !t.tx.open || text == "COMMIT" || text == "ROLLBACK" || strings.HasPrefix(text, "XA COMMIT") || strings.HasPrefix(text, "XA ROLLBACK")
	}
	if end {
		t.tx = transaction{}
	}
	return nil
}
