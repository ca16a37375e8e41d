// Package arch holds the house rules that a compiler does not check: which package may import which, and that each says
// what it is for. It is a test of the source tree; no program imports it.
//
// Data flows capture, stream, transform, apply; imports point the other way. The rules:
//   - internal/change, the ground floor, imports the standard library only.
//   - internal packages import no stage (capture, transform, apply, cutover), no configs and no cmd.
//   - A stage imports itself and internal packages, no other stage and not configs: what it needs of another it declares as
//     an interface. Only cmd composes.
//   - An engine (a directory named postgres, mysql or mariadb inside a stage) is imported by cmd alone, so neither by its own
//     stage nor by another engine.
//   - configs imports internal packages at most, and alone imports viper.
//   - internal/testdb is for tests and for programs under cmd other than cmd/crossfade: the production binary carries no
//     test servers and not the package testing.
//
// Tests follow the same rules, except that they may import testdb and any library.
package arch
