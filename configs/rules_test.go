package configs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRulesThatNeedAnOtherwiseValidFile adds to the minimal file one thing, and expects one mistake, or none.
func TestRulesThatNeedAnOtherwiseValidFile(t *testing.T) {
	long := strings.Repeat("a", 41)
	for _, c := range []struct {
		name  string
		env   []string
		added string
		want  string // how the only mistake begins; empty: none
	}{
		{"table selected", nil, `transform: {tables: [{source: shop.a}]}`, ""},
		{"table of another database", nil, `transform: {tables: [{source: other.a}]}`, `transform.tables[0].source: "other.a" is not among source.tables`},
		{"name at its limit", []string{"CROSSFADE_NAME", long[1:]}, "", ""},
		{"name too long", []string{"CROSSFADE_NAME", long}, "", "name: "},
		{"name with - at its end", []string{"CROSSFADE_NAME", "a-"}, "", "name: "},
		{"name with _", []string{"CROSSFADE_NAME", "a_b"}, "", "name: "},
		{"socket path at its limit", []string{"CROSSFADE_STATE_DIR", "/" + strings.Repeat("d", 107-len("//shop/sock"))}, "", ""},
		{"socket path too long", []string{"CROSSFADE_STATE_DIR", "/" + strings.Repeat("d", 108-len("//shop/sock"))}, "", "state_dir: "},
		{"no state directory", []string{"CROSSFADE_STATE_DIR", ""}, "", "state_dir: is required"},
		{"replicas in a cluster", []string{"CROSSFADE_STREAM_URL", "nats://n1,n2,n3", "CROSSFADE_STREAM_REPLICAS", "3"}, "", ""},
		{"replicas without a cluster", []string{"CROSSFADE_STREAM_REPLICAS", "3"}, "", "stream.replicas: the embedded server has one"},
		{"row over the limit", []string{"CROSSFADE_STREAM_MAX_ROW", "2GiB"}, "", "stream.max_row: 2GiB is not between"},
		{"source is a stream", []string{"CROSSFADE_SOURCE_URL", "nats://u:p@h"}, "", "source.url: leads to no database"},
		{"probe of the own user", []string{"CROSSFADE_SOURCE_PROBE_URL", "mysql://u@db1/shop"}, "", "source.probe_url: names crossfade's own user"},
		{"probe of another user", []string{"CROSSFADE_SOURCE_PROBE_URL", "mysql://app@db1/shop"}, "", ""},
		{"one column to two", nil, `transform: {tables: [{source: shop.a, columns: [{source: a, target: b}, {source: a, target: c}]}]}`, ""},
		{"dropped twice", nil, `transform: {tables: [{source: shop.a, columns: [{source: a, drop: true}, {source: a, drop: true}]}]}`, `transform.tables[0].columns[1].source: "a" is dropped`},
		{"dropped and used", nil, `transform: {tables: [{source: shop.a, columns: [{source: a, drop: true}, {source: a, target: b}]}]}`, `transform.tables[0].columns[1].source: "a" is dropped`},
		{"pause at the timeout", []string{"CROSSFADE_CUTOVER_MAX_PAUSE", "30s"}, "", ""},
		{"pause above the timeout", []string{"CROSSFADE_CUTOVER_MAX_PAUSE", "31s"}, "", "cutover.max_pause: 31s is above"},
		{"release, existing and create", []string{"CROSSFADE_STREAM_RELEASE", "applied", "CROSSFADE_SNAPSHOT_EXISTING", "truncate", "CROSSFADE_TARGET_CREATE", "false"}, "", ""},
		{"no TCP", []string{"CROSSFADE_API_LISTEN", ""}, "", ""},
	} {
		err := mustLoad(t, minimal+c.added, env(c.env...)).Validate()
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: got %v", c.name, err)
		case c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want) || strings.Contains(err.Error(), "\n")):
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
	}
}

func TestLoadReadsTheEnvironmentOfTheProcess(t *testing.T) {
	t.Setenv("SRC_PW", "one")
	t.Setenv("DST_PW", "two")
	t.Setenv("CROSSFADE_APPLY_LANES", "9")
	cfg, err := Load("samples/mysql-to-postgres.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Source.URL.Password().Reveal() != "one" || cfg.Target.URL.Password().Reveal() != "two" || cfg.Apply.Lanes != 9 {
		t.Errorf("got %+v", *cfg)
	}
}

func TestWrongVariableIsNamedBesideItsKey(t *testing.T) {
	_, err := load("crossfade.yaml", []byte(minimal), env("CROSSFADE_APPLY_LANES", "many", "CROSSFADE_SOURCE_URL", "mysql://u:hunter2#@h", "CROSSFADE_CUTOVER_MAX_LAG", ""))
	want := `source.url: from CROSSFADE_SOURCE_URL: the URL holds a #; write it as %23 when it belongs to a password
apply.lanes: from CROSSFADE_APPLY_LANES: "many" is no whole number; write digits only
cutover.max_lag: from CROSSFADE_CUTOVER_MAX_LAG: "" is no duration; write a number with its unit, such as 500ms, 30s, 10m or 1h`
	if err == nil || err.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
}

func TestWrongPasswordFilesAreRefused(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{"": "is empty or holds several lines", "\n": "is empty", "a\nhunter2\n": "several lines", "a\x00hunter2": "several lines"} {
		path := filepath.Join(dir, "password")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := load("crossfade.yaml", []byte(minimal), env("CROSSFADE_SOURCE_PASSWORD_FILE", path))
		if err == nil || !strings.HasPrefix(err.Error(), "source.password_file: ") || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
	_, err := load("crossfade.yaml", []byte(minimal), env("CROSSFADE_SOURCE_PASSWORD_FILE", filepath.Join(dir, "none")))
	if !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), "source.password_file: ") {
		t.Errorf("missing: got %v", err)
	}
	_, err = load("crossfade.yaml", []byte(minimal), env("CROSSFADE_SOURCE_URL", "mysql://u:hunter2@h/shop", "CROSSFADE_SOURCE_PASSWORD_FILE", filepath.Join(dir, "password")))
	if err == nil || err.Error() != "source.password_file: the password stands in source.url too; remove one of them" {
		t.Errorf("twice: got %v", err)
	}
}

func TestEverySampleIsValid(t *testing.T) {
	for _, v := range []string{"SRC_PW", "DST_PW", "APP_PW"} {
		t.Setenv(v, "secret")
	}
	samples, err := filepath.Glob("samples/*.yaml")
	if err != nil || len(samples) < 4 {
		t.Fatal(samples, err)
	}
	for _, f := range samples {
		if filepath.Base(f) == "everything.yaml" { // it shows what is not built yet, too
			continue
		}
		if _, err := Load(f); err != nil {
			t.Errorf("%s: %v", f, err)
		}
	}
}
