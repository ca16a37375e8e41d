package testdb

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAKilledPostgresLeavesNoSharedMemory(t *testing.T) {
	s, err := StartPostgres(t.Context(), "", os.Stderr, 18)
	if err != nil {
		t.Fatal(err)
	}
	lock, err := os.ReadFile(filepath.Join(s.DataDir(), "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	var key uint64
	var id int
	if _, err := fmt.Sscan(strings.Split(string(lock), "\n")[6], &key, &id); err != nil {
		t.Fatal(err)
	}
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	var segment unix.SysvShmDesc
	if _, err := unix.SysvShmCtl(id, unix.IPC_STAT, &segment); err != nil {
		t.Fatalf("segment %d after SIGKILL: %v: the test proves nothing", id, err)
	}
	if err := s.destroy(); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.SysvShmCtl(id, unix.IPC_STAT, &segment); !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.EIDRM) {
		t.Errorf("segment %d is still there (%v)", id, err)
	}
}
