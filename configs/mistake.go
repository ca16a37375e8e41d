package configs

import (
	"errors"
	"strings"
)

// ErrNotBuilt is wrapped by every [Mistake] about a key that is known and not built yet.
var ErrNotBuilt = errors.New("not built yet")

// Mistake is one thing wrong with a configuration.
type Mistake struct {
	Path    string // the key, such as cutover.switch[1].exec.timeout, or the file
	Problem string // what is wrong; never shows a password
	Remedy  string // what to do

	err error // ErrNotBuilt or what the system said
}

// Error is one line, whatever the names in it hold.
func (m *Mistake) Error() string {
	return oneLine.Replace(m.Path + ": " + m.Problem + "; " + m.Remedy)
}

var oneLine = strings.NewReplacer("\n", `\n`, "\r", `\r`)

// Unwrap returns ErrNotBuilt or the error of the system that the mistake is about, if any.
func (m *Mistake) Unwrap() error { return m.err }

// fault is a mistake whose path is known only to the caller: what parsers of single values return.
type fault struct {
	problem, remedy string
	err             error
}

func (f *fault) Error() string { return f.problem + "; " + f.remedy }
func (f *fault) Unwrap() error { return f.err }

// mistakes gathers what is wrong, in the order in which it is found.
type mistakes []*Mistake

func (ms *mistakes) add(path, problem, remedy string) {
	*ms = append(*ms, &Mistake{Path: path, Problem: problem, Remedy: remedy})
}

// fail adds an error that a parser returned.
func (ms *mistakes) fail(path string, err error) {
	m := &Mistake{Path: path, Problem: err.Error(), Remedy: "see the reference of this key", err: err}
	if f, ok := errors.AsType[*fault](err); ok {
		m.Problem, m.Remedy, m.err = f.problem, f.remedy, f.err
	}
	*ms = append(*ms, m)
}

// without returns the mistakes at keys that others does not speak of, above or below: one mistake makes others that only confuse.
func (ms mistakes) without(others mistakes) mistakes {
	var kept mistakes
	for _, m := range ms {
		if !others.about(m.Path) {
			kept = append(kept, m)
		}
	}
	return kept
}

func (ms mistakes) about(path string) bool {
	for _, m := range ms {
		if m.Path == path || below(m.Path, path) || below(path, m.Path) {
			return true
		}
	}
	return false
}

// below reports whether the key path lies inside section.
func below(path, section string) bool {
	rest, ok := strings.CutPrefix(path, section)
	return ok && rest != "" && (rest[0] == '.' || rest[0] == '[')
}

func (ms mistakes) join() error {
	errs := make([]error, len(ms))
	for i, m := range ms {
		errs[i] = m
	}
	return errors.Join(errs...)
}
