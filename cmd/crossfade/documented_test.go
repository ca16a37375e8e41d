package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/crossfade-io/crossfade/internal/testdb"
)

// statements are the blocks of SQL in a document.
func statements(t *testing.T, document string) (blocks []string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/" + document)
	if err != nil {
		t.Fatal(err)
	}
	for rest := string(text); ; {
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

func asDocumented(t *testing.T, source *testdb.MySQLServer, document string) {
	r := smallRig(t, source, "")
	r.my.Exec(t, "SET GLOBAL innodb_flush_log_at_trx_commit = 2, GLOBAL sync_binlog = 0") // the document says what is needed
	for _, b := range statements(t, document) {
		r.my.Exec(t, strings.ReplaceAll(b, " shop.", " `"+r.my.Name+"`."))
	}
	r.my.Exec(t, fmt.Sprintf("CREATE USER app IDENTIFIED BY 'pw'; GRANT SELECT, INSERT, UPDATE, DELETE ON `%s`.* TO app", r.my.Name))
	role, app := "crossfade_"+r.pg.Name, "app_"+r.pg.Name
	r.pg.Exec(t, "CREATE ROLE "+app+" LOGIN PASSWORD 'pw'")
	for _, b := range statements(t, "postgres-target.md") {
		r.pg.Exec(t, strings.NewReplacer("crossfade", role, "DATABASE shop", "DATABASE "+r.pg.Name, "TO app", "TO "+app).Replace(b))
	}
	login := func(raw, user, password string) string {
		_, at, ok := strings.Cut(raw, "@")
		if !ok {
			t.Fatal(raw)
		}
		scheme, _, _ := strings.Cut(raw, "://")
		return scheme + "://" + user + ":" + password + "@" + at
	}
	appSource, appTarget := login(r.my.URL(), "app", "pw"), login(r.pg.URL(), app, "pw")
	r.configure(login(r.my.URL(), "crossfade", "a-long-password"), login(r.pg.URL(), role, "a-long-password"), "cutover:\n  switch:\n"+r.switchStep())

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
	r.pg.Exec(t, "DROP OWNED BY "+app+"; DROP ROLE "+app)
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
