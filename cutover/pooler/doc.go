// Package pooler drives PgBouncer: it holds clients back while traffic is moved, and points an entry of its configuration to the other side.
package pooler
