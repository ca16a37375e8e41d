package mysql

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// payload reads the events of a compressed transaction one at a time. Only one event and the window of the compression are in memory, however
// large the transaction is: 50 kB can unfold to 500 MB.
type payload struct {
	zstd *zstd.Decoder
	r    io.Reader
	left uint64 // bytes of events that have not been read
	buf  []byte
}

const (
	// maxWindow is the largest window of MySQL's highest compression level.
	maxWindow = 128 << 20
	// keepBuffer: a larger buffer is not kept for the next event.
	keepBuffer = 4 << 20

	payloadZstd = 0
	payloadNone = 255
)

// open starts the reading of the body of a TRANSACTION_PAYLOAD_EVENT, which must stay unchanged until the end.
func (p *payload) open(body []byte) error {
	c := cursor{b: body}
	algorithm, size, whole := uint64(payloadZstd), uint64(0), uint64(0)
	seen := 0
	for {
		kind := c.packed()
		if kind == 0 || c.short {
			break
		}
		f := cursor{b: c.sized()}
		switch kind {
		case 1:
			size = f.packed()
		case 2:
			algorithm = f.packed()
		case 3:
			whole = f.packed()
		default:
			return fmt.Errorf("compressed transaction with an unknown field %d", kind)
		}
		c.short = c.short || f.short
		seen |= 1 << min(kind, 8)
	}
	if c.short || seen&2 == 0 || size != uint64(len(c.b)) {
		return errShort
	}
	switch algorithm {
	case payloadNone:
		p.r, p.left = bytes.NewReader(c.b), size
		return nil
	case payloadZstd:
	default:
		return fmt.Errorf("transaction compressed by an unknown method %d", algorithm)
	}
	if seen&8 == 0 {
		return errShort
	}
	p.left = whole
	if p.zstd == nil {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return err
		}
		p.zstd = d
	}
	if err := p.zstd.Reset(bytes.NewReader(c.b)); err != nil {
		return err
	}
	p.r = p.zstd
	return nil
}

// next returns the next event, valid until the call after; io.EOF at the end of the transaction.
func (p *payload) next() ([]byte, error) {
	if p.left == 0 {
		var more [1]byte
		if n, err := p.r.Read(more[:]); n != 0 || err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("compressed transaction is longer than it says: %w", errors.Join(errShort, err))
		}
		p.r = nil
		return nil, io.EOF
	}
	if cap(p.buf) < headerSize || cap(p.buf) > keepBuffer {
		p.buf = make([]byte, 0, 16<<10)
	}
	p.buf = p.buf[:headerSize]
	if err := p.fill(p.buf); err != nil {
		return nil, err
	}
	size := binary.LittleEndian.Uint32(p.buf[9:])
	if size < headerSize || uint64(size-headerSize) > p.left {
		return nil, fmt.Errorf("compressed transaction: event of %d bytes with %d left", size, p.left)
	}
	// A damaged size must not allocate what is not there: the buffer grows with what arrives.
	for at := headerSize; at < int(size); at = len(p.buf) {
		n := min(int(size), max(cap(p.buf), 2*at))
		if n > cap(p.buf) {
			grown := make([]byte, at, n)
			copy(grown, p.buf)
			p.buf = grown
		}
		p.buf = p.buf[:n]
		if err := p.fill(p.buf[at:]); err != nil {
			return nil, err
		}
	}
	return p.buf, nil
}

func (p *payload) fill(b []byte) error {
	if uint64(len(b)) > p.left {
		return errShort
	}
	n, err := io.ReadFull(p.r, b)
	p.left -= uint64(n)
	if err != nil {
		return fmt.Errorf("unpack a compressed transaction: %w", errors.Join(errShort, err))
	}
	return nil
}

func (p *payload) active() bool { return p.r != nil }

func (p *payload) close() {
	if p.zstd != nil {
		p.zstd.Close()
	}
	p.r = nil
}
