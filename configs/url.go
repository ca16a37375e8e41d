package configs

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Engine is what a URL leads to.
type Engine string

// The engines, each named as in its URL.
const (
	MySQL    Engine = "mysql"
	MariaDB  Engine = "mariadb"
	Postgres Engine = "postgres"
	NATS     Engine = "nats"
)

// schemes are the schemes of URLs with their engine and default port. A tls URL is a nats URL that insists on TLS.
var schemes = map[string]struct {
	engine Engine
	port   string
}{
	"mysql":      {MySQL, "3306"},
	"mariadb":    {MariaDB, "3306"},
	"postgres":   {Postgres, "5432"},
	"postgresql": {Postgres, "5432"},
	"nats":       {NATS, "4222"},
	"tls":        {NATS, "4222"},
}

// URL says where a database or a stream is and who crossfade is there. It is immutable; its zero value is no URL.
//
// It keeps the parts, not the text, so that there is no text with a password in it that could be printed.
type URL struct {
	scheme   string
	user     Secret // a NATS user without a password is a token
	password Secret
	hosts    []string // host:port, one but for NATS
	database string
	tls      tlsParams
}

// ParseURL reads scheme://user:password@host:port/database?sslmode=...; the schemes are mysql, mariadb, postgres, postgresql, nats, tls.
// No error shows a part of the text that could belong to a password.
func ParseURL(text string) (URL, error) {
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return URL{}, &fault{problem: "the URL holds a blank or a control character", remedy: "write it percent-encoded, a blank as %20"}
	}
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return URL{}, &fault{problem: "the URL has no scheme", remedy: "write it like mysql://user:${PASSWORD}@host:3306/database"}
	}
	scheme = strings.ToLower(scheme)
	known, ok := schemes[scheme]
	if !ok {
		return URL{}, &fault{problem: "the scheme of the URL is not known", remedy: "use mysql://, mariadb:// or postgres://, for the stream nats:// or tls://"}
	}
	authority, path, query, err := splitURL(rest)
	if err != nil {
		return URL{}, err
	}

	u := URL{scheme: scheme}
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		user, password, _ := strings.Cut(authority[:at], ":")
		authority = authority[at+1:]
		if u.user, err = parseSecret(user); err != nil {
			return URL{}, err
		}
		if u.password, err = parseSecret(password); err != nil {
			return URL{}, err
		}
	}
	if u.hosts, err = parseHosts(authority, known.port, known.engine == NATS); err != nil {
		return URL{}, err
	}
	if u.database, err = parseDatabase(path, known.engine); err != nil {
		return URL{}, err
	}
	if u.tls, err = parseTLSParams(query); err != nil {
		return URL{}, err
	}
	if u.scheme == "tls" && (u.tls.mode == SSLDisable || u.tls.mode == SSLPrefer) {
		return URL{}, &fault{problem: "a tls:// URL with an sslmode that does not insist on TLS", remedy: "use nats://, or sslmode=require, verify-ca or verify-full"}
	}
	return u, nil
}

// splitURL takes apart what follows the scheme. A password with an unescaped character would put the borders elsewhere:
// that is found here, before any part could be taken for a host, a database or a parameter and be shown.
func splitURL(rest string) (authority, path, query string, err error) {
	if strings.ContainsRune(rest, '#') {
		return "", "", "", &fault{problem: "the URL holds a #", remedy: "write it as %23 when it belongs to a password"}
	}
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	authority, rest = rest[:end], rest[end:]
	if strings.ContainsRune(rest, '@') {
		return "", "", "", &fault{problem: "the URL holds an @ after its host", remedy: "write / as %2F, ? as %3F and @ as %40 in user, password and parameters"}
	}
	path, query, _ = strings.Cut(rest, "?")
	return authority, path, query, nil
}

func parseSecret(text string) (Secret, error) {
	plain, err := url.PathUnescape(text)
	if err != nil { // its text shows a part of the password
		return Secret{}, &fault{problem: "user or password of the URL holds a % that starts no code", remedy: "write a literal % as %25"}
	}
	return NewSecret(plain), nil
}

var hostName = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?$`)

func parseHosts(list, port string, several bool) ([]string, error) {
	if list == "" {
		return nil, &fault{problem: "the URL names no host", remedy: "write it after //, or after the @ that follows user and password"}
	}
	if strings.Contains(list, ",") && !several {
		return nil, &fault{problem: "the URL names several hosts", remedy: "name one; a migration reads one server's log and writes to one server"}
	}
	var hosts []string
	for one := range strings.SplitSeq(list, ",") {
		host, err := parseHost(one, port)
		if err != nil {
			return nil, err
		}
		hosts = append(hosts, host)
	}
	return hosts, nil
}

func parseHost(text, port string) (string, error) {
	wrong := &fault{problem: "the host of the URL is not valid", remedy: "write a name or an address, then maybe :port; an IPv6 address in [], no socket paths"}
	host := text
	if at := strings.LastIndexByte(text, ':'); at >= 0 && !strings.HasSuffix(text, "]") {
		host, port = text[:at], text[at+1:]
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		addr, err := netip.ParseAddr(inner)
		if !ok || err != nil || !addr.Is6() {
			return "", wrong
		}
		host = inner
	} else if !hostName.MatchString(host) {
		return "", wrong
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return "", &fault{problem: "the port of the URL is not a number from 1 to 65535", remedy: "write it after the host, as in db1:3306; a : in a password as %3A"}
	}
	return net.JoinHostPort(host, strconv.FormatUint(n, 10)), nil
}

func parseDatabase(path string, engine Engine) (string, error) {
	path = strings.TrimPrefix(path, "/")
	if path != "" && engine == NATS {
		return "", &fault{problem: "the URL of a stream has a path", remedy: "end it after host and port"}
	}
	if strings.ContainsRune(path, '/') {
		return "", &fault{problem: "the path of the URL has more than one part", remedy: "write the name of one database, a / in it as %2F"}
	}
	name, err := url.PathUnescape(path)
	if err != nil {
		return "", &fault{problem: "the database of the URL holds a % that starts no code", remedy: "write a literal % as %25"}
	}
	return name, nil
}

// IsZero reports whether there is no URL.
func (u URL) IsZero() bool { return u.scheme == "" }

// Engine returns what the URL leads to; empty for no URL.
func (u URL) Engine() Engine { return schemes[u.scheme].engine }

// Address returns host:port, the first one where there are several.
func (u URL) Address() string {
	if len(u.hosts) == 0 {
		return ""
	}
	return u.hosts[0]
}

// Addresses returns every host:port; several only for NATS.
func (u URL) Addresses() []string { return slices.Clone(u.hosts) }

// Host returns the host of Address, an IPv6 address without its brackets.
func (u URL) Host() string {
	host, _, err := net.SplitHostPort(u.Address())
	if err != nil {
		return "" // no URL
	}
	return host
}

// Port returns the port of Address; 0 for no URL.
func (u URL) Port() uint16 {
	_, port, err := net.SplitHostPort(u.Address())
	if err != nil {
		return 0
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return 0
	}
	return uint16(n)
}

// Database returns the name after the host, unescaped.
func (u URL) Database() string { return u.database }

// User returns the user, unescaped. It is empty for a NATS token.
func (u URL) User() string {
	if !u.Token().IsZero() {
		return ""
	}
	return u.user.Reveal()
}

// Password returns the password, from the URL or from its password_file.
func (u URL) Password() Secret { return u.password }

// Token returns the token of nats://token@host.
func (u URL) Token() Secret {
	if u.Engine() == NATS && u.password.IsZero() {
		return u.user
	}
	return Secret{}
}

// WithPassword returns the URL with another password.
func (u URL) WithPassword(password Secret) URL {
	u.password = password
	return u
}

// Redacted returns the whole URL with xxxxx for the password or token.
func (u URL) Redacted() string { return u.text(true) }

// WithoutPassword returns the whole URL without password or token, for those who know it themselves.
func (u URL) WithoutPassword() string { return u.text(false) }

func (u URL) text(mark bool) string {
	if u.IsZero() {
		return ""
	}
	var b strings.Builder
	b.WriteString(u.scheme + "://")
	switch {
	case !u.Token().IsZero() && mark:
		b.WriteString(hidden + "@")
	case u.User() != "" || !u.password.IsZero():
		b.WriteString(escape(u.User()))
		if mark && !u.password.IsZero() {
			b.WriteString(":" + hidden)
		}
		b.WriteString("@")
	}
	b.WriteString(strings.Join(u.hosts, ","))
	if u.database != "" {
		b.WriteString("/" + escape(u.database))
	}
	if query := u.tls.query(); query != "" {
		b.WriteString("?" + query)
	}
	return b.String()
}

// escape percent-encodes all but the characters that mean nothing in any part of a URL.
func escape(text string) string {
	var b strings.Builder
	for i := range len(text) {
		c := text[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-_.~", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// String is Redacted.
func (u URL) String() string { return u.Redacted() }

// GoString hides the password from %#v.
func (u URL) GoString() string { return fmt.Sprintf("configs.URL(%q)", u.Redacted()) }

// LogValue hides the password from slog.
func (u URL) LogValue() slog.Value { return slog.StringValue(u.Redacted()) }

// MarshalText hides the password from YAML and others.
func (u URL) MarshalText() ([]byte, error) { return []byte(u.Redacted()), nil }

// MarshalJSON hides the password from JSON.
func (u URL) MarshalJSON() ([]byte, error) { return json.Marshal(u.Redacted()) }
