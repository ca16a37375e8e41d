package mysql

import (
	"fmt"
	"strings"
)

// triggerBody is what stands behind FOR EACH ROW, and FOLLOWS or PRECEDES another one, in a CREATE TRIGGER. Names, literals and comments before it are passed over, whatever they hold.
// Mode is the sql_mode that it was made under.
func triggerBody(create, mode string) (string, error) {
	rest, at := create, 0
	nextWord := func(s string) (word, rest string, err error) { return nextWord(s, mode) }
	for _, want := range []string{"FOR", "EACH", "ROW"} {
		for {
			word, left, err := nextWord(rest)
			if err != nil {
				return "", err
			}
			rest = left
			if strings.EqualFold(word, want) {
				break
			}
			if at > 0 { // FOR, and not EACH
				return "", fmt.Errorf("a CREATE TRIGGER has %q behind FOR", word)
			}
		}
		at++
	}
	if word, left, err := nextWord(rest); err == nil && (strings.EqualFold(word, "FOLLOWS") || strings.EqualFold(word, "PRECEDES")) {
		if _, rest, err = nextWord(left); err != nil {
			return "", err
		}
	}
	return strings.TrimSpace(rest), nil
}

// nextWord takes a word, a quoted name or a sign off the front of SQL, without blanks and comments before it.
func nextWord(s, mode string) (word, rest string, err error) {
	for {
		s = strings.TrimLeft(s, " \t\r\n")
		end := ""
		switch {
		case strings.HasPrefix(s, "/*"):
			end = "*/"
		case strings.HasPrefix(s, "#"), len(s) > 2 && s[:2] == "--" && s[2] <= ' ':
			end = "\n"
		}
		if end == "" {
			break
		}
		i := strings.Index(s, end)
		if i < 0 {
			return "", "", fmt.Errorf("a comment in %.60q has no end", s)
		}
		s = s[i+len(end):]
	}
	if s == "" {
		return "", "", fmt.Errorf("a CREATE TRIGGER ends before its body")
	}
	if c := s[0]; strings.IndexByte("`'\"", c) >= 0 {
		name := c == '`' || c == '"' && strings.Contains(mode, "ANSI_QUOTES")
		escapes := !name && !strings.Contains(mode, "NO_BACKSLASH_ESCAPES")
		for i := 1; i < len(s); i++ {
			switch {
			case s[i] == '\\' && escapes:
				i++
			case s[i] == c && i+1 < len(s) && s[i+1] == c:
				i++
			case s[i] == c:
				return s[:i+1], s[i+1:], nil
			}
		}
		return "", "", fmt.Errorf("%.60q has no end", s)
	}
	i := strings.IndexFunc(s, func(r rune) bool { return strings.ContainsRune(" \t\r\n`'\"/#=@.", r) })
	switch {
	case i < 0:
		return s, "", nil
	case i == 0:
		return s[:1], s[1:], nil
	}
	return s[:i], s[i:], nil
}
