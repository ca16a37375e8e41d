package configs

import (
	"strings"
	"testing"
)

func TestVariablesAreSubstituted(t *testing.T) {
	find := env("A", "one", "B_2", "two", "EMPTY", "", "NESTED", "${A}")
	for text, want := range map[string]string{
		"":                    "",
		"plain":               "plain",
		"${A}":                "one",
		"x${A}y${B_2}z":       "xoneytwoz",
		"${A}${A}":            "oneone",
		"[${EMPTY}]":          "[]",
		"${NESTED}":           "${A}", // once, never again
		"$${A}":               "${A}",
		"a$${A}${A}":          "a${A}one",
		"$A $ $$ $}":          "$A $ $$ $}",
		"$$${A}":              "$${A}",
		"echo $HOME; ${A}":    "echo $HOME; one",
		"'it''s' \\${A}":      "'it''s' \\one",
		"{{ .x }} ${A} }":     "{{ .x }} one }",
		"ünïcödé ${A} \u2028": "ünïcödé one \u2028",
	} {
		got, err := expand(text, false, find)
		if err != nil || got != want {
			t.Errorf("%q: got %q and %v, want %q", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"${A":         "no name and }",
		"${}":         "no name and }",
		"${A:-x}":     "without a default",
		"${1}":        "no name and }",
		"${ A}":       "no name and }",
		"${NO}":       "not set in the environment: NO",
		"${N1}${N2}x": "not set in the environment: N1, N2",
	} {
		if got, err := expand(text, false, find); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %q and %v, want %s", text, got, err, want)
		}
	}
}

func TestVariablesCanNotMoveThePartsOfAURL(t *testing.T) {
	const evil = "a@b/c?d#e:f%2F g+h\n"
	find := env("E", evil, "HOST", "db1.example", "HP", "[::1]:77", "URL", "mysql://u:a%40b@h/d", "PLAIN", "shop", "NONE", "")
	for text, want := range map[string]struct{ user, password, address, database string }{
		"mysql://u:${E}@h/d":            {"u", evil, "h:3306", "d"},
		"mysql://${E}:${E}@h/d":         {evil, evil, "h:3306", "d"},
		"mysql://u:x${E}y@h/d":          {"u", "x" + evil + "y", "h:3306", "d"},
		"mysql://u:%40${E}@h/d":         {"u", "@" + evil, "h:3306", "d"},
		"mysql://u:${E}@h/${E}":         {"u", evil, "h:3306", evil},
		"mysql://u@${HOST}":             {"u", "", "db1.example:3306", ""},
		"mysql://${HOST}":               {"", "", "db1.example:3306", ""},
		"mysql://u@${HP}/d":             {"u", "", "[::1]:77", "d"},
		"mysql://u@x.${HOST}:78/d":      {"u", "", "x.db1.example:78", "d"},
		"mysql://u:${NONE}@h/d${NONE}":  {"u", "", "h:3306", "d"},
		"mysql://u@h/${PLAIN}_${PLAIN}": {"u", "", "h:3306", "shop_shop"},
		"${URL}":                        {"u", "a@b", "h:3306", "d"},
	} {
		text2, err := expand(text, true, find)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		u, err := ParseURL(text2)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if u.User() != want.user || u.Password().Reveal() != want.password || u.Address() != want.address || u.Database() != want.database {
			t.Errorf("%q: got %q %q %q %q", text, u.User(), u.Password().Reveal(), u.Address(), u.Database())
		}
	}
	u, err := expand("mysql://u@h/d?sslmode=require&sslrootcert=${E}", true, find)
	if err != nil {
		t.Fatal(err)
	}
	if parsed, err := ParseURL(u); err != nil || parsed.SSLRootCert() != evil {
		t.Errorf("in a parameter: got %q and %v", parsed.SSLRootCert(), err)
	}
	for text, want := range map[string]string{
		"mysql://u@${E}/d":    "can not stand for the host",
		"mysql://${E}":        "can not stand for the host",
		"${PLAIN}://u@h":      "in the scheme",
		"${URL}?sslmode=x":    "without a literal ://",
		"${PLAIN}${E}@h":      "without a literal ://",
		"mysql://u@h${E}/d":   "can not stand for the host",
		"mysql://u@h:${E}?x":  "can not stand for the host",
		"mysql://u:${NO}@h/d": "not set in the environment: NO",
	} {
		got, err := expand(text, true, find)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %q and %v, want %s", text, got, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "a@b") {
			t.Errorf("%q: the error shows the value: %v", text, err)
		}
	}
}

// FuzzVariablesInURLs: whatever a password is, it arrives, and nothing else changes.
func FuzzVariablesInURLs(f *testing.F) {
	f.Add("p@ss/w?rd#%41:x")
	f.Add("${A}$${")
	f.Fuzz(func(t *testing.T, password string) {
		text, err := expand("postgres://u:${PW}@h:1/d?sslmode=require", true, env("PW", password))
		if err != nil {
			t.Fatal(err)
		}
		u, err := ParseURL(text)
		if err != nil {
			t.Fatal(err)
		}
		if u.Password().Reveal() != password || u.WithoutPassword() != "postgres://u@h:1/d?sslmode=require" {
			t.Fatalf("got %q of %s", u.Password().Reveal(), u.WithoutPassword())
		}
	})
}
