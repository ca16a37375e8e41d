package scenarios

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Engines in the order in which pairs are run.
var Engines = []string{"postgres", "mysql", "mariadb"}

// How a scenario may end.
const (
	Equal   = "equal"   // every row equal, and what expect.sql says
	Stopped = "stopped" // the migration stops and says why
	Held    = "held"    // a table is held and says which row and why
	Refused = "refused" // run does not begin: exit 3
)

// Scenario is one folder.
type Scenario struct {
	Name string `yaml:"-"`
	Dir  string `yaml:"-"`
	// Says is the guarantee, in a sentence.
	Says string `yaml:"says"`
	// Pitfall is its place in the list of value pitfalls.
	Pitfall string `yaml:"pitfall"`
	// Sources and Targets are the engines that it is for. Default: those that have a source file, and all.
	Sources []string `yaml:"sources"`
	Targets []string `yaml:"targets"`
	// RoundTrip: moved to the target and back into tables like the first, every row has the same bytes.
	RoundTrip bool `yaml:"round_trip"`
	// Types: it is about values, and also run on the other versions of the servers.
	Types bool `yaml:"types"`
	// Config is merged over the configuration of the pair; with it the scenario has a daemon of its own.
	Config map[string]any `yaml:"config"`
	// Server are options of the source server, which is then started for this scenario.
	Server []string `yaml:"server"`
	// Expect is Equal, Stopped, Held or Refused, and Matches what the error says.
	Expect  string `yaml:"expect"`
	Matches string `yaml:"matches"`

	matches *regexp.Regexp
}

// Alone reports whether the scenario cannot share a daemon with others.
func (s *Scenario) Alone() bool { return len(s.Config) > 0 || len(s.Server) > 0 || s.Expect != Equal }

// For reports whether the scenario is meant for a pair.
func (s *Scenario) For(source, target string) bool {
	return slices.Contains(s.Sources, source) && slices.Contains(s.Targets, target)
}

// Match reports whether an error says what it must.
func (s *Scenario) Match(text string) bool { return s.matches.MatchString(text) }

// Load reads every folder under dir, by name.
func Load(dir string) ([]*Scenario, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var all []*Scenario
	var wrong []error
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		s, err := read(filepath.Join(dir, e.Name()))
		if err != nil {
			wrong = append(wrong, fmt.Errorf("scenario %s: %w", e.Name(), err))
			continue
		}
		all = append(all, s)
	}
	return all, errors.Join(wrong...)
}

var (
	folderName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	fileName   = regexp.MustCompile(`^(source|workload|expect)(\.(postgres|mysql|mariadb))?\.sql$`)
)

func read(dir string) (*Scenario, error) {
	s := &Scenario{Name: filepath.Base(dir), Dir: dir}
	if !folderName.MatchString(s.Name) {
		return nil, errors.New("the name of the folder is not lower case with underscores")
	}
	text, err := os.ReadFile(filepath.Join(dir, "scenario.yaml"))
	if err != nil {
		return nil, err
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(s); err != nil {
		return nil, fmt.Errorf("scenario.yaml: %w", err)
	}
	if err := s.complete(); err != nil {
		return nil, err
	}
	return s, s.readFiles()
}

// complete fills in the defaults and refuses what cannot be meant.
func (s *Scenario) complete() (err error) {
	if s.Says == "" || s.Pitfall == "" {
		return errors.New("scenario.yaml: says and pitfall are needed")
	}
	if s.Sources == nil {
		for _, e := range Engines {
			if s.file("source", e) != "" {
				s.Sources = append(s.Sources, e)
			}
		}
	}
	if s.Targets == nil {
		s.Targets = Engines
	}
	for _, e := range slices.Concat(s.Sources, s.Targets) {
		if !slices.Contains(Engines, e) {
			return fmt.Errorf("scenario.yaml: %q is no engine", e)
		}
	}
	switch s.Expect {
	case "":
		s.Expect = Equal
	case Equal, Stopped, Held, Refused:
	default:
		return fmt.Errorf("scenario.yaml: expect: %q", s.Expect)
	}
	if (s.Expect == Equal) != (s.Matches == "") {
		return errors.New("scenario.yaml: matches is for what does not end equal, and needed there")
	}
	s.matches, err = regexp.Compile(s.Matches)
	return err
}

// readFiles reads every file once, so that a mistake shows whichever engine it is for.
func (s *Scenario) readFiles() error {
	entries, err := os.ReadDir(s.Dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		if !fileName.MatchString(name) {
			if strings.HasSuffix(name, ".sql") {
				return fmt.Errorf("%s is not a name of a file of SQL", name)
			}
			continue
		}
		text, err := os.ReadFile(filepath.Join(s.Dir, name))
		if err != nil {
			return err
		}
		if _, err := parse(string(text), strings.HasPrefix(name, "expect")); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	for _, e := range s.Sources {
		if s.file("source", e) == "" {
			return fmt.Errorf("there is no source.sql for %s", e)
		}
	}
	return nil
}

// file finds the file of a kind for an engine; empty when there is none.
func (s *Scenario) file(kind, engine string) string {
	names := []string{kind + "." + engine + ".sql"}
	if engine == "mariadb" {
		names = append(names, kind+".mysql.sql")
	}
	for _, n := range append(names, kind+".sql") {
		path := filepath.Join(s.Dir, n)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return ""
}

// Script reads the statements of a kind of file (source, workload or expect) for an engine; none when there is no such file.
func (s *Scenario) Script(kind, engine string) ([]Statement, error) {
	path := s.file(kind, engine)
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	out, err := parse(strings.ReplaceAll(string(text), "{dir}", s.Dir), kind == "expect")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return out, nil
}
