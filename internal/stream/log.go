package stream

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/crossfade-io/crossfade/internal/change"
)

const (
	// apiTimeout bounds one request to the server. A busy disk or a slow line may hold it up for seconds.
	apiTimeout = 20 * time.Second
	// stateTimeout bounds a question with a short answer: a cluster that just lost a leader gives none, and asking again does.
	stateTimeout = 4 * time.Second
)

// Log is the stream of one migration. Its methods may be called concurrently; the order of frames is the order of Append calls.
type Log struct {
	cfg     Config
	log     *slog.Logger
	srv     *embedded // nil: external
	link    *link
	id      change.StreamID
	created bool
	// maxBytes is the stream's size limit when it was opened.
	maxBytes int64
	replicas int
	w        *writer
	purge    purger
	facts    facts

	closing   chan struct{}
	closeOnce sync.Once
}

// Open starts or joins the stream of a migration and creates it if it is missing.
func Open(ctx context.Context, cfg Config, log *slog.Logger) (*Log, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	return open(ctx, cfg, log, func() *server.Options { return serverOptions(cfg.Dir, cfg.Name) })
}

func open(ctx context.Context, cfg Config, log *slog.Logger, options func() *server.Options) (_ *Log, err error) {
	if cfg.InFlight == 0 {
		cfg.InFlight = defaultInFlight
	}
	if cfg.ackTimeout == 0 {
		cfg.ackTimeout = ackTimeout
	}
	l := &Log{cfg: cfg, log: log, closing: make(chan struct{})}
	defer func() {
		if err != nil {
			l.Close()
		}
	}()
	if cfg.URL == "" {
		if l.srv, err = startServer(ctx, cfg.Dir, options(), cfg.Name, log); err != nil {
			return nil, err
		}
	}
	l.w = newWriter(l)
	if l.link, err = l.connect("writer", l.w.lost, nil); err != nil {
		return nil, err
	}
	if max := l.link.nc.MaxPayload(); max < change.MaxFrame+payloadSlack {
		return nil, fmt.Errorf("open stream at %s: the server takes messages of %d bytes, frames have up to %d: set max_payload: 8MB in its configuration", cfg.where(), max, change.MaxFrame)
	}
	if err := l.prepare(ctx); err != nil {
		return nil, err
	}
	if err := l.w.start(ctx); err != nil {
		return nil, err
	}
	return l, nil
}

// prepare finds the two streams or creates them, and refuses what was not made by us or was changed since.
func (l *Log) prepare(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*apiTimeout)
	defer cancel()
	info, err := l.lookup(ctx, l.cfg.frameStream())
	if err != nil {
		return err
	}
	if info == nil {
		if info, err = l.create(ctx); err != nil {
			return err
		}
	}
	if l.id, err = readID(info.Config); err != nil {
		return fmt.Errorf("open stream at %s: %w", l.cfg.where(), err)
	}
	if err := l.cfg.checkFrames(info.Config, l.id); err != nil {
		return fmt.Errorf("open stream at %s: %w", l.cfg.where(), err)
	}
	if l.cfg.MaxBytes > 0 && l.cfg.MaxBytes != info.Config.MaxBytes {
		sc := info.Config
		sc.MaxBytes = l.cfg.MaxBytes
		if _, err := l.link.js.UpdateStream(ctx, sc); err != nil {
			return fmt.Errorf("open stream at %s: set max_bytes of stream %s to %d: %w", l.cfg.where(), sc.Name, sc.MaxBytes, err)
		}
		l.log.Info("max_bytes of the stream changed", "from", info.Config.MaxBytes, "to", sc.MaxBytes)
	}
	l.maxBytes, l.replicas = info.Config.MaxBytes, info.Config.Replicas
	if l.cfg.MaxBytes > 0 {
		l.maxBytes = l.cfg.MaxBytes
	}
	if l.cfg.Replicas > 0 && l.cfg.Replicas != info.Config.Replicas {
		l.log.Warn("the stream keeps the replicas it was created with", "stream", info.Config.Name, "has", info.Config.Replicas, "configured", l.cfg.Replicas)
	}
	return l.prepareFacts(ctx, info.State.LastSeq == 0)
}

func (l *Log) lookup(ctx context.Context, name string) (*jetstream.StreamInfo, error) {
	s, err := l.link.js.Stream(ctx, name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open stream at %s: look up %s: %w", l.cfg.where(), name, err)
	}
	return s.CachedInfo(), nil
}

// create makes the frame stream. When two do it at once, one wins and both use its stream.
func (l *Log) create(ctx context.Context) (*jetstream.StreamInfo, error) {
	size, err := l.initialSize()
	if err != nil {
		return nil, err
	}
	var id change.StreamID
	if _, err := rand.Read(id[:]); err != nil {
		return nil, fmt.Errorf("create stream: random id: %w", err)
	}
	sc := l.cfg.framesConfig(id, size)
	s, err := l.link.js.CreateStream(ctx, sc)
	for try := 0; try < 20 && storeInTheWay(err); try++ { // the server may still be removing that of a deleted stream of the same name
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(50 * time.Millisecond):
		}
		s, err = l.link.js.CreateStream(ctx, sc)
	}
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		return l.lookup(ctx, sc.Name)
	}
	if err != nil {
		return nil, fmt.Errorf("create stream %s at %s: %w", sc.Name, l.cfg.where(), err)
	}
	l.created = true
	l.log.Info("stream created", "stream", sc.Name, "id", id.String(), "max_bytes", size)
	return s.CachedInfo(), nil
}

// storeInTheWay reports the server's answer that it could not make the files of a stream.
func storeInTheWay(err error) bool {
	const cannotCreateStore = 10049
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == cannotCreateStore
}

// initialSize is max_bytes, decided once: it is stored with the stream, so later starts do not shrink it as the disk fills.
func (l *Log) initialSize() (int64, error) {
	if l.srv == nil {
		if l.cfg.MaxBytes == 0 {
			return 0, fmt.Errorf("create stream at %s: the free disk of an external server is unknown: set stream.max_bytes", l.cfg.where())
		}
		return l.cfg.MaxBytes, nil
	}
	free, err := freeBytes(l.cfg.Dir)
	if err != nil {
		return 0, fmt.Errorf("create stream: %w", err)
	}
	if l.cfg.MaxBytes == 0 {
		size := free / 2 >> 20 << 20
		if size < 64<<20 {
			return 0, fmt.Errorf("create stream: %s has %d bytes free, half of it is too little for a stream: free some, or use another state_dir", l.cfg.Dir, free)
		}
		return size, nil
	}
	if l.cfg.MaxBytes > free {
		l.log.Warn("max_bytes of the stream is more than the free disk: the stream will block before it is full", "max_bytes", l.cfg.MaxBytes, "free", free, "dir", l.cfg.Dir)
	}
	return l.cfg.MaxBytes, nil
}

// ID is the stream's identity for its whole life.
func (l *Log) ID() change.StreamID { return l.id }

// Created reports whether this Open made the stream.
func (l *Log) Created() bool { return l.created }

// state asks the server how the stream stands, and makes sure that it is still ours.
func (l *Log) state(ctx context.Context, k *link) (*jetstream.StreamInfo, error) {
	timeout := apiTimeout
	if l.srv == nil {
		timeout = stateTimeout
	}
	ctx, end := k.call(ctx, timeout)
	defer end()
	s, err := k.js.Stream(ctx, l.cfg.frameStream())
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, fmt.Errorf("%w: stream %s was deleted: %s", ErrForeign, l.cfg.frameStream(), remedyRestore)
	}
	if err != nil {
		return nil, fmt.Errorf("state of stream %s: %w", l.cfg.frameStream(), explain(ctx, err))
	}
	info := s.CachedInfo()
	id, err := readID(info.Config)
	if err != nil {
		return nil, err
	}
	if id != l.id {
		return nil, fmt.Errorf("%w: stream %s was recreated: it is %s, this is %s: %s", ErrForeign, info.Config.Name, id, l.id, remedyRestore)
	}
	return info, nil
}

// frame reads one frame. A missing one is ErrHole; the caller says what it means.
func (l *Log) frame(ctx context.Context, k *link, seq uint64) (change.Frame, error) {
	ctx, end := k.call(ctx, apiTimeout)
	defer end()
	s, err := k.js.Stream(ctx, l.cfg.frameStream())
	if err != nil {
		return change.Frame{}, fmt.Errorf("read frame %d of stream %s: %w", seq, l.cfg.frameStream(), explain(ctx, err))
	}
	m, err := s.GetMsg(ctx, seq)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return change.Frame{}, fmt.Errorf("%w: frame %d of stream %s cannot be read", ErrHole, seq, l.cfg.frameStream())
	}
	if err != nil {
		return change.Frame{}, fmt.Errorf("read frame %d of stream %s: %w", seq, l.cfg.frameStream(), explain(ctx, err))
	}
	return l.parse(m.Data, seq)
}

// parse checks that a message is the frame of this stream at this place.
func (l *Log) parse(b []byte, seq uint64) (change.Frame, error) {
	f, err := change.Parse(b)
	if err != nil {
		return f, fmt.Errorf("stream %s, message %d: %w: %s", l.cfg.frameStream(), seq, err, remedyDamage)
	}
	if f.Stream != l.id {
		return f, fmt.Errorf("%w: message %d of stream %s belongs to stream %s, this is %s: %s", ErrForeign, seq, l.cfg.frameStream(), f.Stream, l.id, remedyRestore)
	}
	if f.Seq != seq {
		return f, fmt.Errorf("%w: message %d of stream %s holds frame %d: %s", ErrShrunk, seq, l.cfg.frameStream(), f.Seq, remedyRestore)
	}
	return f, nil
}

// Last returns the last frame; false when the stream is empty. A last frame that cannot be read is an error: the next position would be a guess.
func (l *Log) Last(ctx context.Context) (change.Frame, bool, error) {
	info, err := l.state(ctx, l.link)
	if err != nil {
		return change.Frame{}, false, fmt.Errorf("last frame: %w", err)
	}
	if info.State.LastSeq == 0 {
		return change.Frame{}, false, nil
	}
	f, err := l.frame(ctx, l.link, info.State.LastSeq)
	if errors.Is(err, ErrHole) {
		err = fmt.Errorf("%w, and it is the last one: %s", err, remedyDamage)
	}
	if err != nil {
		return change.Frame{}, false, fmt.Errorf("last frame: %w", err)
	}
	return f, true, nil
}

// Stats is how the stream stands.
type Stats struct {
	First, Last uint64 // sequences kept
	Acked       uint64 // highest sequence of ours known durable
	InFlight    int    // frames not yet acknowledged
	Bytes       int64
	MaxBytes    int64
	Full        bool
	Blocked     string // why frames are not taken now; empty: they are
}

// Stats asks the server how the stream stands.
func (l *Log) Stats(ctx context.Context) (Stats, error) {
	info, err := l.state(ctx, l.link)
	if err != nil {
		return Stats{}, fmt.Errorf("stream statistics: %w", err)
	}
	s := Stats{
		First: info.State.FirstSeq, Last: info.State.LastSeq, Acked: l.Acked(),
		Bytes: int64(info.State.Bytes), MaxBytes: info.Config.MaxBytes,
	}
	s.InFlight, s.Full, s.Blocked = l.w.standing()
	return s, nil
}

// Close ends the log. Frames not yet acknowledged may or may not be in the stream; the next writer reads the last frame and knows.
// Readers must be closed first.
func (l *Log) Close() error {
	l.closeOnce.Do(func() {
		close(l.closing)
		if l.w != nil {
			l.w.stop()
		}
		if l.link != nil {
			l.link.nc.Close()
		}
		if l.srv != nil {
			l.srv.close()
		}
	})
	return nil
}

// Remove deletes everything Open made: the files of the embedded server, or both streams of an external one. It is safe to repeat.
func Remove(ctx context.Context, cfg Config) error {
	if err := cfg.check(); err != nil {
		return err
	}
	if cfg.URL == "" {
		return removeFiles(filepath.Clean(cfg.Dir), cfg.Name)
	}
	l := &Log{cfg: cfg, log: slog.New(slog.DiscardHandler), closing: make(chan struct{})}
	defer l.Close()
	var err error
	if l.link, err = l.connect("cleanup", nil, nil); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*apiTimeout)
	defer cancel()
	// Facts first: frames without facts are refused by the next Open, facts without frames would be taken for another stream's.
	for _, name := range []string{cfg.factStream(), cfg.frameStream()} {
		info, err := l.lookup(ctx, name)
		if err != nil {
			return err
		}
		if info == nil {
			continue
		}
		if _, err := readID(info.Config); err != nil {
			return fmt.Errorf("remove stream at %s: %w", cfg.where(), err)
		}
		if err := l.link.js.DeleteStream(ctx, name); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
			return fmt.Errorf("remove stream %s at %s: %w", name, cfg.where(), err)
		}
	}
	return nil
}
