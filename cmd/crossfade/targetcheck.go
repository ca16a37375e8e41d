package main

import (
	"context"
	"fmt"

	"github.com/crossfade-io/crossfade/internal/catalog"
)

// checkTarget looks at the target: what the applier needs there.
func (m *migration) checkTarget(ctx context.Context) ([]catalog.Finding, error) {
	var out []catalog.Finding
	var version int
	if err := m.pool.QueryRow(ctx, "SELECT current_setting('server_version_num')::int").Scan(&version); err != nil {
		return nil, err
	}
	if version < 140000 {
		out = append(out, catalog.Finding{Severity: "error", Code: "target.version", Object: "target", Reason: fmt.Sprintf("PostgreSQL %d is older than 14", version/10000), Remedy: "use PostgreSQL 14 to 18"})
	}
	return out, nil
}
