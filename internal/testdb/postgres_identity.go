package testdb

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"
)

// newSystemIdentifier gives a copy of a cluster an identity of its own: two servers with one identity would look like the
// same server to everything that asks for it. The cluster must be fresh from initdb: one WAL segment, shut down.
//
// The identifier is the first field of pg_control, which ends in a CRC-32C, and a field of the segment's first page.
func newSystemIdentifier(data string) error {
	path := filepath.Join(data, "global", "pg_control")
	control, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read the identity of a cluster: %w", err)
	}
	table := crc32.MakeTable(crc32.Castagnoli)
	end := 0 // where the checksum is: its place depends on the version
	for i := 64; i+4 <= len(control) && i < 1024; i += 4 {
		if crc32.Checksum(control[:i], table) == binary.NativeEndian.Uint32(control[i:]) {
			end = i
			break
		}
	}
	if end == 0 {
		return fmt.Errorf("%s has no checksum where one is expected", path)
	}
	old := binary.NativeEndian.Uint64(control)
	id := uint64(time.Now().Unix())<<32 | uint64(rand.Uint32())
	binary.NativeEndian.PutUint64(control, id)
	binary.NativeEndian.PutUint32(control[end:], crc32.Checksum(control[:end], table))

	segments, err := filepath.Glob(filepath.Join(data, "pg_wal", "0000000?????????????????"))
	if err != nil || len(segments) != 1 {
		return fmt.Errorf("%s has %d WAL segments, want 1 (%w)", data, len(segments), err)
	}
	wal, err := os.OpenFile(segments[0], os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer wal.Close()
	const place = 24 // xlp_sysid in XLogLongPageHeaderData
	var found [8]byte
	if _, err := wal.ReadAt(found[:], place); err != nil {
		return err
	}
	if got := binary.NativeEndian.Uint64(found[:]); got != old {
		return fmt.Errorf("%s belongs to cluster %d, pg_control to %d", segments[0], got, old)
	}
	if _, err := wal.WriteAt(binary.NativeEndian.AppendUint64(nil, id), place); err != nil {
		return err
	}
	return os.WriteFile(path, control, 0o600)
}
