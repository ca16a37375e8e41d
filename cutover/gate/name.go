package gate

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
)

var migrationPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)

// migrationName refuses what could not stand in a trigger's text.
func migrationName(s string) error {
	if !migrationPattern.MatchString(s) {
		return fmt.Errorf("migration name %q: want up to 64 of a-z, 0-9, - and _", s)
	}
	return nil
}

// hash shortens names so that those derived from them stay within every server's limit and do not collide when cut.
func hash(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:8])
}

func quoteMySQL(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// literal quotes a string for MySQL with and without NO_BACKSLASH_ESCAPES: by its bytes.
func literal(s string) string {
	return "CONVERT(0x" + hex.EncodeToString([]byte(s)) + " USING utf8mb4)"
}

// refusal starts the message of every refused write.
const refusal = "crossfade: writes are closed here"
