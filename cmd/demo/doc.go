// Command demo moves a shop from MySQL to PostgreSQL while it sells, and proves that nothing was lost.
//
//	make demo
//
// It starts both servers with durable commits, fills the shop, lets an application sell some hundred times a second, runs crossfade as its users do (a
// process with a configuration file), cuts over while the application writes, and goes on selling on PostgreSQL. Then it checks with code of its own.
//
// # Invariants
//
//   - The judge shares no code with crossfade: it compares what both databases print, row by row, and knows from the application alone what was acknowledged.
//   - A write counts as acknowledged when its commit returned without an error, and not before. A refused write is tried again, wherever the switch
//     file then points to.
//   - Exit code 0 means: the cutover completed, no row differs, no acknowledged write is missing, the old database refuses writes.
//   - Nothing outlives the process, neither processes nor files, also after SIGKILL: everything lives in the directory of a server of testdb.
//
// `demo switch FILE` and `demo where FILE` are the switch step that the configuration names.
package main
