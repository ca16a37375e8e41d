package testdb

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// dieWithParent makes the kernel send a signal to the child when the thread that started it ends.
func dieWithParent(attr *syscall.SysProcAttr, sig syscall.Signal) { attr.Pdeathsig = sig }

// freeSharedMemory removes a System V segment, which a killed PostgreSQL leaves to the next start on its directory. Ids
// come again after a reboot, so it must be the segment that was meant, and nobody may be using it.
func freeSharedMemory(key int32, id int) error {
	var segment unix.SysvShmDesc
	_, err := unix.SysvShmCtl(id, unix.IPC_STAT, &segment)
	if err == nil && (segment.Perm.Key != key || segment.Nattch != 0) {
		return nil
	}
	if err == nil {
		_, err = unix.SysvShmCtl(id, unix.IPC_RMID, nil)
	}
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EIDRM) || errors.Is(err, unix.EACCES) {
		return nil // gone, or of somebody else
	}
	return err
}
