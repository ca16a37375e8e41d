// Package catalog says what a database holds: its tables, columns, keys, indexes and constraints.
//
// [MySQL] and [Postgres] read it from a server. A [Table] is a plain description: it can be stored as JSON and read back.
//
// # Invariants
//
//   - Columns are in ordinal order and complete: invisible and generated ones are there too, as they are in the log.
//   - Names are as the server spells them; nothing is folded.
//   - What the reader does not understand is an error, never left out: a table without its check constraint is another table.
//   - A Table does not change after it is read. A changed table is another Table with another shape.
//
// # Not here
//
// Whether a table can be moved is judged by those who move it; [Finding] is only the form in which they say it. Views, routines, events
// and grants are not read.
package catalog
