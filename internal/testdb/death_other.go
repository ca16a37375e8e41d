//go:build !linux

package testdb

import "syscall"

// dieWithParent does nothing where the kernel has no parent-death signal; the reaper is what remains.
func dieWithParent(*syscall.SysProcAttr, syscall.Signal) {}

func freeSharedMemory(int32, int) error { return nil }
