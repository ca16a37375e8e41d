package main

import (
	"context"

	"github.com/crossfade-io/crossfade/capture"
	"github.com/crossfade-io/crossfade/capture/mysql"
	"github.com/crossfade-io/crossfade/capture/postgres"
	"github.com/crossfade-io/crossfade/internal/catalog"
)

// source is an engine that a migration leaves.
type source interface {
	capture.Source
	// Catalog reads the tables that match says yes to, without crossfade's own.
	Catalog(ctx context.Context, match func(schema, table string) bool) ([]*catalog.Table, error)
	Check(ctx context.Context, tables []*catalog.Table) ([]catalog.Finding, error)
	// CheckProbe proves that our own user may try the write that the fence must refuse.
	CheckProbe(ctx context.Context, tables []*catalog.Table) ([]catalog.Finding, error)
	// Setup makes what capture needs there. It may be repeated. From then on the log is kept, as far as the engine is told by it.
	Setup(ctx context.Context, tables []*catalog.Table) error
	// Identity tells the server from every other.
	Identity(ctx context.Context) (string, error)
	// Contains says by a nil error that the log can be read on from a position.
	Contains(ctx context.Context, position string) error
	// DropUser is the statement that drops our user.
	DropUser(ctx context.Context) (string, error)
	// Remove removes what capture keeps there. It may be repeated.
	Remove(ctx context.Context) error
	Close() error
}

var (
	_ source = (*mysql.Source)(nil)
	_ source = (*postgres.Source)(nil)
)
