package stream

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/crossfade-io/crossfade/internal/change"
)

// Config says where the stream of a migration lies and how much it holds.
type Config struct {
	// Dir is the directory of the embedded server. Unused with URL.
	Dir string
	// URL of an external NATS server with JetStream; empty: embedded.
	URL string
	// Name of the migration.
	Name string
	// Replicas of the stream on an external cluster; 0 is 1.
	Replicas int
	// MaxBytes is the size at which the stream is full. 0: what the stream was created with, at creation half of the free disk.
	MaxBytes int64
	// Keep is how long frames stay after they were reported applied.
	Keep time.Duration
	// InFlight bounds the bytes that are sent and not yet acknowledged; 0 is 24 MiB.
	InFlight int64

	ackTimeout time.Duration // tests shorten it
}

const (
	defaultInFlight = 24 << 20
	// maxInFlightFrames keeps small frames below the 10,000 messages that the server holds back for one stream before it refuses.
	maxInFlightFrames = 4096
	maxPayload        = 8 << 20
	// payloadSlack is what a message carries beside the frame: subject and headers.
	payloadSlack = 4 << 10

	metaID       = "crossfade.stream"
	metaName     = "crossfade.migration"
	metaMaxBytes = "crossfade.max_bytes"
)

func (c Config) check() error {
	if c.Name == "" {
		return errors.New("open stream: the migration has no name: set name")
	}
	for _, r := range c.Name {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' {
			return fmt.Errorf("open stream: migration name %q: only a-z, 0-9 and - are allowed", c.Name)
		}
	}
	if c.URL == "" && c.Dir == "" {
		return errors.New("open stream: neither a directory for the embedded server nor a url is set: set state_dir or stream.url")
	}
	if c.URL == "" && c.Replicas > 1 {
		return fmt.Errorf("open stream: %d replicas need a cluster: set stream.url, or stream.replicas: 1", c.Replicas)
	}
	if c.MaxBytes < 0 || c.InFlight < 0 || c.Replicas < 0 || c.Keep < 0 {
		return errors.New("open stream: max_bytes, keep, replicas and the in-flight bytes must not be negative")
	}
	return nil
}

// frameStream and factStream are the streams' names; ids are part of the subjects (see the package comment).
func (c Config) frameStream() string {
	return "crossfade_frames_" + strings.ReplaceAll(c.Name, "-", "_")
}
func (c Config) factStream() string { return "crossfade_facts_" + strings.ReplaceAll(c.Name, "-", "_") }

func (c Config) frameSubject(id change.StreamID) string {
	return "crossfade.frames." + c.Name + "." + id.String()
}

func (c Config) factSubject(id change.StreamID, token string) string {
	return "crossfade.facts." + c.Name + "." + id.String() + "." + token
}

// where names the stream for people, without a password.
func (c Config) where() string {
	if c.URL == "" {
		return c.Dir
	}
	var names []string
	for one := range strings.SplitSeq(c.URL, ",") {
		u, err := url.Parse(strings.TrimSpace(one))
		if err != nil {
			return "the NATS server"
		}
		names = append(names, u.Redacted())
	}
	return strings.Join(names, ",")
}

func (c Config) framesConfig(id change.StreamID, maxBytes int64) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        c.frameStream(),
		Description: "crossfade: frames of migration " + c.Name,
		Subjects:    []string{c.frameSubject(id)},
		Storage:     jetstream.FileStorage,
		Retention:   jetstream.LimitsPolicy,
		Discard:     jetstream.DiscardNew,
		MaxBytes:    maxBytes,
		MaxMsgs:     -1,
		MaxMsgSize:  -1,
		Replicas:    max(c.Replicas, 1),
		Duplicates:  100 * time.Millisecond,
		DenyDelete:  true,
		Metadata:    map[string]string{metaID: id.String(), metaName: c.Name, metaMaxBytes: fmt.Sprint(maxBytes)},
	}
}

func (c Config) factsConfig(id change.StreamID) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              c.factStream(),
		Description:       "crossfade: facts of migration " + c.Name,
		Subjects:          []string{c.factSubject(id, "*")},
		Storage:           jetstream.FileStorage,
		Retention:         jetstream.LimitsPolicy,
		Discard:           jetstream.DiscardOld,
		MaxMsgsPerSubject: 1,
		MaxBytes:          -1,
		MaxMsgs:           -1,
		MaxMsgSize:        -1,
		Replicas:          max(c.Replicas, 1),
		Duplicates:        100 * time.Millisecond,
		Metadata:          map[string]string{metaID: id.String(), metaName: c.Name},
	}
}

// readID reads the stream id that was stored when the stream was created.
func readID(sc jetstream.StreamConfig) (change.StreamID, error) {
	var id change.StreamID
	b, err := hex.DecodeString(sc.Metadata[metaID])
	if err != nil || len(b) != len(id) {
		return id, fmt.Errorf("%w: stream %s carries no crossfade stream id (metadata %q): it was made by something else; choose another name or delete it by hand", ErrForeign, sc.Name, sc.Metadata[metaID])
	}
	copy(id[:], b)
	return id, nil
}

// checkFrames refuses a stream whose settings could drop, expire, reorder or weaken frames.
func (c Config) checkFrames(sc jetstream.StreamConfig, id change.StreamID) error {
	var bad []string
	say := func(wrong bool, what string) {
		if wrong {
			bad = append(bad, what)
		}
	}
	say(sc.Storage != jetstream.FileStorage, "storage is not file")
	say(sc.Retention != jetstream.LimitsPolicy, "retention is not limits")
	say(sc.Discard != jetstream.DiscardNew, "discard is not new: a full stream would drop frames")
	say(sc.MaxBytes <= 0, "max_bytes is not set")
	say(sc.MaxAge != 0, "max_age is set: frames would expire")
	say(sc.MaxMsgs > 0 || sc.MaxMsgsPerSubject > 0, "a limit of messages is set")
	say(sc.PersistMode != jetstream.DefaultPersistMode, "persist_mode is async: acknowledged frames could be lost")
	say(sc.NoAck, "no_ack is set")
	say(sc.Sealed, "it is sealed")
	say(sc.AllowRollup || sc.AllowMsgTTL, "rollup or message TTL is allowed: messages could remove others")
	say(sc.Mirror != nil || len(sc.Sources) > 0, "it has a mirror or sources: messages could come from elsewhere")
	say(sc.SubjectTransform != nil, "it has a subject transform")
	say(len(sc.Subjects) != 1 || sc.Subjects[0] != c.frameSubject(id), "its subjects are not "+c.frameSubject(id))
	if len(bad) == 0 {
		return nil
	}
	return fmt.Errorf("%w: the settings of stream %s were changed: %s: put them back (nats stream edit)", ErrForeign, sc.Name, strings.Join(bad, "; "))
}
