package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// cpu is the processor time that a measurement took, user and system, by who took it. It depends less on what else the machine does than time does.
type cpu struct {
	Source time.Duration `json:"source"`
	Mover  time.Duration `json:"mover"` // crossfade; the program between SELECT and COPY; nothing for a subscription, whose worker is part of the target
	Target time.Duration `json:"target"`
}

func (c cpu) minus(o cpu) cpu {
	return cpu{c.Source - o.Source, c.Mover - o.Mover, c.Target - o.Target}
}
func (c cpu) sum() time.Duration { return c.Source + c.Mover + c.Target }

// tick is the unit of /proc/PID/stat on Linux, whatever the kernel's own.
const tick = 10 * time.Millisecond

// processCPU is the time of a server and of its children, those that have ended too. It is 0 where there is no /proc.
func processCPU(pid int) time.Duration {
	own, waited, _ := cpuOf(pid)
	total := own + waited
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is well formed
	for _, path := range stats {
		child, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			continue
		}
		if own, _, parent := cpuOf(child); parent == pid {
			total += own
		}
	}
	return total
}

// cpuOf reads the time that a process has taken, that of its children that it has waited for, and its parent. A process that is gone has taken none.
func cpuOf(pid int) (own, waited time.Duration, parent int) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, 0
	}
	_, rest, _ := bytes.Cut(b[bytes.LastIndexByte(b, ')'):], []byte(" ")) // the name may hold anything
	f := strings.Fields(string(rest))
	if len(f) < 15 {
		return 0, 0, 0
	}
	n := func(i int) time.Duration {
		v, err := strconv.ParseInt(f[i], 10, 64)
		if err != nil {
			return 0
		}
		return time.Duration(v) * tick
	}
	const ppid, utime, stime, cutime, cstime = 1, 11, 12, 13, 14
	return n(utime) + n(stime), n(cutime) + n(cstime), int(n(ppid) / tick)
}

// ownCPU is what this process has taken.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// machine says what this is run on, in words that name no machine.
func machine() string {
	s := fmt.Sprintf("%s/%s, %d cores", runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return s
	}
	for line := range strings.Lines(string(info)) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			return s + ", " + strings.TrimSpace(strings.TrimLeft(name, "\t :"))
		}
	}
	return s
}
