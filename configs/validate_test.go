package configs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestAllMistakesAreReportedAtOnceWithPathAndRemedy compares the whole text: it is what an operator reads.
func TestAllMistakesAreReportedAtOnceWithPathAndRemedy(t *testing.T) {
	for _, name := range []string{"shape", "meaning"} {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile("testdata/" + name + ".yaml")
			if err != nil {
				t.Fatal(err)
			}
			cfg, err := load("crossfade.yaml", text, env())
			if name == "meaning" {
				if err != nil {
					t.Fatalf("has the wrong shape: %v", err)
				}
				err = cfg.Validate()
			}
			if err == nil {
				t.Fatal("no mistake found")
			}
			checkMistakes(t, err)
			golden(t, "testdata/"+name+".golden", err.Error()+"\n")
		})
	}
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("differs from %s (go test -update writes it):\n%s", path, got)
	}
}

func TestMistakeInANestedKeyNamesItsFullPath(t *testing.T) {
	text := minimal + "cutover: {switch: [{exec: {command: [a], status: [b]}}, {exec: {command: [a], status: [b], timeot: 5s}}]}"
	_, err := load("crossfade.yaml", []byte(text), env())
	want := "cutover.switch[1].exec.timeot: is not known; did you mean timeout?"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestUnknownKeysThatViperWouldDropAreErrors(t *testing.T) {
	for _, text := range []string{
		"nonsense:\n", "nonsense: {}\n", "nonsense: []\n", "cutover: {nonsense: }\n", "stream: {nonsense: {}}\n",
		"NAME: shop\n", "Stream: {}\n", "cutover: {Max_Lag: 5s}\n", "source::url: x\n", "\"stream.keep\": 5m\n", "\"\": x\n",
	} {
		_, err := load("crossfade.yaml", []byte(text), env())
		if err == nil || !strings.Contains(err.Error(), "is not known") {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

func TestLoadReportsWhatValidateFindsToo(t *testing.T) {
	_, err := load("crossfade.yaml", []byte("nonsense: 1\nsource: {url: 'mysql://u@:x/'}\napply: {lanes: 0}\n"), env())
	if err == nil {
		t.Fatal("no mistake found")
	}
	want := []string{"source.url: ", "nonsense: ", "name: is required", "target.url: is required", "apply.lanes: 0 is not between"}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != len(want) {
		t.Fatalf("got:\n%v", err)
	}
	for i := range want {
		if !strings.HasPrefix(lines[i], want[i]) {
			t.Errorf("line %d is %q, want %s", i, lines[i], want[i])
		}
	}
}

// TestWhatIsNotBuiltIsRefusedByName gives a valid configuration one thing that is not built, and expects that refusal and no other mistake.
func TestWhatIsNotBuiltIsRefusedByName(t *testing.T) {
	mustURL := func(text string) URL {
		u, err := ParseURL(text)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	cases := map[string]func(c *Config){
		"source.read_url":   func(c *Config) { c.Source.ReadURL = mustURL("mysql://u@h/d") },
		"snapshot.no_key":   func(c *Config) { c.Snapshot.NoKey = NoKeyCopy },
		"apply.consistency": func(c *Config) { c.Apply.Consistency = ConsistencyTransactions },
		"api.listen":        func(c *Config) { c.API.Listen = "0.0.0.0:7070" },
		"api.token_file":    func(c *Config) { c.API.TokenFile = "/t" },
		"api.cert_file":     func(c *Config) { c.API.CertFile = "/c" },
		"api.key_file":      func(c *Config) { c.API.KeyFile = "/k" },
		"transform.tables[0].columns[0].mask": func(c *Config) {
			c.Transform.Tables = []TableRule{{Source: "shop.a", Columns: []ColumnRule{{Source: "a", Mask: "hmac"}}}}
		},
		"transform.tables[0].columns[0].reverse": func(c *Config) {
			c.Transform.Tables = []TableRule{{Source: "shop.a", Columns: []ColumnRule{{Source: "a", Drop: true, Reverse: Reverse{Keep: true}}}}}
		},
	}
	if len(cases) != len(unbuilt) {
		t.Errorf("%d cases for %d refusals", len(cases), len(unbuilt))
	}
	for path, change := range cases {
		cfg := mustLoad(t, minimal, env())
		change(cfg)
		err := cfg.Validate()
		// cert_file and key_file come in pairs; the refusal of one need not hide that the other is missing.
		if err == nil || !errors.Is(err, ErrNotBuilt) || !strings.Contains("\n"+err.Error(), "\n"+path+": not built yet; ") {
			t.Errorf("%s: got %v", path, err)
			continue
		}
		if strings.Contains(err.Error(), "\n") && path != "api.key_file" {
			t.Errorf("%s: more than the refusal:\n%v", path, err)
		}
	}
}

func TestSamplesAreReadStrictly(t *testing.T) {
	find := env("SRC_PW", "p@ss/w#rd%1:?", "DST_PW", "x")
	read := func(name string) *Config {
		text, err := os.ReadFile(filepath.Join("samples", name))
		if err != nil {
			t.Fatal(err)
		}
		return mustLoad(t, string(text), find)
	}

	small := read("mysql-to-postgres.yaml")
	if err := small.Validate(); err != nil {
		t.Errorf("the small sample is not valid: %v", err)
	}
	if got := small.Source.URL.Password().Reveal(); got != "p@ss/w#rd%1:?" {
		t.Errorf("password is %q", got)
	}
	if got := small.Cutover.Switch[0].Exec.Timeout; got != 10*time.Second {
		t.Errorf("the default timeout in a list is %s", got)
	}

	everything := read("everything.yaml")
	var ms mistakes
	everything.check(&ms)
	if len(ms) > 0 {
		t.Errorf("the sample of everything has mistakes beside what is not built: %v", ms.join())
	}
	err := everything.Validate()
	if err == nil {
		t.Fatal("what is not built is accepted")
	}
	golden(t, "testdata/everything.golden", err.Error()+"\n")
	for line := range strings.SplitSeq(err.Error(), "\n") {
		if !strings.Contains(line, ": not built yet; ") {
			t.Errorf("no refusal: %s", line)
		}
	}
	columns := everything.Transform.Tables[0].Columns
	if !columns[2].Reverse.Keep || columns[3].Reverse != (Reverse{Default: "''"}) {
		t.Errorf("reverse is read as %+v and %+v", columns[2].Reverse, columns[3].Reverse)
	}
	if g := everything.Cutover.Guards[1]; g.Probe.HTTP.Reveal() != "https://app/health/errors" || g.Do != "rollback" {
		t.Errorf("guard is read as %+v", g)
	}
}

func TestAddressesOtherThanLoopbackNeedTokenAndTLS(t *testing.T) {
	for listen, ok := range map[string]bool{
		"": true, "127.0.0.1:7070": true, "127.9.9.9:1": true, "localhost:0": true, "[::1]:7070": true,
		":7070": false, "0.0.0.0:7070": false, "[::]:7070": false, "10.0.0.1:7070": false, "db1:7070": false,
	} {
		cfg := mustLoad(t, minimal, env("CROSSFADE_API_LISTEN", listen))
		var ms mistakes
		cfg.checkAPI(&ms)
		if got := len(ms) == 0; got != ok {
			t.Errorf("%q: accepted %v, want %v", listen, got, ok)
		}
		cfg.API.TokenFile, cfg.API.CertFile, cfg.API.KeyFile = "/t", "/c", "/k"
		ms = nil
		cfg.checkAPI(&ms)
		if len(ms) > 0 {
			t.Errorf("%q with token and TLS: %v", listen, ms.join())
		}
	}
}

// TestReferenceTellsEveryKeyAndItsTrueDefault compares docs/configuration.md with the tree.
func TestReferenceTellsEveryKeyAndItsTrueDefault(t *testing.T) {
	text, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]string{}
	row := regexp.MustCompile("^\\| `([a-z_.\\[\\]]+)` \\| [^|]+ \\| ([^|]+) \\| [^|]{10,} \\|$")
	for line := range strings.SplitSeq(string(text), "\n") {
		if m := row.FindStringSubmatch(line); m != nil {
			if _, twice := told[m[1]]; twice {
				t.Errorf("%s is told twice", m[1])
			}
			told[m[1]] = m[2]
		}
	}
	required := map[string]bool{}
	for _, m := range nothingGiven().mistakesOfRules() {
		if m.Problem == "is required" {
			required[regexp.MustCompile(`\[\d+\]`).ReplaceAllString(m.Path, "[]")] = true
		}
	}
	def := Default()
	known := map[string]bool{}
	var walk func(path string, v reflect.Value, inList bool)
	walk = func(path string, v reflect.Value, inList bool) {
		for _, f := range fieldsOf(v.Type()) {
			path, v := join(path, f.name), v.Field(f.index)
			elem := f.typ
			if elem.Kind() == reflect.Pointer {
				walk(path, reflect.New(elem.Elem()).Elem(), true)
				continue
			}
			if elem.Kind() == reflect.Struct && !isScalar(elem) && elem != typeReverse {
				walk(path, v, inList)
				continue
			}
			known[path] = true
			cell, ok := told[path]
			switch {
			case !ok:
				t.Errorf("%s is not in the reference", path)
			case required[path] != strings.HasPrefix(cell, "required"):
				t.Errorf("%s: the reference says %q, and required is %v", path, cell, required[path])
			case required[path]:
			case path == "cutover.guards":
				for _, g := range DefaultGuards() {
					line := fmt.Sprintf("- {when: %q, do: %s}", g.When, g.Do)
					if g.For > 0 {
						line = fmt.Sprintf("- {when: %q, for: %s, do: %s}", g.When, g.For, g.Do)
					}
					if !strings.Contains(string(text), line) {
						t.Errorf("the reference lacks the default guard %s", line)
					}
				}
			case path == "state_dir":
				if !strings.HasPrefix(cell, "`"+stateDirOf(0, os.Getenv)+"`") {
					t.Errorf("%s: the reference says %q", path, cell)
				}
			case f.fallback != "":
				if cell != "`"+f.fallback+"`" {
					t.Errorf("%s: the reference says %q, the default is %s", path, cell, f.fallback)
				}
			case cell == "none" || cell == "derived":
				if !v.IsZero() || f.typ.Kind() == reflect.Int || f.typ.Kind() == reflect.Bool {
					t.Errorf("%s: the reference says %q, the default is %v", path, cell, v)
				}
			default:
				got, err := convert(f.typ, strings.Trim(cell, "`"))
				if err != nil || !reflect.DeepEqual(got, v.Interface()) {
					t.Errorf("%s: the reference says %q, the default is %v (%v)", path, cell, v, err)
				}
			}
			if elem == typeReverse {
				walk(path, v, true)
			}
			if elem.Kind() == reflect.Slice && elem.Elem().Kind() == reflect.Struct {
				walk(path+"[]", reflect.New(elem.Elem()).Elem(), true)
			}
		}
	}
	walk("", reflect.ValueOf(def), false)
	for path := range told {
		if !known[path] {
			t.Errorf("the reference tells of %s, which is no key", path)
		}
	}
	for path := range required {
		if !known[path] {
			t.Errorf("%s is required and no key", path)
		}
	}
	for _, u := range unbuilt {
		for _, path := range u.used(everythingUnbuilt(t)) {
			path = regexp.MustCompile(`\[\d+\]`).ReplaceAllString(path, "[]")
			told := regexp.MustCompile("(?m)^\\| `" + regexp.QuoteMeta(path) + "[`.].*not built yet|(?m)^\\| `" + regexp.QuoteMeta(path) + "[`.].*Not built yet|(?m)^\\| `" + regexp.QuoteMeta(path) + "` .*This version: ")
			if !told.Match(text) {
				t.Errorf("the reference does not say that %s is not built yet", path)
			}
		}
	}
}

// nothingGiven has one entry in every list, with nothing in it.
func nothingGiven() *Config {
	cfg := Default()
	cfg.Target.Schemas = []SchemaRule{{}}
	cfg.Transform.Tables = []TableRule{{Columns: []ColumnRule{{}}}}
	cfg.Transform.Types = []TypeRule{{}}
	cfg.Cutover.Switch = []SwitchStep{{PgBouncer: &PgBouncerStep{}}, {Exec: &ExecStep{}}, {HTTP: &HTTPStep{}}}
	cfg.Cutover.Guards = []Guard{{}}
	return &cfg
}

func (c *Config) mistakesOfRules() mistakes {
	var ms mistakes
	c.check(&ms)
	return ms
}

// everythingUnbuilt uses all that is not built.
func everythingUnbuilt(t *testing.T) *Config {
	t.Helper()
	return mustLoad(t, `
source: {url: "postgres://u@h/d", read_url: "postgres://u@h/d"}
target: {url: "mysql://u@h/d"}
transform: {tables: [{source: a.b, columns: [{source: a, mask: hmac, reverse: keep}]}]}
snapshot: {no_key: copy}
apply: {consistency: transactions}
cutover: {reverse: true, switch: [{pgbouncer: {}}, {http: {}}]}
api: {listen: ":7070", token_file: a, cert_file: b, key_file: c}
`, env())
}

func TestSystemdUnitFitsTheProgram(t *testing.T) {
	text, err := os.ReadFile("systemd/crossfade.service")
	if err != nil {
		t.Fatal(err)
	}
	lines := map[string]bool{}
	form := regexp.MustCompile(`^(\[[A-Z][a-z]+\]|[A-Z][A-Za-z]+=.*|#.*)?$`)
	for line := range strings.SplitSeq(string(text), "\n") {
		if !form.MatchString(line) {
			t.Errorf("no line of a unit: %q", line)
		}
		lines[line] = true
	}
	for _, want := range []string{
		"Type=notify", "ExecStart=/usr/bin/crossfade run -c /etc/crossfade/crossfade.yaml", "RestartPreventExitStatus=2 3",
		"Environment=CROSSFADE_STATE_DIR=" + stateDirOf(0, os.Getenv), "StateDirectory=crossfade", "ProtectSystem=strict", "NoNewPrivileges=yes",
	} {
		if !lines[want] {
			t.Errorf("the unit lacks %s", want)
		}
	}
}
