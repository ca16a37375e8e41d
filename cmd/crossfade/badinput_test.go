package main

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/crossfade-io/crossfade/internal/testdb"
)

// says fails unless text holds every one of the words.
func says(t *testing.T, what, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%s does not say %q:\n%s", what, w, text)
		}
	}
}

// refused runs check and run, which must say the same, and leave nothing behind.
func (r *rig) refused(exit int, words ...string) {
	r.t.Helper()
	if got, out, errs := r.crossfade("check"); got != 3 {
		r.t.Errorf("check: exit %d, want 3\n%s%s", got, out, errs)
	} else {
		says(r.t, "check", out, words...)
	}
	got, out, errs := r.crossfade("run")
	if got != exit {
		r.t.Errorf("run: exit %d, want %d\n%s%s", got, exit, out, errs)
	}
	says(r.t, "run", errs, words...)
	var made bool
	r.pg.Get(r.t, "SELECT to_regclass('crossfade.ledger') IS NOT NULL OR to_regclass('public.users') IS NOT NULL", &made)
	if made {
		r.t.Error("something was made on the target all the same")
	}
}

// smallRig has one table with two rows.
func smallRig(t *testing.T, my *testdb.MySQLServer, more string) *rig {
	t.Helper()
	r := newRig(t, my, testdb.Postgres(t, 15), more)
	r.my.Exec(t, "CREATE TABLE users (id INT PRIMARY KEY, name VARCHAR(20))")
	r.my.Exec(t, "INSERT INTO users VALUES (1, 'ann'), (2, 'bob')")
	return r
}

// sub runs a part of the rig's test.
func (r *rig) sub(name string, f func(t *testing.T)) {
	whole := r.t
	whole.Run(name, func(t *testing.T) {
		r.t = t
		defer func() { r.t = whole }()
		f(t)
	})
}

// withPassword takes the password out of a URL and puts another in.
func withPassword(t *testing.T, raw, password string) string {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(u.User.Username(), password)
	return u.String()
}

func TestWhatCannotBeReachedIsNamedWithItsRemedy(t *testing.T) {
	r := smallRig(t, testdb.MySQL(t), "")
	nobody := "127.0.0.1:1"
	for _, c := range []struct {
		name, source, target string
		words                []string
	}{
		{"wrong password of the source", withPassword(t, r.my.URL(), "wrong"), r.pg.URL(), []string{"MySQL at 127.0.0.1", "Access denied", "password of source.url"}},
		{"wrong password of the target", r.my.URL(), withPassword(t, r.pg.URL(), "wrong"), []string{"PostgreSQL at 127.0.0.1", "password authentication failed", "target.url"}},
		{"no source there", "mysql://a:b@" + nobody + "/" + r.my.Name, r.pg.URL(), []string{"MySQL at " + nobody, "connection refused", "host and port of source.url"}},
		{"no target there", r.my.URL(), "postgres://a:b@" + nobody + "/x", []string{"PostgreSQL at " + nobody, "connection refused", "target.url"}},
		{"no such database on the source", strings.Replace(r.my.URL(), "/"+r.my.Name, "/nowhere", 1), r.pg.URL(), []string{"nowhere", "database of source.url"}},
		{"no such database on the target", r.my.URL(), strings.Replace(r.pg.URL(), "/"+r.pg.Name, "/nowhere", 1), []string{"nowhere", "target.url"}},
	} {
		r.sub(c.name, func(t *testing.T) {
			r.configure(c.source, c.target, "")
			r.refused(1, c.words...)
		})
	}
}

func TestAServerThatIsNotSetUpForItIsRefusedWithTheStatement(t *testing.T) {
	r := smallRig(t, testdb.MySQL(t), "")
	for _, c := range []struct{ set, reset string }{
		{"binlog_row_image = MINIMAL", "binlog_row_image = FULL"},
		{"binlog_format = STATEMENT", "binlog_format = ROW"},
		{"sync_binlog = 0", "sync_binlog = 1"},
	} {
		name, _, _ := strings.Cut(c.set, " ")
		r.sub(name, func(t *testing.T) {
			r.my.Exec(t, "SET GLOBAL "+c.set)
			defer r.my.Exec(t, "SET GLOBAL "+c.reset)
			r.refused(3, name, "SET PERSIST "+c.reset)
		})
	}
	t.Run("a source without a binlog", func(t *testing.T) {
		r := smallRig(t, testdb.NewMySQL(t, "--skip-log-bin", "--gtid-mode=OFF", "--enforce-gtid-consistency=OFF"), "")
		r.refused(3, "log_bin")
	})
}

func TestAMissingPrivilegeIsRefusedWithTheGrant(t *testing.T) {
	r := smallRig(t, testdb.MySQL(t), "")
	source := func(grants ...string) string { return r.my.User(t, "", "pw", grants...) }
	all := []string{"REPLICATION SLAVE ON *.*", "REPLICATION CLIENT ON *.*", "XA_RECOVER_ADMIN ON *.*", "CONNECTION_ADMIN ON *.*", "SELECT ON performance_schema.*",
		"ALL ON crossfade.*", "SELECT", "INSERT", "TRIGGER"}
	without := func(grant string) (left []string) {
		for _, g := range all {
			if g != grant {
				left = append(left, g)
			}
		}
		return left
	}
	target := func(grants ...string) string { return r.pg.Role(t, "", "pw", grants...) }
	database := fmt.Sprintf("CREATE ON DATABASE %q", r.pg.Name)
	r.my.Exec(t, "SET GLOBAL log_bin_trust_function_creators = ON")
	for _, c := range []struct {
		name, source, target string
		words                []string
	}{
		{"to fence", source(without("TRIGGER")...), r.pg.URL(), []string{"TRIGGER"}},
		{"to follow the binlog", source(without("REPLICATION SLAVE ON *.*")...), r.pg.URL(), []string{"GRANT REPLICATION SLAVE"}},
		{"to prove the fence", source(without("INSERT")...), r.pg.URL(), []string{"source.probe_url", "GRANT INSERT"}},
		{"to keep triggers silent", r.my.URL(), target(database, "CREATE ON SCHEMA public"), []string{"session_replication_role", "GRANT SET ON PARAMETER"}},
		{"to make the ledger", r.my.URL(), target("CREATE ON SCHEMA public"), []string{"GRANT CREATE ON DATABASE"}},
		{"to make the tables", r.my.URL(), target(database), []string{"GRANT CREATE, USAGE ON SCHEMA \"public\""}},
	} {
		r.sub(c.name, func(t *testing.T) {
			r.configure(c.source, c.target, "")
			r.refused(3, c.words...)
		})
	}
}

func TestAMappingThatCannotWorkIsRefusedByNameOfTheColumn(t *testing.T) {
	r := smallRig(t, testdb.MySQL(t), "")
	r.my.Exec(t, "CREATE TABLE nokey (a INT)")
	r.refused(3, r.my.Name+".nokey", "key")
	r.my.Exec(t, "DROP TABLE nokey")

	r.configure(r.my.URL(), r.pg.URL(), `transform: {types: [{match: "mysql:int", as: uuid}]}`)
	r.refused(3, r.my.Name+".users.id", "uuid")

	r.configure(r.my.URL(), r.pg.URL(), "target.create: false")
	if exit, _, errs := r.crossfade("run"); exit != 2 || !strings.Contains(errs, "target.create: is not known") {
		t.Errorf("exit %d, want 2\n%s", exit, errs)
	}
	r.configure(r.my.URL(), r.pg.URL(), fmt.Sprintf("transform: {tables: [{source: %s.users, columns: [{source: nothing, drop: true}]}]}", r.my.Name))
	r.refused(3, r.my.Name+".users", "nothing")
}

func TestATargetThatIsNotEmptyIsRefused(t *testing.T) {
	r := smallRig(t, testdb.MySQL(t), "")
	r.pg.Exec(t, r.must("schema", "--phase", "before")+"INSERT INTO users VALUES (7, 'old')")
	for _, verb := range []string{"check", "run"} {
		exit, out, errs := r.crossfade(verb)
		if exit != 3 {
			t.Errorf("%s: exit %d, want 3\n%s%s", verb, exit, out, errs)
		}
		says(t, verb, out+errs, "public.users", "holds rows", "snapshot.existing: truncate")
	}
	r.configure(r.my.URL(), r.pg.URL(), "snapshot: {existing: truncate}")
	r.start()
	r.waitReady()
	r.equal("users", "SELECT id, name FROM users ORDER BY id", "SELECT id, name FROM users ORDER BY id")
}
