//go:build !linux

package main

import "syscall"

// dieWithParent: only Linux can do that. Elsewhere the daemon outlives this process when that is killed with SIGKILL.
func dieWithParent(*syscall.SysProcAttr) {}
