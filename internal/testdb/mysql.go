package testdb

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"

	"github.com/go-sql-driver/mysql"
)

// The administrator of every server. The password has characters that a URL must escape: real ones do.
const (
	adminUser     = "admin"
	adminPassword = "s3cret:/@%"
)

// MySQLServer is a running MySQL or MariaDB with GTIDs, row format, full images and full metadata in its binlog.
type MySQLServer struct {
	*server
	version string
	scheme  string // of its URLs: mysql or mariadb
}

// mysqlProgram is how to run mysqld or mariadbd.
type mysqlProgram struct {
	argv    []string // program and the options that tell it where its own files are
	version string   // "9.7.4"
	share   string   // MariaDB: the directory with the statements that make its system tables; empty for MySQL
}

func (p *mysqlProgram) mariadb() bool { return p.share != "" }

// StartMySQL starts a server as durable as MySQL's defaults are; options such as "--gtid-mode=OFF" come after and win. With an
// empty dir its files are this process's and go with it; otherwise they stay in dir. Log gets a line for what takes long.
func StartMySQL(ctx context.Context, dir string, log io.Writer, options ...string) (*MySQLServer, error) {
	h, err := openHouse(ctx)
	if err != nil {
		return nil, err
	}
	program, err := h.findMySQL(ctx, log)
	if err != nil {
		return nil, fmt.Errorf("find MySQL: %w", err)
	}
	return h.startMySQL(ctx, program, dir, options)
}

func (h *house) startMySQL(ctx context.Context, program mysqlProgram, dir string, options []string) (*MySQLServer, error) {
	base, err := h.newServer("mysql", dir)
	if err != nil {
		return nil, fmt.Errorf("prepare MySQL: %w", err)
	}
	s := &MySQLServer{server: base, version: program.version, scheme: "mysql"}
	s.name, s.graceful, s.orphaned = "MySQL "+program.version, sysTERM, sysKILL
	if program.mariadb() {
		s.name, s.scheme = "MariaDB "+program.version, "mariadb"
	}
	s.ping = s.pingSQL
	if err := s.prepare(ctx, program, options); err != nil {
		return nil, errors.Join(fmt.Errorf("prepare %s: %w", s.name, err), s.discard())
	}
	h.add(s.server)
	if err := s.Start(ctx); err != nil {
		return nil, errors.Join(err, s.destroy())
	}
	return s, nil
}

// fastMySQL is for servers of tests: commits reach the kernel, which outlives the process, but not the disk.
var fastMySQL = []string{"--innodb-flush-log-at-trx-commit=2", "--sync-binlog=0"}

func (s *MySQLServer) prepare(ctx context.Context, program mysqlProgram, options []string) error {
	if !exists(filepath.Join(s.DataDir(), "ibdata1")) {
		template, err := s.house.mysqlTemplate(ctx, program, options)
		if err != nil {
			return err
		}
		// auto.cnf holds the server's identity, which each copy makes anew.
		if err := s.house.id.copyTree(template, s.DataDir(), "auto.cnf"); err != nil {
			return err
		}
	}
	s.argv = append(s.argv, program.argv...)
	s.argv = append(s.argv,
		"--datadir="+s.DataDir(),
		"--tmpdir="+filepath.Join(s.dir, "tmp"),
		"--bind-address=127.0.0.1",
		"--port="+strconv.Itoa(s.port),
		"--socket=mysql.sock", // in the data directory: an absolute path may be too long for a socket
		"--pid-file=mysql.pid",
		"--secure-file-priv=",
		"--skip-name-resolve=ON",
		"--local-infile=ON",
		"--max-connections=500",
		"--ssl-ca="+s.tls.ca,
		"--ssl-cert="+s.tls.serverCert,
		"--ssl-key="+s.tls.serverKey,
		"--server-id="+strconv.Itoa(s.port),
		"--log-bin=binlog",
		"--binlog-format=ROW",
		"--binlog-row-image=FULL",
		"--binlog-row-metadata=FULL",
	)
	if program.mariadb() {
		s.argv = append(s.argv, "--innodb-log-file-size=96M", "--gtid-strict-mode=ON",
			"--character-set-server=utf8mb4", "--collation-server=utf8mb4_general_ci") // which only later versions have by themselves
	} else {
		s.argv = append(s.argv, "--innodb-redo-log-capacity=256M", "--mysqlx=OFF", "--gtid-mode=ON", "--enforce-gtid-consistency=ON")
	}
	s.argv = append(s.argv, options...)
	return nil
}

// Version returns the version, such as "9.7.4".
func (s *MySQLServer) Version() string { return s.version }

// URL returns the administrator's URL of a database.
func (s *MySQLServer) URL(database string) string {
	return s.userURL(adminUser, adminPassword, database)
}

func (s *MySQLServer) userURL(name, password, database string) string {
	u := url.URL{
		Scheme: s.scheme, User: url.UserPassword(name, password),
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)), Path: "/" + database,
	}
	return u.String()
}

// Open opens a pool as administrator; an empty database selects none. Several statements in one Exec are allowed.
func (s *MySQLServer) Open(database string) (*sql.DB, error) {
	c := mysql.NewConfig()
	c.User, c.Passwd, c.DBName = adminUser, adminPassword, database
	c.Net, c.Addr = "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port))
	c.MultiStatements = true
	c.Logger = &mysql.NopLogger{} // it would report a server that is still starting
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", s.name, err)
	}
	return sql.OpenDB(connector), nil
}

func (s *MySQLServer) pingSQL(ctx context.Context) error {
	db, err := s.Open("")
	if err != nil {
		return err
	}
	return errors.Join(db.PingContext(ctx), db.Close())
}

// mysqlTemplate returns an initialised data directory with the administrator in it. Some options take part in initialising.
func (h *house) mysqlTemplate(ctx context.Context, program mysqlProgram, options []string) (string, error) {
	lasting := regexp.MustCompile(`^--(lower[-_]case[-_]table[-_]names|innodb[-_]page[-_]size|innodb[-_]data[-_]file[-_]path|innodb[-_]undo[-_]directory)=`)
	argv := append([]string{}, program.argv...)
	key := sha256.New()
	for _, o := range options {
		if lasting.MatchString(o) {
			argv = append(argv, o)
			fmt.Fprintln(key, o)
		}
	}
	name := "mysql-data-"
	if program.mariadb() {
		name = "mariadb-data-"
	}
	name += program.version + "-" + hex.EncodeToString(key.Sum(nil))[:8]
	return h.cache.entry(ctx, name, func(dir string) error {
		scratch, err := h.newDir("initialise")
		if err != nil {
			return err
		}
		if err := h.id.mkdir(filepath.Join(scratch, "tmp"), 0o755); err != nil {
			return err
		}
		data := filepath.Join(scratch, "data")
		if err := h.id.mkdir(data, 0o700); err != nil {
			return err
		}
		if program.mariadb() {
			if err := h.bootstrapMariaDB(ctx, program, argv, scratch, data); err != nil {
				return err
			}
			return errors.Join(identity{}.copyTree(data, dir, "mysql.sock"), os.RemoveAll(scratch))
		}
		users := filepath.Join(scratch, "users.sql")
		text := fmt.Sprintf("CREATE USER '%[1]s'@'%%' IDENTIFIED BY '%[2]s';\nGRANT ALL ON *.* TO '%[1]s'@'%%' WITH GRANT OPTION;\n"+
			"ALTER USER 'root'@'localhost' IDENTIFIED BY '%[2]s';\n", adminUser, adminPassword)
		if err := os.WriteFile(users, []byte(text), 0o644); err != nil {
			return err
		}
		argv = append(argv, "--datadir="+data, "--tmpdir="+filepath.Join(scratch, "tmp"), "--secure-file-priv=",
			"--initialize-insecure", "--init-file="+users, "--loose-innodb-redo-log-capacity=8M", "--skip-log-bin")
		if err := h.initialise(ctx, scratch, argv, nil); err != nil {
			return err
		}
		return errors.Join(identity{}.copyTree(data, dir, "mysql.sock"), os.RemoveAll(scratch))
	})
}

// initialise runs a program that makes a data directory.
func (h *house) initialise(ctx context.Context, scratch string, argv []string, stdin io.Reader) error {
	cmd := h.command(scratch, argv...)
	cmd.Stdin = stdin
	dieWithParent(cmd.SysProcAttr, sysKILL)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := spawn(cmd); err != nil {
		return fmt.Errorf("initialise a data directory: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() }) // it may have ended by itself just now
	defer stop()
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("initialise a data directory: %w: %s", errors.Join(err, context.Cause(ctx)), tail(out.String()))
	}
	return nil
}

// findMySQL finds MySQL 8.0 or later on PATH or in the usual directories, else fetches it.
func (h *house) findMySQL(ctx context.Context, log io.Writer) (mysqlProgram, error) {
	candidates := []string{"/usr/sbin/mysqld", "/usr/libexec/mysqld", "/usr/local/mysql/bin/mysqld", "/opt/homebrew/bin/mysqld"}
	if path, err := exec.LookPath("mysqld"); err == nil {
		candidates = append([]string{path}, candidates...)
	}
	for _, path := range candidates {
		if !exists(path) || !h.id.reaches(filepath.Dir(path)) {
			continue
		}
		if path == "/usr/sbin/mysqld" && exists("/etc/apparmor.d/usr.sbin.mysqld") {
			continue // Ubuntu confines this path to the system's data directory
		}
		if version, err := mysqlVersion(ctx, path); err == nil {
			return mysqlProgram{argv: []string{path, "--no-defaults"}, version: version}, nil
		}
	}
	dir, err := h.cache.entry(ctx, "mysql-"+runtime.GOARCH, func(dir string) error {
		fmt.Fprintln(log, "fetching MySQL, once")
		return fetchMySQL(ctx, dir)
	})
	if err != nil {
		return mysqlProgram{}, err
	}
	return unpackedMySQL(ctx, filepath.Join(dir, "root"))
}

// unpackedMySQL runs mysqld by its own loader and libraries: its C library is newer than the system's.
func unpackedMySQL(ctx context.Context, root string) (mysqlProgram, error) {
	argv, err := unpackedLoader(root)
	if err != nil {
		return mysqlProgram{}, err
	}
	argv = append(argv, filepath.Join(root, "usr/sbin/mysqld"))
	version, err := mysqlVersion(ctx, argv...)
	if err != nil {
		return mysqlProgram{}, err
	}
	return mysqlProgram{version: version, argv: append(argv,
		"--no-defaults",
		"--basedir="+filepath.Join(root, "usr"),
		"--lc-messages-dir="+filepath.Join(root, "usr/share/mysql"),
		"--plugin-dir="+filepath.Join(root, "usr/lib/mysql/plugin"),
	)}, nil
}

var mysqlVersionPattern = regexp.MustCompile(`Ver ((\d+)\.\d+\.\d+)`)

func mysqlVersion(ctx context.Context, argv ...string) (string, error) {
	out, err := run(ctx, "", nil, argv[0], append(argv[1:len(argv):len(argv)], "--no-defaults", "--version")...)
	if err != nil {
		return "", err
	}
	m := mysqlVersionPattern.FindStringSubmatch(out)
	if m == nil || strings.Contains(out, "MariaDB") {
		return "", fmt.Errorf("%s is not MySQL: %s", argv[0], strings.TrimSpace(out))
	}
	if major, err := strconv.Atoi(m[2]); err != nil || major < 8 {
		return "", fmt.Errorf("%s is too old: %s", argv[0], m[1])
	}
	return m[1], nil
}
