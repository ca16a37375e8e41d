package configs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestSecretsAreNeverPrinted prints a configuration full of secrets in every way there is.
func TestSecretsAreNeverPrinted(t *testing.T) {
	const planted = "hunter2"
	cfg := mustLoad(t, `
name: shop
source: {url: "mysql://u:hunter2@db1/shop", read_url: "mysql://u:hunter2@db1/shop", probe_url: "mysql://a:hunter2@db1/shop"}
target: {url: "postgres://u:hunter2@db2/shop", probe_url: "postgres://a:hunter2@db2/shop"}
stream: {url: "nats://hunter2@n1,n2"}
cutover:
  switch:
    - pgbouncer: {admin: "postgres://a:hunter2@pool/pgbouncer", database: shop, ini: /i}
    - http: {url: "https://hunter2:x@deploy/switch?token=hunter2"}
  guards: [{when: "error_rate > 1%", do: warn, probe: {http: "https://u:hunter2@app/health"}}]
`, env())
	secret := NewSecret(planted)
	// Values in unexported fields: there fmt calls no methods and prints what it finds.
	type wrapped struct {
		cfg    Config
		secret Secret
		url    URL
		hook   Endpoint
	}
	hook := cfg.Cutover.Switch[1].HTTP.URL
	values := map[string]any{
		"config": *cfg, "pointer": cfg, "secret": secret, "pointer to secret": &secret, "url": cfg.Source.URL, "token": cfg.Stream.URL,
		"endpoint": hook, "pgbouncer": cfg.Cutover.Switch[0].PgBouncer, "http": *cfg.Cutover.Switch[1].HTTP, "guard": cfg.Cutover.Guards,
		"unexported": wrapped{*cfg, secret, cfg.Source.URL, hook}, "map": map[string]any{"a": secret, "b": cfg.Target.URL},
		"error": fmt.Errorf("dial %s: %w", cfg.Source.URL, cfg.Validate()),
	}
	hex, base64 := fmt.Sprintf("%x", planted), "aHVudGVyMg"
	for name, value := range values {
		var out []string
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T", "%p", "%t"} {
			out = append(out, fmt.Sprintf(verb, value))
		}
		if j, err := json.Marshal(value); err != nil {
			t.Errorf("%s: %v", name, err)
		} else {
			out = append(out, string(j))
		}
		if name != "unexported" && name != "error" {
			y, err := yaml.Marshal(value)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			out = append(out, string(y))
		}
		var log bytes.Buffer
		for _, h := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
			slog.New(h).Info("configuration", "value", value, slog.Group("g", "value", value))
		}
		out = append(out, log.String())
		for _, text := range out {
			for _, leak := range []string{planted, hex, strings.ToUpper(hex), base64, `0x68, 0x75`, "104 117 110"} {
				if strings.Contains(text, leak) {
					t.Errorf("%s is printed as %s", name, text)
				}
			}
		}
	}
	if !strings.Contains(fmt.Sprint(cfg.Source.URL), "mysql://u:xxxxx@db1:3306/shop") {
		t.Errorf("what is no secret is hidden too: %v", cfg.Source.URL)
	}
	if hook.Reveal() != "https://hunter2:x@deploy/switch?token=hunter2" || hook.Redacted() != "https://xxxxx@deploy/switch?xxxxx" {
		t.Errorf("endpoint is %s", hook)
	}
}

func TestConfigurationIsWrittenWithTheKeysItIsReadBy(t *testing.T) {
	text := `
name: shop
source: {url: "mysql://u@db1/shop"}
target: {url: "postgres://u@db2/shop?sslmode=require", schemas: [{source: shop, target: a}]}
stream: {max_bytes: 3GiB}
transform: {tables: [{source: shop.a, columns: [{source: a, target: b, reverse: keep}, {source: c, drop: true, reverse: {default: "''"}}]}]}
cutover: {max_lag: 1500ms, switch: [{exec: {command: [a], status: [b]}}]}
`
	cfg := mustLoad(t, text, env())
	written, err := yaml.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := parse("written", written)
	if err != nil {
		t.Fatalf("%v in\n%s", err, written)
	}
	for _, want := range []struct {
		path  string
		value any
	}{
		{"cutover.max_lag", "1.5s"}, {"stream.max_bytes", "3GiB"}, {"target.url", "postgres://u@db2:5432/shop?sslmode=require"}, {"snapshot.chunk_rows", 20000},
	} {
		section, name, _ := strings.Cut(want.path, ".")
		if got := tree[section].(map[string]any)[name]; got != want.value {
			t.Errorf("%s is written as %v, want %v", want.path, got, want.value)
		}
	}
	if !strings.Contains(string(written), "reverse: keep") || !strings.Contains(string(written), "default: ''''''") {
		t.Errorf("reverse is written otherwise:\n%s", written)
	}
}

func TestByteSizesAreReadAndWrittenAlike(t *testing.T) {
	for text, want := range map[string]ByteSize{
		"0": 0, "1": 1, "100B": 100, "512KiB": 512 * KiB, "64MiB": 64 * MiB, "64 MiB": 64 * MiB, "50GiB": 50 * GiB, "2TiB": 2 * TiB,
		"1KB": 1000, "1kB": 1000, "3MB": 3e6, "10GB": 1e10, "1TB": 1e12, "9223372036854775807": 1<<63 - 1,
	} {
		got, err := ParseByteSize(text)
		if err != nil || got != want {
			t.Errorf("%q: got %d and %v, want %d", text, got, err, want)
		}
		again, err := ParseByteSize(got.String())
		if err != nil || again != got {
			t.Errorf("%q: written as %s, read again as %d and %v", text, got, again, err)
		}
	}
	for _, text := range []string{"", "GiB", "-1", "+1", "1.5GiB", "1G", "1gib", "0x10", "1_000", "1 2", "9223372036854775808", "8388608TiB", "99999999999999999999GiB", "1e3", "1MiBB"} {
		if got, err := ParseByteSize(text); err == nil {
			t.Errorf("%q is read as %d", text, got)
		}
	}
	if got := (1536 * KiB).String(); got != "1536KiB" {
		t.Errorf("got %s", got)
	}
}

func TestSecretKeepsItsText(t *testing.T) {
	if got := NewSecret("a b").Reveal(); got != "a b" {
		t.Errorf("got %q", got)
	}
	if !NewSecret("").IsZero() || NewSecret("").String() != "" || NewSecret("x").IsZero() {
		t.Error("no text is not the zero secret")
	}
	if !reflect.DeepEqual(NewSecret("a"), NewSecret("a")) || reflect.DeepEqual(NewSecret("a"), NewSecret("b")) {
		t.Error("secrets do not compare by their text")
	}
}
