package pooler

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
)

// rewriteFile points one entry of [databases] to an address. The file is exchanged at once, with the mode and the owner that it had; all
// else in it stays as it is. No error shows a line of it: lines hold passwords.
func rewriteFile(path, entry string, to Address) error {
	path, err := filepath.EvalSymlinks(path) // a link stays a link
	if err != nil {
		return fmt.Errorf("the file of PgBouncer: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("the file of PgBouncer: %w", err)
	}
	old, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("the file of PgBouncer: %w", err)
	}
	text, err := rewriteEntry(string(old), entry, to)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if bytes.Equal(old, []byte(text)) {
		return nil
	}
	if err := exchange(path, info, text); err != nil {
		return fmt.Errorf("rewrite the file of PgBouncer: %w", err)
	}
	return nil
}

func exchange(path string, like os.FileInfo, text string) error {
	next := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".crossfade")
	if err := os.Remove(next); err != nil && !errors.Is(err, os.ErrNotExist) { // left by a process that died
		return err
	}
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if st, ok := like.Sys().(*syscall.Stat_t); ok && (int(st.Uid) != os.Geteuid() || int(st.Gid) != os.Getegid()) {
		err = errors.Join(err, f.Chown(int(st.Uid), int(st.Gid)))
	}
	err = errors.Join(err, f.Chmod(like.Mode().Perm()), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(next, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(next))
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

var (
	section  = regexp.MustCompile(`^\s*\[([^\]]*)\]\s*$`)
	include  = regexp.MustCompile(`^\s*%include\s`)
	entryOf  = regexp.MustCompile(`^(\s*)("(?:[^"]|"")*"|[^\s="]+)(\s*=\s*)(.*?)(\s*)$`)
	setting  = regexp.MustCompile(`^(\s*)([A-Za-z_]+)(\s*=\s*)('(?:[^']|'')*'|[^\s']+)`)
	harmless = regexp.MustCompile(`^[A-Za-z0-9_.:/-]+$`)
)

// rewriteEntry changes host, port and dbname of the one entry. What it does not understand it refuses.
func rewriteEntry(text, entry string, to Address) (string, error) {
	lines := strings.SplitAfter(text, "\n")
	in, found, includes := "", -1, false
	for i, line := range lines {
		bare := strings.TrimRight(line, "\r\n")
		if m := section.FindStringSubmatch(bare); m != nil {
			in = strings.TrimSpace(m[1])
			continue
		}
		includes = includes || include.MatchString(bare)
		start := strings.TrimSpace(bare)
		if in != "databases" || start == "" || start[0] == ';' || start[0] == '#' || start[0] == '%' {
			continue
		}
		m := entryOf.FindStringSubmatch(bare)
		if m == nil {
			return "", fmt.Errorf("line %d of [databases] is no entry of the form name = settings", i+1)
		}
		if unquote(m[2]) != entry {
			continue
		}
		if found >= 0 {
			return "", fmt.Errorf("[databases] has the entry %q twice, in lines %d and %d; remove one", entry, found+1, i+1)
		}
		settings, err := rewriteSettings(m[4], to)
		if err != nil {
			return "", fmt.Errorf("the entry %q in line %d: %w", entry, i+1, err)
		}
		found = i
		lines[i] = m[1] + m[2] + m[3] + settings + m[5] + line[len(bare):]
	}
	switch {
	case found < 0 && includes:
		return "", fmt.Errorf("there is no entry %q in [databases]; it includes other files: name the one that has it", entry)
	case found < 0:
		return "", fmt.Errorf("there is no entry %q in [databases]", entry)
	}
	return strings.Join(lines, ""), nil
}

func unquote(name string) string {
	if len(name) >= 2 && name[0] == '"' {
		return strings.ReplaceAll(name[1:len(name)-1], `""`, `"`)
	}
	return name
}

// rewriteSettings keeps every setting but the three, and their order.
func rewriteSettings(text string, to Address) (string, error) {
	want := []struct{ key, value string }{{"host", to.Host}, {"port", strconv.Itoa(int(to.Port))}, {"dbname", to.Database}}
	seen := map[string]bool{}
	var b strings.Builder
	for rest := text; strings.TrimSpace(rest) != ""; {
		m := setting.FindStringSubmatch(rest)
		if m == nil || len(rest) > len(m[0]) && !strings.ContainsRune(" \t", rune(rest[len(m[0])])) {
			return "", errors.New("its settings are not of the form key=value key='other value'")
		}
		rest = rest[len(m[0]):]
		if seen[m[2]] {
			return "", fmt.Errorf("it sets %s twice; remove one", m[2])
		}
		seen[m[2]] = true
		value := m[4]
		for _, w := range want {
			if w.key == m[2] {
				value = literal(w.value)
			}
		}
		b.WriteString(m[1] + m[2] + m[3] + value)
	}
	for _, w := range want {
		if !seen[w.key] {
			if b.Len() > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(w.key + "=" + literal(w.value))
		}
	}
	return b.String(), nil
}

func literal(value string) string {
	if harmless.MatchString(value) {
		return value
	}
	return "'" + strings.ReplaceAll(value, "'", "''") + "'"
}
