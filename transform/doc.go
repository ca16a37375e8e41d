// Package transform turns rows of a source into rows of a target, PostgreSQL, MySQL and MariaDB each to each.
//
// [Compile] checks the [Rules] against the source's tables and makes a [Plan]: for every table its target shape, what each column becomes, and the
// target's DDL. A [Mapper] runs the plan on changes and on rows; the rules of a mapping are decided once, never per row.
//
// # Invariants
//
//   - A value that the target column cannot hold exactly is never written. It is changed only by a policy that the rules name, recorded in [Plan.Lossy]
//     and counted, or its row becomes a change with Op Refused that carries the source row and the reason.
//   - The mapping is a function of the row: equal source rows give equal target rows, in the snapshot, the log and verification alike.
//   - An absent column stays absent. A column that is calculated is calculated from columns that are all there, or the row is refused.
//   - The key of the target is the key of the source, each column mapped so that different keys stay different and can be mapped back
//     ([Mapper.SourceKey]). The target's key is never coarser than the source's.
//   - Compile reports all mistakes at once, each with its remedy.
//
// # Files
//
// column.go, cast*.go and ddl.go are about a PostgreSQL target, column_mysql.go, cast_mysql.go, mysqltype.go and ddl_mysql.go about one of MySQL or MariaDB,
// postgres_source.go about what stays PostgreSQL. Between servers of one engine a column keeps its type, and no value is touched.
//
// # Default types from MySQL to PostgreSQL
//
//	tinyint, smallint, year  smallint     decimal(p,s)      numeric(p,s)        date          date
//	tinyint unsigned         smallint     float             real                datetime(f)   timestamp(f) without time zone
//	smallint unsigned        integer      double            double precision    timestamp(f)  timestamp(f) with time zone
//	mediumint, int           integer      char, varchar(n)  varchar(n)          time(f)       interval
//	mediumint unsigned       integer      texts, enum, set  text                json          jsonb
//	int unsigned, bigint     bigint       binaries, blobs   bytea               bit(n)        bit(n)
//	bigint unsigned          numeric(20)  geometry          bytea
//
// tinyint(1) is not a boolean: it holds -128 to 127. `as: boolean` makes it one and refuses other values than 0 and 1. An enum gets a check of its
// labels, and its error value (an empty text that is no label) is refused unless `as: text` lifts both.
//
// # What a mapping cannot do
//
// It does not merge tables, and does not change, drop or calculate key columns; constants may be added to a key. A date is a key as it is. Masks are
// not built.
//
// A [Plan] does not change and may be shared. A [Mapper] belongs to one goroutine.
package transform
