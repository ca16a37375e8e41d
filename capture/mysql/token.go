package mysql

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// tokenKind says what a piece of a statement is.
type tokenKind uint8

const (
	endToken    tokenKind = iota // of the statement
	wordToken                    // keyword, unquoted name or number
	nameToken                    // quoted name
	stringToken                  // text in quotes
	punctToken                   // one character
)

type token struct {
	kind tokenKind
	text string // without quotes
}

// is reports whether the token is the keyword, given in upper case.
func (t token) is(keyword string) bool {
	return t.kind == wordToken && strings.EqualFold(t.text, keyword)
}

func (t token) punct(c byte) bool { return t.kind == punctToken && t.text[0] == c }

// SQL modes that change how a statement is read.
const (
	modeANSIQuotes         = 0x4
	modeNoBackslashEscapes = 0x100000
)

// mariadbVersions: servers of this version and later are MariaDB's. MySQL's numbers stay below.
const mariadbVersions = 100000

// lexer cuts a statement into tokens as MySQL does: quotes, comments, and comments whose content the server executes.
type lexer struct {
	s         string
	i         int
	mode      uint64
	version   int  // of the server, as in versioned comments: 80036
	versioned bool // inside /*! ... */ whose content counts
}

func (l *lexer) next() (token, error) {
	for l.i < len(l.s) {
		c := l.s[l.i]
		rest := l.s[l.i:]
		switch {
		case c == ' ' || c >= '\t' && c <= '\r':
			l.i++
		case c == '#' || c == '-' && strings.HasPrefix(rest, "--") && (len(rest) == 2 || rest[2] <= ' '):
			if n := strings.IndexByte(rest, '\n'); n >= 0 {
				l.i += n + 1
			} else {
				l.i = len(l.s)
			}
		case strings.HasPrefix(rest, "/*"):
			if err := l.comment(); err != nil {
				return token{}, err
			}
		case l.versioned && strings.HasPrefix(rest, "*/"):
			l.versioned = false
			l.i += 2
		case c == '\'' || c == '"' && l.mode&modeANSIQuotes == 0:
			text, err := l.quoted(c, l.mode&modeNoBackslashEscapes == 0)
			return token{stringToken, text}, err
		case c == '`' || c == '"':
			text, err := l.quoted(c, false)
			return token{nameToken, text}, err
		case isWord(c):
			n := 1
			for n < len(rest) && isWord(rest[n]) {
				n++
			}
			l.i += n
			return token{wordToken, rest[:n]}, nil
		case c < ' ':
			return token{}, fmt.Errorf("control character %#x", c)
		default:
			l.i++
			return token{punctToken, rest[:1]}, nil
		}
	}
	if l.versioned {
		return token{}, errors.New("comment without an end")
	}
	return token{}, nil
}

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '$' || c >= 0x80
}

// comment passes over a comment, or into one that is executed: /*! always, /*!NNNNN from that version of the server on.
func (l *lexer) comment() error {
	rest := l.s[l.i:]
	start := 3
	if l.version >= mariadbVersions && strings.HasPrefix(rest, "/*M!") {
		start = 4
	}
	if strings.HasPrefix(rest, "/*!") || start == 4 {
		n := start
		for n < len(rest) && n < start+6 && rest[n] >= '0' && rest[n] <= '9' {
			n++
		}
		needs := 0
		if n >= start+5 {
			needs, _ = strconv.Atoi(rest[start:n]) // digits only
		} else {
			n = start
		}
		// MariaDB passes over what is for MySQL 5.7 and later.
		if needs <= l.version && (l.version < mariadbVersions || start == 4 || needs < 50700 || needs >= mariadbVersions) {
			if l.versioned {
				return errors.New("executed comment inside another")
			}
			l.versioned = true
			l.i += n
			return nil
		}
	}
	end := strings.Index(rest[2:], "*/")
	if end < 0 {
		return errors.New("comment without an end")
	}
	l.i += 2 + end + 2
	return nil
}

// quoted reads up to the closing quote; a doubled quote stands for itself.
func (l *lexer) quoted(quote byte, escapes bool) (string, error) {
	var b strings.Builder
	from := l.i + 1
	for i := from; i < len(l.s); i++ {
		switch c := l.s[i]; {
		case c == '\\' && escapes:
			b.WriteString(l.s[from:i])
			i++
			from = i // the escaped character stands for itself: what it means matters nowhere
		case c != quote:
		case i+1 < len(l.s) && l.s[i+1] == quote:
			i++
			b.WriteString(l.s[from:i])
			from = i + 1
		default:
			b.WriteString(l.s[from:i])
			l.i = i + 1
			return b.String(), nil
		}
	}
	return "", fmt.Errorf("%c without an end", quote)
}
