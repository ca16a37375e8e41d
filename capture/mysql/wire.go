package mysql

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-sql-driver/mysql"
)

// wire is a session for reading many rows: go-mysql makes the connection and authenticates, then the packets are read here, straight out of one
// buffer. database/sql and the drivers' own row types cost an allocation or a copy per value.
type wire struct {
	nc      net.Conn
	id      uint32 // the server's number of the session
	timeout time.Duration
	seq     byte

	buf  []byte // what has been received: buf[r:w]
	r, w int
	big  []byte // a packet of 16 MiB and more, put together

	// dirty says that an answer of the server has not been read to its end: the session can only be closed.
	dirty bool
}

const (
	wireBuffer = 256 << 10
	maxPiece   = 1<<24 - 1 // a packet of this size is continued by the next
)

// dialWire opens a session.
func dialWire(ctx context.Context, cfg Config, timeout time.Duration) (*wire, error) {
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := cfg.dialer().DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		// The handshake does not look at the context.
		return nc, nc.SetDeadline(time.Now().Add(connectTimeout))
	}
	c, err := client.ConnectWithDialer(ctx, "tcp", cfg.Host, cfg.User, cfg.Password, cfg.Database, dial, func(c *client.Conn) error {
		// Without these two a result ends and a query begins in one way only.
		c.UnsetCapability(gomysql.CLIENT_DEPRECATE_EOF)
		c.UnsetCapability(gomysql.CLIENT_QUERY_ATTRIBUTES)
		c.SetAttributes(map[string]string{"program_name": "crossfade"})
		if cfg.TLS != nil {
			c.SetTLSConfig(cfg.TLS)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("connect to MySQL at %s: %w", cfg.Host, cfg.explain(err))
	}
	w := &wire{nc: c.Conn.Conn, id: c.GetConnectionID(), timeout: timeout, buf: make([]byte, wireBuffer)}
	if err := w.nc.SetDeadline(time.Time{}); err != nil {
		w.nc.Close()
		return nil, err
	}
	return w, nil
}

func (w *wire) close() { w.nc.Close() }

// fill makes at least n bytes available at buf[r:].
func (w *wire) fill(n int) error {
	if w.w-w.r >= n {
		return nil
	}
	if len(w.buf)-w.r < n {
		w.room(n)
	}
	for w.w-w.r < n {
		if err := w.nc.SetReadDeadline(time.Now().Add(w.timeout)); err != nil {
			return err
		}
		got, err := w.nc.Read(w.buf[w.w:])
		w.w += got
		if err != nil && w.w-w.r < n {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("read from server: %w", err)
		}
	}
	return nil
}

// room makes place for n bytes at buf[r:], of which some are there.
func (w *wire) room(n int) {
	buf := w.buf
	if len(buf) < n {
		buf = make([]byte, n+wireBuffer)
	} else if len(buf) > 4<<20 && n <= wireBuffer { // one large row must not hold its memory for ever
		buf = make([]byte, wireBuffer)
	}
	w.w = copy(buf, w.buf[w.r:w.w])
	w.buf, w.r = buf, 0
}

// missing is how many bytes must be at buf[r:] to know more of the next piece: 0 when all of it is there.
func (w *wire) missing() int {
	have := w.buf[w.r:w.w]
	if len(have) < 4 {
		return 4
	}
	n := 4 + (int(have[0]) | int(have[1])<<8 | int(have[2])<<16)
	if len(have) < n {
		return n
	}
	return 0
}

// packet returns the next packet, valid until the next call.
func (w *wire) packet() ([]byte, error) {
	p, more, err := w.piece()
	if err != nil || !more {
		if cap(w.big) > 4*maxPiece {
			w.big = nil
		}
		return p, err
	}
	w.big = append(w.big[:0], p...)
	for more {
		if p, more, err = w.piece(); err != nil {
			return nil, err
		}
		w.big = append(w.big, p...)
	}
	return w.big, nil
}

func (w *wire) piece() (p []byte, more bool, err error) {
	if err := w.fill(4); err != nil {
		return nil, false, err
	}
	h := w.buf[w.r:]
	n := int(h[0]) | int(h[1])<<8 | int(h[2])<<16
	if h[3] != w.seq {
		return nil, false, fmt.Errorf("read from server: packet %d where %d was expected", h[3], w.seq)
	}
	w.seq++
	if err := w.fill(4 + n); err != nil {
		return nil, false, err
	}
	p = w.buf[w.r+4 : w.r+4+n]
	w.r += 4 + n
	return p, n == maxPiece, nil
}

func (w *wire) send(stmt string) error { return w.command(gomysql.COM_QUERY, stmt) }

func (w *wire) command(code byte, body string) error {
	n := len(body) + 1
	if n >= maxPiece {
		return fmt.Errorf("statement of %d bytes", len(body))
	}
	if w.dirty {
		return errors.New("a statement before the result of the last one was read")
	}
	w.dirty = true
	b := make([]byte, 5, 5+len(body))
	b[0], b[1], b[2], b[4] = byte(n), byte(n>>8), byte(n>>16), code
	w.seq, w.r, w.w = 1, 0, 0
	if err := w.nc.SetWriteDeadline(time.Now().Add(w.timeout)); err != nil {
		return err
	}
	if _, err := w.nc.Write(append(b, body...)); err != nil {
		return fmt.Errorf("send to server: %w", err)
	}
	return nil
}

// exec runs a statement that returns no rows.
func (w *wire) exec(stmt string) error {
	if err := w.send(stmt); err != nil {
		return err
	}
	return w.done()
}

// done reads the answer to a command that returns no rows.
func (w *wire) done() error {
	p, err := w.packet()
	if err != nil {
		return err
	}
	switch {
	case len(p) > 0 && p[0] == gomysql.ERR_HEADER:
		return w.failed(p)
	case len(p) > 0 && p[0] == gomysql.OK_HEADER:
		w.dirty = false
		return nil
	default:
		return errors.New("a result where none was expected")
	}
}

// query runs a statement that returns rows. fields sees the columns before the first row; row gets each row in the text protocol's form, valid until it
// returns.
func (w *wire) query(stmt string, fields func([]gomysql.Field) error, row func([]byte) error) error {
	if err := w.send(stmt); err != nil {
		return err
	}
	p, err := w.packet()
	if err != nil {
		return err
	}
	if len(p) == 0 {
		return errors.New("empty packet")
	}
	if p[0] == gomysql.ERR_HEADER {
		return w.failed(p)
	}
	n, _, l := gomysql.LengthEncodedInt(p)
	if n == 0 || l != len(p) {
		return errors.New("no result where one was expected")
	}
	cols := make([]gomysql.Field, n)
	for i := range cols {
		if p, err = w.packet(); err != nil {
			return err
		}
		if len(p) > 0 && p[0] == gomysql.ERR_HEADER {
			return w.failed(p)
		}
		if err := cols[i].Parse(bytes.Clone(p)); err != nil {
			return fmt.Errorf("column %d of result: %w", i+1, err)
		}
	}
	if p, err = w.packet(); err != nil {
		return err
	}
	if !isEOF(p) {
		return errors.New("column descriptions do not end")
	}
	if fields != nil {
		if err := fields(cols); err != nil {
			return err
		}
	}
	for {
		if p, err = w.packet(); err != nil {
			return err
		}
		if len(p) == 0 {
			return errors.New("empty packet in a result")
		}
		if p[0] >= gomysql.EOF_HEADER { // a row begins so only when its first value has 16 MiB
			if isEOF(p) {
				w.dirty = false
				return nil
			}
			if p[0] == gomysql.ERR_HEADER {
				return w.failed(p)
			}
		}
		if err := row(p); err != nil {
			return err
		}
	}
}

func isEOF(p []byte) bool { return len(p) > 0 && len(p) < 9 && p[0] == gomysql.EOF_HEADER }

// failed ends an answer by its error packet.
func (w *wire) failed(p []byte) error {
	w.dirty = false
	return serverError(p)
}

// serverError reads an error packet into the error type that database/sql returns too.
func serverError(p []byte) error {
	e := new(mysql.MySQLError)
	if len(p) < 3 {
		return errors.New("error packet cut short")
	}
	e.Number = binary.LittleEndian.Uint16(p[1:])
	p = p[3:]
	if len(p) >= 6 && p[0] == '#' {
		copy(e.SQLState[:], p[1:6])
		p = p[6:]
	}
	e.Message = string(p)
	return e
}

// texts is a row in the text protocol's form, read value by value.
type texts []byte

var errCutRow = errors.New("row is cut short")

// next returns the next value, nil for NULL.
func (t *texts) next() (v []byte, null bool, err error) {
	b := *t
	if len(b) == 0 {
		return nil, false, errCutRow
	}
	n, l := int(b[0]), 1
	switch b[0] {
	case 0xfb:
		*t = b[1:]
		return nil, true, nil
	case 0xfc:
		if len(b) < 3 {
			return nil, false, errCutRow
		}
		n, l = int(b[1])|int(b[2])<<8, 3
	case 0xfd:
		if len(b) < 4 {
			return nil, false, errCutRow
		}
		n, l = int(b[1])|int(b[2])<<8|int(b[3])<<16, 4
	case 0xfe:
		if len(b) < 9 {
			return nil, false, errCutRow
		}
		n, l = int(binary.LittleEndian.Uint64(b[1:])), 9
	case 0xff:
		return nil, false, fmt.Errorf("row with a value length of 0xff")
	}
	if n < 0 || n > len(b)-l {
		return nil, false, errCutRow
	}
	*t = b[l+n:]
	return b[l : l+n : l+n], false, nil
}

// one runs a statement that returns one row of one column, and returns it as text; ok is false for NULL.
func (w *wire) one(stmt string) (s string, ok bool, err error) {
	rows := 0
	err = w.query(stmt, nil, func(p []byte) error {
		rows++
		t := texts(p)
		v, null, err := t.next()
		s, ok = string(v), !null
		return err
	})
	if err == nil && rows != 1 {
		err = fmt.Errorf("%d rows instead of one", rows)
	}
	return s, ok, err
}
