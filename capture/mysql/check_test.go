package mysql

import (
	"context"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/go-mysql-org/go-mysql/client"

	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

// documented runs the statements of docs/mysql-source.md for a database, with an account of its own, and returns the account's name.
func documented(t *testing.T, d *testdb.MySQLDB, password string) (user string) {
	t.Helper()
	doc, err := os.ReadFile("../../docs/mysql-source.md")
	if err != nil {
		t.Fatal(err)
	}
	user = "cf_" + d.Name
	blocks := 0
	source, _, _ := strings.Cut(string(doc), "## For the way back") // which needs more than being read
	for rest := source; ; blocks++ {
		_, after, ok := strings.Cut(rest, "```sql\n")
		if !ok {
			break
		}
		block, after, _ := strings.Cut(after, "```")
		rest = after
		d.Exec(t, strings.NewReplacer("'crossfade'@", "'"+user+"'@", "a-long-password", password, " shop.", " `"+d.Name+"`.").Replace(block))
	}
	if blocks != 2 {
		t.Fatalf("%d blocks of statements in the document", blocks)
	}
	t.Cleanup(func() {
		if _, err := d.DB.ExecContext(context.Background(), "DROP USER '"+user+"'; RESET PERSIST"); err != nil {
			t.Error(err)
		}
	})
	return user
}

func openAs(t *testing.T, d *testdb.MySQLDB, user, password string) *Source {
	t.Helper()
	cfg := config(t, d.URL())
	cfg.User, cfg.Password, cfg.Database = user, password, ""
	s, err := Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func check(t *testing.T, s *Source, tables []*catalog.Table) []catalog.Finding {
	t.Helper()
	found, err := s.Check(t.Context(), tables)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		if f.Severity == "" || f.Code == "" || f.Object == "" || f.Reason == "" || f.Remedy == "" {
			t.Errorf("a finding with a hole: %+v", f)
		}
	}
	return found
}

func list1(m map[string]*catalog.Table) (all []*catalog.Table) {
	for _, x := range m {
		all = append(all, x)
	}
	return all
}

// found looks for a finding whose object or remedy has the text.
func found(findings []catalog.Finding, severity, code, text string) bool {
	return slices.ContainsFunc(findings, func(f catalog.Finding) bool {
		return f.Severity == severity && f.Code == code && (strings.Contains(f.Object, text) || strings.Contains(f.Remedy, text) || strings.Contains(f.Reason, text))
	})
}

func errorsIn(findings []catalog.Finding) (out []catalog.Finding) {
	for _, f := range findings {
		if f.Severity == catalog.Error {
			out = append(out, f)
		}
	}
	return out
}

func TestTheDocumentedGrantsAndSettingsAreEnough(t *testing.T) {
	d := scratch.get(t).Database(t)
	d.Exec(t, "DROP DATABASE IF EXISTS crossfade; CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY, p int, FOREIGN KEY (p) REFERENCES p (id) ON DELETE CASCADE)")
	s := openAs(t, d, documented(t, d, `pässw"rd/:@`), `pässw"rd/:@`)
	all := tables(t, d)
	if got := check(t, s, list1(all)); len(got) != 0 {
		t.Errorf("findings: %+v", got)
	}
	if s.schemaExists(t.Context(), ownSchema) {
		t.Error("the check left its database behind")
	}
	if err := s.Setup(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Heartbeat(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Contains(t.Context(), now(t, s)); err != nil {
		t.Error(err)
	}
	if got := check(t, s, list1(all)); len(got) != 0 {
		t.Errorf("findings after the setup: %+v", got)
	}
	var left int
	if err := d.DB.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'crossfade'").Scan(&left); err != nil || left != 2 {
		t.Errorf("%d tables in schema crossfade, %v: the check left something", left, err)
	}
	if n := len(readAll(t, s, all["p"])); n != 0 {
		t.Errorf("%d rows", n)
	}
}

func TestAMissingPrivilegeIsAFindingThatNamesTheGrant(t *testing.T) {
	d := scratch.get(t).Database(t)
	d.Exec(t, "CREATE TABLE p (id int PRIMARY KEY, secret int)")
	user := documented(t, d, "pw")
	all := list1(tables(t, d))
	account := "'" + user + "'@'%'"
	for _, c := range []struct{ revoke, grant, remedy string }{
		{"REPLICATION SLAVE ON *.*", "", "GRANT REPLICATION SLAVE ON *.*"},
		{"REPLICATION CLIENT ON *.*", "", "GRANT REPLICATION CLIENT ON *.*"},
		{"XA_RECOVER_ADMIN ON *.*", "", "GRANT XA_RECOVER_ADMIN ON *.*"},
		{"SELECT ON `" + d.Name + "`.*", "", "GRANT SELECT ON `" + d.Name + "`.*"},
		{"SELECT ON `" + d.Name + "`.*", "SELECT (id) ON `" + d.Name + "`.p", "GRANT SELECT ON `" + d.Name + "`.*"},
		{"TRIGGER ON `" + d.Name + "`.*", "", "GRANT TRIGGER ON `" + d.Name + "`.*"},
		{"ALL ON crossfade.*", "", "GRANT ALL ON crossfade.*"},
		{"TRIGGER ON crossfade.*", "", "GRANT ALL ON crossfade.*"},
	} {
		d.Exec(t, "REVOKE "+c.revoke+" FROM "+account)
		if c.grant != "" {
			d.Exec(t, "GRANT "+c.grant+" TO "+account)
		}
		s := openAs(t, d, user, "pw")
		if got := errorsIn(check(t, s, all)); !found(got, catalog.Error, "privilege", c.remedy+" TO "+account) {
			t.Errorf("without %s: %+v", c.revoke, got)
		}
		if c.grant != "" {
			d.Exec(t, "REVOKE "+c.grant+" FROM "+account)
		}
		d.Exec(t, "GRANT "+c.revoke+" TO "+account)
	}
	// A table's own grant does as well as the database's.
	d.Exec(t, "REVOKE TRIGGER ON `"+d.Name+"`.* FROM "+account+"; GRANT TRIGGER ON `"+d.Name+"`.p TO "+account)
	if got := errorsIn(check(t, openAs(t, d, user, "pw"), all)); len(got) != 0 {
		t.Errorf("with TRIGGER on the table: %+v", got)
	}
	// Nothing at all but a login.
	bare := config(t, d.User(t, "", "pw", "USAGE ON *.*"))
	if got := errorsIn(check(t, openAs(t, d, bare.User, "pw"), all)); len(got) < 6 {
		t.Errorf("an account without any grant: %+v", got)
	}
}

func TestAServerThatIsSetWrongIsAFinding(t *testing.T) {
	d := scratch.get(t).Database(t)
	d.Exec(t, "CREATE TABLE p (id int PRIMARY KEY)")
	user := documented(t, d, "pw")
	all := list1(tables(t, d))
	for _, c := range []struct{ name, value, severity, code, remedy string }{
		{"binlog_format", "STATEMENT", catalog.Error, "binlog_format", "SET PERSIST binlog_format = ROW"},
		{"binlog_format", "MIXED", catalog.Error, "binlog_format", "SET PERSIST binlog_format = ROW"},
		{"binlog_row_image", "MINIMAL", catalog.Error, "binlog_row_image", "SET PERSIST binlog_row_image = FULL"},
		{"binlog_row_image", "NOBLOB", catalog.Error, "binlog_row_image", "SET PERSIST binlog_row_image = FULL"},
		{"binlog_row_metadata", "MINIMAL", catalog.Warning, "binlog_row_metadata", "SET PERSIST binlog_row_metadata = FULL"},
		{"binlog_row_value_options", "PARTIAL_JSON", catalog.Error, "binlog_row_value_options", "binlog_row_value_options = ''"},
		{"innodb_flush_log_at_trx_commit", "2", catalog.Error, "innodb_flush_log_at_trx_commit", "SET PERSIST innodb_flush_log_at_trx_commit = 1"},
		{"sync_binlog", "0", catalog.Error, "sync_binlog", "SET PERSIST sync_binlog = 1"},
		{"log_bin_trust_function_creators", "0", catalog.Error, "log_bin_trust_function_creators", "SET PERSIST log_bin_trust_function_creators = 1"},
		{"binlog_expire_logs_seconds", "3600", catalog.Warning, "binlog_expiry", "binlog_expire_logs_seconds = 86400"},
		{"super_read_only", "ON", catalog.Error, "read_only", "primary"},
		{"server_id", "0", catalog.Error, "server_id", "server_id"},
		{"server_id", "990001", catalog.Error, "server_id", "another server id"},
	} {
		t.Run(c.name+" "+c.value, func(t *testing.T) {
			if c.name == "super_read_only" {
				t.Cleanup(func() { d.DB.Exec("SET GLOBAL super_read_only = OFF, GLOBAL read_only = OFF") })
			}
			value := c.value
			if strings.ContainsAny(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") {
				value = "'" + value + "'"
			}
			if c.name == "binlog_row_value_options" { // it is a set: its empty value has no name
				t.Cleanup(func() { d.DB.Exec("SET GLOBAL binlog_row_value_options = ''") })
				d.Exec(t, "SET GLOBAL binlog_row_value_options = "+value)
			} else {
				global(t, d, c.name, value)
			}
			got := check(t, openAs(t, d, user, "pw"), all)
			if !found(got, c.severity, c.code, c.remedy) {
				t.Errorf("%+v", got)
			}
			if n := len(errorsIn(got)); c.severity != catalog.Error && n != 0 {
				t.Errorf("%d errors: %+v", n, got)
			}
		})
	}
	if got := check(t, openAs(t, d, user, "pw"), all); len(got) != 0 {
		t.Errorf("with everything put back: %+v", got)
	}
}

func TestAServerWithoutABinlogIsRefused(t *testing.T) {
	d := testdb.NewMySQL(t, "--skip-log-bin", "--gtid-mode=OFF", "--enforce-gtid-consistency=OFF").Database(t)
	d.Exec(t, "CREATE TABLE p (id int PRIMARY KEY)")
	s := open(t, d)
	if got := check(t, s, list1(tables(t, d))); !found(got, catalog.Error, "log_bin", "restart") {
		t.Errorf("%+v", got)
	}
	if p, err := s.Position(t.Context()); err == nil || !strings.Contains(err.Error(), "log_bin") {
		t.Errorf("position %s, %v", p, err)
	}
}

func TestWithoutGTIDTheCheckWantsOrderedCommits(t *testing.T) {
	d := withoutGTID.get(t).Database(t)
	d.Exec(t, "CREATE TABLE p (id int PRIMARY KEY)")
	user := documented(t, d, "pw")
	all := list1(tables(t, d))
	got := check(t, openAs(t, d, user, "pw"), all)
	if len(got) != 1 || !found(got, catalog.Info, "gtid_mode", "file and offset") {
		t.Errorf("%+v", got)
	}
	global(t, d, "binlog_order_commits", "OFF")
	if got := check(t, openAs(t, d, user, "pw"), all); !found(got, catalog.Error, "binlog_order_commits", "SET PERSIST binlog_order_commits = ON") {
		t.Errorf("%+v", got)
	}
}

func TestATableThatCannotBeFollowedIsNamed(t *testing.T) {
	d := testdb.MySQL(t).Database(t)
	s := open(t, d)
	d.Exec(t, `CREATE TABLE keyless (a int, b int, UNIQUE (a));
		CREATE TABLE mine (id int PRIMARY KEY) ENGINE=MyISAM;
		CREATE TABLE mem (id int PRIMARY KEY) ENGINE=MEMORY;
		CREATE TABLE vec (id int PRIMARY KEY, v vector(3));
		CREATE TABLE chinese (id int PRIMARY KEY, v varchar(9) CHARACTER SET gb18030);
		CREATE TABLE emptylabel (k enum('a','') PRIMARY KEY);
		CREATE TABLE bigset (k set('a','b') PRIMARY KEY);
		CREATE TABLE mixed (a int, b int, PRIMARY KEY (a, b DESC));
		CREATE TABLE fine (id int PRIMARY KEY, b int, KEY (b DESC))`)
	got := check(t, s, list1(tables(t, d)))
	for _, c := range []struct{ severity, code, object, remedy string }{
		{catalog.Error, "no_key", "keyless", "ADD PRIMARY KEY"}, {catalog.Error, "engine", "mine", "ENGINE=InnoDB"}, {catalog.Error, "engine", "mem", "ENGINE=InnoDB"},
		{catalog.Error, "type", "vec.v", "source.tables"}, {catalog.Error, "charset", "chinese.v", "CHARACTER SET utf8mb4"}, {catalog.Error, "key", "emptylabel.k", "empty label"}, {catalog.Warning, "key", "bigset.k", "small table"},
		{catalog.Warning, "key", "mixed", "small table"},
	} {
		i := slices.IndexFunc(got, func(f catalog.Finding) bool { return f.Object == d.Name+"."+c.object })
		if i < 0 || got[i].Severity != c.severity || got[i].Code != c.code || !strings.Contains(got[i].Remedy, c.remedy) {
			t.Errorf("%s: %+v", c.object, got)
		}
	}
	if found(got, catalog.Error, "", "fine") || found(got, catalog.Warning, "key", "fine") {
		t.Errorf("a table without fault: %+v", got)
	}
	if got := check(t, s, nil); !found(got, catalog.Error, "tables", "source.tables") {
		t.Errorf("no tables at all: %+v", got)
	}
}

// D12: where the server does not log what a cascade does the check says who does it; whether it does is asked of the server.
func TestCascadesThatAreNotLoggedAreFound(t *testing.T) {
	const ddl = `CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY, p int, q int,
		CONSTRAINT goes FOREIGN KEY (p) REFERENCES p (id) ON DELETE SET NULL, CONSTRAINT stays FOREIGN KEY (q) REFERENCES p (id) ON DELETE RESTRICT)`
	d := testdb.MySQL(t).Database(t)
	s := open(t, d)
	d.Exec(t, ddl)
	all := tables(t, d)
	got := check(t, s, list1(all))
	if logged, err := s.CascadesLogged(t.Context()); err != nil || !logged || found(got, catalog.Info, "cascade", "") {
		t.Errorf("this server logs them: %v, %v, %+v", logged, err, got)
	}
	if got = check(t, s, []*catalog.Table{all["c"]}); !found(got, catalog.Info, "cascade", "not migrated") || found(got, catalog.Error, "cascade", "") {
		t.Errorf("a parent outside the migration: %+v", got)
	}
	native := oddServer.get(t).Database(t)
	s = open(t, native)
	native.Exec(t, ddl)
	got = check(t, s, list1(tables(t, native)))
	if logged, err := s.CascadesLogged(t.Context()); err != nil || logged || !found(got, catalog.Info, "cascade", "goes") || found(got, catalog.Info, "cascade", "stays") {
		t.Errorf("a server that does not log them: %+v", got)
	}
	s.version = "8.4.3" // which has no such variable; the version alone decides nothing more
	if got = check(t, s, list1(tables(t, native))); !found(got, catalog.Info, "cascade", "goes") || !found(got, catalog.Warning, "version", "8.4.3") {
		t.Errorf("an older server: %+v", got)
	}
	s.version = "5.7.44"
	if got = check(t, s, nil); !found(got, catalog.Error, "version", "5.7.44") {
		t.Errorf("a server too old: %+v", got)
	}
}

// oddServer is wrong in every way that takes a restart.
var oddServer = serverOnce{options: []string{"--innodb-native-foreign-keys=ON", "--binlog-do-db=only_this", "--plugin-load-add=group_replication.so",
	"--loose-group-replication-group-name=aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa", "--loose-group-replication-single-primary-mode=OFF",
	"--loose-group-replication-start-on-boot=OFF"}} // it would make the server read-only at some moment

func TestFiltersAndGroupsAreRefused(t *testing.T) {
	d := oddServer.get(t).Database(t)
	d.Exec(t, "CREATE TABLE p (id int PRIMARY KEY)")
	s := open(t, d)
	got := check(t, s, list1(tables(t, d)))
	for _, c := range []struct{ code, text string }{{"binlog_filter", d.Name}, {"binlog_filter", "crossfade"}, {"cluster", "single-primary"}} {
		if !found(got, catalog.Error, c.code, c.text) {
			t.Errorf("no finding %s %s: %+v", c.code, c.text, got)
		}
	}
}

func TestPreparedTransactionsAndStrangersOnOurAccountAreFound(t *testing.T) {
	d := scratch.get(t).Database(t)
	d.Exec(t, "CREATE TABLE p (id int PRIMARY KEY)")
	user := documented(t, d, "pw")
	s := openAs(t, d, user, "pw")
	all := list1(tables(t, d))
	conn, err := d.DB.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.ExecContext(t.Context(), "XA START 'x1'; INSERT INTO p VALUES (1); XA END 'x1'; XA PREPARE 'x1'"); err != nil {
		t.Fatal(err)
	}
	if got := check(t, s, all); !found(got, catalog.Error, "xa", "XA ROLLBACK") {
		t.Errorf("%+v", got)
	}
	if _, err := conn.ExecContext(t.Context(), "XA ROLLBACK 'x1'"); err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	if got := check(t, s, all); len(got) != 0 {
		t.Errorf("%+v", got)
	}
	stranger := stranger(t, config(t, d.URL()).Host, user, "pw")
	if got := check(t, s, all); !found(got, catalog.Warning, "user", "nobody else") {
		t.Errorf("with a stranger's session: %+v", got)
	}
	if err := stranger.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the stranger is gone", func() bool { return len(check(t, s, all)) == 0 })
}

// stranger is a session of our account that another program opened.
func stranger(t *testing.T, host, user, password string) *client.Conn {
	t.Helper()
	c, err := client.Connect(host, user, password, "")
	if err != nil {
		t.Fatal(err)
	}
	return c
}
