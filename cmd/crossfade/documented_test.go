package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/crossfade-io/crossfade/internal/control"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

const forTheWayBack = "\n## For the way back\n"

// statements are the blocks of SQL in a document: those of its section for the way back come last, and only if they are asked for.
func statements(t *testing.T, document string, back bool) []string {
	t.Helper()
	text, err := os.ReadFile("../../docs/" + document)
	if err != nil {
		t.Fatal(err)
	}
	before, section, ok := strings.Cut(string(text), forTheWayBack)
	if !ok {
		t.Fatalf("%s says nothing of the way back", document)
	}
	section, after, _ := strings.Cut(section, "\n## ")
	blocks := blocksOf(before + after)
	if back {
		blocks = append(blocks, blocksOf(section)...)
	}
	return blocks
}

func blocksOf(text string) (blocks []string) {
	for rest := text; ; {
		_, after, ok := strings.Cut(rest, "```sql\n")
		if !ok {
			return blocks
		}
		block, after, _ := strings.Cut(after, "```")
		blocks, rest = append(blocks, block), after
	}
}

// The commands are those of the README's five-minute start.
func TestTheDocumentedAccountsCarryAMigrationFromTheCheckToTheEnd(t *testing.T) {
	t.Run("MySQL", func(t *testing.T) { asDocumented(t, testdb.NewMySQL(t), "mysql-source.md") })
	t.Run("MariaDB", func(t *testing.T) { asDocumented(t, testdb.NewMariaDB(t, "11.8"), "mariadb-source.md") })
}

// toPostgres makes a rig whose accounts are those of the documents, and returns the URLs of the application.
func toPostgres(t *testing.T, source *testdb.MySQLServer, document string, back bool, more string) (r *rig, appSource, appTarget string) {
	r = smallRig(t, source, "")
	r.my.Exec(t, "SET GLOBAL innodb_flush_log_at_trx_commit = 2, GLOBAL sync_binlog = 0") // the document says what is needed
	for _, b := range statements(t, document, back) {
		r.my.Exec(t, strings.ReplaceAll(b, " shop.", " `"+r.my.Name+"`."))
	}
	r.my.Exec(t, fmt.Sprintf("CREATE USER app IDENTIFIED BY 'pw'; GRANT SELECT, INSERT, UPDATE, DELETE ON `%s`.* TO app", r.my.Name))
	role, app := "crossfade_"+r.pg.Name, "app_"+r.pg.Name
	r.pg.Exec(t, "CREATE ROLE "+app+" LOGIN PASSWORD 'pw'")
	for _, b := range statements(t, "postgres-target.md", back) {
		r.pg.Exec(t, strings.NewReplacer("crossfade", role, "DATABASE shop", "DATABASE "+r.pg.Name, "TO app", "TO "+app).Replace(b))
	}
	r.configure(as(t, r.my.URL(), "crossfade", "a-long-password"), as(t, r.pg.URL(), role, "a-long-password"), "cutover:\n"+more+"  switch:\n"+r.switchStep())
	return r, as(t, r.my.URL(), "app", "pw"), as(t, r.pg.URL(), app, "pw")
}

// as is a URL with another login in it.
func as(t *testing.T, raw, user, password string) string {
	t.Helper()
	scheme, rest, _ := strings.Cut(raw, "://")
	_, at, ok := strings.Cut(rest, "@")
	if !ok {
		t.Fatal(raw)
	}
	return scheme + "://" + user + ":" + password + "@" + at
}

func asDocumented(t *testing.T, source *testdb.MySQLServer, document string) {
	r, appSource, appTarget := toPostgres(t, source, document, false, "")
	says(t, "check", r.must("check"), "ready to run")
	says(t, "schema", r.must("schema"), `CREATE TABLE IF NOT EXISTS "public"."users"`)
	r.start()
	r.must("wait", "--for", "verified", "--timeout", "2m")
	says(t, "dry run", r.must("cutover", "--dry-run"), "go: predicted write pause")
	says(t, "cutover", r.must("cutover"), "**completed**")
	says(t, "report", r.must("report"), "**completed**")
	r.stop()
	left := r.must("cleanup")

	if err := r.tryMySQL(appSource, "INSERT INTO users VALUES (3, 'cid')"); err == nil || !strings.Contains(err.Error(), "writes are closed here") {
		t.Errorf("the old side takes writes: %v", err)
	}
	_, drop, ok := strings.Cut(left, "target: ")
	if !ok {
		t.Fatalf("cleanup printed %s", left)
	}
	r.pg.Exec(t, drop)
	if err := r.tryPostgres(appTarget, "INSERT INTO users VALUES (3, 'cid')"); err != nil {
		t.Errorf("the application cannot write to the target: %v", err)
	}
	r.pg.Exec(t, "DROP OWNED BY app_"+r.pg.Name+"; DROP ROLE app_"+r.pg.Name)
}

// What the other two documents ask for carries a migration from PostgreSQL to MySQL.
func TestTheDocumentedAccountsOfPostgresAndMySQLCarryAMigrationTheOtherWay(t *testing.T) {
	r, from, to := toMySQL(t, testdb.NewMySQL(t), false, "")
	says(t, "check", r.must("check"), "ready to run")
	says(t, "schema", r.must("schema"), "CREATE TABLE IF NOT EXISTS `"+to.Name+"`.`users`")
	r.start()
	r.must("wait", "--for", "verified", "--timeout", "2m")
	says(t, "cutover", r.must("cutover"), "**completed**")
	r.stop()
	left := r.must("cleanup")
	appSource, appTarget := as(t, from.URL(), "app", "pw"), as(t, to.URL(), "app", "pw")
	if err := r.tryPostgres(appSource, "INSERT INTO users VALUES (9, 'cid')"); err == nil || !strings.Contains(err.Error(), "writes are closed here") {
		t.Errorf("the old side takes writes: %v", err)
	}
	if err := r.tryMySQL(appTarget, "INSERT INTO users (name) VALUES ('cid')"); err != nil {
		t.Errorf("the application cannot write to the target: %v", err)
	}
	var source, target string
	for _, line := range strings.Split(left, "\n") {
		if s, ok := strings.CutPrefix(strings.TrimSpace(line), "source: "); ok {
			source = s
		} else if s, ok := strings.CutPrefix(strings.TrimSpace(line), "target: "); ok {
			target = s
		}
	}
	from.Exec(t, source)
	to.Exec(t, target)
	if err := r.tryPostgres(appSource, "INSERT INTO users VALUES (9, 'cid')"); err == nil {
		t.Error("without crossfade's role the old side takes writes")
	}
	from.Exec(t, "DROP OWNED BY app; DROP ROLE app; DROP TABLE users; DROP OWNED BY owner_"+from.Name+"; DROP ROLE owner_"+from.Name)
}

// toMySQL makes a rig from PostgreSQL to MySQL or MariaDB whose accounts are those of the documents, and a user app of the application at both ends.
func toMySQL(t *testing.T, server *testdb.MySQLServer, back bool, more string) (*rig, *testdb.PostgresDB, *testdb.MySQLDB) {
	from, to := testdb.NewPostgres(t, 18).Database(t), server.Database(t)
	owner, role := "owner_"+from.Name, "crossfade_"+from.Name
	from.Exec(t, fmt.Sprintf("CREATE ROLE %[1]s; GRANT CREATE ON SCHEMA public TO %[1]s; SET ROLE %[1]s; CREATE TABLE users (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, name text NOT NULL); INSERT INTO users (name) VALUES ('ann'), ('bob'); RESET ROLE", owner))
	from.Exec(t, "CREATE ROLE app LOGIN PASSWORD 'pw'; GRANT SELECT, INSERT, UPDATE, DELETE ON users TO app; GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO app")
	for _, b := range statements(t, "postgres-source.md", back) {
		from.Exec(t, strings.NewReplacer("crossfade", role, "DATABASE shop", "DATABASE "+from.Name, "shop_owner", owner).Replace(b))
	}
	to.Exec(t, "SET GLOBAL log_bin_trust_function_creators = 1; CREATE USER app IDENTIFIED BY 'pw'; GRANT SELECT, INSERT, UPDATE, DELETE ON `"+to.Name+"`.* TO app")
	if back { // it is asked for what a source is, and the document says where that is told
		to.Exec(t, "SET GLOBAL innodb_flush_log_at_trx_commit = 1, GLOBAL sync_binlog = 1")
	}
	for _, b := range statements(t, "mysql-target.md", back) {
		to.Exec(t, strings.ReplaceAll(b, " shop.", " `"+to.Name+"`."))
	}
	return newPair(t, &end{url: as(t, from.URL(), role, "a-long-password")}, &end{url: as(t, to.URL(), "crossfade", "a-long-password"), schema: to.Name}, `"public.*"`, more), from, to
}

// With what the sections for the way back add, the same accounts take the application there and back, without losing what it wrote.
func TestTheAccountsDocumentedForTheWayBackCarryARollback(t *testing.T) {
	const back, wantBack = "  reverse: true\n", "1cid,3cid,4dan"
	for _, c := range []struct {
		name, document string
		source         func(t *testing.T) *testdb.MySQLServer
	}{
		{"MySQL to PostgreSQL", "mysql-source.md", func(t *testing.T) *testdb.MySQLServer { return testdb.NewMySQL(t) }},
		{"MariaDB to PostgreSQL", "mariadb-source.md", func(t *testing.T) *testdb.MySQLServer { return testdb.NewMariaDB(t, "11.8") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, appSource, appTarget := toPostgres(t, c.source(t), c.document, true, back)
			goesAndReturns(t, r, func(name string) error {
				return r.tryPostgres(appTarget, "INSERT INTO users VALUES (3, '"+name+"'); UPDATE users SET name = '"+name+"' WHERE id = 1; DELETE FROM users WHERE id = 2")
			}, func(statement string) error { return r.tryMySQL(appSource, statement) })
			var left string
			if err := r.my.DB.QueryRow("SELECT GROUP_CONCAT(id, name ORDER BY id) FROM users").Scan(&left); err != nil || left != wantBack {
				t.Errorf("the source has %s after the rollback, not %s (%v)", left, wantBack, err)
			}
			r.pg.Exec(t, "DROP OWNED BY app_"+r.pg.Name+"; DROP ROLE app_"+r.pg.Name)
		})
	}
	t.Run("PostgreSQL to MySQL", func(t *testing.T) {
		r, from, to := toMySQL(t, testdb.NewMySQL(t), true, "cutover:\n"+back)
		goesAndReturns(t, r, func(name string) error {
			url := as(t, to.URL(), "app", "pw")
			return errors.Join(r.tryMySQL(url, "INSERT INTO users VALUES (3, '"+name+"')"), r.tryMySQL(url, "UPDATE users SET name = '"+name+"' WHERE id = 1"), r.tryMySQL(url, "DELETE FROM users WHERE id = 2"))
		}, func(statement string) error { return r.tryPostgres(as(t, from.URL(), "app", "pw"), statement) })
		var left string
		if from.Get(t, "SELECT string_agg(id || name, ',' ORDER BY id) FROM users", &left); left != wantBack {
			t.Errorf("the source has %s after the rollback, not %s", left, wantBack)
		}
	})
}

// goesAndReturns cuts over, writes as the application to the target, moves back, and writes to the source again.
func goesAndReturns(t *testing.T, r *rig, onTarget, onSource func(string) error) {
	t.Helper()
	says(t, "check", r.must("check"), "ready to run")
	r.start()
	r.must("wait", "--for", "verified", "--timeout", "2m")
	says(t, "cutover", r.must("cutover"), "**completed**")
	if err := onTarget("cid"); err != nil {
		t.Fatalf("the application cannot write to the target: %v", err)
	}
	r.until("the way back is level and verified", time.Minute, func(s control.Status) bool {
		return s.Reverse != nil && s.Reverse.State == "applying" && s.Reverse.LastCleanAt != nil
	})
	says(t, "rollback", r.must("rollback"), "**rolled_back**")
	if err := onSource("INSERT INTO users (id, name) VALUES (4, 'dan')"); err != nil {
		t.Errorf("the application cannot write to the source again: %v", err)
	}
	r.stop()
	r.must("cleanup")
}

// tryMySQL runs a statement as somebody else.
func (r *rig) tryMySQL(url, statement string) error {
	r.t.Helper()
	db := openMySQL(r.t, url)
	defer db.Close()
	_, err := db.ExecContext(r.t.Context(), statement)
	return err
}

// tryPostgres runs a statement as somebody else.
func (r *rig) tryPostgres(url, statement string) error {
	r.t.Helper()
	conn, err := pgx.Connect(r.t.Context(), url)
	if err != nil {
		r.t.Fatal(err)
	}
	defer conn.Close(r.t.Context())
	_, err = conn.Exec(r.t.Context(), statement)
	return err
}
