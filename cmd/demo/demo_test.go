package main

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// number is the number that a pattern's group finds in the output.
func (s *show) number(pattern string) int {
	s.t.Helper()
	m := regexp.MustCompile("(?m)" + pattern).FindStringSubmatch(s.said())
	if m == nil {
		s.t.Fatalf("the demo did not say %q", pattern)
	}
	n, err := strconv.Atoi(strings.ReplaceAll(m[1], ",", ""))
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

func TestTheDemoMovesASellingShopAndProvesIt(t *testing.T) {
	s := start(t, crossfadeBinary(t))
	if exit := s.exit(); exit != 0 {
		t.Fatalf("exit code %d", exit)
	}
	for what, least := range map[string]int{
		`rows moved +([\d,]+) at `:                         7500,
		`rows moved +.* at ([\d,]+) a second`:              1,
		`rows moved +.* and ([\d,]+) changes`:              50,
		`sales .*: ([\d,]+) on MySQL`:                      50,
		`sales .* then ([\d,]+) on PostgreSQL`:             1,
		`write pause +(\d+) ms`:                            1,
		`seen by the application +(\d+) ms without a sale`: 1,
		`✓ differences +0 in ([\d,]+) rows`:                7000,
		`✓ acknowledged writes lost +0 in ([\d,]+) rows`:   100,
	} {
		if n := s.number(what); n < least {
			t.Errorf("%s: %d, want at least %d", what, n, least)
		}
	}
	for _, line := range []string{"  ✓ cutover                   completed\n", "  ✓ old database              refuses every insert, update and delete", "\n  MOVED: "} {
		if !strings.Contains(s.said(), line) {
			t.Errorf("not said: %q", line)
		}
	}
	if strings.Contains(s.said(), "\x1b") {
		t.Error("colours, and there is no terminal")
	}
	s.nothingLeft(0)
}

func TestTheDemoFailsWhenRowsDifferOrWritesAreLostOrTheOldDatabaseOpens(t *testing.T) {
	path, env := liar(t)
	s := start(t, path, env)
	if exit := s.exit(); exit != 1 {
		t.Fatalf("exit code %d, want 1", exit)
	}
	differ, lost := s.number(`✗ differences +([\d,]+) in`), s.number(`✗ acknowledged writes lost +([\d,]+) in`)
	if lost == 0 || differ <= lost { // what is lost differs too, and customers were altered besides
		t.Errorf("%d rows differ, %d writes are lost", differ, lost)
	}
	for _, part := range []string{"✗ old database              does not refuse: update of products\n", "difference: orders ", "lost: orders ", "NOT PROVEN"} {
		if !strings.Contains(s.said(), part) {
			t.Errorf("not said: %q", part)
		}
	}
	if strings.Contains(s.said(), "MOVED") {
		t.Error("it says that all is well")
	}
	s.nothingLeft(0)
}

func TestADemoThatIsInterruptedLeavesNothing(t *testing.T) {
	for name, test := range map[string]struct {
		signal   syscall.Signal
		after    string // a line that begins so; crossfade runs when it says finish
		exit     int
		patience time.Duration
	}{
		"interrupt":           {syscall.SIGINT, "finish", 1, 0},
		"terminate":           {syscall.SIGTERM, "shop", 1, 0},
		"kill, by its reaper": {syscall.SIGKILL, "finish", -1, 30 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, crossfadeBinary(t))
			s.sees(test.after)
			if err := s.cmd.Process.Signal(test.signal); err != nil {
				t.Fatal(err)
			}
			if exit := s.exit(); exit != test.exit {
				t.Errorf("exit code %d, want %d", exit, test.exit)
			}
			if test.exit == 1 && !strings.Contains(s.said(), "interrupted; everything it started is gone") {
				t.Error("it does not say why it ends")
			}
			s.nothingLeft(test.patience)
		})
	}
}

func TestADemoWhoseCrossfadeEndsFailsAndLeavesNothing(t *testing.T) {
	path := t.TempDir() + "/broken"
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho it is broken\nexit 7\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	s := start(t, path)
	if exit := s.exit(); exit != 1 {
		t.Errorf("exit code %d, want 1", exit)
	}
	if want := "copy: crossfade ended by itself (exit status 7); its log ends:\nit is broken"; !strings.Contains(s.said(), want) {
		t.Errorf("not said: %q", want)
	}
	s.nothingLeft(0)
}
