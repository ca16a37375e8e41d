package mysql

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/crossfade-io/crossfade/internal/testdb"
)

// compressedPart is what MariaDB writes in place of the rows of an event.
func compressedPart(t testing.TB, plain []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	b.Write([]byte{0x80 | 2, byte(len(plain) >> 8), byte(len(plain))})
	z := zlib.NewWriter(&b)
	if _, err := z.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestACompressedPartThatIsNotWholeIsRefused(t *testing.T) {
	plain := []byte(strings.Repeat("row ", 300))
	good := compressedPart(t, plain)
	if got, err := inflate([]byte("head"), good); err != nil || string(got) != "head"+string(plain) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	for n := range good {
		if _, err := inflate(nil, good[:n]); err == nil {
			t.Errorf("its first %d bytes of %d are taken", n, len(good))
		}
	}
	for name, change := range map[string]func(b []byte){
		"another algorithm": func(b []byte) { b[0] |= 0x10 },
		"a longer length":   func(b []byte) { b[2]++ },
		"a shorter length":  func(b []byte) { b[2]-- },
		"no length":         func(b []byte) { b[0] &= 0xf8 },
		"another checksum":  func(b []byte) { b[len(b)-1]++ },
	} {
		b := bytes.Clone(good)
		change(b)
		if _, err := inflate(nil, b); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func FuzzCompressedEvents(f *testing.F) {
	f.Add(byte(replication.MARIADB_WRITE_ROWS_COMPRESSED_EVENT_V1), append([]byte{1, 0, 0, 0, 0, 0, 1, 0, 2, 3}, compressedPart(f, []byte("rows"))...))
	f.Add(byte(replication.MARIADB_QUERY_COMPRESSED_EVENT), append(make([]byte, 14), compressedPart(f, []byte("BEGIN"))...))
	f.Fuzz(func(t *testing.T, typ byte, body []byte) {
		e := event{typ: replication.EventType(typ), body: body}
		if _, head, err := compressedHead(&e); err == nil {
			if head > len(body) {
				t.Fatalf("a head of %d bytes of %d", head, len(body))
			}
			if len(body)-head > 4 && int(body[head]&7) > 3 { // up to a gigabyte
				return
			}
			_, _ = inflate(nil, body[head:]) // it must not panic
		}
	})
}

func TestAServerOfTheOtherEngineIsRefusedWithTheRightScheme(t *testing.T) {
	for _, d := range []*testdb.MySQLDB{testdb.MariaDB(t, "11.8").Database(t), testdb.MySQL(t).Database(t)} {
		cfg := config(t, d.URL())
		if cfg.Engine = "mysql"; !isMariaDB(d) {
			cfg.Engine = "mariadb"
		}
		s, err := Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "write mariadb:// for MariaDB and mysql:// for MySQL") {
			t.Errorf("%s as %s: %v", d.URL(), cfg.Engine, err)
		}
	}
}

func TestTheCheckOfMariaDBNamesWhatIsMissing(t *testing.T) {
	server := testdb.NewMariaDB(t, "10.11", "--binlog-format=MIXED", "--binlog-row-metadata=NO_LOG", "--sync-binlog=0")
	d := server.Database(t)
	d.Exec(t, `CREATE TABLE parent (id int PRIMARY KEY) ; CREATE TABLE child (id int PRIMARY KEY, p int, FOREIGN KEY (p) REFERENCES parent (id) ON DELETE SET NULL);
		CREATE TABLE versioned (id int PRIMARY KEY) WITH SYSTEM VERSIONING; CREATE TABLE packed (id int PRIMARY KEY, v text COMPRESSED); CREATE SEQUENCE s`)
	cfg := config(t, d.User(t, "", "pw", "SELECT, TRIGGER"))
	s, err := Open(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	all, err := s.Catalog(t.Context(), func(schema, _ string) bool { return schema == d.Name })
	if err != nil {
		t.Fatal(err)
	}
	found, err := s.Check(t.Context(), all)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct{ code, object, remedy string }{
		{"binlog_format", "", "SET GLOBAL binlog_format = ROW"}, {"binlog_row_metadata", "", "SET GLOBAL binlog_row_metadata = FULL"}, {"sync_binlog", "", "SET GLOBAL sync_binlog = 1"},
		{"privilege", "BINLOG MONITOR", "GRANT BINLOG MONITOR"}, {"privilege", "crossfade", "GRANT ALL ON crossfade.*"},
		{"cascade", d.Name + ".child", "one lane together"}, {"versioned", d.Name + ".versioned", "DROP SYSTEM VERSIONING"}, {"type", d.Name + ".packed.v", "without COMPRESSED"}, {"sequence", d.Name + ".s", "in the target"},
	} {
		ok := false
		for _, x := range found {
			ok = ok || x.Code == want.code && (want.object == "" || x.Object == want.object) && strings.Contains(x.Remedy, want.remedy)
		}
		if !ok {
			t.Errorf("no finding %+v in %+v", want, found)
		}
	}
	d.Exec(t, "SET GLOBAL log_bin_trust_function_creators = ON") // or no trigger can be made whatever the privileges, which the check says first
	monitor := config(t, d.User(t, "", "pw", "SELECT", "ALL ON crossfade.*", "BINLOG MONITOR ON *.*"))
	m, err := Open(t.Context(), monitor, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if found, err = m.Check(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	// Without TRIGGER MariaDB does not show foreign keys either, so a cascade would be missed: the check must ask for it.
	for _, grant := range []string{"GRANT REPLICATION SLAVE ON", "GRANT TRIGGER ON"} {
		ok := false
		for _, x := range found {
			ok = ok || x.Severity == "error" && x.Code == "privilege" && strings.Contains(x.Remedy, grant)
		}
		if !ok {
			t.Errorf("nobody asks for %s: %+v", grant, found)
		}
	}
}

// A log that was begun anew can have a file of the same name with as many bytes. The GTIDs behind the place say that it is another.
func TestAnotherHistoryUnderTheSameFileIsRefused(t *testing.T) {
	for _, version := range []string{"10.11", "11.8"} {
		server := testdb.NewMariaDB(t, version)
		d := server.Database(t)
		s := scoped(t, d)
		d.Exec(t, "CREATE TABLE a (id int PRIMARY KEY)")
		from := now(t, s)
		tail := startTail(t, s, from, tables(t, d))
		inOneSession(t, d, "INSERT INTO a VALUES (1)", "SET gtid_domain_id = 3", "INSERT INTO a VALUES (2)")
		events, err := follow(t, s, tail, now(t, s))
		if err != nil {
			t.Fatal(err)
		}
		place := events[len(events)-1].place
		if !strings.Contains(place, ";gtid=0-") || !strings.Contains(place, ",3-") {
			t.Errorf("the place %s names no domains", place)
		}
		if err := s.Contains(t.Context(), place); err != nil {
			t.Errorf("%s: the log that was read: %v", version, err)
		}
		d.Exec(t, "FLUSH BINARY LOGS")
		if err := s.Contains(t.Context(), place); err != nil {
			t.Errorf("%s: the log that was read, in a file before the last: %v", version, err)
		}
		d.Exec(t, "RESET MASTER")
		d.Exec(t, "CREATE TABLE b (id int PRIMARY KEY)")
		for i := range 200 { // until the file is as long
			d.Exec(t, fmt.Sprintf("INSERT INTO b VALUES (%d)", i))
		}
		mustStop(t, s.Contains(t.Context(), place), "", "its log is another than the one that was read", "new snapshot")
	}
}
