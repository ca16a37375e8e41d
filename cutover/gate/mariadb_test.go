package gate_test

import (
	"database/sql"
	"testing"
	"time"

	"github.com/crossfade-io/crossfade/cutover"
	"github.com/crossfade-io/crossfade/cutover/protocol"
	"github.com/crossfade-io/crossfade/internal/testdb"
)

// What a MySQL source guarantees, MariaDB does.
func TestMariaDBGuaranteesTheSame(t *testing.T) {
	defer func() { mariadb = "" }()
	for _, version := range []string{"10.11", "11.8"} {
		mariadb = version
		t.Run(version, func(t *testing.T) {
			if version == "11.8" { // by default it refuses what an older snapshot wants to change, as no other server does
				testdb.MariaDB(t, version).Database(t).Exec(t, "SET GLOBAL innodb_snapshot_isolation = OFF")
			}
			for name, test := range map[string]func(*testing.T){
				"AClosedGateRefusesEveryKindOfWriteAndSaysSo":                  TestAClosedGateRefusesEveryKindOfWriteAndSaysSo,
				"TheFenceWaitsForWhoHasWritten":                                TestTheFenceWaitsForWhoHasWritten,
				"TheFenceIsSentAgainAfterADeadlock":                            TestTheFenceIsSentAgainAfterADeadlock,
				"WhoIsRefusedAtOnceDoesNotKeepTheGate":                         TestWhoIsRefusedAtOnceDoesNotKeepTheGate,
				"ReopeningEndsWhoKeepsTheGate":                                 TestReopeningEndsWhoKeepsTheGate,
				"LockTablesDoesNotKeepTheSourceClosed":                         TestLockTablesDoesNotKeepTheSourceClosed,
				"APreparedTransactionIsSeenEvenAfterARestartThatFreedItsLocks": TestAPreparedTransactionIsSeenEvenAfterARestartThatFreedItsLocks,
				"DDLWaitsWhileTablesAreHeld":                                   TestDDLWaitsWhileTablesAreHeld,
				"ALostHoldIsNoticed":                                           TestALostHoldIsNoticed,
				"TablesThatCascadeIntoAMigratedOneAreGatedForWhatCascades":     TestTablesThatCascadeIntoAMigratedOneAreGatedForWhatCascades,
				"TheGateStandsBesideTheApplicationsTriggers":                   TestTheGateStandsBesideTheApplicationsTriggers,
				"RemovingOldTriggersLateLeavesThoseOfTheNextAttempt":           TestRemovingOldTriggersLateLeavesThoseOfTheNextAttempt,
				"InstallingWaitsForOpenTransactionsInSmallPieces":              TestInstallingWaitsForOpenTransactionsInSmallPieces,
				"TheProbeWritesAsTheApplication":                               TestTheProbeWritesAsTheApplication,
				"AnotherServerExecutesNothing":                                 TestAnotherServerExecutesNothing,
				"ASealedSourceStaysClosedWithoutAnythingOfOurs":                TestASealedSourceStaysClosedWithoutAnythingOfOurs,
				"TheLastNumberIssuedIsReadNotTheLargestKept":                   TestTheLastNumberIssuedIsReadNotTheLargestKept,
				"ADeadlineThatPassedForbidsTheDecision":                        TestADeadlineThatPassedForbidsTheDecision,
			} {
				t.Run(name, test)
			}
		})
	}
}

// MariaDB 11.8 itself refuses what a transaction with an older snapshot wants to lock: before the trigger can, and with another error.
func TestASnapshotFromBeforeTheFenceDoesNotWriteOnMariaDB(t *testing.T) {
	mariadb = "11.8"
	defer func() { mariadb = "" }()
	s := newSource(t, ownServer(t), one, "t")
	do(t, s.gate, protocol.Arm, 1, true)
	if _, err := s.gate.Install(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	older := begin(t, s.app, sql.LevelRepeatableRead)
	var n int
	if err := older.QueryRow("SELECT COUNT(*) FROM t").Scan(&n); err != nil {
		t.Fatal(err)
	}
	do(t, s.gate, protocol.Fence, 1, true)
	if _, err := older.Exec("INSERT INTO t (n) VALUES (1)"); err == nil {
		t.Fatal("it wrote")
	}
	do(t, s.gate, protocol.Quit, 1, true)
	within(t, 10*time.Second, "reopen", func() bool {
		rule, _ := protocol.RuleOf(protocol.Reopen)
		ok, err := s.gate.Do(t.Context(), cutover.Call{Rule: rule, Epoch: 1})
		if isBusy(err) {
			if _, err := s.gate.Free(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		return ok
	})
	mustExec(t, s.app, "INSERT INTO t (n) VALUES (2)")
}
