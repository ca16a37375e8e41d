// Package configs is the configuration of crossfade: one tree, its defaults, how it is read and what is wrong with it.
//
//	cfg, err := configs.Load(configs.Path(flag))   // shape: keys, types, variables, files with secrets
//	err = cfg.Validate()                           // meaning: ranges, combinations, what is not built yet
//
// Every error of both is a mistake of whoever wrote the configuration: the command line ends with exit code 2. Both report all
// mistakes at once, joined, each a [*Mistake] with the path of the key and the remedy.
//
// # Invariants
//
//   - A key that is not known is an error, never ignored; so is a key that is known and not built yet (unbuilt.go, [ErrNotBuilt]).
//   - A password is never printed: not by fmt with any verb, not by slog, JSON or YAML, and not by the error about it.
//   - ${VAR} is substituted after the YAML is parsed, so a value can not change the structure of the file, and is escaped
//     inside URLs, so it can not change the structure of a URL. A variable that is not set is an error.
//   - No table or column name is ever a key: viper lower-cases keys, so names stand in lists.
//   - Only load.go knows viper. Nothing outside this package reads CROSSFADE_ variables that stand for keys.
//
// The reference of all keys, docs/configuration.md, is compared with the tree by a test.
package configs
