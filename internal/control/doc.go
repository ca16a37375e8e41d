// Package control is how a running migration is watched and steered: the JSON that scripts rely on, the HTTP API over a local socket, and its client.
//
// The verbs of the command line are clients of this API. An error crosses it with the exit code that the verb ends with, so a script
// sees the same code whether the daemon or the verb itself found the reason.
//
// # Invariants
//
//   - The socket is a file that only its owner may open; the TCP listener is for loopback.
//   - A request that changes something is a POST; a browser's request from another origin is refused, and one to a name that is not loopback.
//   - One process at a time works on a migration: the daemon, or cleanup.
package control
