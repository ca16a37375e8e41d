package main

import (
	"context"

	"github.com/crossfade-io/crossfade/apply"
	tomysql "github.com/crossfade-io/crossfade/apply/mysql"
	topostgres "github.com/crossfade-io/crossfade/apply/postgres"
	"github.com/crossfade-io/crossfade/capture"
	"github.com/crossfade-io/crossfade/capture/mysql"
	"github.com/crossfade-io/crossfade/capture/postgres"
	"github.com/crossfade-io/crossfade/cutover"
	"github.com/crossfade-io/crossfade/cutover/gate"
	"github.com/crossfade-io/crossfade/cutover/verify"
	"github.com/crossfade-io/crossfade/internal/catalog"
	"github.com/crossfade-io/crossfade/internal/change"
)

// source is an engine that a migration leaves.
type source interface {
	capture.Source
	// Catalog reads the tables that match says yes to, without crossfade's own.
	Catalog(ctx context.Context, match func(schema, table string) bool) ([]*catalog.Table, error)
	// Sequences reads the sequences that no column owns, in the schemas of the tables and in their defaults.
	Sequences(ctx context.Context, tables []*catalog.Table) ([]catalog.Sequence, error)
	// CascadesLogged reports whether the log names the rows that foreign keys change.
	CascadesLogged(ctx context.Context) (bool, error)
	Check(ctx context.Context, tables []*catalog.Table) ([]catalog.Finding, error)
	// CheckWhole finds tables of which the log does not have whole rows: of those given none may be absent in part.
	CheckWhole(ctx context.Context, tables []*catalog.Table) ([]catalog.Finding, error)
	// CheckProbe proves that our own user may try the write that the fence must refuse.
	CheckProbe(ctx context.Context, tables []*catalog.Table) ([]catalog.Finding, error)
	// Setup makes what capture needs there. It may be repeated. From then on the log is kept, as far as the engine is told by it.
	Setup(ctx context.Context, tables []*catalog.Table) error
	// Identity tells the server from every other.
	Identity(ctx context.Context) (string, error)
	// Follows says by a nil error that the server that answers now goes on where another one has been read up to a position.
	Follows(ctx context.Context, position, was string) error
	// Contains says by a nil error that the log can be read on from a position.
	Contains(ctx context.Context, position string) error
	// Storage changes for a table whose rows were rewritten without a change in the log; empty where that cannot be.
	Storage(ctx context.Context, tables []*catalog.Table) (map[string]string, error)
	// DropUser is the statement that drops our user.
	DropUser(ctx context.Context) (string, error)
	// Remove removes what capture keeps there. It may be repeated.
	Remove(ctx context.Context) error
	Close() error
}

// target is an engine that a migration fills.
type target interface {
	apply.Target
	Check(ctx context.Context, tables []apply.TableSetup) ([]catalog.Finding, error)
	// CheckCreate asks whether tables may be made in these schemas, and CheckTypes for types that columns need and nobody makes.
	CheckCreate(ctx context.Context, schemas []string) ([]catalog.Finding, error)
	CheckTypes(ctx context.Context, types []string) ([]catalog.Finding, error)
	Catalog(ctx context.Context, match func(schema, table string) bool) ([]*catalog.Table, error)
	Setup(ctx context.Context, tables []apply.TableSetup) error
	// Ledger is empty before the first start.
	Ledger(ctx context.Context) ([]apply.LaneRow, error)
	// StartAt lets the next applier start behind a frame, over tables that are filled.
	StartAt(ctx context.Context, tables []apply.TableSetup, lanes int, stream string, place apply.Place) error
	Tables(ctx context.Context) ([]apply.TableRow, error)
	Held(ctx context.Context) ([]apply.Held, error)
	Counts(ctx context.Context) ([]apply.Count, error)
	Recopy(ctx context.Context, source string) ([]apply.RecopyKey, error)
	NotEmpty(ctx context.Context, tables []*change.Table) ([]*change.Table, error)
	Truncate(ctx context.Context, tables []*change.Table) error
	// Exec runs a statement of DDL. An [apply.LostError] says that it may be tried again.
	Exec(ctx context.Context, sql string) error
	Analyze(ctx context.Context, table *change.Table) error
	DropUser(ctx context.Context) (string, error)
	Remove(ctx context.Context) error
	Close()
}

// copied is the target as verification sees it.
type copied interface {
	verify.Target
	verify.Store
	Setup(ctx context.Context) error
	// Begun reports whether a checkpoint can be there.
	Begun(ctx context.Context) (bool, error)
	Remove(ctx context.Context) error
	Close()
}

// leaver and enterer are the two sides as the cutover sees them.
type leaver interface {
	cutover.Leaver
	// Seal closes the side for good by what needs nothing of ours, Unseal opens it.
	Seal(ctx context.Context, definer string) error
	Unseal(ctx context.Context) error
	Remove(ctx context.Context) error
	Close() error
}

type enterer interface {
	cutover.Enterer
	Ping(ctx context.Context) error
	Remove(ctx context.Context) error
	Close() error
}

var (
	_ source  = (*mysql.Source)(nil)
	_ source  = (*postgres.Source)(nil)
	_ target  = (*topostgres.Target)(nil)
	_ target  = (*tomysql.Target)(nil)
	_ copied  = (*verify.Postgres)(nil)
	_ copied  = (*verify.MySQL)(nil)
	_ leaver  = (*gate.MySQL)(nil)
	_ leaver  = (*gate.Postgres)(nil)
	_ enterer = (*gate.Postgres)(nil)
	_ enterer = (*gate.MySQL)(nil)
)
