package change

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
)

// FrameKind says what a frame carries. The numbers are part of the frame format.
type FrameKind uint8

const (
	Changes FrameKind = iota + 1 // row changes of committed transactions
	Chunk                        // rows read by the snapshot
	Control                      // a control message, in Meta; no rows
	Part                         // a piece of a frame too large for one message
	frameKinds
)

var frameKindNames = [frameKinds]string{"", "changes", "chunk", "control", "part"}

func (k FrameKind) String() string {
	if k > 0 && k < frameKinds {
		return frameKindNames[k]
	}
	return fmt.Sprintf("frame(%d)", uint8(k))
}

// Flags of a frame.
type Flags uint16

const (
	// TxEnd: behind the frame the stream stands between two source transactions. Behind a frame without it, it may stand inside one.
	TxEnd Flags = 1 << iota
	// FirstPart and LastPart: the first and the last piece of a frame that was cut; see [Part].
	FirstPart
	LastPart
)

// StreamID names one stream for its whole life. A recreated stream has another.
type StreamID [16]byte

func (s StreamID) String() string { return hex.EncodeToString(s[:]) }

const (
	magic0, magic1 = 'X', 'F'
	frameVersion   = 1
	headerSize     = 68

	// MaxFrame is the largest frame that is sent as one message; larger ones are cut into parts. It must stay below the broker's payload limit
	// of 8 MiB.
	MaxFrame = 4 << 20
)

// Header is what every frame starts with.
type Header struct {
	Kind   FrameKind
	Flags  Flags
	Stream StreamID
	Seq    uint64 // stream sequence of the message
	Prev   uint64 // checksum of the frame before
	Sum    uint64 // checksum of this frame
	// Time is the commit time on the source of the newest change, in microseconds since 1970; 0 when unknown.
	Time  int64
	Count uint32 // changes in it
}

// Frame is a parsed frame. Its slices alias the bytes it was parsed from.
type Frame struct {
	Header
	// Position is the source position after this frame; opaque to all but the source engine. Every frame carries one, also those that do not move it.
	Position []byte
	Meta     []byte // JSON, see [ControlMessage] and [ChunkMeta]
	Payload  []byte
}

// ErrCorrupt is wrapped by the errors of [Parse] about a damaged frame.
var ErrCorrupt = errors.New("frame is damaged")

// Layout, little endian:
//
//	0 magic "XF" | 2 version | 3 kind | 4 flags u16 | 6 zero u16 | 8 stream id [16] | 24 seq u64 | 32 prev u64 | 40 sum u64
//	48 time i64 | 56 count u32 | 60 position length u32 | 64 meta length u32 | 68 position | meta | payload
func appendHeader(dst []byte, kind FrameKind, flags Flags, time int64, count, pos, meta int) []byte {
	var h [headerSize]byte
	h[0], h[1], h[2], h[3] = magic0, magic1, frameVersion, byte(kind)
	binary.LittleEndian.PutUint16(h[4:], uint16(flags))
	binary.LittleEndian.PutUint64(h[48:], uint64(time))
	binary.LittleEndian.PutUint32(h[56:], uint32(count))
	binary.LittleEndian.PutUint32(h[60:], uint32(pos))
	binary.LittleEndian.PutUint32(h[64:], uint32(meta))
	return append(dst, h[:]...)
}

// Seal writes the frame's place into it and returns its checksum. Only the stream calls it, in the moment it publishes the frame.
func Seal(frame []byte, id StreamID, seq, prev uint64) (sum uint64, err error) {
	if len(frame) < headerSize {
		return 0, fmt.Errorf("seal frame %d: %w: %d bytes", seq, ErrCorrupt, len(frame))
	}
	copy(frame[8:24], id[:])
	binary.LittleEndian.PutUint64(frame[24:], seq)
	binary.LittleEndian.PutUint64(frame[32:], prev)
	sum = checksum(frame)
	binary.LittleEndian.PutUint64(frame[40:], sum)
	return sum, nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(frame []byte) uint64 {
	var zero [8]byte
	a := crc32.Update(0, castagnoli, frame[:40])
	a = crc32.Update(a, castagnoli, zero[:])
	a = crc32.Update(a, castagnoli, frame[48:])
	b := crc32.Update(0, crc32.IEEETable, frame[:40])
	b = crc32.Update(b, crc32.IEEETable, zero[:])
	b = crc32.Update(b, crc32.IEEETable, frame[48:])
	return uint64(a)<<32 | uint64(b)
}

// Parse reads a sealed frame and checks its checksum. The frame's slices alias b.
func Parse(b []byte) (Frame, error) {
	var f Frame
	if len(b) < headerSize || b[0] != magic0 || b[1] != magic1 {
		return f, fmt.Errorf("%w: not a frame", ErrCorrupt)
	}
	if b[2] != frameVersion {
		return f, fmt.Errorf("frame format %d, this program reads format %d: run the version that wrote it", b[2], frameVersion)
	}
	f.Kind = FrameKind(b[3])
	f.Flags = Flags(binary.LittleEndian.Uint16(b[4:]))
	copy(f.Stream[:], b[8:24])
	f.Seq = binary.LittleEndian.Uint64(b[24:])
	f.Prev = binary.LittleEndian.Uint64(b[32:])
	f.Sum = binary.LittleEndian.Uint64(b[40:])
	f.Time = int64(binary.LittleEndian.Uint64(b[48:]))
	f.Count = binary.LittleEndian.Uint32(b[56:])
	pos, meta := uint64(binary.LittleEndian.Uint32(b[60:])), uint64(binary.LittleEndian.Uint32(b[64:]))
	if sum := checksum(b); sum != f.Sum {
		return f, fmt.Errorf("%w: frame %d has checksum %016x, computed %016x", ErrCorrupt, f.Seq, f.Sum, sum)
	}
	if f.Kind == 0 || f.Kind >= frameKinds {
		return f, fmt.Errorf("%w: frame %d has unknown kind %d", ErrCorrupt, f.Seq, b[3])
	}
	if headerSize+pos+meta > uint64(len(b)) {
		return f, fmt.Errorf("%w: frame %d is cut short", ErrCorrupt, f.Seq)
	}
	rest := b[headerSize:]
	f.Position, rest = rest[:pos:pos], rest[pos:]
	f.Meta, f.Payload = rest[:meta:meta], rest[meta:]
	return f, nil
}
