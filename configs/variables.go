package configs

import (
	"fmt"
	"regexp"
	"strings"
)

// lookup finds an environment variable.
type lookup func(name string) (string, bool)

// piece is a part of a text: literal, or the variable it names.
type piece struct {
	text     string
	variable bool
}

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// pieces takes a text with ${VAR} apart. $${ stands for a literal ${, and a $ before anything else for itself.
func pieces(text string) ([]piece, error) {
	var out []piece
	for text != "" {
		at := strings.Index(text, "${")
		if at < 0 {
			return append(out, piece{text: text}), nil
		}
		if at > 0 && text[at-1] == '$' {
			out = append(out, piece{text: text[:at-1] + "${"})
			text = text[at+2:]
			continue
		}
		if at > 0 {
			out = append(out, piece{text: text[:at]})
		}
		name, rest, ok := strings.Cut(text[at+2:], "}")
		if !ok || !variableName.MatchString(name) {
			return nil, &fault{problem: "a ${ that no name and } follow", remedy: "write ${NAME}, without a default, or $${ for a literal ${"}
		}
		out = append(out, piece{text: name, variable: true})
		text = rest
	}
	return out, nil
}

// expand substitutes the variables of a text. In a URL each value is escaped for the part where it stands.
func expand(text string, isURL bool, find lookup) (string, error) {
	parts, err := pieces(text)
	if err != nil {
		return "", err
	}
	var unset []string
	for _, p := range parts {
		if p.variable {
			if _, ok := find(p.text); !ok {
				unset = append(unset, p.text)
			}
		}
	}
	if len(unset) > 0 {
		return "", &fault{
			problem: "not set in the environment: " + strings.Join(unset, ", "),
			remedy:  "export it, or write $${ for a literal ${",
		}
	}
	// A URL that is one variable as a whole is written by whoever sets it, escapes and all; one without any needs no care.
	isURL = isURL && len(parts) > 1
	var borders urlBorders
	if isURL {
		if borders, err = findBorders(parts); err != nil {
			return "", err
		}
	}
	var b strings.Builder
	at := 0 // in the text without variables
	for _, p := range parts {
		value := p.text
		if p.variable {
			value, _ = find(p.text)
			if isURL {
				if value, err = borders.escape(at, p.text, value); err != nil {
					return "", err
				}
			}
		} else {
			at += len(p.text)
		}
		b.WriteString(value)
	}
	return b.String(), nil
}

// urlBorders are the places in a URL, its variables left out, where its parts begin.
type urlBorders struct {
	authority int // behind ://
	host      int // behind the last @ of the authority, or where the authority begins
	path      int // where the authority ends
}

// findBorders looks at the literal pieces alone: no value of a variable can move a border.
func findBorders(parts []piece) (urlBorders, error) {
	var b strings.Builder
	for _, p := range parts {
		if !p.variable {
			b.WriteString(p.text)
		}
	}
	literal := b.String()
	at := strings.Index(literal, "://")
	if at < 0 {
		return urlBorders{}, &fault{
			problem: "a URL put together from variables without a literal ://",
			remedy:  "write the scheme out, as in mysql://${USER}:${PASSWORD}@${HOST}/shop, or take the whole URL from one variable",
		}
	}
	u := urlBorders{authority: at + len("://"), path: len(literal)}
	if end := strings.IndexAny(literal[u.authority:], "/?#"); end >= 0 {
		u.path = u.authority + end
	}
	u.host = u.authority
	if end := strings.LastIndexByte(literal[u.authority:u.path], '@'); end >= 0 {
		u.host = u.authority + end + 1
	}
	return u, nil
}

var hostValue = regexp.MustCompile(`^[A-Za-z0-9_.:,\[\]-]*$`)

// escape returns the value of a variable as it is written at a place of the URL.
func (u urlBorders) escape(at int, name, value string) (string, error) {
	switch {
	case at < u.authority:
		return "", &fault{problem: fmt.Sprintf("${%s} stands in the scheme of a URL", name), remedy: "write the scheme out, or take the whole URL from one variable"}
	case at < u.host || at > u.path:
		return escape(value), nil
	case hostValue.MatchString(value):
		return value, nil
	default:
		return "", &fault{problem: fmt.Sprintf("the value of ${%s} can not stand for the host of a URL", name), remedy: "give a name or an address, maybe with :port"}
	}
}
