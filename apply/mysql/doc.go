// Package mysql applies rows to a MySQL or MariaDB database.
//
// # Invariants
//
//   - A lane's rows and its ledger row commit in one transaction. The ledger statement is the first of it, alone, and always changes its row.
//   - Nothing is rounded, cut off or replaced in silence: sessions are strict, every warning about a row is a refusal, and what no mode notices (decimals and
//     digits of a second too many) the mapping has refused before.
//   - REPLACE is used only where the key's index is the only unique one; else a row is put by deleting its key and inserting it (D6).
//   - Sessions accept every date that a column of the source can hold, do not check foreign keys, and give zero to counters as zero.
//   - No session waits longer than a second for a lock.
//
// # Decisions
//
// Rows are written as literals in statements of many rows: no value is boxed for a driver, and the server parses one statement instead of a thousand. Updates
// go as many statements in one packet, because a join with a list of values is not written alike in all versions. TRUNCATE would end the transaction, so a
// table is emptied by DELETE.
//
// Chunks go by LOAD DATA LOCAL where the server takes it: 1.2 to 1.4 times the rows a second. It knows strings only, and a year of 0 is another one as a string; and it leaves out rows that an INSERT
// would refuse. So bytes, bits and years are converted, and a single warning takes all of it back, to be inserted row by row.
package mysql
