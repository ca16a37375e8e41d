// Command crossfade moves a live database to another schema, version or engine.
//
// One file holds one verb. run.go is the daemon and reads top to bottom like the data flows: source, capture, transform, stream, apply, verify,
// cutover. The other verbs are clients of the daemon's socket; check, schema, cleanup, status and report also work without it.
package main
