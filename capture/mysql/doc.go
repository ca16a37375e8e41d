// Package mysql reads a MySQL or MariaDB server: its rows in ranges of the key, and its changes from the binlog.
//
// # Invariants
//
//   - A value read by SELECT and the same value read from the binlog are the same bytes. What the server or the account presets (a mode, a limit, a character
//     set, a time zone) does not change what is read: every session sets all of it.
//   - A read is opened after the proof that its snapshot sees everything up to a position: WAIT_FOR_EXECUTED_GTID_SET, or without GTID a commit of
//     our own while binlog_order_commits is ON; on MariaDB the place of the log that the server names for the snapshot. A proof that does not come in ten seconds is [capture.ErrNotVisible].
//   - A read compares the columns that the server sends with the catalog; a table changed since is a [capture.Stop], not a guess.
//   - Positions are texts that only this package reads. A place inside a transaction counts rows as logged.
//   - A transaction whose first row is one of this migration's crossfade.ledger is an applier's of ours: of it the commit alone is returned. Of another migration's it is a change like any.
//   - No session waits for a lock longer than a second, and a read whose context ends is killed on the server.
//
// # Concurrency
//
// A [Source] may be used by several goroutines; a tail by one. Reads take a session from a small pool, so no more than [Config.Readers] run at a time.
//
// # Decisions
//
// The binlog is read on a session of our own (dump.go), on which go-mysql logs in; its BinlogSyncer is not used. It sets a deadline, takes the time,
// parses, checks the sum and copies once for every event, before this package does so again: 7.0 instead of 4.3 microseconds of the daemon's CPU for a
// row change, and a catch-up of 1.33 instead of 1.73 times a native subscription (docs/performance.md). It also takes no context. What depends on the version of the log (GTID sets, the forms of events) still comes from
// go-mysql.
//
// # Not here
//
// When a chunk is read and what is published is decided by package capture. What a cascade does is read where the log has it; elsewhere (MariaDB,
// MySQL before 9.6) it is carried out by package apply. Changes say whether their session checked foreign keys.
//
// # MariaDB
//
// Positions are a file and an offset of one server's log: a set of domains says nothing of the order between them, a snapshot names its file and offset, and every
// transaction has one. The last GTID of each domain stands beside it. It says which history that is: a log that was begun anew, or a restored server, is found by it. And on
// a replica that was promoted, whose files are others, it says where to go on (mariadb_follow.go): places of two servers are compared by it. It is not asked for where a place is
// only to be reached, for the server answers by reading the file up to there. From 11.4 on events inside a transaction do not say where they end, so offsets are counted.
package mysql
