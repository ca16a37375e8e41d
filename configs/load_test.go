package configs

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

var update = flag.Bool("update", false, "write golden files anew")

// minimal is the least that is valid.
const minimal = `
name: shop
source: {url: "mysql://u@db1/shop"}
target: {url: "postgres://u@db2/shop"}
`

func env(pairs ...string) lookup {
	return func(name string) (string, bool) {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1], true
			}
		}
		return "", false
	}
}

func mustLoad(t *testing.T, text string, find lookup) *Config {
	t.Helper()
	cfg, err := load("crossfade.yaml", []byte(text), find)
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	return cfg
}

// fieldAt finds the value of a key outside of lists.
func fieldAt(t *testing.T, cfg *Config, path string) any {
	t.Helper()
	v := reflect.ValueOf(cfg).Elem()
next:
	for name := range strings.SplitSeq(path, ".") {
		for _, f := range fieldsOf(v.Type()) {
			if f.name == name {
				v = v.Field(f.index)
				continue next
			}
		}
		t.Fatalf("there is no key %s", path)
	}
	return v.Interface()
}

func TestMinimalFileGivesTheDefaults(t *testing.T) {
	cfg := mustLoad(t, minimal, env())
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Name, want.Source.URL, want.Target.URL = cfg.Name, cfg.Source.URL, cfg.Target.URL
	if !reflect.DeepEqual(*cfg, want) {
		t.Errorf("got  %+v\nwant %+v", *cfg, want)
	}
}

func TestEmptySectionsKeepTheDefaultsAndTheEnvironment(t *testing.T) {
	cfg := mustLoad(t, minimal+"stream:\ncutover:\napi: {}\nsnapshot:\n  # parallel: 8\n", env("CROSSFADE_CUTOVER_MAX_LAG", "7s"))
	want := Default()
	want.Cutover.MaxLag = 7 * time.Second
	if !reflect.DeepEqual(cfg.Cutover, want.Cutover) || !reflect.DeepEqual(cfg.Stream, want.Stream) || cfg.API != want.API || cfg.Snapshot != want.Snapshot {
		t.Errorf("got %+v", *cfg)
	}
}

// TestEveryScalarKeyIsSetByFileAndByEnvironment guards against viper's AutomaticEnv, which Unmarshal does not see, and against fields
// that nobody can set.
func TestEveryScalarKeyIsSetByFileAndByEnvironment(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(secret, []byte("pw\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	keys := scalarKeys("", reflect.TypeFor[Config]())
	if len(keys) < 35 {
		t.Fatalf("found only %d keys", len(keys))
	}
	for _, key := range keys {
		var raw string
		switch key.typ {
		case typeURL:
			raw = "mysql://someone@elsewhere:77/thing"
		case typeDuration:
			raw = "77s"
		case typeByteSize:
			raw = "77KiB"
		case typeWayBack:
			raw = "false"
		default:
			raw = map[reflect.Kind]string{reflect.String: secret, reflect.Int: "77"}[key.typ.Kind()]
			if key.typ.Kind() == reflect.Bool {
				// The other of the default, or setting it would show nothing.
				def := Default()
				raw = map[bool]string{true: "false", false: "true"}[fieldAt(t, &def, key.path).(bool)]
			}
		}
		want, err := convert(key.typ, raw)
		if err != nil {
			t.Fatalf("%s: %v", key.path, err)
		}
		base := map[string]any{}
		for _, p := range new(Config).passwords() {
			if p.path == key.path { // the file needs its URL
				put(base, p.urlPath, "mysql://u@h/d")
			}
		}
		withoutKey, err := yaml.Marshal(base)
		if err != nil {
			t.Fatal(err)
		}
		put(base, key.path, raw)
		withKey, err := yaml.Marshal(base)
		if err != nil {
			t.Fatal(err)
		}
		// load reports what Validate finds only beside its own mistakes, so incomplete files load.
		byFile := mustLoad(t, string(withKey), env())
		if got := fieldAt(t, byFile, key.path); !reflect.DeepEqual(got, want) {
			t.Errorf("%s by file: got %v, want %v", key.path, got, want)
		}
		byEnv := mustLoad(t, string(withoutKey), env(key.env(), raw))
		if got := fieldAt(t, byEnv, key.path); !reflect.DeepEqual(got, want) {
			t.Errorf("%s by %s: got %v, want %v", key.path, key.env(), got, want)
		}
		if !reflect.DeepEqual(byFile, byEnv) {
			t.Errorf("%s: file and environment give different configurations", key.path)
		}
	}
}

func put(tree map[string]any, path string, value any) {
	names := strings.Split(path, ".")
	for _, name := range names[:len(names)-1] {
		inner, ok := tree[name].(map[string]any)
		if !ok {
			inner = map[string]any{}
			tree[name] = inner
		}
		tree = inner
	}
	tree[names[len(names)-1]] = value
}

func TestEveryKeyHasItsOwnVariable(t *testing.T) {
	// What crossfade itself reads or gives to the commands it runs: a command that calls crossfade must not configure it by accident.
	seen := map[string]string{
		"CROSSFADE_CONFIG": "-c", "CROSSFADE_MIGRATION": "exec", "CROSSFADE_EPOCH": "exec", "CROSSFADE_DIRECTION": "exec",
		"CROSSFADE_ACTIVE": "exec", "CROSSFADE_ACTIVE_URL": "exec",
	}
	for _, key := range scalarKeys("", reflect.TypeFor[Config]()) {
		if other, ok := seen[key.env()]; ok {
			t.Errorf("%s belongs to %s and to %s", key.env(), key.path, other)
		}
		seen[key.env()] = key.path
	}
	if seen["CROSSFADE_SOURCE_URL"] != "source.url" || seen["CROSSFADE_CUTOVER_MAX_LAG"] != "cutover.max_lag" {
		t.Error("the variables of the documentation are missing")
	}
}

func TestEnvironmentWinsAndTheFileBelowIsNotRead(t *testing.T) {
	find := env("CROSSFADE_SOURCE_URL", "mysql://other@db9/shop", "CROSSFADE_STREAM_MAX_BYTES", "1GiB", "CROSSFADE_API_LISTEN", "", "CROSSFADE_UNKNOWN_THING", "x")
	cfg := mustLoad(t, strings.Replace(minimal, "mysql://u@db1", "mysql://u:${NOT_SET}@db1", 1)+"stream: {max_bytes: 2GiB, keep: 3m}\n", find)
	if cfg.Source.URL.User() != "other" || cfg.Stream.MaxBytes != GiB || cfg.Stream.Keep != 3*time.Minute || cfg.API.Listen != "" {
		t.Errorf("got %+v", *cfg)
	}
}

func TestVariablesInTheEnvironmentAreNotSubstituted(t *testing.T) {
	cfg := mustLoad(t, minimal, env("CROSSFADE_STATE_DIR", "/x/${A}", "A", "b"))
	if cfg.StateDir != "/x/${A}" {
		t.Errorf("got %q", cfg.StateDir)
	}
}

func TestValuesNeverChangeTheStructureOfTheFile(t *testing.T) {
	evil := "x\ncutover: {timeout: 1h}\n# \"'{[*&!"
	cfg := mustLoad(t, minimal+`transform: {tables: [{source: shop.a, where: "v == '${EVIL}'"}]}`, env("EVIL", evil))
	if got := cfg.Transform.Tables[0].Where; got != "v == '"+evil+"'" {
		t.Errorf("where is %q", got)
	}
	if cfg.Cutover.Timeout != 30*time.Second {
		t.Errorf("timeout is %s", cfg.Cutover.Timeout)
	}
}

func TestPasswordFilesGoIntoTheirURLs(t *testing.T) {
	dir := t.TempDir()
	var b strings.Builder
	b.WriteString("name: shop\n")
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	b.WriteString("source: {url: 'mysql://u@h/d', password_file: '" + write("a", "p@ss w/rd\n") + "', probe_url: 'mysql://p@h/d', probe_password_file: '" + write("b", "two\r\n") + "'}\n")
	b.WriteString("target: {url: 'postgres://u@h/d', password_file: '" + write("c", " three ") + "'}\n")
	b.WriteString("stream: {url: 'nats://u@h', password_file: '" + write("d", "four") + "'}\n")
	b.WriteString("cutover: {switch: [{pgbouncer: {admin: 'postgres://a@p:6432/pgbouncer', password_file: '" + write("e", "five\n") + "', database: d, ini: /i}}]}\n")
	cfg := mustLoad(t, b.String(), env())
	for want, u := range map[string]URL{
		"p@ss w/rd": cfg.Source.URL, "two": cfg.Source.ProbeURL, " three ": cfg.Target.URL, "four": cfg.Stream.URL,
		"five": cfg.Cutover.Switch[0].PgBouncer.Admin,
	} {
		if got := u.Password().Reveal(); got != want {
			t.Errorf("%s: password is %q, want %q", u, got, want)
		}
	}
	if got := cfg.Stream.URL.User(); got != "u" {
		t.Errorf("stream user is %q", got)
	}
}

func TestFilesThatAreNoConfigurationAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"a: [":                      "crossfade.yaml: is no valid YAML: line 1: did not find expected node content",
		"- a\n":                     "crossfade.yaml: must hold keys, not a list",
		"just text":                 "crossfade.yaml: must hold keys, not text",
		"1: x\n":                    "crossfade.yaml: must hold keys, not keys that are not all text",
		"name: a\nname: b\n":        `crossfade.yaml: is no valid YAML: line 2: mapping key "name" already defined at line 1; `,
		"name: a\n---\nname: b\n":   "crossfade.yaml: holds more than one document",
		"a: !!int hunter2\n":        "is no valid YAML",
		"? {x: hunter2}\n: y\n":     "is no valid YAML",
		"name: a\n---\n}hunter2: [": "holds more than one document",
	} {
		_, err := load("crossfade.yaml", []byte(text), env())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: the error shows a value: %v", text, err)
		}
	}
	for _, text := range []string{"", "# nothing\n", "---\n", "null\n"} {
		cfg := mustLoad(t, text, env())
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), "source.url: is required") {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

func TestFileThatCanNotBeReadSaysWhichAndWhatToDo(t *testing.T) {
	dir := t.TempDir()
	_, err := Load(filepath.Join(dir, "none.yaml"))
	var m *Mistake
	if !errors.As(err, &m) || !errors.Is(err, fs.ErrNotExist) || !strings.Contains(m.Remedy, "-c FILE") || !strings.Contains(m.Path, "none.yaml") {
		t.Errorf("missing: got %v", err)
	}
	if _, err := Load(dir); !errors.As(err, &m) {
		t.Errorf("directory: got %v", err)
	}
	large := filepath.Join(dir, "large.yaml")
	if err := os.WriteFile(large, []byte(strings.Repeat("# large\n", 1<<18)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(large); err == nil || !strings.Contains(err.Error(), "larger than 1 MiB") {
		t.Errorf("large: got %v", err)
	}
}

func TestPathIsFlagThenVariableThenWorkingDirectory(t *testing.T) {
	t.Setenv("CROSSFADE_CONFIG", "")
	if got := Path(""); got != "./crossfade.yaml" {
		t.Errorf("got %s", got)
	}
	t.Setenv("CROSSFADE_CONFIG", "/etc/a.yaml")
	if got := Path(""); got != "/etc/a.yaml" {
		t.Errorf("got %s", got)
	}
	if got := Path("b.yaml"); got != "b.yaml" {
		t.Errorf("got %s", got)
	}
}

func TestStateDirectoryFollowsTheUser(t *testing.T) {
	vars := func(m map[string]string) func(string) string { return func(name string) string { return m[name] } }
	for _, c := range []struct {
		uid  int
		env  map[string]string
		want string
	}{
		{0, map[string]string{"XDG_STATE_HOME": "/x"}, "/var/lib/crossfade"},
		{7, map[string]string{"XDG_STATE_HOME": "/x", "HOME": "/home/a"}, "/x/crossfade"},
		{7, map[string]string{"XDG_STATE_HOME": "relative", "HOME": "/home/a"}, "/home/a/.local/state/crossfade"},
		{7, map[string]string{"HOME": "/home/a"}, "/home/a/.local/state/crossfade"},
		{7, nil, ""},
	} {
		if got := stateDirOf(c.uid, vars(c.env)); got != c.want {
			t.Errorf("uid %d with %v: got %q, want %q", c.uid, c.env, got, c.want)
		}
	}
	cfg := Config{Name: "shop", StateDir: "/s"}
	if cfg.Dir() != "/s/shop" || cfg.SocketPath() != "/s/shop/sock" {
		t.Errorf("got %s and %s", cfg.Dir(), cfg.SocketPath())
	}
}

// FuzzLoad: any file is read or refused with mistakes that name a key or the file; nothing else comes out, and nothing panics.
func FuzzLoad(f *testing.F) {
	samples, err := filepath.Glob("samples/*.yaml")
	if err != nil || len(samples) == 0 {
		f.Fatalf("no samples: %v", err)
	}
	for _, path := range append(samples, "testdata/shape.yaml", "testdata/meaning.yaml") {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(minimal))
	f.Add([]byte("source::url: x\nSource: {}\n<<: {name: a}\n"))
	f.Add([]byte("a: &a {b: *a}"))
	f.Add([]byte("name: &n shop\nstate_dir: *n\ntransform: {tables: [{columns: [{reverse: {}}, {reverse: [keep]}]}]}"))
	f.Add([]byte("cutover: {max_lag: 99999999999999h, reverse: yes, switch: {exec: 1}}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		cfg, err := load("crossfade.yaml", text, env("A", "b", "SRC_PW", "p@ss", "DST_PW", "x"))
		if (cfg == nil) == (err == nil) {
			t.Fatalf("got %v and %v", cfg, err)
		}
		if err == nil {
			err = cfg.Validate()
		}
		checkMistakes(t, err)
	})
}

// checkMistakes fails unless every error is a Mistake that is complete.
func checkMistakes(t *testing.T, err error) {
	t.Helper()
	all := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		all = joined.Unwrap()
	}
	for _, one := range all {
		if one == nil {
			continue
		}
		m, ok := one.(*Mistake)
		if !ok {
			t.Fatalf("no mistake but %T: %v", one, one)
		}
		if m.Path == "" || m.Problem == "" || m.Remedy == "" || strings.Contains(m.Error(), "reference of this key") || strings.Contains(m.Error(), "\n") {
			t.Fatalf("incomplete: %q", m.Error())
		}
	}
}
