package stream

import "errors"

// The ways in which a stream is not what the ledger or the writer stands on. Each is final: waiting does not mend it.
var (
	// ErrHole: a frame that must be there is not. The storage is damaged, or someone deleted messages.
	ErrHole = errors.New("the stream has a hole")
	// ErrForeign: this is another stream, or a frame of another stream stands in it.
	ErrForeign = errors.New("not this migration's stream")
	// ErrShrunk: the stream ends before the ledger, or tells another history at the ledger's place. It was restored from an older copy.
	ErrShrunk = errors.New("the stream is not the one the ledger was written from")
	// ErrPurged: frames after the ledger were already purged. The ledger was set back, for instance by a failover of the target.
	ErrPurged = errors.New("frames the ledger still needs are purged")
	// ErrFenced: another writer's frame stands where ours belongs.
	ErrFenced = errors.New("another writer has taken over the stream")
	// ErrLocked: the stream's directory is in use.
	ErrLocked = errors.New("the stream's directory is in use")
	// ErrStorage: the embedded server has stopped writing.
	ErrStorage = errors.New("the stream's storage has failed")
	// ErrClosed: the log was closed.
	ErrClosed = errors.New("the stream is closed")
)

const (
	remedyRestore = "stop, and find out who restored, deleted or copied the stream; if its frames cannot be brought back, run cleanup and take a new snapshot"
	remedyDamage  = "the storage has lost data: check the disk; then run cleanup and take a new snapshot (the source is untouched)"
)
