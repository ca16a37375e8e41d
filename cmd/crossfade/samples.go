package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/crossfade-io/crossfade/cutover"
)

const (
	sampleEvery = 250 * time.Millisecond
	samplesKept = 4 * 60 * 4 // four minutes
)

// recorder keeps samples of the last minutes, and writes those around an attempt to the state directory, where its report finds them.
type recorder struct {
	dir string

	mu    sync.Mutex
	ring  [samplesKept]cutover.Sample
	taken int                       // ever
	open  map[int64]*cutover.Report // attempts whose time is not over yet
}

func (c *recorder) add(s cutover.Sample) {
	c.mu.Lock()
	c.ring[c.taken%samplesKept] = s
	c.taken++
	c.mu.Unlock()
}

// since is the time of the oldest sample.
func (c *recorder) since() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.taken == 0 {
		return time.Now()
	}
	return c.ring[max(0, c.taken-samplesKept)%samplesKept].At
}

// between copies the samples from one time to another.
func (c *recorder) between(from, to time.Time) []cutover.Sample {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := []cutover.Sample{}
	for i := max(0, c.taken-samplesKept); i < c.taken; i++ {
		if s := c.ring[i%samplesKept]; !s.At.Before(from) && !s.At.After(to) {
			out = append(out, s)
		}
	}
	return out
}

// keep gives a report its samples and writes them, now and once those that are still to come have.
func (c *recorder) keep(r *cutover.Report) {
	from, _, _ := r.Pause()
	if _, to := r.Around(); r.Attempt == 0 || time.Now().After(to) || !c.since().Before(from) { // there are none, or an earlier call has kept them
		c.fill(r)
		return
	}
	known := *r
	c.mu.Lock()
	if c.open == nil {
		c.open = map[int64]*cutover.Report{}
	}
	c.open[r.Attempt] = &known
	c.mu.Unlock()
	c.fill(r)
	lacking(r, writeSamples(c.dir, r.Attempt, r.Samples))
}

// fill gives a report the samples of its time.
func (c *recorder) fill(r *cutover.Report) {
	c.mu.Lock()
	_, open := c.open[r.Attempt]
	c.mu.Unlock()
	if open {
		r.Samples = c.between(r.Around())
		return
	}
	readSamples(c.dir, r)
}

// settle writes the samples of attempts whose time is over, or of all.
func (c *recorder) settle(all bool) (err error) {
	c.mu.Lock()
	var over []*cutover.Report
	for _, r := range c.open {
		if _, to := r.Around(); all || time.Now().After(to) {
			over = append(over, r)
		}
	}
	c.mu.Unlock()
	for _, r := range over {
		err = errors.Join(err, writeSamples(c.dir, r.Attempt, c.between(r.Around())))
		c.mu.Lock()
		delete(c.open, r.Attempt)
		c.mu.Unlock()
	}
	return err
}

func samplesFile(dir string, attempt int64) string {
	return filepath.Join(dir, fmt.Sprintf("samples-%d.json", attempt))
}

func writeSamples(dir string, attempt int64, samples []cutover.Sample) error {
	b, err := json.Marshal(samples)
	if err != nil {
		return err
	}
	name := samplesFile(dir, attempt)
	if err := os.WriteFile(name+".new", b, 0o600); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

// readSamples gives a report the samples of its file that are of its time: an attempt of an earlier migration may have had its number.
func readSamples(dir string, r *cutover.Report) {
	b, err := os.ReadFile(samplesFile(dir, r.Attempt))
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	var all []cutover.Sample
	if err == nil {
		err = json.Unmarshal(b, &all)
	}
	from, to := r.Around()
	for _, s := range all {
		if !s.At.Before(from) && !s.At.After(to) {
			r.Samples = append(r.Samples, s)
		}
	}
	lacking(r, err)
}

// lacking notes in a report that its samples could not be kept or read. Without them it is still the evidence that it is.
func lacking(r *cutover.Report, err error) {
	if err != nil {
		r.Warnings = append(r.Warnings, cutover.Finding{Severity: "warning", Code: "samples", Object: r.Migration, Reason: fmt.Sprintf("the samples around the attempt are missing: %v", err), Remedy: "the rest of the report does not depend on them"})
	}
}

// runRecorder takes samples until ctx ends.
func (m *migration) runRecorder(ctx context.Context) error {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	var seen counters
	m.sample(&seen)
	for over := false; !over; {
		select {
		case <-ctx.Done():
			over = true
		case <-tick.C:
			m.recorder.add(m.sample(&seen))
		}
		if err := m.recorder.settle(over); err != nil {
			m.log.Warn("keep the samples around an attempt", "err", err)
		}
	}
	return nil
}

// counters are what the parts of both flows have counted, as last seen, and when.
type counters struct {
	at                time.Time
	captured, applied [2]counter
}

// counter is a count that grows, of a part that may be followed by another one which begins anew.
type counter struct {
	of any
	n  int64
}

// grown is by how much it has since the last look.
func (c *counter) grown(of any, n int64) int64 {
	before := c.n
	if c.of != of {
		before = 0
	}
	c.of, c.n = of, n
	return n - before
}

// sample is what went through since the last one.
func (m *migration) sample(seen *counters) cutover.Sample {
	now := time.Now()
	took := now.Sub(seen.at).Seconds()
	seen.at = now
	s := cutover.Sample{At: now.UTC()}
	captured, applied := int64(0), int64(0)
	for i, f := range m.flows() {
		if p := f.progress.publisher.Load(); p != nil {
			captured += seen.captured[i].grown(p, p.Rows())
		}
		a := f.applying.now()
		if a == nil {
			continue
		}
		stats, rows := a.Stats(), int64(0)
		for _, l := range stats.Lanes {
			rows += int64(l.Rows)
		}
		applied += seen.applied[i].grown(a, rows)
		if m.active(f) && f.streams() {
			s.LagSeconds = f.lag(stats, a.Applied())
		}
	}
	s.CapturedPerS, s.AppliedPerS = math.Round(float64(captured)/took), math.Round(float64(applied)/took)
	return s
}
