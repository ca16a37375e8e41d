package configs

import (
	"errors"
	"fmt"
	"strings"
)

// globForm ends every fault about a glob.
const globForm = `write schema.table with * and ?, "!" before it to exclude, and \ before a literal one of . * ? ! \`

// Globs selects tables: one is selected when a pattern matches it and no pattern that starts with "!" does. Order means nothing.
type Globs struct {
	include, exclude []tableGlob
}

type tableGlob struct{ schema, table glob }

// CompileGlobs compiles patterns such as shop.* and !shop.audit_*. Letters match only themselves, not the other case.
func CompileGlobs(patterns []string) (Globs, error) {
	var g Globs
	for _, pattern := range patterns {
		text, exclude := strings.CutPrefix(pattern, "!")
		parts, err := splitGlob(text, 2)
		if err != nil {
			return Globs{}, &fault{problem: fmt.Sprintf("%q: %s", pattern, err.Error()), remedy: globForm}
		}
		one := tableGlob{parts[0], parts[1]}
		if exclude {
			g.exclude = append(g.exclude, one)
		} else {
			g.include = append(g.include, one)
		}
	}
	if len(g.include) == 0 {
		return Globs{}, &fault{problem: "no pattern includes a table", remedy: "give at least one without !"}
	}
	return g, nil
}

// Match reports whether the table is selected.
func (g Globs) Match(schema, table string) bool {
	matches := func(globs []tableGlob) bool {
		for _, one := range globs {
			if one.schema.match(schema) && one.table.match(table) {
				return true
			}
		}
		return false
	}
	return matches(g.include) && !matches(g.exclude)
}

// ColumnGlob selects columns by schema.table.column.
type ColumnGlob struct{ schema, table, column glob }

// CompileColumnGlob compiles a pattern such as shop.*.created.
func CompileColumnGlob(pattern string) (ColumnGlob, error) {
	parts, err := splitGlob(pattern, 3)
	if err != nil {
		return ColumnGlob{}, &fault{
			problem: fmt.Sprintf("%q: %s", pattern, err.Error()),
			remedy:  `write schema.table.column with * and ?, and \ before a literal one of . * ? \`,
		}
	}
	return ColumnGlob{parts[0], parts[1], parts[2]}, nil
}

// Match reports whether the column is selected.
func (g ColumnGlob) Match(schema, table, column string) bool {
	return g.schema.match(schema) && g.table.match(table) && g.column.match(column)
}

// SplitName takes schema.table apart. It is the name of one table: * and ? are refused, and \ takes a character literally.
func SplitName(name string) (schema, table string, err error) {
	wrong := &fault{problem: fmt.Sprintf("%q names no table", name), remedy: `write schema.table, and \ before a literal one of . * ? \`}
	parts, err := splitGlob(name, 2)
	if err != nil {
		return "", "", wrong
	}
	var ok [2]bool
	schema, ok[0] = parts[0].literal()
	table, ok[1] = parts[1].literal()
	if !ok[0] || !ok[1] {
		return "", "", wrong
	}
	return schema, table, nil
}

// QuoteName writes a schema or table so that a glob or SplitName takes it literally.
func QuoteName(name string) string {
	return quoteName.Replace(name)
}

var quoteName = strings.NewReplacer(`\`, `\\`, `.`, `\.`, `*`, `\*`, `?`, `\?`, `!`, `\!`)

// glob is a compiled pattern of one name: what to match, one after the other.
type glob []globPart

type globPart struct {
	kind globKind
	char rune // for oneChar
}

type globKind uint8

const (
	oneChar globKind = iota // char itself
	anyChar                 // ?
	anyRun                  // *
)

// splitGlob compiles a pattern with n names separated by dots.
func splitGlob(pattern string, n int) ([]glob, error) {
	globs := make([]glob, 1)
	escaped := false
	for _, r := range pattern {
		last := &globs[len(globs)-1]
		switch {
		case escaped:
			*last, escaped = append(*last, globPart{oneChar, r}), false
		case r == '\\':
			escaped = true
		case r == '.':
			globs = append(globs, nil)
		case r == '?':
			*last = append(*last, globPart{kind: anyChar})
		case r == '*':
			// Two stars match what one does, and would only take longer.
			if l := len(*last); l == 0 || (*last)[l-1].kind != anyRun {
				*last = append(*last, globPart{kind: anyRun})
			}
		case r == '!' || r <= ' ':
			return nil, fmt.Errorf("%q has no meaning here", r)
		default:
			*last = append(*last, globPart{oneChar, r})
		}
	}
	if escaped {
		return nil, errors.New(`the \ at its end stands before nothing`)
	}
	if len(globs) != n {
		return nil, fmt.Errorf("parts between dots: %d, not %d", len(globs), n)
	}
	for _, one := range globs {
		if len(one) == 0 {
			return nil, errors.New("a part is empty")
		}
	}
	return globs, nil
}

// match walks both once; at a mismatch it lets the last * take one character more. Time is at worst the product of both lengths.
func (g glob) match(name string) bool {
	text := []rune(name)
	at, star, starText := 0, -1, 0
	for i := 0; i < len(text); {
		switch {
		case at < len(g) && g[at].kind == anyRun:
			star, starText = at, i
			at++
		case at < len(g) && (g[at].kind == anyChar || g[at].char == text[i]):
			at++
			i++
		case star >= 0:
			starText++
			at, i = star+1, starText
		default:
			return false
		}
	}
	for at < len(g) && g[at].kind == anyRun {
		at++
	}
	return at == len(g)
}

// literal returns the one name that the pattern matches, if it is one.
func (g glob) literal() (string, bool) {
	var b strings.Builder
	for _, part := range g {
		if part.kind != oneChar {
			return "", false
		}
		b.WriteRune(part.char)
	}
	return b.String(), true
}
