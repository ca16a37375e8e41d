// Package scenarios reads the scenario folders beside it: one hazard of moving rows each, written in SQL and configuration alone.
//
// A folder NAME holds
//
//	scenario.yaml    what is guaranteed, for which engines, and how it must end; see [Scenario]
//	source.sql       tables and rows before the migration begins: they go through the snapshot
//	workload.sql     changes while it streams: they go through the log; optional
//	expect.sql       queries and the rows that the target must answer with at the end; optional
//
// Each may have variants by engine: source.postgres.sql, source.mysql.sql, source.mariadb.sql; the plain file serves the engines without
// one, and MariaDB takes MySQL's. The engine of expect is the target's. Every table of a scenario is called NAME or NAME_something, since all
// scenarios of a pair share a database and a daemon, unless they need a configuration or a server of their own.
//
// # SQL files
//
// A statement ends at a line that ends in a semicolon. Lines that begin with -- are comments, some of which direct:
//
//	-- begin, -- end      everything between is one statement
//	-- session b          what follows runs on a connection of that name, which keeps its state; the first is called a
//	-- fails              the next statement must fail
//	-- copy t(a,b)        the lines up to \. are the data of COPY t(a,b) FROM STDIN
//	--> a | b | NULL      in expect.sql: a row of the query above
//
// {dir} in a statement is the folder's path.
//
// # Invariants
//
//   - A folder that cannot be read as it was meant is an error: an unknown key, file or directive, a query without a semicolon.
package scenarios
