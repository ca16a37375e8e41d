package transform

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/change"
)

// myType is a type of a MySQL or MariaDB target.
type myType struct {
	catalog.Type
	// values are what a column of the type can hold.
	values sourceType
	// oneZero: of MariaDB, where minus zero is zero.
	oneZero bool
}

var (
	mysqlForm    = regexp.MustCompile(`(?s)^([a-z]+[46]?(?: precision| varying)?)\s*(?:\((.*)\))?\s*(unsigned)?$`)
	mysqlAliases = map[string]string{"integer": "int", "dec": "decimal", "numeric": "decimal", "double precision": "double", "character varying": "varchar", "character": "char", "geomcollection": "geometrycollection"}
)

// parseMySQL reads a type as people, and information_schema, write it.
func parseMySQL(text string) (t myType, err error) {
	bad := func(why string) (myType, error) {
		return myType{}, fmt.Errorf("%q %s (such as bigint unsigned, decimal(12,2), varchar(100), longtext, varbinary(16), datetime(6), json, enum('a','b'))", text, why)
	}
	s := strings.TrimSpace(text)
	if i := strings.IndexByte(s, '('); i >= 0 { // labels keep their letters
		s = strings.ToLower(s[:i]) + s[i:]
	} else {
		s = strings.ToLower(s)
	}
	s = strings.TrimSuffix(s, " zerofill")
	switch s {
	case "bool", "boolean":
		s = "tinyint(1)"
	}
	m := mysqlForm.FindStringSubmatch(s)
	if m == nil {
		return bad("is not a type")
	}
	t.Name, t.Unsigned = m[1], m[3] != ""
	if alias, ok := mysqlAliases[t.Name]; ok {
		t.Name = alias
	}
	if !mysqlTypes[t.Name] {
		return bad("is not a type that values can become")
	}
	var mods []int
	if t.Name == "enum" || t.Name == "set" {
		if t.Labels, err = readLabels(m[2]); err != nil {
			return bad(err.Error())
		}
	} else if m[2] != "" {
		for _, part := range strings.Split(m[2], ",") {
			n, err := strconv.Atoi(strings.TrimSpace(part))
			if err != nil || n < 0 {
				return bad("has a modifier that is no number")
			}
			mods = append(mods, n)
		}
	}
	return t.modified(mods, bad)
}

// modified takes the modifiers, and writes the type out.
func (t myType) modified(mods []int, bad func(string) (myType, error)) (myType, error) {
	mod := func(i, fallback int) int {
		if i < len(mods) {
			return mods[i]
		}
		return fallback
	}
	t.Full = t.Name
	switch t.Name {
	case "char", "binary":
		t.Length = mod(0, 1)
		t.Full = fmt.Sprintf("%s(%d)", t.Name, t.Length)
	case "varchar", "varbinary":
		if len(mods) == 0 {
			return bad("needs a length")
		}
		t.Length = mods[0]
		t.Full = fmt.Sprintf("%s(%d)", t.Name, t.Length)
	case "bit":
		if t.Length = mod(0, 1); t.Length < 1 || t.Length > 64 {
			return bad("has 1 to 64 bits")
		}
		t.Full = fmt.Sprintf("bit(%d)", t.Length)
	case "decimal":
		if t.Precision, t.Scale = mod(0, 10), mod(1, 0); t.Precision < 1 || t.Precision > 65 || t.Scale > 30 || t.Scale > t.Precision {
			return bad("has 1 to 65 digits, of which 30 at most are decimals")
		}
		t.Full = fmt.Sprintf("decimal(%d,%d)", t.Precision, t.Scale)
	case "datetime", "timestamp", "time":
		if t.Fraction = mod(0, 0); t.Fraction > 6 {
			return bad("has 6 digits after the second at most")
		}
		if t.Fraction > 0 {
			t.Full = fmt.Sprintf("%s(%d)", t.Name, t.Fraction)
		}
	case "enum", "set":
		quoted := make([]string, len(t.Labels))
		for i, l := range t.Labels {
			quoted[i] = "'" + strings.ReplaceAll(l, "'", "''") + "'"
		}
		t.Full = t.Name + "(" + strings.Join(quoted, ",") + ")"
	case "tinyint":
		if mod(0, 0) == 1 {
			t.Full = "tinyint(1)"
		}
	}
	if t.Unsigned {
		t.Full += " unsigned"
	}
	t.values, _ = mysqlTypeOf(&t.Type)
	return t, nil
}

// readLabels reads 'a','it”s'.
func readLabels(s string) (out []string, err error) {
	for s = strings.TrimSpace(s); s != ""; {
		if s[0] != '\'' {
			return nil, fmt.Errorf("has labels that are not quoted")
		}
		var b strings.Builder
		i := 1
		for ; i < len(s); i++ {
			if s[i] == '\'' {
				if i+1 < len(s) && s[i+1] == '\'' {
					i++
				} else {
					break
				}
			}
			b.WriteByte(s[i])
		}
		if i == len(s) {
			return nil, fmt.Errorf("has a label that does not end")
		}
		out = append(out, b.String())
		s = strings.TrimLeft(strings.TrimSpace(s[i+1:]), ", ")
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("has no labels")
	}
	return out, nil
}

// mustMySQL is for types that are written here.
func mustMySQL(text string) myType {
	t, err := parseMySQL(text)
	if err != nil {
		panic("transform: " + err.Error())
	}
	return t
}

// Widths of an InnoDB index entry, in bytes, and of the characters that it can hold.
const (
	maxEntry      = 3072
	maxEntryChars = maxEntry / 4
	// longestVarchar is the length up to which text becomes varchar by itself: a row has 65535 bytes for all of its columns.
	longestVarchar = 1000
)

// mysqlDefault is what values become when no rule says otherwise. indexed: the column is part of a key or index, and share what it may have of an entry, in
// characters.
func (s sourceType) mysqlDefault(indexed bool, share int) myType {
	switch s.class {
	case ints:
		for _, n := range []string{"tinyint", "tinyint unsigned", "smallint", "smallint unsigned", "mediumint", "mediumint unsigned", "int", "int unsigned", "bigint", "bigint unsigned"} {
			if t := mustMySQL(n); s.low >= t.values.low && s.high <= t.values.high {
				return t
			}
		}
		return mustMySQL("bigint") // an expression's result: above it is refused
	case decimals:
		p, scale := s.precision, s.scale
		switch {
		case p == 0:
			p, scale = 65, 30
		case scale < 0:
			p, scale = min(65, p-scale), 0
		default:
			scale = min(scale, 30)
			p = min(max(p, scale), 65)
		}
		return mustMySQL(fmt.Sprintf("decimal(%d,%d)", p, scale))
	case floats32:
		return mustMySQL("float")
	case floats64, floats:
		return mustMySQL("double")
	case texts, printed:
		switch {
		case s.labels != nil:
			t := myType{Type: catalog.Type{Name: "enum", Labels: s.labels}}
			t, _ = t.modified(nil, nil)
			return t
		case s.padded && s.length <= 255: // which fills up alike
			return mustMySQL(fmt.Sprintf("char(%d)", s.length))
		case indexed && (s.length == 0 || s.length > share):
			return mustMySQL(fmt.Sprintf("varchar(%d)", share))
		case s.length > 0 && s.length <= longestVarchar:
			return mustMySQL(fmt.Sprintf("varchar(%d)", s.length))
		}
		return mustMySQL("longtext")
	case binaries:
		switch {
		case indexed && (s.length == 0 || s.length > share):
			return mustMySQL(fmt.Sprintf("varbinary(%d)", share))
		case s.length > 0 && s.length <= longestVarchar:
			return mustMySQL(fmt.Sprintf("varbinary(%d)", s.length))
		}
		return mustMySQL("longblob")
	case dates:
		return mustMySQL("date")
	case datetimes, timestamps: // an instant as UTC: MySQL's own timestamp ends in 2038
		return mustMySQL(fmt.Sprintf("datetime(%d)", s.fraction))
	case times:
		return mustMySQL(fmt.Sprintf("time(%d)", s.fraction))
	case bitStrings:
		if s.length > 64 {
			return mustMySQL(fmt.Sprintf("varchar(%d)", s.length))
		}
		return mustMySQL(fmt.Sprintf("bit(%d)", max(s.length, 1)))
	case jsons:
		return mustMySQL("json")
	case bools:
		return mustMySQL("tinyint(1)")
	case uuids:
		return mustMySQL("char(36)")
	case inets:
		return mustMySQL("varchar(45)")
	default:
		return myType{}
	}
}

// mysqlSame is the type of a MySQL or MariaDB column as the target has it; false when it has none.
func mysqlSame(t *catalog.Type, from, to change.Engine) (myType, bool) {
	out := myType{Type: *t}
	switch {
	case from == to:
	case t.Name == "uuid" || t.Name == "inet4" || t.Name == "inet6" || t.Name == "json":
		return out, false // only one of them has it
	default:
		var err error
		if out, err = parseMySQL(t.Full); err != nil {
			return out, false
		}
	}
	var ok bool
	out.values, ok = mysqlTypeOf(&out.Type)
	return out, ok
}

// exactCollation compares text by its characters and nothing else, blanks at the end included.
func exactCollation(e change.Engine) string {
	if e == change.MariaDB {
		return "utf8mb4_nopad_bin"
	}
	return "utf8mb4_0900_bin"
}

func (t *myType) textual() bool {
	return slices.Contains([]string{"char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set"}, t.Name)
}

// alikeMySQL reports whether two types are the same however they are written: the one engine shows a width of integers, the other does not.
func alikeMySQL(a, b string) bool {
	if a == b {
		return true
	}
	x, err1 := parseMySQL(a)
	y, err2 := parseMySQL(b)
	return err1 == nil && err2 == nil && strings.TrimSuffix(x.Full, "(1)") == strings.TrimSuffix(y.Full, "(1)")
}
