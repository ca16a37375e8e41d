package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/crossfade-io/crossfade/configs"
	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/stream"
	"github.com/crossfade-io/crossfade/transform"
)

// twoWay is whether this migration has a way back. It is settled when the migration begins, and noted beside the stream.
type twoWay struct {
	Goes bool   `json:"goes"`
	Why  string `json:"why,omitempty"` // it does not
}

const switchedOff = "cutover.reverse is false"

// checkReverse says what stands against a way back. Where nobody has asked for one by name it does not stand against the migration.
func (m *migration) checkReverse(ctx context.Context) (w twoWay, out []catalog.Finding, err error) {
	if m.cfg.Cutover.Reverse == configs.WayBackOff {
		return twoWay{Why: switchedOff}, nil, nil
	}
	if out, err = m.againstReverse(ctx); err != nil {
		return w, nil, err
	}
	bad := errorsIn(out)
	if m.cfg.Cutover.Reverse == configs.WayBackOn || len(bad) == 0 {
		return twoWay{Goes: true}, out, nil
	}
	w.Why = reasonsOf(bad)
	return w, []catalog.Finding{{Severity: catalog.Warning, Code: "reverse", Object: "cutover.reverse", Reason: "a rollback after the cutover will not be possible: " + w.Why,
		Remedy: "mend that before the migration begins, or set cutover.reverse: true once it is mended; with cutover.reverse: false nobody looks"}}, nil
}

// reasonsOf puts the first findings into a line.
func reasonsOf(bad []catalog.Finding) string {
	const most = 3
	var out []string
	for i, f := range bad {
		if i == most {
			out = append(out, fmt.Sprintf("and %d more", len(bad)-most))
			break
		}
		out = append(out, f.Object+": "+f.Reason)
	}
	return strings.Join(out, "; ")
}

// settleTwoWay reads what was settled, and follows a configuration that says otherwise since. Without a note an earlier version has begun the migration, which had a way back only
// where it was asked for.
func (m *migration) settleTwoWay(ctx context.Context) error {
	noted := twoWay{Why: "the migration was begun without one"}
	if _, err := m.fact(ctx, factTwoWay, &noted); err != nil {
		return err
	}
	m.twoWay = noted
	switch m.cfg.Cutover.Reverse {
	case configs.WayBackOn:
		m.twoWay = twoWay{Goes: true}
	case configs.WayBackOff:
		m.twoWay = twoWay{Why: switchedOff}
	case configs.WayBackAuto:
	}
	return nil
}

// noteTwoWay notes it. What a way back that was switched off has kept goes, unless the target serves already: then it ends by finalize, and not by the way.
func (m *migration) noteTwoWay(ctx context.Context) error {
	var noted twoWay
	if _, err := m.fact(ctx, factTwoWay, &noted); err != nil || noted == m.twoWay {
		return err
	}
	if noted.Goes && !m.twoWay.Goes {
		if m.over() && !m.finalized() {
			return refused("cutover.reverse was true at the cutover, and is false now: set it back; `crossfade finalize` ends the way back")
		}
		if err := m.removeReverse(ctx); err != nil {
			return fmt.Errorf("remove the way back: %w", err)
		}
	}
	return m.remember(ctx, factTwoWay, m.twoWay)
}

// againstReverse is what stands against a way back: what the mapping cannot undo, and what the target does not let us read. Its tables need not be there yet.
func (m *migration) againstReverse(ctx context.Context) (out []catalog.Finding, err error) {
	back := &flow{cfg: m.cfg, log: m.log, way: reverseWay(m.cfg, m.plan)}
	var mistakes transform.Mistakes
	switch back.plan, err = transform.Reverse(m.plan, nil, false); {
	case errors.As(err, &mistakes):
		out = append(out, mistakes...)
	case err != nil:
		return nil, err
	default:
		found, err := back.checkFilled(ctx)
		if err != nil {
			return nil, err
		}
		out = append(out, found...)
	}
	source, err := openSource(ctx, m.cfg, back.way, m.log)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	found, err := source.Check(ctx, nil)
	if err != nil {
		return nil, err
	}
	for _, f := range found {
		if f.Code != "tables" { // they are not there yet
			out = append(out, ofWayBack("target", f))
		}
	}
	return out, nil
}

// checkFilled proves that the source takes what would be applied to it.
func (f *flow) checkFilled(ctx context.Context) (out []catalog.Finding, err error) {
	to, err := openApplied(ctx, f.cfg, f.way, f.log)
	if err != nil {
		return nil, err
	}
	defer to.Close()
	found, err := to.Check(ctx, f.setups())
	if err != nil {
		return nil, err
	}
	for _, one := range found {
		out = append(out, ofWayBack("source", one))
	}
	return out, nil
}

// ofWayBack says that a finding stands against the way back only.
func ofWayBack(end string, f catalog.Finding) catalog.Finding {
	f.Object = end + ", for the way back: " + f.Object
	if f.Severity == catalog.Error {
		f.Remedy += "; or set cutover.reverse: false and do without a way back"
	}
	return f
}

// removeReverse removes what the way back keeps at both ends, also when it has been switched off since.
func (m *migration) removeReverse(ctx context.Context) (err error) {
	w := reverseWay(m.cfg, m.plan)
	if err := stream.Remove(ctx, streamConfig(m.cfg, w)); err != nil {
		return err
	}
	back := &flow{cfg: m.cfg, log: m.log, way: w}
	defer back.close()
	if back.source, err = openSource(ctx, m.cfg, w, m.log); err != nil {
		return err
	}
	if err := back.source.Remove(ctx); err != nil {
		return err
	}
	if err := back.openTarget(ctx); err != nil {
		return err
	}
	if err := back.copied.Remove(ctx); err != nil {
		return err
	}
	return back.target.Remove(ctx)
}
