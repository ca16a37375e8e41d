package configs

import (
	"reflect"
	"strings"
	"testing"
)

func TestURLIsTakenApart(t *testing.T) {
	type parts struct {
		engine                   Engine
		addresses                []string
		host                     string
		port                     uint16
		user, password, token    string
		database                 string
		mode                     SSLMode
		root, cert, key          string
		redacted, withoutPasswod string
	}
	for text, want := range map[string]parts{
		"mysql://crossfade:pw@db1:3307/shop": {
			engine: MySQL, addresses: []string{"db1:3307"}, host: "db1", port: 3307, user: "crossfade", password: "pw", database: "shop", mode: SSLPrefer,
			redacted: "mysql://crossfade:xxxxx@db1:3307/shop", withoutPasswod: "mysql://crossfade@db1:3307/shop",
		},
		"MariaDB://u@10.0.0.1": {
			engine: MariaDB, addresses: []string{"10.0.0.1:3306"}, host: "10.0.0.1", port: 3306, user: "u", mode: SSLPrefer,
			redacted: "mariadb://u@10.0.0.1:3306", withoutPasswod: "mariadb://u@10.0.0.1:3306",
		},
		"postgres://a%40b:p%2Fw%23%25%3A:x@[::1]/sh%2Fop?sslmode=verify-full&sslrootcert=/etc/ca.pem&sslcert=/c&sslkey=/k%26": {
			engine: Postgres, addresses: []string{"[::1]:5432"}, host: "::1", port: 5432, user: "a@b", password: "p/w#%::x", database: "sh/op", mode: SSLVerifyFull,
			root: "/etc/ca.pem", cert: "/c", key: "/k&",
			redacted:       "postgres://a%40b:xxxxx@[::1]:5432/sh%2Fop?sslmode=verify-full&sslrootcert=/etc/ca.pem&sslcert=/c&sslkey=/k%26",
			withoutPasswod: "postgres://a%40b@[::1]:5432/sh%2Fop?sslmode=verify-full&sslrootcert=/etc/ca.pem&sslcert=/c&sslkey=/k%26",
		},
		"postgresql://u:p@ss@db2./shop/": { // an @ in a password is seen as such while a host follows; the slash at the end is one too many
			engine: "refused",
		},
		"postgresql://u:p@ss@db2./shop?sslmode=disable": {
			engine: Postgres, addresses: []string{"db2.:5432"}, host: "db2.", port: 5432, user: "u", password: "p@ss", database: "shop", mode: SSLDisable,
			redacted: "postgresql://u:xxxxx@db2.:5432/shop?sslmode=disable", withoutPasswod: "postgresql://u@db2.:5432/shop?sslmode=disable",
		},
		"mysql://u:+ä@db/": {
			engine: MySQL, addresses: []string{"db:3306"}, host: "db", port: 3306, user: "u", password: "+ä", mode: SSLPrefer,
			redacted: "mysql://u:xxxxx@db:3306", withoutPasswod: "mysql://u@db:3306",
		},
		"nats://u:pw@n1,n2:4223,[::1]:4224": {
			engine: NATS, addresses: []string{"n1:4222", "n2:4223", "[::1]:4224"}, host: "n1", port: 4222, user: "u", password: "pw", mode: SSLPrefer,
			redacted: "nats://u:xxxxx@n1:4222,n2:4223,[::1]:4224", withoutPasswod: "nats://u@n1:4222,n2:4223,[::1]:4224",
		},
		"nats://t0ken@n1": {
			engine: NATS, addresses: []string{"n1:4222"}, host: "n1", port: 4222, token: "t0ken", mode: SSLPrefer,
			redacted: "nats://xxxxx@n1:4222", withoutPasswod: "nats://n1:4222",
		},
		"tls://n1": {
			engine: NATS, addresses: []string{"n1:4222"}, host: "n1", port: 4222, mode: SSLVerifyFull, redacted: "tls://n1:4222", withoutPasswod: "tls://n1:4222",
		},
	} {
		u, err := ParseURL(text)
		if want.engine == "refused" {
			if err == nil {
				t.Errorf("%s is accepted", text)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got := parts{
			u.Engine(), u.Addresses(), u.Host(), u.Port(), u.User(), u.Password().Reveal(), u.Token().Reveal(), u.Database(), u.SSLMode(),
			u.SSLRootCert(), u.SSLCert(), u.SSLKey(), u.Redacted(), u.WithoutPassword(),
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", text, got, want)
		}
		if u.Address() != want.addresses[0] {
			t.Errorf("%s: address is %s", text, u.Address())
		}
		again, err := ParseURL(u.WithoutPassword())
		if err != nil || !reflect.DeepEqual(again.WithPassword(u.Password()), u) && u.Token().IsZero() {
			t.Errorf("%s: read again as %v and %v", text, again, err)
		}
	}
}

// TestWrongURLsAreRefusedWithoutShowingThem plants the password in every place to which an unescaped character can move a part of it.
func TestWrongURLsAreRefusedWithoutShowingThem(t *testing.T) {
	for text, want := range map[string]string{
		"":                                "no scheme",
		"hunter2":                         "no scheme",
		"hunter2://u@h":                   "scheme of the URL is not known",
		"http://u:hunter2@h/":             "scheme of the URL is not known",
		"mysql:u:hunter2@h":               "no scheme",
		"mysql://u:hun ter2@h":            "a blank",
		"mysql://u:hunter2\n@h":           "a control character",
		"mysql://u:hunter2#x@h/d":         "holds a #",
		"mysql://u:hunter2/x@h/d":         "@ after its host",
		"mysql://u:hunter2?x@h/d":         "@ after its host",
		"mysql://u:x@hunter2/x@h/d":       "@ after its host",
		"mysql://u:x@hunter2?x@h/d":       "@ after its host",
		"mysql://u:hunter2%zz@h":          "% that starts no code",
		"mysql://u:x@hunter2:y/d":         "port of the URL",
		"mysql://u:hunter2":               "port of the URL",
		"mysql://u@h:0":                   "port of the URL",
		"mysql://u@h:65536":               "port of the URL",
		"mysql://u@h:":                    "port of the URL",
		"mysql://u@h:+33":                 "port of the URL",
		"mysql://u:x@hun$ter2/d":          "host of the URL is not valid",
		"mysql://u@/d":                    "names no host",
		"mysql://":                        "names no host",
		"mysql://u@%2Fvar%2Frun%2Fsock/d": "no socket paths",
		"mysql://u@::1/d":                 "host of the URL is not valid",
		"mysql://u@[::1/d":                "host of the URL is not valid",
		"mysql://u@[10.0.0.1]/d":          "host of the URL is not valid",
		"mysql://u@-h/d":                  "host of the URL is not valid",
		"mysql://u@h1,h2/d":               "several hosts",
		"nats://u@h1,,h2":                 "host of the URL is not valid",
		"nats://u:x@h/hunter2":            "has a path",
		"mysql://u@h/d/hunter2":           "more than one part",
		"mysql://u@h/%zz":                 "% that starts no code",
		"mysql://u@h/d?ssl=1":             `parameter "ssl"`,
		"mysql://u@h/d?sslmode=on":        `sslmode "on"`,
		"mysql://u@h/d?sslmode=":          "empty or given twice",
		"mysql://u@h/d?sslmode=require&sslmode=disable": "empty or given twice",
		"mysql://u@h/d?sslmode=%zz":                     "parameters of the URL are not valid",
		"mysql://u@h/d?sslcert=a":                       "only one of sslcert and sslkey",
		"mysql://u@h/d?sslmode=disable&sslrootcert=a":   "uses none",
		"mysql://u@h/d?sslmode=prefer&sslrootcert=a":    "verifies nothing",
		"mysql://u@h/d?sslrootcert=a":                   "verifies nothing",
		"mysql://u@h/d?sslmode=verify-ca":               "any public certificate",
		"tls://u@h?sslmode=prefer":                      "insist on TLS",
	} {
		u, err := ParseURL(text)
		if err == nil {
			t.Errorf("%q is accepted as %s", text, u)
			continue
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
		if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "ter2") {
			t.Errorf("%q: the error shows the password: %v", text, err)
		}
	}
}

func TestEndpointsAreHTTP(t *testing.T) {
	for _, text := range []string{"deploy/switch", "ftp://h/hunter2", "https://", "https:opaque", "https://u:hunter2@h:port/", "https://h/#hunter2", "http://h/%zzhunter2"} {
		if e, err := ParseEndpoint(text); err == nil {
			t.Errorf("%q is accepted as %s", text, e)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: the error shows it: %v", text, err)
		}
	}
}

// FuzzParseURL: what is accepted is written and read as the same, and never shows its password.
func FuzzParseURL(f *testing.F) {
	for _, text := range []string{"mysql://u:pw@h:1/d?sslmode=require", "nats://a,b", "postgres://a%40:%25@[::1]/x%2F", "tls://tok@h"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, err := ParseURL(text)
		if err != nil {
			return
		}
		again, err := ParseURL(u.WithoutPassword())
		if err != nil {
			t.Fatalf("%q is written as %q: %v", text, u.WithoutPassword(), err)
		}
		if u.Token().IsZero() && !reflect.DeepEqual(again.WithPassword(u.Password()), u) {
			t.Fatalf("%q is written as %q and read as another", text, u.WithoutPassword())
		}
		if u.Engine() == "" || u.Address() == "" || u.Host() == "" || u.Port() == 0 {
			t.Fatalf("%q is accepted and lacks a part: %v", text, u)
		}
		// The same with another password is shown the same.
		if !u.Password().IsZero() && u.Redacted() != u.WithPassword(NewSecret("other")).Redacted() {
			t.Fatalf("%q shows its password", text)
		}
	})
}
