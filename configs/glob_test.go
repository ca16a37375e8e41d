package configs

import (
	"regexp"
	"strings"
	"testing"
)

func TestGlobsSelectTables(t *testing.T) {
	for _, c := range []struct {
		patterns []string
		yes, no  []string // schema/table
	}{
		{[]string{"shop.*"}, []string{"shop/a", "shop/a.b", "shop/ü"}, []string{"Shop/a", "shop2/a", "xshop/a"}},
		{[]string{"shop.*", "!shop.audit_*"}, []string{"shop/a", "shop/audit"}, []string{"shop/audit_", "shop/audit_x"}},
		{[]string{"!shop.audit_*", "shop.*"}, []string{"shop/a"}, []string{"shop/audit_x"}},
		{[]string{"shop.user?"}, []string{"shop/users", "shop/userü"}, []string{"shop/user", "shop/userss"}},
		{[]string{"*.*"}, []string{"a/b"}, nil},
		{[]string{"*_x.a*b*c"}, []string{"t_x/abc", "_x/aabbcc", "a_x_x/axbxc"}, []string{"t_y/abc", "t_x/ab", "t_x/abcd"}},
		{[]string{`shop.a\.b`, `shop.\*`, `shop.c\\d`, `\!x.y`, `s.a\ b`}, []string{"shop/a.b", "shop/*", `shop/c\d`, "!x/y", "s/a b"}, []string{"shop/axb", "shop/x"}},
		{[]string{"a.b", "c.d"}, []string{"a/b", "c/d"}, []string{"a/d"}},
		{[]string{"a.**b"}, []string{"a/b", "a/xb"}, []string{"a/bx"}},
	} {
		g, err := CompileGlobs(c.patterns)
		if err != nil {
			t.Errorf("%q: %v", c.patterns, err)
			continue
		}
		for want, names := range map[bool][]string{true: c.yes, false: c.no} {
			for _, name := range names {
				schema, table, _ := strings.Cut(name, "/")
				if got := g.Match(schema, table); got != want {
					t.Errorf("%q selects %s: %v, want %v", c.patterns, name, got, want)
				}
			}
		}
	}
	for _, patterns := range [][]string{nil, {}, {"!a.b"}, {"a"}, {"a.b.c"}, {"."}, {"a."}, {".b"}, {""}, {"!"}, {"a.b", "!"}, {"a.b "}, {" a.b"}, {"!!a.b"}, {`a.b\`}, {"a.b", "a.!b"}} {
		if _, err := CompileGlobs(patterns); err == nil {
			t.Errorf("%q is accepted", patterns)
		}
	}
}

func TestNoTablesMeansTheDatabaseOfTheURL(t *testing.T) {
	for url, c := range map[string]struct {
		yes, no string
	}{
		"mysql://u@h/a*b":   {"a*b", "axb"},
		"mariadb://u@h/a.b": {"a.b", "a"},
		"postgres://u@h/d":  {"public", ""},
	} {
		u, err := ParseURL(url)
		if err != nil {
			t.Fatal(err)
		}
		g, err := Source{URL: u}.Globs()
		if err != nil {
			t.Fatalf("%s: %v", url, err)
		}
		if !g.Match(c.yes, "t") || c.no != "" && g.Match(c.no, "t") {
			t.Errorf("%s selects otherwise", url)
		}
	}
	u, err := ParseURL("mysql://u@h")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (Source{URL: u}).Globs(); err == nil {
		t.Error("without a database every table is selected")
	}
}

func TestTargetPlacesSchemas(t *testing.T) {
	mysql, err := ParseURL("mysql://u@h/d")
	if err != nil {
		t.Fatal(err)
	}
	postgres, err := ParseURL("postgres://u@h/d")
	if err != nil {
		t.Fatal(err)
	}
	rules := []SchemaRule{{"shop", "sales"}}
	for _, c := range []struct {
		target       Target
		source, want string
	}{
		{Target{URL: postgres}, "shop", "public"},
		{Target{URL: mysql}, "shop", "d"},
		{Target{URL: postgres, Schema: "app"}, "shop", "app"},
		{Target{URL: postgres, Schema: "app", Schemas: rules}, "shop", "sales"},
		{Target{URL: postgres, Schemas: rules}, "Shop", "public"},
	} {
		if got := c.target.SchemaFor(c.source); got != c.want {
			t.Errorf("%+v: %s goes to %s, want %s", c.target, c.source, got, c.want)
		}
	}
}

func TestNamesOfTablesAreTakenApart(t *testing.T) {
	for name, want := range map[string][2]string{"shop.users": {"shop", "users"}, `a\.b.c\*\?`: {"a.b", "c*?"}, "Shop.Üsers": {"Shop", "Üsers"}} {
		schema, table, err := SplitName(name)
		if err != nil || schema != want[0] || table != want[1] {
			t.Errorf("%q: got %q %q %v", name, schema, table, err)
		}
		if again := QuoteName(schema) + "." + QuoteName(table); again != name {
			t.Errorf("%q is written as %q", name, again)
		}
	}
	for _, name := range []string{"", "users", "a.b.c", "shop.*", "shop.user?", "a.", ".b", "!a.b"} {
		if schema, table, err := SplitName(name); err == nil {
			t.Errorf("%q is taken for %q %q", name, schema, table)
		}
	}
}

func TestColumnGlobsHaveThreeParts(t *testing.T) {
	g, err := CompileColumnGlob("shop.*.created")
	if err != nil {
		t.Fatal(err)
	}
	if !g.Match("shop", "users", "created") || g.Match("shop", "users", "created_at") || g.Match("x", "users", "created") {
		t.Error("selects otherwise")
	}
	for _, pattern := range []string{"", "a.b", "a.b.c.d", "!a.b.c"} {
		if _, err := CompileColumnGlob(pattern); err == nil {
			t.Errorf("%q is accepted", pattern)
		}
	}
}

// FuzzGlob compares the matcher with the regular expression of the same meaning.
func FuzzGlob(f *testing.F) {
	for _, seed := range [][2]string{{"a*b?c", "axxbyc"}, {"*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaa"}, {`\**`, "*x"}, {"?", "ü"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, name string) {
		pattern, name = strings.ToValidUTF8(pattern, "_"), strings.ToValidUTF8(name, "_")
		g, err := splitGlob(pattern, 1)
		if err != nil {
			return
		}
		var b strings.Builder
		for _, part := range g[0] {
			switch part.kind {
			case anyRun:
				b.WriteString(`(?s:.*)`)
			case anyChar:
				b.WriteString(`(?s:.)`)
			default:
				b.WriteString(regexp.QuoteMeta(string(part.char)))
			}
		}
		want := regexp.MustCompile(`\A(?:` + b.String() + `)\z`).MatchString(name)
		if got := g[0].match(name); got != want {
			t.Fatalf("%q matches %q: %v, want %v", pattern, name, got, want)
		}
		if quoted, err := splitGlob(QuoteName(name), 1); err == nil && !quoted[0].match(name) {
			t.Fatalf("%q quoted does not match itself", name)
		}
	})
}
