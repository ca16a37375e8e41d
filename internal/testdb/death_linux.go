package testdb

import "syscall"

// dieWithParent makes the kernel send a signal to the child when the thread that started it ends.
func dieWithParent(attr *syscall.SysProcAttr, sig syscall.Signal) { attr.Pdeathsig = sig }

// freeSharedMemory removes a System V segment, which a killed PostgreSQL leaves to the next start on its directory.
func freeSharedMemory(id int) error {
	const ipcRmid = 0
	_, _, errno := syscall.Syscall(syscall.SYS_SHMCTL, uintptr(id), ipcRmid, 0)
	if errno != 0 && errno != syscall.EINVAL && errno != syscall.EIDRM {
		return errno
	}
	return nil
}
