package main

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/crossfade-io/crossfade/apply"
	"github.com/crossfade-io/crossfade/capture"
	"github.com/crossfade-io/crossfade/configs"
	"github.com/crossfade-io/crossfade/cutover"
	"github.com/crossfade-io/crossfade/cutover/rounds"
	"github.com/crossfade-io/crossfade/cutover/verify"
	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/change"
	"github.com/crossfade-io/crossfade/internal/control"
	"github.com/crossfade-io/crossfade/internal/stream"
	"github.com/crossfade-io/crossfade/transform"
)

// migration is the running daemon: the flow from the source to the target, and the cutover.
type migration struct {
	flow
	machine     *cutover.Machine // from source to target
	machineBack *cutover.Machine // and back
	twoWay      twoWay
	serving     serving
	gates       *gates
	guards      *guards
	cutovers    sync.Mutex             // one verb at a time
	attempting  atomic.Bool            // an attempt runs
	unfinished  atomic.Pointer[string] // what is left to do after the decision
	removed     atomic.Bool            // what the flows kept, after the soak was ended
	unsettled   counterGate            // an abort that has not come to its end
	recorder    recorder
	reverse     atomic.Pointer[flow] // from the target to the source; nil until it runs
}

// flow is one direction: two databases and the stream between them, which open makes, and what runs over them. Its source is where the rows come from.
type flow struct {
	cfg *configs.Config
	log *slog.Logger
	way way

	ends
	verifier *verify.Verifier

	links     links
	resumes   counterGate
	trouble   trouble
	progress  progress
	applying  applying
	repairs   repairs
	pace      rounds.Window         // of commits on the source that come to be in every lane's ledger
	mapper    func() capture.Mapper // of what is captured
	strangers strangers             // at the end that is filled by the other direction
}

// ends are the two databases, the mapping between them, and the stream.
type ends struct {
	source source
	copied copied
	target target
	stream *stream.Log
	tables []*catalog.Table // selected source tables, in the versions in force where capture goes on
	plan   *transform.Plan
	// sequences of the source that no column owns, as they were at the start.
	sequences []catalog.Sequence
	// cascades: what foreign keys of the source change is not in its log.
	cascades bool
}

// progress is what status shows of capture.
type progress struct {
	publisher atomic.Pointer[capture.Publisher]
	snapshot  atomic.Pointer[capture.Snapshot]
	level     atomic.Int64 // when the target was last seen level with the source, microseconds since 1970
	finished  atomic.Bool  // the after phase is done
	validated atomic.Bool  // the first full verification has ended
	checking  atomic.Bool
	meter     meter
	room      meter
}

// applying is the applier that runs now; it is stopped by a pause and by a cutover, and started again with a new token.
type applying struct {
	mu      sync.Mutex
	applier *apply.Applier
	cancel  context.CancelCauseFunc
	halted  bool // a cutover has ended its work
	over    bool // none will be started any more
	paused  bool
	changed counterGate
}

func newMigration(cfg *configs.Config, log *slog.Logger) *migration {
	m := &migration{flow: flow{cfg: cfg, log: log, way: forwardWay(cfg)}, recorder: recorder{dir: cfg.Dir()}}
	m.mapper = func() capture.Mapper {
		if m.twoWay.Goes {
			return strangerMapper{m, &m.flow, captureMapper{m.plan.Mapper()}}
		}
		return captureMapper{m.plan.Mapper()}
	}
	return m
}

func (m *migration) close() {
	if m.gates != nil {
		m.gates.close()
	}
	m.flow.close()
}

func (f *flow) close() {
	if f.stream != nil {
		if err := f.stream.Close(); err != nil {
			f.log.Warn("close the stream", "err", err)
		}
	}
	if f.source != nil {
		if err := f.source.Close(); err != nil {
			f.log.Warn("close the source", "err", err)
		}
	}
	if f.target != nil {
		f.target.Close()
	}
	if f.copied != nil {
		f.copied.Close()
	}
}

// trouble is what stops the migration until resume, by the part that it stops.
type trouble struct {
	mu   sync.Mutex
	what map[string]error
}

func (f *flow) fail(part string, err error) {
	f.trouble.mu.Lock()
	defer f.trouble.mu.Unlock()
	if f.trouble.what == nil {
		f.trouble.what = map[string]error{}
	}
	f.trouble.what[part] = err
	f.log.Error("stopped; resume tries again", "part", part, "err", err)
}

func (f *flow) recovered(part string) {
	f.trouble.mu.Lock()
	delete(f.trouble.what, part)
	f.trouble.mu.Unlock()
}

func (f *flow) failure() error {
	f.trouble.mu.Lock()
	defer f.trouble.mu.Unlock()
	for _, part := range []string{"source", "stream", "target", "finish", "reverse", "finalize"} {
		if err := f.trouble.what[part]; err != nil {
			return err
		}
	}
	return nil
}

// needsPerson returns the error when trying again alone cannot help.
func needsPerson(err error) error {
	var stop *capture.Stop
	var refused *control.Error
	var p *permanent
	switch {
	case errors.As(err, &stop), errors.As(err, &refused), errors.As(err, &p):
		return err
	}
	for _, e := range []error{stream.ErrHole, stream.ErrForeign, stream.ErrShrunk, stream.ErrPurged, stream.ErrFenced, stream.ErrStorage, change.ErrCorrupt} {
		if errors.Is(err, e) {
			return err
		}
	}
	return nil
}
