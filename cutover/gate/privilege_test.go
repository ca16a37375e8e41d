package gate_test

import (
	"strings"
	"testing"

	"github.com/crossfade-io/crossfade/cutover"
	"github.com/crossfade-io/crossfade/cutover/gate"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

// What the source's user may do is proven by doing it on a scratch table, and what is missing is named with its remedy (R1).
func TestWhatTheSourcesUserLacksIsNamedWithItsRemedy(t *testing.T) {
	server := testdb.NewMySQL(t)
	db := server.Database(t)
	db.Exec(t, one)
	full := []string{"SELECT, TRIGGER", "ALL ON crossfade.*", "XA_RECOVER_ADMIN, CONNECTION_ADMIN ON *.*", "SELECT ON performance_schema.*"}
	check := func(grants ...string) (found []cutover.Finding, prepared error) {
		t.Helper()
		g := openGate(t, gate.MySQLConfig{Migration: migration(db.Name), Login: login(t, db.User(t, "", "mover", grants...)), Tables: []cutover.Table{{Source: cutover.Name{Schema: db.Name, Table: "t"}}}})
		if err := g.Setup(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		found, err := g.Check(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, prepared = g.PreparedTransactions(t.Context())
		return found, prepared
	}
	named := func(found []cutover.Finding, severity, remedy string) bool {
		for _, f := range found {
			if f.Severity == severity && f.Code == "privilege" && strings.Contains(f.Remedy, remedy) && f.Reason != "" && f.Object != "" {
				return true
			}
		}
		return false
	}
	db.Exec(t, "SET GLOBAL log_bin_trust_function_creators = 1")
	if found, err := check(full...); has(found, "error", "") || named(found, "warning", "") || err != nil {
		t.Errorf("with all that is needed: %+v, %v", found, err)
	}
	if found, _ := check("SELECT", "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP ON crossfade.*", full[2], full[3]); !named(found, "error", "GRANT TRIGGER") {
		t.Errorf("without TRIGGER: %+v", found)
	}
	if found, _ := check("SELECT", "SELECT, INSERT, UPDATE, CREATE, TRIGGER ON crossfade.*", full[2], full[3]); !named(found, "error", "GRANT ALL ON crossfade.*") {
		t.Errorf("without DROP on crossfade: %+v", found)
	}
	db.Exec(t, "SET @q = (SELECT CONCAT('DROP TABLE crossfade.', TABLE_NAME) FROM information_schema.TABLES WHERE TABLE_NAME LIKE 'scratch%'); PREPARE s FROM @q; EXECUTE s")
	if found, err := check(full[0], full[1], "CONNECTION_ADMIN ON *.*", full[3]); err == nil || !strings.Contains(err.Error(), "GRANT XA_RECOVER_ADMIN") {
		t.Errorf("without XA_RECOVER_ADMIN: %v, %+v", err, found)
	}
	if found, _ := check(full[0], full[1], "XA_RECOVER_ADMIN ON *.*", full[3]); !named(found, "warning", "GRANT CONNECTION_ADMIN") {
		t.Errorf("without CONNECTION_ADMIN: %+v", found)
	}
	if found, _ := check(full[0], full[1], full[2]); !named(found, "warning", "performance_schema") {
		t.Errorf("without performance_schema: %+v", found)
	}
	db.Exec(t, "SET GLOBAL log_bin_trust_function_creators = 0")
	if found, _ := check(full...); !named(found, "error", "log_bin_trust_function_creators = 1") {
		t.Errorf("with binary logging, without SUPER and log_bin_trust_function_creators: %+v", found)
	}
	// Nothing of the trials is left.
	var scratch int
	if err := db.DB.QueryRow("SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_NAME LIKE 'scratch%'").Scan(&scratch); err != nil || scratch != 0 {
		t.Errorf("%d scratch tables are left, %v", scratch, err)
	}
}
