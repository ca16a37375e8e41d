// Package expression compiles and evaluates the expressions of a mapping: a condition or a value over one source row.
//
// The language is that of expr-lang/expr, whose parser reads it: operators, `cond ? a : b`, `??`, `in [..]`, `matches`, `contains`,
// slices, `|` pipes and function calls. What is different is the arithmetic of a row, and why the parser's tree is evaluated here and not by
// that library, which adds two uint64 into a rounded float and wraps an int without a word:
//
//   - Integers are exact over the range of BIGINT and BIGINT UNSIGNED together; a result outside is an error of the row.
//   - Decimals are exact. `+ - *` keep every digit. Exact numbers never become floats by themselves, nor floats exact numbers: write
//     float(x), decimal(x), int(x). `/` is for floats; use div(a, b) for whole quotients and divide(a, b, scale) for decimal ones.
//   - A number with a point is a decimal, exactly as written, or a float beside a float.
//   - Text compares byte by byte, whatever the collation of its column. Dates, times and bits are text of one form
//     ('2024-01-31', '2024-01-31 10:00:00', '-01:00:00', '0101'); they compare as what they are, also with a literal.
//   - Booleans are results of comparisons. MySQL has no boolean columns: write `deleted == 0`, not `!deleted`.
//   - JSON can be tested for nil and passed on; string(x) is its text.
//
// NULL follows SQL: an operator or function with a NULL operand gives NULL, `and`, `or` and `not` are three-valued, a condition that is NULL
// does not hold. Only `x == nil` and `x != nil` ask whether x is NULL, and `x ?? y` replaces it.
//
// # Invariants
//
//   - Equal rows give equal results, always and everywhere: no clock, no random numbers, no locale, no map order.
//   - Unknown names, wrong types and functions that are not listed are errors of [Compile], with the place and the remedy.
//   - Evaluation takes no reflection and no interface values, and is bounded: there are no loops, and one row's results hold no more than
//     [MaxBytes].
//
// A [Program] may be used by several goroutines, each with its own [Scratch].
package expression
