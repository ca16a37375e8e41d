package cutover

import (
	"context"
	"fmt"
	"slices"

	"github.com/crossfade-io/crossfade/cutover/protocol"
)

// Privileges are what the application's user may do at one side.
type Privileges struct {
	As     string // the user; empty: there is no probe_url, and nothing is known
	Tables map[Table][]Privilege
}

// Privilege is one that an application may need for a table.
type Privilege struct {
	Name  string   // SELECT, INSERT, UPDATE, DELETE, USAGE
	On    string   // the table, or the schema or sequence that it needs
	For   []string // what it is needed for: itself, or what is done with the table
	Has   bool
	Grant string // the statement that gives it
}

// checkApplication holds what the application may do on the side entered against what it may do on the side left: there it would meet errors in its first minute. What it may not do on the
// side left it does not need; where that is not known, a privilege that is missing is a warning.
func (m *Machine) checkApplication(ctx context.Context) (out []Finding) {
	failed := func(side protocol.Side, err error) []Finding {
		return []Finding{{"warning", "application", string(side), fmt.Sprintf("what the application may do on the %s could not be asked: %v", side, err), fmt.Sprintf("check %s.probe_url", side)}}
	}
	will, err := m.entering.Privileges(ctx)
	if err != nil {
		return failed(m.to, err)
	}
	if will.As == "" {
		return []Finding{{"warning", "application", string(m.to) + ".probe_url", fmt.Sprintf("whether the application may use the tables of the %s is not checked", m.to),
			fmt.Sprintf("set %s.probe_url to a user of the application", m.to)}}
	}
	has, err := m.leaving.Privileges(ctx)
	if err != nil {
		out = failed(m.from, err)
		has = Privileges{}
	}
	for _, t := range m.cfg.Tables {
		used := map[string]bool{}
		for _, p := range has.Tables[t] {
			if slices.Equal(p.For, []string{p.Name}) {
				used[p.Name] = p.Has
			}
		}
		for _, p := range will.Tables[t] {
			if p.Has {
				continue
			}
			needed := slices.ContainsFunc(p.For, func(name string) bool { return used[name] })
			f := Finding{"warning", "application", p.On, fmt.Sprintf("user %s of the application has no %s on it", will.As, p.Name), p.Grant}
			switch {
			case has.As == "":
				f.Reason += fmt.Sprintf("; whether it needs to is known only with %s.probe_url", m.from)
			case needed:
				f.Severity, f.Reason = "error", f.Reason+fmt.Sprintf(", and user %s may do on the %s what needs it", has.As, m.from)
			default:
				continue
			}
			out = append(out, f)
		}
	}
	return out
}
