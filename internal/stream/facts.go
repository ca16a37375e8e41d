package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/crossfade-io/crossfade/internal/change"
)

// facts remembers the revision of each key that this log has seen, so that it overwrites only what it knows.
type facts struct {
	mu   sync.Mutex
	seen map[string]uint64
}

const sumHeader = "Crossfade-Sum"

func (l *Log) prepareFacts(ctx context.Context, empty bool) error {
	name := l.cfg.factStream()
	l.facts.seen = map[string]uint64{}
	info, err := l.lookup(ctx, name)
	if err != nil {
		return err
	}
	if info == nil {
		if !empty {
			return fmt.Errorf("open stream at %s: %w: stream %s is missing, the frames cannot be read without it: run cleanup and take a new snapshot", l.cfg.where(), ErrForeign, name)
		}
		s, err := l.link.js.CreateStream(ctx, l.cfg.factsConfig(l.id))
		if err != nil && !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			return fmt.Errorf("create stream %s at %s: %w", name, l.cfg.where(), err)
		}
		if err == nil {
			info = s.CachedInfo()
		} else if info, err = l.lookup(ctx, name); err != nil {
			return err
		}
	}
	id, err := readID(info.Config)
	if err != nil {
		return fmt.Errorf("open stream at %s: %w", l.cfg.where(), err)
	}
	if id != l.id {
		return fmt.Errorf("open stream at %s: %w: %s belongs to stream %s, the frames to %s: the frames were deleted and made anew: run cleanup and take a new snapshot", l.cfg.where(), ErrForeign, name, id, l.id)
	}
	if c := info.Config; c.Storage != jetstream.FileStorage || c.MaxMsgsPerSubject != 1 || c.MaxAge != 0 || c.MaxBytes > 0 || c.MaxMsgs > 0 || c.PersistMode != jetstream.DefaultPersistMode {
		return fmt.Errorf("open stream at %s: %w: the settings of stream %s were changed: put them back: file storage, one message for each subject, no other limit", l.cfg.where(), ErrForeign, name)
	}
	return nil
}

// token writes a key as one token of a subject: letters, digits, - and _ as they are, every other byte as =XX.
func token(key string) string {
	const hex = "0123456789ABCDEF"
	b := make([]byte, 0, len(key)+8)
	for i := 0; i < len(key); i++ {
		c := key[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
			b = append(b, c)
		default:
			b = append(b, '=', hex[c>>4], hex[c&15])
		}
	}
	return string(b)
}

func untoken(s string) (string, error) {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '=' {
			b = append(b, s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", fmt.Errorf("fact %q: not a key of ours", s)
		}
		n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
		if err != nil {
			return "", fmt.Errorf("fact %q: not a key of ours", s)
		}
		b = append(b, byte(n))
		i += 2
	}
	return string(b), nil
}

// Put stores a fact. It returns when the fact is durable. A key that another writer changed since this log last saw it is refused with [ErrFenced].
func (l *Log) Put(ctx context.Context, key string, data []byte) error {
	if key == "" || len(data) == 0 {
		return fmt.Errorf("put fact %q: a fact needs a key and data", key)
	}
	l.facts.mu.Lock()
	defer l.facts.mu.Unlock()
	ctx, end := l.link.call(ctx, 2*apiTimeout)
	defer end()
	rev, ok := l.facts.seen[key]
	if !ok {
		_, r, err := l.fact(ctx, key)
		if err != nil {
			return fmt.Errorf("put fact %q: %w", key, err)
		}
		rev = r
	}
	m := &nats.Msg{Subject: l.cfg.factSubject(l.id, token(key)), Data: data, Header: nats.Header{sumHeader: {factSum(data)}}}
	a, err := l.link.js.PublishMsg(ctx, m, jetstream.WithExpectLastSequencePerSubject(rev))
	if err == nil {
		l.facts.seen[key] = a.Sequence
		return nil
	}
	// Refused or unknown: an earlier try of the client, or one whose answer was lost, may have stored it.
	there, r, ferr := l.fact(ctx, key)
	if ferr == nil && r > rev && bytes.Equal(there, data) {
		l.facts.seen[key] = r
		return nil
	}
	var api *jetstream.APIError
	if errors.As(err, &api) && (api.ErrorCode == codeWrongLast || api.ErrorCode == codeWrongLastShared) {
		return fmt.Errorf("put fact %q: %w: it was changed by someone else: only one crossfade may run for a migration: stop the other one", key, ErrFenced)
	}
	return fmt.Errorf("put fact %q: %w", key, err)
}

// Get returns a fact; false when there is none. Lost connections are mended inside; an error other than the context's is final.
func (l *Log) Get(ctx context.Context, key string) ([]byte, bool, error) {
	const again = 100 * time.Millisecond
	for said := false; ; said = true {
		data, rev, err := l.look(ctx, key)
		if err == nil {
			return data, rev != 0, nil
		}
		if final(err) || ctx.Err() != nil {
			return nil, false, fmt.Errorf("get fact %q: %w", key, err)
		}
		if !said {
			l.log.Warn("a fact cannot be read; trying again", "fact", key, "error", err)
		}
		select {
		case <-time.After(again):
		case <-l.closing:
			return nil, false, fmt.Errorf("get fact %q: %w", key, ErrClosed)
		case <-ctx.Done():
			return nil, false, fmt.Errorf("get fact %q: %w: %w", key, context.Cause(ctx), err)
		}
	}
}

// look reads a fact once, and keeps in mind that it was seen.
func (l *Log) look(ctx context.Context, key string) ([]byte, uint64, error) {
	l.facts.mu.Lock()
	defer l.facts.mu.Unlock()
	ctx, end := l.link.call(ctx, apiTimeout)
	defer end()
	data, rev, err := l.fact(ctx, key)
	if err != nil {
		return nil, 0, explain(ctx, err)
	}
	l.facts.seen[key] = rev
	return data, rev, nil
}

func factSum(data []byte) string {
	return strconv.FormatUint(uint64(crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))), 16)
}

// fact reads a key and its revision; 0: there is none.
func (l *Log) fact(ctx context.Context, key string) ([]byte, uint64, error) {
	s, err := l.link.js.Stream(ctx, l.cfg.factStream())
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, 0, fmt.Errorf("%w: stream %s was deleted: %s", ErrForeign, l.cfg.factStream(), remedyRestore)
	}
	if err != nil {
		return nil, 0, err
	}
	m, err := s.GetLastMsgForSubject(ctx, l.cfg.factSubject(l.id, token(key)))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	if m.Header.Get(sumHeader) != factSum(m.Data) {
		return nil, 0, fmt.Errorf("%w: its checksum differs: %s", change.ErrCorrupt, remedyDamage)
	}
	return m.Data, m.Sequence, nil
}

// Keys lists the keys of facts that begin with prefix, sorted.
func (l *Log) Keys(ctx context.Context, prefix string) ([]string, error) {
	ctx, end := l.link.call(ctx, apiTimeout)
	defer end()
	all := l.cfg.factSubject(l.id, "*")
	s, err := l.link.js.Stream(ctx, l.cfg.factStream())
	if err != nil {
		return nil, fmt.Errorf("list facts: %w", err)
	}
	info, err := s.Info(ctx, jetstream.WithSubjectFilter(all))
	if err != nil {
		return nil, fmt.Errorf("list facts: %w", err)
	}
	var keys []string
	for subject := range info.State.Subjects {
		key, err := untoken(strings.TrimPrefix(subject, strings.TrimSuffix(all, "*")))
		if err != nil {
			return nil, fmt.Errorf("list facts: %w", err)
		}
		if strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
	}
	sort.Strings(keys)
	return keys, nil
}
