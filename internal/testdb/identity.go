package testdb

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// identity is the user that servers run as: this one, or nobody when this one is root.
type identity struct {
	uid, gid int
	other    bool // not the user of this process
}

func servingIdentity() (identity, error) {
	if os.Geteuid() != 0 {
		return identity{uid: os.Geteuid(), gid: os.Getegid()}, nil
	}
	u, err := user.Lookup("nobody")
	if err != nil {
		return identity{}, fmt.Errorf("find user nobody, which servers run as when started by root: %w", err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return identity{}, fmt.Errorf("user nobody has uid %q: %w", u.Uid, err)
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return identity{}, fmt.Errorf("user nobody has gid %q: %w", u.Gid, err)
	}
	return identity{uid: uid, gid: gid, other: true}, nil
}

// own gives a path to the serving identity.
func (id identity) own(path string) error {
	if !id.other {
		return nil
	}
	if err := os.Lchown(path, id.uid, id.gid); err != nil {
		return fmt.Errorf("give %s to the user that servers run as: %w", path, err)
	}
	return nil
}

// mkdir makes a directory that belongs to the serving identity.
func (id identity) mkdir(path string, mode os.FileMode) error {
	if err := os.MkdirAll(path, mode); err != nil {
		return err
	}
	return id.own(path)
}

// reaches tells whether the serving identity can enter a directory: a test process of root often has its home or its
// temporary directory where nobody else may look.
func (id identity) reaches(dir string) bool {
	if !id.other {
		return true
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return false
	}
	for {
		info, err := os.Stat(dir)
		switch {
		case os.IsNotExist(err):
			// made later, with a mode that lets others in
		case err != nil:
			return false
		default:
			st, ok := info.Sys().(*syscall.Stat_t)
			entered := info.Mode().Perm()&0o001 != 0
			if ok && int(st.Uid) == id.uid {
				entered = info.Mode().Perm()&0o100 != 0
			}
			if !entered {
				return false
			}
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return true
		}
		dir = parent
	}
}
