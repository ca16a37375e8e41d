package testdb

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// copyTree copies a data directory and gives the copy to the serving identity; skip names files of the top to leave out.
func (id identity) copyTree(from, to string, skip ...string) error {
	err := filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		for _, s := range skip {
			if relative == s {
				return nil
			}
		}
		target := filepath.Join(to, relative)
		info, err := entry.Info()
		if err != nil {
			return err
		}
		switch {
		case entry.IsDir():
			err = os.MkdirAll(target, info.Mode().Perm())
		case entry.Type().IsRegular():
			err = copyFile(path, target, info.Mode().Perm())
		case entry.Type() == fs.ModeSocket:
			return nil
		default:
			err = fmt.Errorf("%s is neither a file nor a directory", relative)
		}
		if err != nil {
			return err
		}
		return id.own(target)
	})
	if err != nil {
		return fmt.Errorf("copy an initialised data directory: %w", err)
	}
	return nil
}

func copyFile(from, to string, mode os.FileMode) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, in)
	return err
}
