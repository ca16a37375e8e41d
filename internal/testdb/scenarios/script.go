package scenarios

import (
	"errors"
	"fmt"
	"strings"
)

// Statement is one statement of a file.
type Statement struct {
	Line    int
	Session string
	SQL     string
	Fails   bool
	// Copy is the data of a COPY ... FROM STDIN; nil: it is no COPY.
	Copy []byte
	// Rows are what a query must answer with, columns separated by " | ".
	Rows []string
}

// parse splits a file. With rows, lines of the form "--> a | b" belong to the statement above.
func parse(text string, rows bool) ([]Statement, error) {
	p := &parser{session: "a", rows: rows}
	for i, line := range strings.Split(text, "\n") {
		if err := p.line(i+1, strings.TrimRight(line, " \t\r")); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	switch {
	case p.copying:
		return nil, errors.New(`a copy has no \. behind its data`)
	case p.block:
		return nil, errors.New("-- begin without -- end")
	case len(p.sql) > 0:
		return nil, errors.New("the last statement does not end in a semicolon")
	case p.fails:
		return nil, errors.New("-- fails without a statement")
	}
	return p.out, nil
}

type parser struct {
	out     []Statement
	session string
	sql     []string
	start   int
	block   bool
	copying bool
	fails   bool
	rows    bool
}

func (p *parser) line(n int, line string) error {
	trimmed := strings.TrimSpace(line)
	switch {
	case p.copying:
		return p.copyLine(line)
	case trimmed == "" && len(p.sql) == 0:
		return nil
	case strings.HasPrefix(trimmed, "-->"):
		if !p.rows || len(p.out) == 0 || len(p.sql) > 0 {
			return errors.New("a row without a query above it")
		}
		s := &p.out[len(p.out)-1]
		s.Rows = append(s.Rows, strings.TrimPrefix(strings.TrimPrefix(trimmed, "-->"), " "))
		return nil
	case strings.HasPrefix(trimmed, "--"):
		return p.directive(n, strings.TrimSpace(trimmed[2:]))
	}
	if len(p.sql) == 0 {
		p.start = n
	}
	p.sql = append(p.sql, line)
	if !p.block && strings.HasSuffix(line, ";") {
		p.finish()
	}
	return nil
}

func (p *parser) finish() {
	sql := strings.TrimSuffix(strings.TrimSpace(strings.Join(p.sql, "\n")), ";")
	p.out = append(p.out, Statement{Line: p.start, Session: p.session, SQL: sql, Fails: p.fails})
	p.sql, p.fails = nil, false
}

// directive reads a comment. What is no directive is a comment, unless it looks like one.
func (p *parser) directive(n int, text string) error {
	word, rest, _ := strings.Cut(text, " ")
	rest = strings.TrimSpace(rest)
	switch {
	case text == "begin" && !p.block && len(p.sql) == 0:
		p.block = true
	case text == "end" && p.block && len(p.sql) > 0:
		p.block = false
		p.finish()
	case text == "begin" || text == "end" || text == "session" || text == "copy":
		return fmt.Errorf("-- %s does not fit here", text)
	case len(p.sql) > 0: // a comment inside a statement
	case word == "session" && rest != "" && !strings.Contains(rest, " "):
		p.session = rest
	case text == "fails":
		p.fails = true
	case word == "copy" && strings.HasSuffix(rest, ")"):
		p.copying = true
		p.out = append(p.out, Statement{Line: n, Session: p.session, SQL: "COPY " + rest + " FROM STDIN", Copy: []byte{}, Fails: p.fails})
		p.fails = false
	}
	return nil
}

func (p *parser) copyLine(line string) error {
	if line == `\.` {
		p.copying = false
		return nil
	}
	s := &p.out[len(p.out)-1]
	s.Copy = append(append(s.Copy, line...), '\n')
	return nil
}
