package configs

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Bounds of what Validate accepts, each against a typing error rather than for taste.
const (
	maxName     = 40          // with prefix and suffix within the 63 characters of a slot name
	maxParallel = 64          // connections that one side is asked for
	maxChunk    = 10_000_000  // rows in a chunk
	maxRowLimit = 1 * GiB     // the largest value that PostgreSQL holds
	minEvery    = time.Second // between full verifications
)

// Validate reports everything that makes no sense or is not built yet, all at once.
func (c *Config) Validate() error {
	return c.mistakes().join()
}

// mistakes lists what is not built yet, and what is wrong with the rest: nobody needs to mend a key that is refused anyway.
func (c *Config) mistakes() mistakes {
	var ms mistakes
	c.check(&ms)
	refused := c.notBuilt()
	return append(ms.without(refused), refused...)
}

// check is Validate without the refusals.
func (c *Config) check(ms *mistakes) {
	c.checkName(ms)
	c.checkSource(ms)
	c.checkTarget(ms)
	c.checkStream(ms)
	c.checkTransform(ms)
	c.checkWork(ms)
	c.checkCutover(ms)
	c.checkAPI(ms)
}

var nameRule = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)

func (c *Config) checkName(ms *mistakes) {
	switch {
	case c.Name == "":
		ms.add("name", "is required", "name the migration, such as shop")
	case !nameRule.MatchString(c.Name) || len(c.Name) > maxName:
		ms.add("name", fmt.Sprintf("%q is not allowed", c.Name), fmt.Sprintf("use a-z, 0-9 and - between them, at most %d characters", maxName))
	}
	switch {
	case c.StateDir == "":
		ms.add("state_dir", "is required, for there is no home directory to put it in", "name a directory, such as /var/lib/crossfade")
	case !filepath.IsAbs(c.StateDir):
		ms.add("state_dir", fmt.Sprintf("%q is not absolute", c.StateDir), "begin it with /, so that every verb finds the same")
	case len(c.SocketPath()) > maxSocketPath:
		ms.add("state_dir", fmt.Sprintf("the path of the socket in it, %s, is longer than the %d bytes the system takes", c.SocketPath(), maxSocketPath), "name a shorter directory")
	}
}

func (c *Config) checkSource(ms *mistakes) {
	s := &c.Source
	checkDatabase(ms, "source.url", s.URL, true)
	checkDatabase(ms, "source.read_url", s.ReadURL, false)
	checkProbe(ms, "source.probe_url", s.ProbeURL, s.URL)
	if !s.ReadURL.IsZero() && !s.URL.IsZero() && s.ReadURL.Engine() != s.URL.Engine() {
		ms.add("source.read_url", "is of another engine than source.url", "name a replica of the source")
	}
	if _, err := s.Globs(); err != nil {
		// One mistake for each bad pattern; only what concerns them all stands at the list itself.
		before := len(*ms)
		for i, pattern := range s.Tables {
			if _, err := CompileGlobs([]string{strings.TrimPrefix(pattern, "!")}); err != nil {
				ms.fail(fmt.Sprintf("source.tables[%d]", i), err)
			}
		}
		if len(*ms) == before && (len(s.Tables) > 0 || isOneOf(s.URL, MySQL, MariaDB)) {
			ms.fail("source.tables", err)
		}
	}
}

func (c *Config) checkTarget(ms *mistakes) {
	t := &c.Target
	checkDatabase(ms, "target.url", t.URL, true)
	checkProbe(ms, "target.probe_url", t.ProbeURL, t.URL)
	if !t.URL.IsZero() && t.SchemaFor("") == "" {
		ms.add("target.schema", "is required, for target.url names no database", "name the schema that takes the tables")
	}
	seen := map[string]bool{}
	for i, rule := range t.Schemas {
		path := fmt.Sprintf("target.schemas[%d]", i)
		required(ms, path+".source", rule.Source, "name a schema of the source")
		required(ms, path+".target", rule.Target, "name the schema of the target that takes its tables")
		if rule.Source != "" && seen[rule.Source] {
			ms.add(path+".source", fmt.Sprintf("%q has a rule already", rule.Source), "remove one of them")
		}
		seen[rule.Source] = true
	}
}

// checkDatabase checks the URL of a database.
func checkDatabase(ms *mistakes, path string, u URL, must bool) {
	if u.IsZero() {
		if must {
			ms.add(path, "is required", "write it like mysql://user:${PASSWORD}@host:3306/database")
		}
		return
	}
	switch u.Engine() {
	case MySQL, MariaDB:
	case Postgres:
		if u.Database() == "" {
			ms.add(path, "names no database", "write it after the host: postgres://user@host:5432/database")
		}
	default:
		ms.add(path, "leads to no database", "use mysql://, mariadb:// or postgres://")
		return
	}
	if u.User() == "" {
		ms.add(path, "names no user", "write it before the host: "+string(u.Engine())+"://user@host")
	}
	checkCertificates(ms, path, u)
}

func checkCertificates(ms *mistakes, path string, u URL) {
	if _, err := u.TLSConfig(); err != nil {
		ms.fail(path, &fault{problem: err.Error(), remedy: "name files in PEM form that this user can read", err: err})
	}
}

// checkProbe checks the application's user. Crossfade's own user passes the fence, so a probe with it would prove nothing.
func checkProbe(ms *mistakes, path string, probe, main URL) {
	checkDatabase(ms, path, probe, false)
	if probe.IsZero() || main.IsZero() {
		return
	}
	if probe.Engine() != main.Engine() {
		ms.add(path, "is of another engine than url beside it", "use the same scheme")
	}
	if probe.User() != "" && probe.User() == main.User() {
		ms.add(path, "names crossfade's own user, which the fence lets through", "name a user of the application")
	}
}

func (c *Config) checkStream(ms *mistakes) {
	s := &c.Stream
	if !s.URL.IsZero() {
		if s.URL.Engine() != NATS {
			ms.add("stream.url", "leads to no NATS server", "use nats:// or tls://, or remove it for the embedded server")
		}
		checkCertificates(ms, "stream.url", s.URL)
	}
	switch {
	case !slices.Contains([]int{1, 3, 5}, s.Replicas):
		ms.add("stream.replicas", fmt.Sprintf("%d replicas make no majority", s.Replicas), "use 1, 3 or 5")
	case s.Replicas > 1 && s.URL.IsZero():
		ms.add("stream.replicas", "the embedded server has one replica", "give stream.url, or use 1")
	}
	if s.MaxBytes < 0 {
		ms.add("stream.max_bytes", "is below 0", "give a size such as 50GiB, or 0 for half of the free disk")
	}
	oneOf(ms, "stream.release", s.Release, ReleaseStream, ReleaseApplied)
	if s.Keep < 0 {
		ms.add("stream.keep", s.Keep.String()+" is below 0", "give a duration such as 10m")
	}
	if s.MaxRow <= 0 || s.MaxRow > maxRowLimit {
		ms.add("stream.max_row", s.MaxRow.String()+" is not between 1 and "+maxRowLimit.String(), "give a size such as 64MiB")
	}
}

// checkWork checks what says how much is done at once.
func (c *Config) checkWork(ms *mistakes) {
	between(ms, "snapshot.parallel", c.Snapshot.Parallel, 1, maxParallel)
	between(ms, "snapshot.chunk_rows", c.Snapshot.ChunkRows, 1, maxChunk)
	oneOf(ms, "snapshot.no_key", c.Snapshot.NoKey, "", NoKeyCopy)
	oneOf(ms, "snapshot.existing", c.Snapshot.Existing, "", ExistingTruncate)
	between(ms, "apply.lanes", c.Apply.Lanes, 1, maxParallel)
	oneOf(ms, "apply.consistency", c.Apply.Consistency, ConsistencyLanes, ConsistencyTransactions)
	if c.Verify.Every < minEvery {
		ms.add("verify.every", c.Verify.Every.String()+" is shorter than "+minEvery.String(), "give a duration such as 1h; it can not be turned off, for the cutover relies on it")
	}
}

func (c *Config) checkAPI(ms *mistakes) {
	a := &c.API
	if a.Listen == "" {
		return
	}
	_, port, err := net.SplitHostPort(a.Listen)
	if err != nil || port == "" {
		ms.add("api.listen", fmt.Sprintf("%q is no address", a.Listen), "write host:port, such as 127.0.0.1:7070, or nothing for the socket alone")
		return
	}
	if (a.CertFile == "") != (a.KeyFile == "") {
		ms.add("api.cert_file", "only one of cert_file and key_file is given", "give both or none")
	}
	if a.remote() && (a.TokenFile == "" || a.CertFile == "") {
		ms.add("api.listen", fmt.Sprintf("%q can be reached from elsewhere, without token or TLS", a.Listen), "give token_file, cert_file and key_file, or listen on 127.0.0.1")
	}
}

// remote reports whether another machine could reach the address. An empty host is every address.
func (a *API) remote() bool {
	host, _, err := net.SplitHostPort(a.Listen)
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(host)
	return host != "localhost" && (err != nil || !addr.IsLoopback())
}

func isOneOf(u URL, engines ...Engine) bool { return slices.Contains(engines, u.Engine()) }

func required(ms *mistakes, path, value, remedy string) bool {
	if value == "" {
		ms.add(path, "is required", remedy)
	}
	return value != ""
}

func oneOf(ms *mistakes, path, value string, allowed ...string) {
	if slices.Contains(allowed, value) {
		return
	}
	words := slices.DeleteFunc(slices.Clone(allowed), func(word string) bool { return word == "" })
	remedy := "use " + strings.Join(words, " or ")
	if len(words) < len(allowed) {
		remedy += ", or leave it out"
	}
	ms.add(path, fmt.Sprintf("%q is not known", value), remedy)
}

func between(ms *mistakes, path string, value, least, most int) {
	if value < least || value > most {
		ms.add(path, fmt.Sprintf("%d is not between %d and %d", value, least, most), "give a number in between")
	}
}

func positive(ms *mistakes, path string, d time.Duration, remedy string) {
	if d <= 0 {
		ms.add(path, d.String()+" is not above 0", remedy)
	}
}
