// Package canonical says when two values are equal as a column of the target sees them.
//
// [AppendCanonical] writes a value in a form in which equal values are equal bytes and different values are different bytes; [ParsePG] reads a
// value from the text that PostgreSQL prints for it (what MySQL and MariaDB hold is read by capture's readers). Verification compares what the source row became with what the target holds.
//
// # Invariants
//
//   - The package imports internal/change only and shares no code with the path that writes rows: a mistake in the one is not
//     repeated in the other.
//   - Forms delimit themselves, so the forms of a row's columns in sequence are the form of the row.
//   - What equality means is the column's type: numeric ignores trailing zeros and the sign of zero; real and double precision compare
//     bits (-0 is not 0), except that every NaN is the same; timestamps ignore trailing zeros of the fraction; character(n) ignores
//     trailing blanks; jsonb ignores the order of keys, insignificant space and how a number is written, never its value; json is its
//     text; interval is its length with days of 24 hours and months of 30 days, as PostgreSQL compares intervals; uuid ignores case. A type without
//     a form of its own, and an interval that came from PostgreSQL, is the text that it prints. In MySQL and MariaDB char(n) ignores trailing blanks, json is
//     compared by value, and everything else by the form of its values.
//   - An absent value has no form: comparing it would prove nothing, so it is an error. So is a value of a kind that the column's type
//     cannot hold.
//
// All functions may be called from several goroutines.
package canonical
