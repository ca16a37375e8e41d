package mysql

import (
	"fmt"
	"strings"
)

// scratchTable is made and dropped, in any database, where a target is asked what its user may do. Rows of it stop like those of any table that is not known.
const scratchTable = "crossfade_scratch"

func touched(n name, what string) statement {
	return statement{verdict: touches, object: n.String(), reason: what}
}

// harmless are the kinds of objects that hold no rows and say nothing about how rows are stored. Triggers belong to them: what they do to
// migrated rows is in the log as rows.
var harmless = map[string]bool{
	"VIEW": true, "TRIGGER": true, "PROCEDURE": true, "FUNCTION": true, "EVENT": true, "USER": true, "ROLE": true, "SERVER": true,
	"TABLESPACE": true, "LOGFILE": true, "RESOURCE": true, "REFERENCE": true, "LIBRARY": true,
	"SEQUENCE": true, "PACKAGE": true, // of MariaDB
}

func (p *parser) create() (statement, error) {
	kind, modifier, err := p.modifiers()
	if err != nil {
		return pass, err
	}
	switch {
	case kind == "SEQUENCE":
		return p.createSequence()
	case harmless[kind], kind == "DATABASE", kind == "SCHEMA":
		return pass, nil
	case kind == "INDEX":
		return p.createIndex(modifier == "UNIQUE")
	case kind != "TABLE":
		return pass, errNotUnderstood
	}
	exists, err := p.accept("IF", "NOT", "EXISTS")
	if err != nil {
		return pass, err
	}
	n, err := p.name()
	if err != nil {
		return pass, err
	}
	st := pass
	if st.opens, err = p.endsInStartTransaction(); err != nil {
		return pass, err
	}
	switch {
	case modifier == "TEMPORARY", !p.scope.selects(n), n.table == scratchTable:
		return st, nil
	case exists && p.scope.known(n): // it was there, nothing happened
		return st, nil
	default:
		return touched(n, "a table was created inside the selection"), nil
	}
}

// createSequence takes note of a sequence of MariaDB: what it hands out is logged as rows of it.
func (p *parser) createSequence() (statement, error) {
	if _, err := p.accept("IF", "NOT", "EXISTS"); err != nil {
		return pass, err
	}
	n, err := p.name()
	if err == nil {
		p.scope.sequence(n)
	}
	return pass, err
}

// endsInStartTransaction reads the rest of the statement. The server puts START TRANSACTION behind a CREATE TABLE whose rows follow.
func (p *parser) endsInStartTransaction() (bool, error) {
	var last, before token
	for p.token.kind != endToken {
		before, last = last, p.token
		if err := p.advance(); err != nil {
			return false, err
		}
	}
	return before.is("START") && last.is("TRANSACTION"), nil
}

// createIndex reads name [USING method] ON table.
func (p *parser) createIndex(unique bool) (statement, error) {
	n, err := p.onTable()
	if err != nil {
		return pass, err
	}
	if unique && p.scope.known(n) {
		return touched(n, "a unique index was created"), nil
	}
	return pass, nil
}

func (p *parser) onTable() (name, error) {
	if _, err := p.identifier(); err != nil {
		return name{}, err
	}
	for p.token.is("USING") || p.token.is("TYPE") {
		if err := p.advance(); err != nil {
			return name{}, err
		}
		if _, err := p.word(); err != nil {
			return name{}, err
		}
	}
	if on, err := p.accept("ON"); err != nil || !on {
		return name{}, errNotUnderstood
	}
	return p.name()
}

func (p *parser) drop() (statement, error) {
	kind, modifier, err := p.modifiers()
	if err != nil {
		return pass, err
	}
	switch {
	case harmless[kind], modifier == "TEMPORARY":
		return pass, nil
	case kind == "INDEX":
		n, err := p.onTable()
		if err == nil && p.scope.known(n) {
			return touched(n, "an index was dropped"), nil
		}
		return pass, err
	}
	exists, err := p.accept("IF", "EXISTS")
	if err != nil {
		return pass, err
	}
	switch kind {
	case "DATABASE", "SCHEMA":
		schema, err := p.identifier()
		if err == nil && p.scope.holds(schema) {
			return statement{verdict: touches, object: schema, reason: "the database was dropped"}, nil
		}
		return pass, err
	case "TABLE", "TABLES":
	default:
		return pass, errNotUnderstood
	}
	for {
		n, err := p.name()
		if err != nil {
			return pass, err
		}
		if p.scope.known(n) || !exists && p.scope.selects(n) && n.table != scratchTable {
			return touched(n, "the table was dropped"), nil
		}
		if !p.token.punct(',') {
			break
		}
		if err := p.advance(); err != nil {
			return pass, err
		}
	}
	if p.token.is("RESTRICT") || p.token.is("CASCADE") {
		if err := p.advance(); err != nil {
			return pass, err
		}
	}
	return p.only(passes)
}

func (p *parser) alter() (statement, error) {
	kind, _, err := p.modifiers()
	if err != nil {
		return pass, err
	}
	switch {
	case harmless[kind], kind == "INSTANCE", kind == "DATABASE", kind == "SCHEMA":
		return pass, nil
	case kind != "TABLE":
		return pass, errNotUnderstood
	}
	n, err := p.name()
	if err != nil {
		return pass, err
	}
	if p.scope.known(n) || p.scope.selects(n) {
		return p.alterSelected(n)
	}
	// Another table can become one of ours, or exchange its rows with one.
	for p.token.kind != endToken {
		t := p.token
		if err := p.advance(); err != nil {
			return pass, err
		}
		switch {
		case t.is("RENAME"):
			if p.token.is("COLUMN") || p.token.is("INDEX") || p.token.is("KEY") {
				continue
			}
			if p.token.is("TO") || p.token.is("AS") || p.token.punct('=') {
				if err := p.advance(); err != nil {
					return pass, err
				}
			}
			to, err := p.name()
			if err != nil {
				return pass, err
			}
			if p.scope.selects(to) {
				return touched(to, fmt.Sprintf("%s was renamed to it", n)), nil
			}
		case t.is("EXCHANGE") && p.token.is("PARTITION"):
			for !p.token.is("TABLE") {
				if p.token.kind == endToken {
					return pass, errNotUnderstood
				}
				if err := p.advance(); err != nil {
					return pass, err
				}
			}
			if err := p.advance(); err != nil {
				return pass, err
			}
			with, err := p.name()
			if err != nil {
				return pass, err
			}
			if p.scope.known(with) || p.scope.selects(with) {
				return touched(with, fmt.Sprintf("its rows were exchanged with a partition of %s, without being logged", n)), nil
			}
		}
	}
	return pass, nil
}

// alterSelected: of the changes of a migrated table only two certainly change no row and no column: what dumps write around their inserts, and a counter that is
// set, alone.
func (p *parser) alterSelected(n name) (statement, error) {
	if p.token.is("ENABLE") || p.token.is("DISABLE") {
		if err := p.advance(); err != nil {
			return pass, err
		}
		if keys, err := p.accept("KEYS"); err != nil || keys && p.token.kind == endToken {
			return pass, err
		}
	}
	counter, err := p.accept("AUTO_INCREMENT")
	if err == nil && counter {
		counter, err = p.endsInNumber()
	}
	if err != nil || counter {
		return pass, err
	}
	return touched(n, "the table was altered"), nil
}

// endsInNumber reports whether nothing comes but [=] and a number.
func (p *parser) endsInNumber() (bool, error) {
	if p.token.punct('=') {
		if err := p.advance(); err != nil {
			return false, err
		}
	}
	if p.token.kind != wordToken || strings.Trim(p.token.text, "0123456789") != "" {
		return false, nil
	}
	err := p.advance()
	return p.token.kind == endToken, err
}

func (p *parser) rename() (statement, error) {
	kind, err := p.word()
	if err != nil {
		return pass, err
	}
	switch kind {
	case "USER":
		return pass, nil
	case "TABLE", "TABLES":
	default:
		return pass, errNotUnderstood
	}
	for {
		from, err := p.name()
		if err != nil {
			return pass, err
		}
		if to, err := p.accept("TO"); err != nil || !to {
			return pass, errNotUnderstood
		}
		to, err := p.name()
		if err != nil {
			return pass, err
		}
		if p.scope.known(from) || p.scope.selects(from) {
			return touched(from, fmt.Sprintf("it was renamed to %s", to)), nil
		}
		if p.scope.selects(to) {
			return touched(to, fmt.Sprintf("%s was renamed to it", from)), nil
		}
		if !p.token.punct(',') {
			return p.only(passes)
		}
		if err := p.advance(); err != nil {
			return pass, err
		}
	}
}

func (p *parser) truncate() (statement, error) {
	if _, err := p.accept("TABLE"); err != nil {
		return pass, err
	}
	n, err := p.name()
	switch {
	case err != nil:
		return pass, err
	case p.token.kind != endToken:
		return pass, errNotUnderstood
	case p.scope.known(n):
		return statement{verdict: truncates, table: n, object: n.String()}, nil
	case p.scope.selects(n):
		return touched(n, "it was truncated, but is not known"), nil
	default:
		return pass, nil
	}
}
