package mysql

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"strings"
	"time"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/crossfade-io/crossfade/capture"
	"github.com/crossfade-io/crossfade/internal/change"
)

// dump is the session that the server sends its log over. An event is read when it is asked for, straight out of the session's buffer: nothing is
// copied or allocated for it. What the decoder has not asked for yet waits in the buffers of the network, and then on the server.
type dump struct {
	w       *wire
	from    *position
	silence time.Duration // after how long a server that says nothing is given up
	waiting time.Time     // since when it has said nothing while we listened; zero: it has said something
	big     []byte        // what has come of an event of 16 MiB and more
}

const (
	defaultHeartbeat   = time.Second
	defaultReadTimeout = 35 * time.Second
	// patience is how long the server shall wait for a reader that is held up by a full stream, before it ends the connection.
	patience = 24 * time.Hour
)

// openDump asks the server for its log from a position on.
// server is who must answer there; empty: anybody.
func openDump(ctx context.Context, cfg Config, server identified, from *position, log *slog.Logger) (*dump, error) {
	if cfg.ServerID == 0 {
		return nil, errors.New("read the binlog: no server id is configured")
	}
	w, err := dialWire(ctx, cfg, connectTimeout)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, classifyDumpError(err, from)
	}
	log.Debug("binlog session", "session", w.id)
	d := &dump{w: w, from: from, silence: orDefault(cfg.ReadTimeout, defaultReadTimeout)}
	stop := context.AfterFunc(ctx, w.close)
	err = d.start(cfg, server)
	if !stop() {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		w.close()
		return nil, classifyDumpError(err, from)
	}
	return d, nil
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}

// identified is a server by what it answers to a query.
type identified struct{ query, as string }

// start makes the session one of a replica.
func (d *dump) start(cfg Config, server identified) error {
	if server.as != "" {
		id, _, err := d.w.one(server.query)
		if err != nil {
			return err
		}
		if id != server.as {
			return fmt.Errorf("server %s answers where %s did a moment ago", id, server.as)
		}
	}
	request, command, err := d.request(cfg.ServerID)
	if err != nil {
		return err
	}
	var mariadb []string
	if cfg.Engine == change.MariaDB { // that we know its own events
		mariadb = []string{"SET @mariadb_slave_capability = 4"}
	}
	for _, stmt := range append(mariadb,
		fmt.Sprintf("SET SESSION net_write_timeout = %d", int(patience.Seconds())),
		// The first event, which no file holds, comes without a checksum then; those of the files come with theirs.
		"SET @source_binlog_checksum = 'NONE', @master_binlog_checksum = 'NONE'",
		fmt.Sprintf("SET @source_heartbeat_period = %[1]d, @master_heartbeat_period = %[1]d", orDefault(cfg.Heartbeat, defaultHeartbeat).Nanoseconds()),
		fmt.Sprintf("SET @replica_uuid = '%[1]s', @slave_uuid = '%[1]s'", newUUID()),
	) {
		if err := d.w.exec(stmt); err != nil {
			return err
		}
	}
	if err := d.w.command(gomysql.COM_REGISTER_SLAVE, registration(cfg.ServerID)); err != nil {
		return err
	}
	if err := d.w.done(); err != nil {
		return err
	}
	return d.w.command(command, request)
}

// newUUID is a version 4 UUID: to the server each session is a replica of its own.
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// registration is what SHOW REPLICAS shows of us.
func registration(id uint32) string {
	const host = "crossfade"
	b := binary.LittleEndian.AppendUint32(nil, id)
	b = append(append(b, byte(len(host))), host...)
	return string(append(b, make([]byte, 1+1+2+4+4)...)) // no user, no password, port 0, rank, id of the source
}

// request is the command that asks for the log.
func (d *dump) request(id uint32) (body string, command byte, err error) {
	if d.from.byFile {
		if d.from.pos > math.MaxUint32 {
			return "", 0, fmt.Errorf("the offset %d in %s is beyond what the protocol can name; use gtid_mode=ON", d.from.pos, d.from.file)
		}
		b := binary.LittleEndian.AppendUint32(nil, max(4, uint32(d.from.pos)))
		b = append(b, 0, 0) // flags
		b = binary.LittleEndian.AppendUint32(b, id)
		return string(append(b, d.from.file...)), gomysql.COM_BINLOG_DUMP, nil
	}
	set, err := gomysql.ParseMysqlGTIDSet(d.from.set.String())
	if err != nil {
		return "", 0, err
	}
	encoded := set.Encode()
	b := []byte{0, 0} // flags
	b = binary.LittleEndian.AppendUint32(b, id)
	b = binary.LittleEndian.AppendUint32(b, 0) // no file:
	b = binary.LittleEndian.AppendUint64(b, 4) // from the first that has something for us
	b = binary.LittleEndian.AppendUint32(b, uint32(len(encoded)))
	return string(append(b, encoded...)), gomysql.COM_BINLOG_DUMP_GTID, nil
}

// next returns the next event, valid until the next call. When ctx ends first nothing is lost.
func (d *dump) next(ctx context.Context) ([]byte, error) {
	for {
		if need := d.w.missing(); need > 0 {
			if err := d.receive(ctx, need); err != nil {
				return nil, err
			}
			continue
		}
		p, more, err := d.w.piece()
		switch {
		case err != nil:
			return nil, &lostError{err}
		case more || d.big != nil:
			if d.big = append(d.big, p...); more {
				continue
			}
			p, d.big = d.big, nil
		}
		return d.event(p)
	}
}

func (d *dump) event(p []byte) ([]byte, error) {
	switch {
	case len(p) == 0:
		return nil, &lostError{errors.New("an empty packet")}
	case p[0] == gomysql.OK_HEADER:
		return p[1:], nil
	case p[0] == gomysql.ERR_HEADER:
		return nil, classifyDumpError(serverError(p), d.from)
	case isEOF(p):
		return nil, &lostError{errors.New("the server has ended it")}
	default:
		return nil, &lostError{fmt.Errorf("a packet that begins with %#x", p[0])}
	}
}

// receive waits until something has come. Need is how much there must be at least to go on.
func (d *dump) receive(ctx context.Context, need int) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	now := time.Now()
	if d.waiting.IsZero() {
		d.waiting = now
	}
	end := d.waiting.Add(d.silence)
	if soon := now.Add(time.Second); end.Before(soon) { // something may have come while nobody listened
		end = soon
	}
	until, bounded := ctx.Deadline()
	if bounded && until.Before(end) {
		end = until
	}
	if d.w.r > 0 || len(d.w.buf) < need {
		d.w.room(need)
	}
	if err := d.w.nc.SetReadDeadline(end); err != nil {
		return &lostError{err}
	}
	stop := context.AfterFunc(ctx, func() { _ = d.w.nc.SetReadDeadline(time.Unix(1, 0)) }) // one that is closed does not wait
	n, err := d.w.nc.Read(d.w.buf[d.w.w:])
	stop()
	d.w.w += n
	switch {
	case n > 0:
		d.waiting = time.Time{}
		return nil
	case err == nil:
		return nil
	case errors.Is(err, io.EOF):
		return &lostError{io.ErrUnexpectedEOF}
	case !errors.Is(err, os.ErrDeadlineExceeded):
		return &lostError{err}
	case bounded && !time.Now().Before(until):
		<-ctx.Done() // at any moment
		return ctx.Err()
	case ctx.Err() != nil:
		return ctx.Err()
	case time.Since(d.waiting) >= d.silence:
		return &lostError{fmt.Errorf("nothing was heard for %s", d.silence)}
	default: // the end of an earlier wait came late
		return nil
	}
}

// close ends the connection. The server notices with its next heartbeat.
func (d *dump) close() { d.w.close() }

// lostError is a connection that is gone. It does not unwrap: a caller that waits with a deadline must never take a timeout of the network for its own.
type lostError struct{ err error }

func (e *lostError) Error() string { return fmt.Sprintf("the binlog connection was lost: %v", e.err) }

// erReadingBinlog: the server cannot send its log from the position asked for.
const erReadingBinlog = 1236

func classifyDumpError(err error, from *position) error {
	code := serverErrorNumber(err)
	stop := &capture.Stop{Position: from.String(), Object: "binlog", Reason: fmt.Sprintf("the server refuses to send it: %v", err)}
	switch code {
	case erAccessDenied:
		stop.Remedy = "check user and password of source.url, and resume"
	case erPrivilegeNeeded:
		stop.Remedy = "GRANT REPLICATION SLAVE ON *.* to the user of source.url, and resume"
	case erReadingBinlog:
		if strings.Contains(err.Error(), "same server_") { // another connection of ours took over, or a replica has our number
			return &lostError{err}
		}
		stop.Remedy = "if the binlog was purged, renamed or damaged the changes since are lost to this migration: keep it longer (binlog_expire_logs_seconds) and start again with a new snapshot"
	default:
		return &lostError{err}
	}
	return stop
}
