package transform

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxName is PostgreSQL's limit for a name, in bytes. A longer one is cut in silence, and then may be another's.
const maxName = 63

// quote writes a PostgreSQL identifier.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// quoteName writes schema.name.
func quoteName(schema, name string) string { return quote(schema) + "." + quote(name) }

// literal writes a PostgreSQL string literal that means the same whatever standard_conforming_strings says.
func literal(s string) string {
	q := "'" + strings.ReplaceAll(s, "'", "''") + "'"
	if strings.Contains(s, `\`) {
		return "E" + strings.ReplaceAll(q, `\`, `\\`)
	}
	return q
}

// systemColumns cannot be the names of a table's own columns.
var systemColumns = map[string]bool{"tableoid": true, "xmin": true, "cmin": true, "xmax": true, "cmax": true, "ctid": true}

// nameFault says why a name cannot be used in the target; empty when it can.
func nameFault(name string) string {
	switch {
	case name == "":
		return "is empty"
	case len(name) > maxName:
		return fmt.Sprintf("has %d bytes, PostgreSQL's names have at most %d", len(name), maxName)
	case strings.ContainsRune(name, 0):
		return "contains the character 0x00"
	case strings.Contains(name, "$crossfade$"): // ends the quoting of our own statements
		return "contains $crossfade$"
	}
	return ""
}

// schemaFault does the same for a schema.
func schemaFault(name string) string {
	switch {
	case name == "crossfade":
		return "is crossfade's own"
	case strings.HasPrefix(name, "pg_") || name == "information_schema":
		return "is the server's own"
	}
	return nameFault(name)
}

func (i Identifiers) fold(name string) string {
	if i == Keep {
		return name
	}
	return strings.ToLower(name)
}

// namespace holds the names of one schema's relations: tables, indexes and sequences share one.
type namespace map[string]bool

// take returns the name, or one with a hash of what it is derived from when the name is too long or taken, and marks it as taken.
func (n namespace) take(name, derivedFrom string) string {
	out := name
	for try := 0; len(out) > maxName || n[out]; try++ {
		sum := sha256.Sum256([]byte(fmt.Sprintf("%s#%d", derivedFrom, try)))
		suffix := "_" + hex.EncodeToString(sum[:4])
		cut := min(len(name), maxName-len(suffix))
		for cut > 0 && cut < len(name) && !utf8.RuneStart(name[cut]) {
			cut--
		}
		out = name[:cut] + suffix
	}
	n[out] = true
	return out
}
