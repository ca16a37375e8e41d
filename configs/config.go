package configs

import "time"

// Values of the keys that take one of a few words.
const (
	ReleaseStream  = "stream"  // the source may forget what is fsynced in the stream
	ReleaseApplied = "applied" // the source may forget what the target has committed

	IdentifiersLower = "lower"
	IdentifiersKeep  = "keep"

	NoKeyCopy        = "copy"
	ExistingTruncate = "truncate"

	ConsistencyLanes        = "lanes"
	ConsistencyTransactions = "transactions"

	ZeroDateError = "error"
	ZeroDateNull  = "null"
	NULError      = "error"
	NULStrip      = "strip"
	NULReplace    = "replace:" // followed by what takes its place
)

// Config is the whole configuration of one migration.
type Config struct {
	// Name of the migration: a-z, 0-9 and "-", at most 40 characters. It names the slot, publication, stream and ledger rows. Required.
	Name string `yaml:"name"`
	// StateDir holds the embedded stream and the socket, below a directory with the migration's name.
	// Default: /var/lib/crossfade for root, else $XDG_STATE_HOME/crossfade, else ~/.local/state/crossfade.
	StateDir string `yaml:"state_dir"`

	Source    Source    `yaml:"source"`
	Target    Target    `yaml:"target"`
	Stream    Stream    `yaml:"stream"`
	Transform Transform `yaml:"transform"`
	Snapshot  Snapshot  `yaml:"snapshot"`
	Apply     Apply     `yaml:"apply"`
	Verify    Verify    `yaml:"verify"`
	Cutover   Cutover   `yaml:"cutover"`
	API       API       `yaml:"api"`
}

// Source is the database that is moved. It keeps this name after the roles have changed.
type Source struct {
	// URL of the database, with crossfade's own user. Required.
	URL URL `yaml:"url"`
	// PasswordFile holds the password of URL; one newline at its end is not part of it.
	PasswordFile string `yaml:"password_file"`
	// Tables to move: globs schema.table, "!" excludes. Default: every table of the database in URL (see [Source.Globs]).
	Tables []string `yaml:"tables"`
	// ReadURL is a replica for the reads of snapshot and verification. Default: none, they read URL.
	ReadURL URL `yaml:"read_url"`
	// ReadPasswordFile holds the password of ReadURL.
	ReadPasswordFile string `yaml:"read_password_file"`
	// ProbeURL is an application's user, for the write that must fail under the fence. Default: none, the report says so.
	ProbeURL URL `yaml:"probe_url"`
	// ProbePasswordFile holds the password of ProbeURL.
	ProbePasswordFile string `yaml:"probe_password_file"`
}

// Target is the database that is moved to.
type Target struct {
	// URL of the database, with crossfade's own user. Required.
	URL URL `yaml:"url"`
	// PasswordFile holds the password of URL.
	PasswordFile string `yaml:"password_file"`
	// Schema takes the tables that no rule places. Default: public on PostgreSQL (from PostgreSQL the schema of the source), else the database of URL (see [Target.SchemaFor]).
	Schema string `yaml:"schema"`
	// Schemas places the tables of several source schemas; what it does not name goes to Schema.
	Schemas []SchemaRule `yaml:"schemas"`
	// Create says that run makes the tables; false: they are made by hand, and checked. Default: true.
	Create bool `yaml:"create"`
	// ProbeURL is an application's user, for the write that must fail before the decision. Default: none.
	ProbeURL URL `yaml:"probe_url"`
	// ProbePasswordFile holds the password of ProbeURL.
	ProbePasswordFile string `yaml:"probe_password_file"`
}

// SchemaRule says which schema of the target takes the tables of a schema of the source.
type SchemaRule struct {
	Source string `yaml:"source"`
	Target string `yaml:"target"`
}

// Stream is the durable log between the two.
type Stream struct {
	// URL of a NATS cluster, nats://user:password@host:4222,host2:4222. Default: empty, an embedded server below StateDir.
	URL URL `yaml:"url"`
	// PasswordFile holds the password of URL.
	PasswordFile string `yaml:"password_file"`
	// Replicas of the stream in the cluster: 1, 3 or 5. Default: 1, the only value without URL.
	Replicas int `yaml:"replicas"`
	// MaxBytes the stream may hold; full means back-pressure, never loss. Default: 0, half of the free disk when the stream is made.
	MaxBytes ByteSize `yaml:"max_bytes"`
	// Release says what the source may forget: ReleaseStream or ReleaseApplied. Default: stream.
	Release string `yaml:"release"`
	// Keep applied frames this long, for a target that fails over. Default: 10m.
	Keep time.Duration `yaml:"keep"`
	// MaxRow is the largest row that passes; a larger one stops capture. Default: 64MiB.
	MaxRow ByteSize `yaml:"max_row"`
}

// Transform is the mapping. Only what differs is written: tables and columns not named pass through.
type Transform struct {
	// Identifiers of tables and columns in the target: lower or keep. Default: keep where both sides are PostgreSQL, or both MySQL or MariaDB; else lower.
	Identifiers string `yaml:"identifiers"`
	// Tables are the rules of single tables.
	Tables []TableRule `yaml:"tables"`
	// Types are value policies; the first that matches wins.
	Types []TypeRule `yaml:"types"`
}

// TableRule maps one table.
type TableRule struct {
	// Source table, schema.table; no glob (see [SplitName]). Required.
	Source string `yaml:"source"`
	// Target table, schema.table. Default: the source's name, where Target.Schema says.
	Target string `yaml:"target"`
	// Where is an expression over the source row: only rows for which it holds are moved.
	Where string `yaml:"where"`
	// Columns that differ.
	Columns []ColumnRule `yaml:"columns"`
}

// ColumnRule maps one column: Source renamed or dropped, or Target filled from Value.
type ColumnRule struct {
	Source string `yaml:"source"`
	Target string `yaml:"target"`
	// Value is an expression over the source row.
	Value string `yaml:"value"`
	// As is the type in the target. Default: what the type mapping or the expression says.
	As string `yaml:"as"`
	// Mask replaces the value in the target.
	Mask string `yaml:"mask"`
	// Drop leaves the source column out of the target.
	Drop bool `yaml:"drop"`
	// Reverse says what the reverse stream writes to the source column.
	Reverse Reverse `yaml:"reverse"`
}

// Reverse is what the reverse stream does with a source column whose rule has no inverse. Its zero value says nothing.
type Reverse struct {
	// Keep leaves the column of an existing row as it is; written `reverse: keep`.
	Keep bool `yaml:"-"`
	// Default is the expression for an inserted row; written `reverse: {default: "''"}`.
	Default string `yaml:"default"`
}

// IsZero reports whether nothing was said.
func (r Reverse) IsZero() bool { return r == Reverse{} }

// MarshalYAML writes a Reverse the way it is read.
func (r Reverse) MarshalYAML() (any, error) {
	switch {
	case r.Keep:
		return reverseKeep, nil
	case r.Default != "":
		return map[string]string{"default": r.Default}, nil
	default:
		return nil, nil
	}
}

const reverseKeep = "keep"

// TypeRule is a value policy for the columns of a type.
type TypeRule struct {
	// Match is the source type, engine:type, such as mysql:datetime. Required.
	Match string `yaml:"match"`
	// Column is a glob schema.table.column (see [CompileColumnGlob]). Default: every column of the type.
	Column string `yaml:"column"`
	// As is the type in the target. Default: what the type mapping says.
	As string `yaml:"as"`
	// ZeroDate says what becomes of 0000-00-00 and partial dates: error stops the table, null writes NULL. Default: error.
	ZeroDate string `yaml:"zero_date"`
	// NUL says what becomes of the character 0x00 in text: error stops the table, strip removes it. Default: error.
	NUL string `yaml:"nul"`
}

// Snapshot is how existing rows are copied.
type Snapshot struct {
	// Parallel is how many chunks are read at once. Default: 4.
	Parallel int `yaml:"parallel"`
	// ChunkRows is how many rows a chunk has. Default: 20000.
	ChunkRows int `yaml:"chunk_rows"`
	// NoKey allows tables without a key: copy takes them whole at a barrier. Default: empty, they are refused.
	NoKey string `yaml:"no_key"`
	// Existing says what to do with rows that the target holds: truncate removes them. Default: empty, they are refused.
	Existing string `yaml:"existing"`
}

// Apply is how changes reach the target.
type Apply struct {
	// Lanes are the connections that apply in parallel. Default: 4.
	Lanes int `yaml:"lanes"`
	// Consistency of the target before the cutover: lanes, or transactions (one lane, source commits kept whole). Default: lanes.
	Consistency string `yaml:"consistency"`
}

// Verify is how the two sides are compared.
type Verify struct {
	// Every so often a full comparison begins in the background. Default: 1h.
	Every time.Duration `yaml:"every"`
}

// Cutover is how the application moves.
type Cutover struct {
	// MaxLag above which a cutover is refused. Default: 5s.
	MaxLag time.Duration `yaml:"max_lag"`
	// MaxPause is the longest predicted write pause that is accepted. Default: 2s.
	MaxPause time.Duration `yaml:"max_pause"`
	// Timeout from the first effect on clients to the decision; past it the attempt aborts by itself. Default: 30s.
	Timeout time.Duration `yaml:"timeout"`
	// Reverse keeps the old database current after the cutover, so that a rollback loses nothing. Default: auto.
	Reverse WayBack `yaml:"reverse"`
	// Switch are the steps that move the traffic, in order.
	Switch []SwitchStep `yaml:"switch"`
	// Guards act on what is measured. A list replaces the default, DefaultGuards, as a whole; an empty one means none.
	Guards []Guard `yaml:"guards"`
}

// WayBack says whether a rollback after the cutover has to be possible.
type WayBack string

const (
	WayBackAuto WayBack = "auto"  // where mapping and target allow it when the migration begins; else check warns
	WayBackOn   WayBack = "true"  // else the migration is refused
	WayBackOff  WayBack = "false" // it is not wanted
)

// SwitchStep is one step that moves traffic: exactly one of its fields is set.
type SwitchStep struct {
	PgBouncer *PgBouncerStep `yaml:"pgbouncer"`
	Exec      *ExecStep      `yaml:"exec"`
	HTTP      *HTTPStep      `yaml:"http"`
}

// PgBouncerStep pauses a pooler, points it to the other side and resumes it.
type PgBouncerStep struct {
	// Admin is the URL of the admin console, postgres://. Required.
	Admin URL `yaml:"admin"`
	// PasswordFile holds the password of Admin.
	PasswordFile string `yaml:"password_file"`
	// Database is the entry of the pooler that is changed. Required.
	Database string `yaml:"database"`
	// Ini is the file that is rewritten; this or Exec is required.
	Ini string `yaml:"ini"`
	// Exec is the command that rewrites it instead.
	Exec []string `yaml:"exec"`
}

// ExecStep runs a command.
type ExecStep struct {
	// Command and its arguments. Required.
	Command []string `yaml:"command"`
	// Status prints where traffic goes now: source or target. Required, for a step is probed before it would be run again.
	Status []string `yaml:"status"`
	// Timeout of either. Default: 10s.
	Timeout time.Duration `yaml:"timeout" default:"10s"`
}

// HTTPStep posts to a URL.
type HTTPStep struct {
	// URL that takes the POST, and answers a GET with where traffic goes now. Required.
	URL Endpoint `yaml:"url"`
	// Timeout of either. Default: 10s.
	Timeout time.Duration `yaml:"timeout" default:"10s"`
}

// Guard acts when a measure stays beyond a limit.
type Guard struct {
	// When is the condition: lag > 5s, error_rate > 1%, duration > 2x or differences > 0. Required.
	When string `yaml:"when"`
	// For is how long it must hold. Default: 0, at once.
	For time.Duration `yaml:"for"`
	// Do is the action: pause, rollback, warn or hold. Required.
	Do string `yaml:"do"`
	// Probe is what error_rate measures; without it that guard is off.
	Probe Probe `yaml:"probe"`
}

// Probe asks an application whether it is well.
type Probe struct {
	// HTTP is fetched once a second; anything but 2xx is an error.
	HTTP Endpoint `yaml:"http"`
}

// API is what the daemon serves beside the socket in StateDir.
type API struct {
	// Listen is host:port; empty turns TCP off. Default: 127.0.0.1:7070.
	Listen string `yaml:"listen"`
	// TokenFile holds the token that clients must show; with CertFile and KeyFile required for any but a loopback address.
	TokenFile string `yaml:"token_file"`
	CertFile  string `yaml:"cert_file"`
	KeyFile   string `yaml:"key_file"`
}

// Default returns the configuration that holds when nothing is written. It lacks name, source.url and target.url.
func Default() Config {
	return Config{
		StateDir: stateDir(),
		Target:   Target{Create: true},
		Stream:   Stream{Replicas: 1, Release: ReleaseStream, Keep: 10 * time.Minute, MaxRow: 64 * MiB},
		Snapshot: Snapshot{Parallel: 4, ChunkRows: 20000},
		Apply:    Apply{Lanes: 4, Consistency: ConsistencyLanes},
		Verify:   Verify{Every: time.Hour},
		Cutover: Cutover{
			MaxLag:   5 * time.Second,
			MaxPause: 2 * time.Second,
			Reverse:  WayBackAuto,
			Timeout:  30 * time.Second,
			Guards:   DefaultGuards(),
		},
		API: API{Listen: "127.0.0.1:7070"},
	}
}
