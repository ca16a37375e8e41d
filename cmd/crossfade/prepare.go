package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/crossfade-io/crossfade/capture"
	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/control"
	"github.com/crossfade-io/crossfade/transform"
)

// prepare brings everything to where frames can flow. The first start checks, makes the tables and notes where the log is; a later start reads what
// the first one noted, and refuses ends that are not the same.
func (m *migration) prepare(ctx context.Context) error {
	var begun string
	known, err := m.fact(ctx, factStart, &begun)
	if err != nil {
		return err
	}
	if known {
		if err = m.settleTwoWay(ctx); err == nil {
			err = m.prepareAgain(ctx)
		}
	} else {
		err = m.prepareFirst(ctx)
	}
	if err != nil {
		return err
	}
	if err := m.target.Setup(ctx, tableSetups(m.plan, m.cfg.Target.Create)); err != nil {
		return err
	}
	if err := m.wire(ctx); err != nil {
		return err
	}
	if err := m.noteTwoWay(ctx); err != nil {
		return err
	}
	return m.lookAtStorage(ctx)
}

func (m *migration) prepareFirst(ctx context.Context) (err error) {
	globs, err := m.cfg.Source.Globs()
	if err != nil {
		return &usageError{err}
	}
	if m.tables, err = selectedTables(ctx, &m.ends, globs.Match); err != nil {
		return err
	}
	if err := compile(m.cfg, &m.ends); err != nil {
		return control.Fail(control.ExitRefused, err, "")
	}
	w, findings, err := m.findings(ctx)
	if err != nil {
		return err
	}
	m.twoWay = w
	if bad := errorsIn(findings); len(bad) > 0 {
		return control.Fail(control.ExitRefused, fmt.Errorf("%s:\n%s", errorCount(bad), findingsText(bad)), "")
	}
	if ledger, err := m.target.Ledger(ctx); err != nil {
		return err
	} else if len(ledger) > 0 {
		return control.Fail(control.ExitRefused, errors.New("the target holds the ledger of this migration, and the stream is new: its frames are lost"),
			"run `crossfade cleanup`, empty the target tables (or set snapshot.existing: truncate), and start again; the source has lost nothing")
	}
	if err := m.source.Setup(ctx, m.tables); err != nil {
		return err
	}
	if err := m.createTables(ctx); err != nil {
		return err
	}
	if err := m.emptyTables(ctx); err != nil {
		return err
	}
	identity, err := m.source.Identity(ctx)
	if err != nil {
		return err
	}
	position, err := m.source.Position(ctx)
	if err != nil {
		return err
	}
	if err := m.remember(ctx, factIdentity, identity); err != nil {
		return err
	}
	if err := m.remember(ctx, factTables, m.tables); err != nil {
		return err
	}
	if err := m.remember(ctx, factMapping, mappingOf(m.plan)); err != nil {
		return err
	}
	if err := m.remember(ctx, factSequences, m.sequences); err != nil {
		return err
	}
	if err := m.remember(ctx, factCascades, m.cascades); err != nil {
		return err
	}
	// The start is noted last: whoever finds it finds the rest.
	return m.remember(ctx, factStart, position)
}

func (m *migration) prepareAgain(ctx context.Context) (err error) {
	position, err := m.readUpTo(ctx)
	if err != nil {
		return err
	}
	var stop *capture.Stop
	if err := m.follow(ctx, position); errors.As(err, &stop) {
		return refused("the source is another server: %s: %s; %s", stop.Object, stop.Reason, stop.Remedy)
	} else if err != nil {
		return err
	}
	// Rows in the log are decoded with the tables as they were there, never as they are now.
	if _, err := m.fact(ctx, factTables, &m.tables); err != nil {
		return err
	}
	if _, err := m.fact(ctx, factSequences, &m.sequences); err != nil {
		return err
	}
	if _, err := m.fact(ctx, factCascades, &m.cascades); err != nil {
		return err
	}
	logged, err := m.source.CascadesLogged(ctx)
	if err != nil {
		return err
	}
	if logged == m.cascades && m.cascading() {
		return refused("the source names the rows that its foreign keys change in its log otherwise than when the migration began (another version, or innodb_native_foreign_keys): bring it back to what it was, or run `crossfade cleanup` and start again")
	}
	if err := compile(m.cfg, &m.ends); err != nil {
		return control.Fail(control.ExitRefused, err, "")
	}
	var before json.RawMessage
	if _, err := m.fact(ctx, factMapping, &before); err != nil {
		return err
	}
	after, err := json.Marshal(mappingOf(m.plan))
	if err != nil {
		return err
	}
	if string(before) != string(after) {
		return refused("the mapping of the tables has changed since the migration began; restore transform and source.tables, or run `crossfade cleanup` and start again")
	}
	ledger, err := m.target.Ledger(ctx)
	if err != nil {
		return err
	}
	for _, l := range ledger {
		if l.Stream != "" && l.Stream != m.stream.ID().String() {
			return refused("the target was filled from another stream (%s, this is %s); restore the state directory of that one, or run `crossfade cleanup` and start again", l.Stream, m.stream.ID())
		}
	}
	return nil
}

// mapping is what must not change while frames in target shape are under way.
type mapping struct {
	Source string `json:"source"`
	Target string `json:"target"`
	Shape  uint64 `json:"shape,string"`
}

func mappingOf(p *transform.Plan) []mapping {
	var out []mapping
	for _, t := range p.Tables() {
		out = append(out, mapping{t.Source.String(), t.Target.String(), t.Target.ID()})
	}
	return out
}

func errorsIn(findings []catalog.Finding) (bad []catalog.Finding) {
	for _, f := range findings {
		if f.Severity == "error" {
			bad = append(bad, f)
		}
	}
	return bad
}

func findingsText(findings []catalog.Finding) string {
	var b strings.Builder
	for _, f := range findings {
		fmt.Fprintf(&b, "%-7s %s: %s\n        %s\n", f.Severity, f.Object, f.Reason, f.Remedy)
	}
	return strings.TrimRight(b.String(), "\n")
}

// cascading reports whether foreign keys of the migrated tables change rows.
func (m *migration) cascading() bool {
	return slices.ContainsFunc(m.tables, func(t *catalog.Table) bool {
		return slices.ContainsFunc(t.ForeignKeys, func(f catalog.ForeignKey) bool { return f.Acts() })
	})
}
