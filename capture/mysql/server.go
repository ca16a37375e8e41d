package mysql

import (
	"context"
	"database/sql"
)

// readCollations returns the character set of every collation, by its number in the log.
func readCollations(ctx context.Context, db *sql.DB) (map[uint64]string, error) {
	rows, err := db.QueryContext(ctx, "SELECT ID, CHARACTER_SET_NAME FROM information_schema.COLLATIONS")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[uint64]string{}
	for rows.Next() {
		var id uint64
		var charset string
		if err := rows.Scan(&id, &charset); err != nil {
			return nil, err
		}
		out[id] = charset
	}
	return out, rows.Err()
}

// foldsNames reports whether the server takes table names that differ in case only for the same.
func foldsNames(ctx context.Context, db *sql.DB) (bool, error) {
	var v int
	err := db.QueryRowContext(ctx, "SELECT @@lower_case_table_names").Scan(&v)
	return v != 0, err
}
