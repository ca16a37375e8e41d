package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/mattn/go-isatty"
	"golang.org/x/sys/unix"
)

// screen shows the demo: on a terminal as a picture that is redrawn in place, elsewhere as a line now and then.
type screen struct {
	out      io.Writer
	terminal *os.File // nil: it is none
	colour   bool

	mu    sync.Mutex
	drawn int // lines of the picture that stand on the terminal

	stopped chan struct{}
	wait    sync.WaitGroup
}

func newScreen(out io.Writer) *screen {
	s := &screen{out: out}
	if f, ok := out.(*os.File); ok && isatty.IsTerminal(f.Fd()) && os.Getenv("TERM") != "dumb" {
		s.terminal, s.colour = f, os.Getenv("NO_COLOR") == ""
	}
	return s
}

// watch shows what is painted until close. Elsewhere than on a terminal it shows what is told.
func (s *screen) watch(paint func(b *brush) []string, tell func() string) {
	every := 2 * time.Second
	if s.terminal != nil {
		every = 125 * time.Millisecond
	}
	s.stopped = make(chan struct{})
	s.wait.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-s.stopped:
				if s.terminal != nil {
					s.draw(paint(s.brush()))
				}
				return
			case <-tick.C:
			}
			if s.terminal != nil {
				s.draw(paint(s.brush()))
			} else if line := tell(); line != "" {
				s.print(line)
			}
		}
	})
}

// close leaves the last picture on the terminal. It may be called again.
func (s *screen) close() {
	if s.stopped != nil {
		close(s.stopped)
		s.wait.Wait()
		s.stopped = nil
	}
}

// milestone is a line for those who do not see the picture.
func (s *screen) milestone(line string) {
	if s.terminal == nil {
		s.print(line)
	}
}

// print writes lines that stay; while a picture is shown, only elsewhere than on a terminal.
func (s *screen) print(lines ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range lines {
		fmt.Fprintln(s.out, l)
	}
}

// draw replaces the picture, in one write.
func (s *screen) draw(lines []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	wide, high := s.size()
	if len(lines) > high-1 {
		lines = lines[:high-1] // what scrolls away cannot be replaced
	}
	var b strings.Builder
	if s.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", s.drawn)
	}
	for _, l := range lines {
		b.WriteString(clip(l, wide-1) + "\x1b[K\n")
	}
	b.WriteString("\x1b[J")
	s.drawn = len(lines)
	_, _ = io.WriteString(s.out, b.String()) // a terminal that is gone sends SIGHUP
}

func (s *screen) size() (wide, high int) {
	if s.terminal == nil {
		return 100, 50
	}
	w, err := unix.IoctlGetWinsize(int(s.terminal.Fd()), unix.TIOCGWINSZ)
	if err != nil || w.Col == 0 || w.Row == 0 {
		return 100, 50
	}
	return int(w.Col), int(w.Row)
}

// clip cuts a line to a width. Colours take no room.
func clip(line string, wide int) string {
	at, coloured := 0, false
	for i, r := range line {
		switch {
		case r == '\x1b':
			coloured = true
		case coloured:
			coloured = r != 'm'
		case at == wide:
			return line[:i] + "\x1b[m"
		default:
			at++
		}
	}
	return line
}

// brush paints text, or leaves it alone where there are no colours.
type brush struct {
	colour bool
	wide   int // of the terminal
}

func (s *screen) brush() *brush {
	wide, _ := s.size()
	return &brush{s.colour, wide}
}

const (
	bold   = "1"
	dim    = "2"
	red    = "1;31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
)

func (b *brush) paint(code, text string) string {
	if !b.colour || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[m"
}

// of is the colour of a database.
func (b *brush) of(at side) string {
	if at == target {
		return cyan
	}
	return yellow
}
