// Command bench measures crossfade beside what this machine can do at most, in one run.
//
// Two speeds are measured, each beside its reference, in turns (A B B A ...), so that both have the same good and bad moments of the machine:
//
//   - the snapshot beside the limit: one SELECT from MySQL whose rows are written into one COPY to PostgreSQL, and nothing else;
//   - catching up beside a native subscription of PostgreSQL that catches up on the same changes.
//
// And the pauses of cutovers and rollbacks, one after the other, while an application writes at half of the rate that it reaches when nothing holds it back: with a PgBouncer before
// PostgreSQL and PostgreSQL, and with a command that tells the application where to write, from MySQL to PostgreSQL; each with a database and with one that is twenty times as large.
//
// Servers are real ones of [internal/testdb], as durable as in production, and serve all contestants alike. Crossfade runs as its users run it: the
// binary, as a process, with a configuration file. What is timed exactly is written in docs/performance.md.
//
// Times are printed and never judged: the program fails only when something does not work, or when the contestants did not end with the same rows.
package main
