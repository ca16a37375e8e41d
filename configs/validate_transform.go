package configs

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

func (c *Config) checkTransform(ms *mistakes) {
	oneOf(ms, "transform.identifiers", c.Transform.Identifiers, "", IdentifiersLower, IdentifiersKeep)
	selected, err := c.Source.Globs()
	tablesKnown := err == nil
	seen := map[string]int{}
	for i, rule := range c.Transform.Tables {
		path := fmt.Sprintf("transform.tables[%d]", i)
		if required(ms, path+".source", rule.Source, "name the table, schema.table") {
			schema, table, err := SplitName(rule.Source)
			switch {
			case err != nil:
				ms.fail(path+".source", err)
			case tablesKnown && !selected.Match(schema, table):
				ms.add(path+".source", fmt.Sprintf("%q is not among source.tables", rule.Source), "select it there or remove the rule")
			}
			if first, ok := seen[rule.Source]; ok {
				ms.add(path+".source", fmt.Sprintf("%q has a rule already, transform.tables[%d]", rule.Source, first), "make one rule of both")
			} else {
				seen[rule.Source] = i
			}
		}
		if rule.Target != "" {
			if _, _, err := SplitName(rule.Target); err != nil {
				ms.fail(path+".target", err)
			}
		}
		rule.checkColumns(ms, path)
	}
	for i, rule := range c.Transform.Types {
		rule.check(ms, fmt.Sprintf("transform.types[%d]", i))
	}
}

func (t TableRule) checkColumns(ms *mistakes, path string) {
	targets := map[string]int{}
	dropped := map[string]bool{}
	used := map[string]bool{}
	for i, column := range t.Columns {
		at := fmt.Sprintf("%s.columns[%d]", path, i)
		column.check(ms, at)
		if column.Target != "" {
			if first, ok := targets[column.Target]; ok {
				ms.add(at+".target", fmt.Sprintf("%q is filled already, by columns[%d]", column.Target, first), "remove one of them")
			} else {
				targets[column.Target] = i
			}
		}
		if column.Source == "" {
			continue
		}
		// A column may fill several; but it can not be dropped and fill one.
		if column.Drop && (used[column.Source] || dropped[column.Source]) || !column.Drop && dropped[column.Source] {
			ms.add(at+".source", fmt.Sprintf("%q is dropped and has another rule", column.Source), "remove one of them")
		}
		dropped[column.Source] = dropped[column.Source] || column.Drop
		used[column.Source] = used[column.Source] || !column.Drop
	}
}

func (r ColumnRule) check(ms *mistakes, path string) {
	switch {
	case r.Drop:
		required(ms, path+".source", r.Source, "name the column to drop")
		if r.Target != "" || r.Value != "" || r.As != "" || r.Mask != "" {
			ms.add(path+".drop", "stands beside target, value, as or mask", "a dropped column has none of them: remove one or the other")
		}
	case r.Value != "":
		required(ms, path+".target", r.Target, "name the column that takes the value")
		if r.Mask != "" {
			ms.add(path+".mask", "stands beside value", "remove one of them")
		}
	case r.Source == "":
		ms.add(path, "has neither source nor value", "name the source column, or give a value to fill target with")
	case r.Target == "" && r.As == "" && r.Mask == "" && r.Reverse.IsZero():
		ms.add(path, "changes nothing", "give target, value, as, mask or drop, or remove it")
	}
	if r.Mask != "" && r.Source == "" {
		ms.add(path+".mask", "has no source column", "name the column to mask")
	}
	if !r.Reverse.IsZero() && r.Source == "" {
		ms.add(path+".reverse", "has no source column to write to", "name source or remove it")
	}
}

func (r TypeRule) check(ms *mistakes, path string) {
	if required(ms, path+".match", r.Match, "write engine:type, such as mysql:datetime") {
		engine, typ, _ := strings.Cut(r.Match, ":")
		if !slices.Contains([]Engine{MySQL, MariaDB, Postgres}, Engine(engine)) || strings.TrimSpace(typ) == "" {
			ms.add(path+".match", fmt.Sprintf("%q names no type of an engine", r.Match), "write engine:type, such as mysql:datetime")
		}
	}
	if r.Column != "" {
		if _, err := CompileColumnGlob(r.Column); err != nil {
			ms.fail(path+".column", err)
		}
	}
	if !standsForZeroDate(r.ZeroDate) {
		ms.add(path+".zero_date", fmt.Sprintf("%q is not known", r.ZeroDate), `use error, "null" or a date that stands for it, such as 1970-01-01, or leave it out`)
	}
	if filler, replaces := strings.CutPrefix(r.NUL, NULReplace); !replaces || filler == "" {
		oneOf(ms, path+".nul", r.NUL, "", NULError, NULStrip, NULReplace+"X")
	}
	if r.As == "" && r.ZeroDate == "" && r.NUL == "" {
		ms.add(path, "changes nothing", "give as, zero_date or nul, or remove it")
	}
}

// standsForZeroDate reports whether the word is one that zero_date takes.
func standsForZeroDate(word string) bool {
	switch word {
	case "", ZeroDateError, ZeroDateNull:
		return true
	}
	for _, layout := range []string{time.DateOnly, time.DateTime} { // fractions of a second follow by themselves
		if _, err := time.Parse(layout, word); err == nil {
			return true
		}
	}
	return false
}
