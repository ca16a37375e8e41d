package configs

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// reader holds a parsed YAML tree against the types of Config. viper would take unknown keys that hold nothing, keys in the other
// case, and would show values in its errors; so the tree that viper gets has been read here, and every mistake found here.
type reader struct {
	find lookup
	// overridden holds the keys that the environment sets: what the file says there does not count.
	overridden map[string]bool
	mistakes   mistakes
}

var (
	typeURL      = reflect.TypeFor[URL]()
	typeEndpoint = reflect.TypeFor[Endpoint]()
	typeDuration = reflect.TypeFor[time.Duration]()
	typeByteSize = reflect.TypeFor[ByteSize]()
	typeReverse  = reflect.TypeFor[Reverse]()
	typeWayBack  = reflect.TypeFor[WayBack]()
)

// isScalar reports whether a single value of YAML stands for the type.
func isScalar(t reflect.Type) bool {
	switch t {
	case typeURL, typeEndpoint, typeDuration, typeByteSize:
		return true
	}
	return t.Kind() == reflect.String || t.Kind() == reflect.Bool || t.Kind() == reflect.Int
}

// value reads what stands at a path. Its result is what viper gets: text with its variables substituted, and only keys that are known.
// Not ok means that there is nothing to pass on.
func (r *reader) value(path string, t reflect.Type, raw any) (out any, ok bool) {
	switch {
	case isScalar(t):
		return r.scalar(path, t, raw)
	case t == typeReverse:
		return r.reverse(path, raw)
	case raw == nil:
		return nil, false // a section or list all of whose lines are commented out
	case t.Kind() == reflect.Pointer:
		return r.value(path, t.Elem(), raw)
	case t.Kind() == reflect.Struct:
		return r.section(path, t, raw)
	case t.Kind() == reflect.Slice:
		return r.list(path, t.Elem(), raw)
	default:
		r.mistakes.add(path, "type "+t.String()+" can not be read", "report this as a bug")
		return nil, false
	}
}

func (r *reader) section(path string, t reflect.Type, raw any) (any, bool) {
	given, ok := raw.(map[string]any)
	if !ok {
		r.mistakes.add(cmp.Or(path, "the file"), "must hold keys, not "+kindOf(raw), "write the keys of this section: "+strings.Join(keyNames(t), ", "))
		return nil, false
	}
	out := make(map[string]any, len(given))
	for _, f := range fieldsOf(t) {
		raw, ok := given[f.name]
		if !ok {
			if f.fallback == "" {
				continue
			}
			raw = f.fallback
		}
		if value, ok := r.value(join(path, f.name), f.typ, raw); ok {
			out[f.name] = value
		}
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !slices.Contains(keyNames(t), name) {
			r.mistakes.add(join(path, printable(name)), "is not known", unknownRemedy(name, t))
		}
	}
	return out, true
}

func (r *reader) list(path string, elem reflect.Type, raw any) (any, bool) {
	given, ok := raw.([]any)
	if !ok {
		r.mistakes.add(path, "must be a list, not "+kindOf(raw), "write [ and ] around it, or each entry on a line after a -")
		return nil, false
	}
	out := make([]any, 0, len(given))
	for i, raw := range given {
		path := path + "[" + strconv.Itoa(i) + "]"
		value, ok := any(nil), false
		if raw == nil {
			r.mistakes.add(path, "is empty", "write the entry or remove its line")
		} else {
			value, ok = r.value(path, elem, raw)
		}
		switch {
		case ok:
			out = append(out, value)
		case elem.Kind() == reflect.String: // keep the place, so that the next entries keep their index in what is reported
			out = append(out, "")
		default:
			out = append(out, map[string]any{})
		}
	}
	return out, true
}

func (r *reader) scalar(path string, t reflect.Type, raw any) (any, bool) {
	if r.overridden[path] {
		return nil, false
	}
	switch given := raw.(type) {
	case nil:
		r.mistakes.add(path, "has no value", `give it one or remove the key; the word null is written "null"`)
		return nil, false
	case map[string]any, map[any]any, []any:
		r.mistakes.add(path, "must be a single value, not "+kindOf(raw), "write it on one line after the key")
		return nil, false
	case string:
		text, err := expand(given, t == typeURL || t == typeEndpoint, r.find)
		if err != nil {
			r.mistakes.fail(path, err)
			return nil, false
		}
		// In a list no key has a meaning when empty: a filter or an expression that is empty was not meant to be.
		if text == "" && strings.ContainsRune(path, '[') && !strings.HasSuffix(path, "]") {
			r.mistakes.add(path, "is empty", "give it a value or remove the key")
			return nil, false
		}
		raw = text
	}
	if _, err := convert(t, raw); err != nil {
		r.mistakes.fail(path, err)
		return nil, false
	}
	return raw, true
}

// reverse reads the one key that takes a word or a section.
func (r *reader) reverse(path string, raw any) (any, bool) {
	switch given := raw.(type) {
	case string:
		if given == reverseKeep {
			return given, true
		}
	case map[string]any:
		if len(given) > 0 {
			return r.section(path, typeReverse, raw)
		}
	}
	r.mistakes.add(path, "is neither keep nor a default", `write keep, or {default: "an expression"}`)
	return nil, false
}

// convert makes the value of a key from a single value of YAML or from the text of a variable. Its errors show no value that may be
// or hold a secret.
func convert(t reflect.Type, raw any) (any, error) {
	text, isText := raw.(string)
	number, isNumber := raw.(int)
	switch t {
	case typeURL:
		if !isText {
			return nil, notText(raw)
		}
		if text == "" {
			return URL{}, nil
		}
		return ParseURL(text)
	case typeEndpoint:
		if !isText {
			return nil, notText(raw)
		}
		if text == "" {
			return Endpoint{}, nil
		}
		return ParseEndpoint(text)
	case typeDuration:
		if isNumber && number == 0 {
			return time.Duration(0), nil
		}
		d, err := time.ParseDuration(text)
		if err != nil {
			return nil, &fault{problem: fmt.Sprintf("%v is no duration", quoted(raw)), remedy: "write a number with its unit, such as 500ms, 30s, 10m or 1h"}
		}
		return d, nil
	case typeByteSize:
		if !isText {
			text = fmt.Sprint(raw)
		}
		return ParseByteSize(text)
	case typeWayBack:
		if w := WayBack(fmt.Sprint(raw)); w == WayBackAuto || w == WayBackOn || w == WayBackOff {
			return w, nil
		}
		return nil, &fault{problem: fmt.Sprintf("%v is none of true, false and auto", quoted(raw)), remedy: "write true, false or auto"}
	}
	switch t.Kind() {
	case reflect.String:
		if !isText {
			return nil, notText(raw)
		}
		return text, nil
	case reflect.Bool:
		if b, ok := raw.(bool); ok {
			return b, nil
		}
		if text == "true" || text == "false" {
			return text == "true", nil
		}
		return nil, &fault{problem: fmt.Sprintf("%v is neither true nor false", quoted(raw)), remedy: "write true or false"}
	case reflect.Int:
		if isNumber {
			return number, nil
		}
		if n, err := strconv.Atoi(text); err == nil {
			return n, nil
		}
		return nil, &fault{problem: fmt.Sprintf("%v is no whole number", quoted(raw)), remedy: "write digits only"}
	default:
		return nil, fmt.Errorf("type %s can not be read", t)
	}
}

func notText(raw any) error {
	return &fault{problem: "must be text, and YAML reads it as " + kindOf(raw), remedy: "put it in quotes"}
}

// quoted shows a value the way it was written, shortened.
func quoted(raw any) string {
	const most = 40
	text := fmt.Sprint(raw)
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most]) + "..."
	}
	if _, ok := raw.(string); ok {
		return strconv.Quote(text)
	}
	return text
}

func kindOf(raw any) string {
	switch raw.(type) {
	case nil:
		return "nothing"
	case string:
		return "text"
	case bool:
		return "true or false"
	case int, int64, uint64, float64:
		return "a number"
	case time.Time:
		return "a date"
	case []any:
		return "a list"
	case map[string]any:
		return "keys"
	case map[any]any:
		return "keys that are not all text"
	default:
		return fmt.Sprintf("a value of kind %T", raw)
	}
}

// field is a key of a section.
type field struct {
	name     string
	typ      reflect.Type
	index    int
	fallback string // the default of a key inside a list, where Default can give none
}

func fieldsOf(t reflect.Type) []field {
	var fields []field
	for i := range t.NumField() {
		f := t.Field(i)
		if name := f.Tag.Get("yaml"); name != "-" {
			fields = append(fields, field{name: name, typ: f.Type, index: i, fallback: f.Tag.Get("default")})
		}
	}
	return fields
}

func keyNames(t reflect.Type) []string {
	var names []string
	for _, f := range fieldsOf(t) {
		names = append(names, f.name)
	}
	return names
}

// scalarKeys lists the keys outside of lists that take a single value: those that an environment variable can set.
func scalarKeys(path string, t reflect.Type) []scalarKey {
	var keys []scalarKey
	for _, f := range fieldsOf(t) {
		path := join(path, f.name)
		switch {
		case isScalar(f.typ):
			keys = append(keys, scalarKey{path: path, typ: f.typ})
		case f.typ.Kind() == reflect.Struct:
			keys = append(keys, scalarKeys(path, f.typ)...)
		}
	}
	return keys
}

type scalarKey struct {
	path string
	typ  reflect.Type
}

// env is the variable that sets the key: CROSSFADE_CUTOVER_MAX_LAG for cutover.max_lag.
func (k scalarKey) env() string {
	return "CROSSFADE_" + strings.ToUpper(strings.ReplaceAll(k.path, ".", "_"))
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// printable keeps a key that nobody knows from breaking a line or filling a screen.
func printable(name string) string {
	shown := strings.Trim(quoted(name), `"`)
	return cmp.Or(shown, `""`)
}

// unknownRemedy names the key that was probably meant.
func unknownRemedy(name string, t reflect.Type) string {
	// In a short word two other letters make another word.
	best, bestDistance := "", 3
	if len(name) < 5 {
		bestDistance = 2
	}
	for _, known := range keyNames(t) {
		if d := distance(strings.ToLower(name), known); d < bestDistance {
			best, bestDistance = known, d
		}
	}
	if best != "" {
		return "did you mean " + best + "?"
	}
	for _, key := range scalarKeys("", reflect.TypeFor[Config]()) {
		if strings.HasSuffix(key.path, "."+name) {
			return "did you mean " + key.path + "?"
		}
	}
	return "remove it; known here: " + strings.Join(keyNames(t), ", ")
}

// distance is how many letters must be added, removed or replaced to make one word of the other.
func distance(a, b string) int {
	if len(a) > 2*len(b)+3 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
