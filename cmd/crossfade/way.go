package main

import (
	"github.com/crossfade-io/crossfade/configs"
	"github.com/crossfade-io/crossfade/cutover/protocol"
	"github.com/crossfade-io/crossfade/transform"
)

// way is a direction: which end is read, and which is filled.
type way struct {
	from, to configs.URL
	fills    protocol.Side
	name     string // of its stream, and of what its capture keeps at the end that it reads
	selected func(schema, table string) bool
}

// forwardWay leads from the source to the target.
func forwardWay(cfg *configs.Config) way {
	w := way{from: cfg.Source.URL, to: cfg.Target.URL, fills: protocol.Target, name: cfg.Name, selected: func(string, string) bool { return false }}
	if globs, err := cfg.Source.Globs(); err == nil { // a configuration in which they cannot be read is not loaded
		w.selected = globs.Match
	}
	return w
}

// reverseWay leads from the target to the source, for the tables that a plan fills.
func reverseWay(cfg *configs.Config, p *transform.Plan) way {
	filled := map[string]bool{}
	for _, t := range p.Tables() {
		filled[t.Target.String()] = true
	}
	return way{from: cfg.Target.URL, to: cfg.Source.URL, fills: protocol.Source, name: cfg.Name + "-reverse",
		selected: func(schema, table string) bool { return filled[schema+"."+table] }}
}

// filled: the rows are there at the end that is written to.
func (f *flow) filled() bool { return f.way.fills == protocol.Source }

func (w way) streamDir(cfg *configs.Config) string {
	if w.fills == protocol.Source {
		return cfg.Dir() + "/reverse"
	}
	return cfg.Dir() + "/stream"
}
