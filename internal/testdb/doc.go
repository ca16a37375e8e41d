// Package testdb starts real MySQL, MariaDB and PostgreSQL servers for tests, the demo and the benchmarks.
//
// A test package asks for a server and gets a fresh database in it:
//
//	func TestMain(m *testing.M) { testdb.Main(m) }
//
//	func TestSomething(t *testing.T) {
//		src := testdb.MySQL(t).Database(t)        // shared server, own database
//		dst := testdb.Postgres(t, 18).Database(t)
//		src.Exec(t, "CREATE TABLE ...")
//		... src.URL(), dst.URL() ...
//	}
//
// A test that fences, kills, restarts or reconfigures a server takes its own with NewMySQL, NewMariaDB or NewPostgres. Kill is
// SIGKILL, Stop an orderly shutdown, Start continues on the same data and the same port.
//
// Where the binaries come from: what is on PATH or in the distribution's directories, when recent enough (MySQL 8.0,
// for PostgreSQL the very major asked for); else they are fetched once, without root, into the user's cache directory:
// MySQL and MariaDB from the machine's own apt mirror, PostgreSQL from npm. Initialised data directories are cached there too and
// copied, each copy with its own server identity.
//
// Invariants:
//   - Servers listen on 127.0.0.1 only, below the ephemeral ports, and keep their port over restarts.
//   - Nothing outlives the process: not the servers, not their files, not shared memory; also not after SIGKILL. Servers
//     carry a parent-death signal, and a small shell process waits for the end of this process and removes what is left.
//   - Everything in the cache appears whole or not at all and is made once, whatever number of processes asks.
//   - As root the servers run as nobody (PostgreSQL refuses root).
//   - Servers of tests write without fsync (a killed process loses nothing by that, only a power cut would); those
//     of StartMySQL and StartPostgres are as durable as in production.
package testdb
