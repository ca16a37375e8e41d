package testdb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// house is where this process keeps its servers: one directory, removed with everything in it at the end.
type house struct {
	dir    string
	cache  cache
	id     identity
	lock   *os.File
	reaper *exec.Cmd
	leash  io.Closer // the reaper acts when this end of the pipe closes

	mu      sync.Mutex
	count   int
	servers map[*server]struct{}
}

var (
	theHouse   *house
	theHouseMu sync.Mutex
)

// openHouse returns the house of this process, and makes it at the first call.
func openHouse(ctx context.Context) (*house, error) {
	theHouseMu.Lock()
	defer theHouseMu.Unlock()
	if theHouse != nil {
		return theHouse, nil
	}
	h, err := newHouse(ctx)
	if err != nil {
		return nil, fmt.Errorf("prepare a directory for servers: %w", err)
	}
	theHouse = h
	return h, nil
}

func newHouse(ctx context.Context) (*house, error) {
	id, err := servingIdentity()
	if err != nil {
		return nil, err
	}
	c, err := openCache(id)
	if err != nil {
		return nil, err
	}
	tmp := os.TempDir()
	if !id.reaches(tmp) {
		tmp = "/var/tmp"
	}
	prefix := fmt.Sprintf("crossfade-testdb-%d-", os.Geteuid())

	// Under this lock nobody else takes our directory, not locked yet, for one left behind.
	gate, err := lock(ctx, filepath.Join(c.dir, "run.lock"))
	if err != nil {
		return nil, err
	}
	defer gate.Close()
	if err := removeStale(filepath.Join(tmp, prefix+"*")); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(tmp, fmt.Sprintf("%s%d-", prefix, os.Getpid()))
	if err != nil {
		return nil, err
	}
	h := &house{dir: dir, cache: c, id: id, servers: map[*server]struct{}{}}
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if h.lock, err = tryLock(filepath.Join(dir, "lock")); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := h.startReaper(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return h, nil
}

// removeStale removes run directories whose process is gone. Their reaper does it as a rule; this is for those that died
// with it, or with the machine.
func removeStale(pattern string) error {
	dirs, err := filepath.Glob(pattern)
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		info, err := os.Lstat(dir)
		if err != nil {
			continue // its reaper was faster
		}
		if st, ok := info.Sys().(*syscall.Stat_t); !info.IsDir() || !ok || int(st.Uid) != os.Geteuid() {
			continue
		}
		held, err := tryLock(filepath.Join(dir, "lock"))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if held == nil {
			continue // alive
		}
		killIn(dir)
		data, err := filepath.Glob(filepath.Join(dir, "*", "data"))
		for _, d := range data {
			err = errors.Join(err, freeLeftMemory(d))
		}
		if err != nil {
			return errors.Join(err, held.Close())
		}
		err = os.RemoveAll(dir)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ENOTEMPTY) {
			err = nil // its reaper is at the same work
		}
		if err := errors.Join(err, held.Close()); err != nil {
			return fmt.Errorf("remove what a dead process left: %w", err)
		}
	}
	return nil
}

// The reaper: reads until the test process is gone, gives servers a moment to follow the parent-death signal, kills
// those left, frees the shared memory of a killed PostgreSQL and removes the directory. Servers and their children are
// known by their working directory, which lies in the run directory.
const reaperScript = `
dir=$1
cat >/dev/null
n=0
while [ $n -lt 150 ]; do
  alive=
  for p in /proc/[0-9]*; do
    case $(readlink "$p/cwd" 2>/dev/null) in
      "$dir"/*) alive=1; [ $n -lt 20 ] || kill -9 "${p#/proc/}" 2>/dev/null;;
    esac
  done
  [ -n "$alive" ] || break
  n=$((n+1))
  sleep 0.1
done
for f in "$dir"/*/data/postmaster.pid; do
  [ -f "$f" ] && ipcrm -m "$(sed -n 7p "$f" | awk '{print $2}')" 2>/dev/null
done
rm -rf "$dir"
`

func (h *house) startReaper() error {
	cmd := exec.Command("/bin/sh", "-c", reaperScript, "crossfade-testdb-reaper", h.dir)
	cmd.Dir = "/"
	// Its own session: a terminal's interrupt or a killed process group must not take it along.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	leash, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the process that cleans up after this one: %w", err)
	}
	h.reaper, h.leash = cmd, leash
	return nil
}

// newDir makes the directory of one server.
func (h *house) newDir(kind string) (string, error) {
	h.mu.Lock()
	h.count++
	n := h.count
	h.mu.Unlock()
	dir := filepath.Join(h.dir, fmt.Sprintf("%s-%d", kind, n))
	return dir, h.id.mkdir(dir, 0o755)
}

func (h *house) add(s *server) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.servers[s] = struct{}{}
}

func (h *house) remove(s *server) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.servers, s)
}

// Shutdown ends every server that this process started and removes its files. Main calls it for tests; a program that uses
// StartMySQL or StartPostgres calls it before it exits.
func Shutdown() error {
	theHouseMu.Lock()
	h := theHouse
	theHouse = nil
	theHouseMu.Unlock()
	if h == nil {
		return nil
	}
	h.mu.Lock()
	var servers []*server
	for s := range h.servers {
		servers = append(servers, s)
	}
	h.mu.Unlock()

	var wg sync.WaitGroup
	errs := make([]error, len(servers))
	for i, s := range servers {
		wg.Go(func() { errs[i] = s.destroy() })
	}
	wg.Wait()
	err := errors.Join(errs...)
	err = errors.Join(err, os.RemoveAll(h.dir), h.leash.Close())
	if e := h.reaper.Wait(); e != nil {
		err = errors.Join(err, fmt.Errorf("the process that cleans up: %w", e))
	}
	return errors.Join(err, h.lock.Close())
}

// reservePort finds a free port and keeps other processes of testdb from choosing it, also while its server is down.
// Ports below the ephemeral range: no outgoing connection can sit on one while a server restarts.
func (h *house) reservePort() (int, io.Closer, error) {
	const low, count = 20000, 4000
	start := rand.IntN(count)
	for i := range count {
		port := low + (start+i)%count
		f, err := tryLock(filepath.Join(h.cache.dir, "ports", strconv.Itoa(port)))
		if err != nil {
			return 0, nil, err
		}
		if f == nil {
			continue
		}
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			if err := f.Close(); err != nil {
				return 0, nil, err
			}
			continue
		}
		if err := l.Close(); err != nil {
			return 0, nil, errors.Join(err, f.Close())
		}
		return port, f, nil
	}
	return 0, nil, fmt.Errorf("no free port between %d and %d", low, low+count)
}

// killIn kills every process whose working directory lies in dir, and waits until they are gone.
func killIn(dir string) {
	deadline := time.Now().Add(20 * time.Second)
	for time.Now().Before(deadline) {
		pids := processesIn(dir)
		if len(pids) == 0 {
			return
		}
		for _, pid := range pids {
			// gone already is what we want; not permitted cannot be, since we read its working directory
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func processesIn(dir string) []int {
	links, _ := filepath.Glob("/proc/[0-9]*/cwd") // the pattern is well formed; without /proc there is nothing to find
	var pids []int
	for _, link := range links {
		cwd, err := os.Readlink(link)
		if err != nil || len(cwd) <= len(dir) || cwd[:len(dir)] != dir || cwd[len(dir)] != '/' {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(link))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}
