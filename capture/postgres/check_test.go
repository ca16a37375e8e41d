package postgres

import (
	"strings"
	"testing"

	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

func (f *followed) finds(t *testing.T, code, object, remedy string) {
	t.Helper()
	found, err := f.Check(t.Context(), f.tables)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range found {
		if x.Code == code && (object == "" || x.Object == object) && strings.Contains(x.Remedy, remedy) {
			return
		}
	}
	t.Errorf("no finding %s of %s with the remedy %q in %+v", code, object, remedy, found)
}

func errorsOf(found []catalog.Finding) (out []catalog.Finding) {
	for _, x := range found {
		if x.Severity == catalog.Error && x.Code != "fsync" { // tests run without
			out = append(out, x)
		}
	}
	return out
}

func TestTheCheckNamesWhatIsMissing(t *testing.T) {
	versions(t, func(t *testing.T, d *testdb.PostgresDB) {
		d.Exec(t, `CREATE TABLE a (id int PRIMARY KEY, v int); CREATE UNLOGGED TABLE unlogged (id int PRIMARY KEY); CREATE TABLE nokey (v int); CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (PRIMARY KEY (id)) INHERITS (parent);
			CREATE TABLE secret (id int PRIMARY KEY); ALTER TABLE secret ENABLE ROW LEVEL SECURITY; ALTER TABLE secret FORCE ROW LEVEL SECURITY; CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (9)`)
		f := &followed{Source: open(t, d), t: t, d: d}
		var err error
		if f.tables, err = f.Catalog(t.Context(), func(schema, _ string) bool { return schema == "public" }); err != nil {
			t.Fatal(err)
		}
		f.finds(t, "unlogged", "public.unlogged", "SET LOGGED")
		f.finds(t, "replica_identity", "public.nokey", "primary key")
		f.finds(t, "inheritance", "public.child", "leave it out")
		f.finds(t, "inheritance", "public.parent", "leave it out")
		role := d.Role(t, "", "pw", "USAGE ON SCHEMA public")
		s, err := Open(t.Context(), Config{URL: role, Migration: d.Name}, f.log)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		f.Source = s
		f.finds(t, "privilege", "", "REPLICATION")
		f.finds(t, "privilege", "", "GRANT CREATE ON DATABASE")
		f.finds(t, "privilege", "public.a", "GRANT SELECT ON")
		f.finds(t, "privilege", "public.a", "GRANT admin TO")
		f.finds(t, "row_security", "public.secret", "BYPASSRLS")
		if out, err := s.CheckProbe(t.Context(), f.tables); err != nil || len(out) != 1 || !strings.Contains(out[0].Remedy, "GRANT INSERT") {
			t.Errorf("probe: %+v, %v", out, err)
		}
		if drop, err := s.DropUser(t.Context()); err != nil || !strings.HasPrefix(drop, "REASSIGN OWNED BY ") {
			t.Errorf("drop: %s, %v", drop, err)
		}
	})
}

func TestASourceThatIsFineHasNoErrors(t *testing.T) {
	versions(t, func(t *testing.T, d *testdb.PostgresDB) {
		d.Exec(t, "CREATE TABLE a (id int PRIMARY KEY, v int); CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (9)")
		f := follow(t, d)
		found, err := f.Check(t.Context(), f.tables)
		if err != nil || len(errorsOf(found)) > 0 {
			t.Errorf("%+v, %v", found, err)
		}
	})
}

func TestAServerThatKeepsNoRowsInItsLogIsFound(t *testing.T) {
	d := testdb.NewPostgres(t, 18, "wal_level=replica", "wal_sender_timeout=3s", "max_slot_wal_keep_size=1GB").Database(t)
	d.Exec(t, "CREATE TABLE a (id int PRIMARY KEY)")
	f := &followed{Source: open(t, d), t: t, d: d}
	var err error
	if f.tables, err = f.Catalog(t.Context(), func(schema, _ string) bool { return schema == "public" }); err != nil {
		t.Fatal(err)
	}
	f.finds(t, "wal_level", "", "wal_level = 'logical'")
	f.finds(t, "wal_sender_timeout", "", "60s")
	f.finds(t, "max_slot_wal_keep_size", "", "raise it")
}
