package main

import (
	"fmt"
	"sync"
	"time"
)

// scene is a part of the demo. What it shows is set by it and read by the screen.
type scene struct {
	name string

	mu    sync.Mutex
	began time.Time
	took  time.Duration // 0 while it goes on
	lost  bool          // it did not come to its end
	text  string
	done  int64 // of total; no total, no bar
	total int64
	per   rate
}

// rate is a speed over the last seconds.
type rate struct {
	at  time.Time
	n   int64
	now float64 // a second; 0: not known yet
}

func (r *rate) note(n int64, at time.Time) {
	switch passed := at.Sub(r.at); {
	case r.at.IsZero() || n < r.n:
		*r = rate{at: at, n: n}
	case passed >= time.Second/2:
		speed := float64(n-r.n) / passed.Seconds()
		if r.now > 0 {
			speed = 0.6*r.now + 0.4*speed
		}
		*r = rate{at: at, n: n, now: speed}
	}
}

func (s *scene) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.began = time.Now()
}

// say tells what it is doing. On its end it stays.
func (s *scene) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text = fmt.Sprintf(format, args...)
}

// Write says what a server's start has to say.
func (s *scene) Write(line []byte) (int, error) {
	s.say("%s", trimLine(line))
	return len(line), nil
}

// advance moves its bar.
func (s *scene) advance(done, total int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done, s.total = done, max(done, total)
	s.per.note(done, time.Now())
}

func (s *scene) fail() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = true
}

func (s *scene) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.took = time.Since(s.began)
}

// ended is how long it took; 0 when it has not ended.
func (s *scene) ended() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.took
}

// line is the scene in the picture.
func (s *scene) line(b *brush) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := fmt.Sprintf("%-9s", s.name)
	took := s.took
	if took == 0 {
		took = time.Since(s.began)
	}
	clock := b.paint(dim, fmt.Sprintf("%5.1f s  ", took.Seconds()))
	switch {
	case s.began.IsZero():
		return b.paint(dim, "  · "+name)
	case s.lost:
		return b.paint(red, "  ✗ ") + name + clock + s.progress(b)
	case s.took > 0:
		return b.paint(green, "  ✓ ") + name + clock + s.text
	default:
		return b.paint(cyan, "  ▸ ") + b.paint(bold, name) + clock + s.progress(b)
	}
}

// progress is called with the lock held.
func (s *scene) progress(b *brush) string {
	if s.total == 0 {
		return s.text
	}
	out := bar(b, green, s.done, s.total, 12) + fmt.Sprintf(" %3d %%  %s of %s", 100*s.done/s.total, count(s.done), count(s.total))
	if s.per.now > 0 {
		out += fmt.Sprintf("  %s/s", count(int64(s.per.now)))
		if left := float64(s.total-s.done) / s.per.now; left >= 0.5 {
			out += fmt.Sprintf("  %.0f s left", left)
		}
	}
	return out
}

// plain is the scene as a line of a log.
func (s *scene) plain() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.took > 0 {
		return fmt.Sprintf("%-9s %s (%.1f s)", s.name, s.text, s.took.Seconds())
	}
	return fmt.Sprintf("%-9s ... %s", s.name, s.progress(&brush{}))
}
