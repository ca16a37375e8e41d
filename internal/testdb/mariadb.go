package testdb

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// mariadbSuites are the suites of Debian that have the versions.
var mariadbSuites = map[string]string{"10.11": "bookworm", "11.8": "trixie"}

// StartMariaDB starts a MariaDB server of a version, 10.11 or 11.8, under the same rules as [StartMySQL].
func StartMariaDB(ctx context.Context, dir string, log io.Writer, version string, options ...string) (*MySQLServer, error) {
	h, err := openHouse(ctx)
	if err != nil {
		return nil, err
	}
	program, err := h.findMariaDB(ctx, log, version)
	if err != nil {
		return nil, fmt.Errorf("find MariaDB %s: %w", version, err)
	}
	return h.startMySQL(ctx, program, dir, options)
}

// findMariaDB finds the version on PATH or in the usual directories, else fetches it.
func (h *house) findMariaDB(ctx context.Context, log io.Writer, version string) (mysqlProgram, error) {
	candidates := []string{"/usr/sbin/mariadbd", "/usr/libexec/mariadbd"}
	if path, err := exec.LookPath("mariadbd"); err == nil {
		candidates = append([]string{path}, candidates...)
	}
	for _, path := range candidates {
		if !exists(path) || !h.id.reaches(filepath.Dir(path)) {
			continue
		}
		found, err := mariadbVersion(ctx, path)
		if err != nil || !strings.HasPrefix(found, version+".") {
			continue
		}
		for _, share := range []string{"/usr/share/mysql", "/usr/share/mariadb"} {
			if tables, err := filepath.Glob(share + "/m*_system_tables.sql"); err == nil && len(tables) > 0 {
				return mysqlProgram{argv: []string{path, "--no-defaults"}, version: found, share: share}, nil
			}
		}
	}
	suite, ok := mariadbSuites[version]
	if !ok {
		return mysqlProgram{}, fmt.Errorf("nobody knows where to fetch it")
	}
	dir, err := h.cache.entry(ctx, "mariadb-"+version+"-"+runtime.GOARCH, func(dir string) error {
		fmt.Fprintln(log, "fetching MariaDB "+version+", once")
		return fetchMariaDB(ctx, dir, suite)
	})
	if err != nil {
		return mysqlProgram{}, err
	}
	return unpackedMariaDB(ctx, filepath.Join(dir, "root"))
}

func fetchMariaDB(ctx context.Context, dir, suite string) error {
	m, err := ownMirror(ctx)
	if err != nil {
		return err
	}
	if m.distribution != "debian" {
		return fmt.Errorf("MariaDB is fetched from Debian's packages, this is %s: install mariadbd on PATH", m.distribution)
	}
	if err := m.unpack(ctx, dir, suite, `^mariadb-server-core$`); err != nil {
		return err
	}
	if !exists(filepath.Join(dir, "root/usr/sbin/mariadbd")) {
		return fmt.Errorf("the package has no usr/sbin/mariadbd")
	}
	return os.RemoveAll(filepath.Join(dir, "root/usr/bin"))
}

// unpackedMariaDB runs mariadbd by its own loader and libraries.
func unpackedMariaDB(ctx context.Context, root string) (mysqlProgram, error) {
	argv, err := unpackedLoader(root)
	if err != nil {
		return mysqlProgram{}, err
	}
	argv = append(argv, filepath.Join(root, "usr/sbin/mariadbd"))
	version, err := mariadbVersion(ctx, argv...)
	if err != nil {
		return mysqlProgram{}, err
	}
	share := filepath.Join(root, "usr/share/mysql")
	if !exists(share) {
		share = filepath.Join(root, "usr/share/mariadb")
	}
	return mysqlProgram{version: version, share: share, argv: append(argv,
		"--no-defaults",
		"--basedir="+filepath.Join(root, "usr"),
		"--lc-messages-dir="+share,
		"--character-sets-dir="+filepath.Join(share, "charsets"),
		"--plugin-dir="+filepath.Join(root, "usr/lib/mysql/plugin"),
	)}, nil
}

var mariadbVersionPattern = regexp.MustCompile(`Ver (\d+\.\d+\.\d+)-MariaDB`)

func mariadbVersion(ctx context.Context, argv ...string) (string, error) {
	out, err := run(ctx, "", nil, argv[0], append(argv[1:len(argv):len(argv)], "--no-defaults", "--version")...)
	if err != nil {
		return "", err
	}
	m := mariadbVersionPattern.FindStringSubmatch(out)
	if m == nil {
		return "", fmt.Errorf("%s is not MariaDB: %s", argv[0], strings.TrimSpace(out))
	}
	return m[1], nil
}

// bootstrapMariaDB makes a data directory with the administrator in it.
func (h *house) bootstrapMariaDB(ctx context.Context, program mysqlProgram, argv []string, scratch, data string) error {
	text := strings.Builder{}
	text.WriteString("create database mysql;\nuse mysql;\n")
	prefix := "mariadb_"
	if !exists(filepath.Join(program.share, "mariadb_system_tables.sql")) {
		prefix = "mysql_" // before 11
	}
	for _, name := range []string{"system_tables.sql", "performance_tables.sql", "system_tables_data.sql", "sys_schema.sql"} {
		b, err := os.ReadFile(filepath.Join(program.share, prefix+name))
		if err != nil {
			return err
		}
		text.Write(b)
		text.WriteString("\n")
	}
	fmt.Fprintf(&text, "FLUSH PRIVILEGES;\nCREATE USER '%[1]s'@'%%' IDENTIFIED BY '%[2]s';\nGRANT ALL ON *.* TO '%[1]s'@'%%' WITH GRANT OPTION;\n", adminUser, adminPassword)
	argv = append(slices.Clone(argv), "--datadir="+data, "--tmpdir="+filepath.Join(scratch, "tmp"), "--bootstrap", "--innodb-log-file-size=10M", "--skip-log-bin")
	return h.initialise(ctx, scratch, argv, strings.NewReader(text.String()))
}
