package mysql

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-sql-driver/mysql"
)

const (
	erTooMany          = 1040
	erDatabaseDenied   = 1044
	erAccessDenied     = 1045
	erUnknownDatabase  = 1049
	erBadField         = 1054
	erParse            = 1064
	erNoSuchThread     = 1094
	erHostBlocked      = 1129
	erHostNotAllowed   = 1130
	erTableDenied      = 1142
	erColumnDenied     = 1143
	erNoSuchTable      = 1146
	erNoSuchKey        = 1176
	erUnknownVariable  = 1193
	erUserLimit        = 1203
	erLockWait         = 1205
	erPrivilegeNeeded  = 1227
	erReadOnly         = 1290
	erXADenied         = 1401
	erBinlogTrigger    = 1419
	erSignal           = 1644
	erPasswordExpired  = 1820
	erPasswordExpired2 = 1862
	erAccountLocked    = 3118
)

// isServerError reports whether the server answered with one of these errors.
func isServerError(err error, numbers ...uint16) bool {
	n := serverErrorNumber(err)
	return n != 0 && slices.Contains(numbers, n)
}

// serverErrorNumber is the number of the server's error, 0 when the error is none of the server.
func serverErrorNumber(err error) uint16 {
	var d *mysql.MySQLError
	if errors.As(err, &d) {
		return d.Number
	}
	var e *gomysql.MyError
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

// explain adds what the operator can do about an error of connecting or of a missing privilege.
func (c *Config) explain(err error) error {
	if err == nil {
		return nil
	}
	if remedy := c.remedy(err); remedy != "" {
		return fmt.Errorf("%w: %s", err, remedy)
	}
	return err
}

func (c *Config) remedy(err error) string {
	switch serverErrorNumber(err) {
	case erAccessDenied:
		return fmt.Sprintf("check the user (%s) and the password of %s, and from which hosts that user may connect", c.User, c.key())
	case erDatabaseDenied:
		return fmt.Sprintf("grant %s a privilege on database %s, or correct the database of %s", c.User, c.Database, c.key())
	case erUnknownDatabase:
		return "correct the database of " + c.key()
	case erHostBlocked:
		return "the server has blocked this host after too many errors: run FLUSH HOSTS there (TRUNCATE performance_schema.host_cache)"
	case erHostNotAllowed:
		return fmt.Sprintf("create %s for this host: CREATE USER '%s'@'%%' ...", c.User, c.User)
	case erTooMany, erUserLimit:
		return "raise max_connections (or the user's limit): crossfade needs about 16"
	case erPasswordExpired, erPasswordExpired2:
		return fmt.Sprintf("the password of %s has expired: ALTER USER ... IDENTIFIED BY", c.User)
	case erAccountLocked:
		return fmt.Sprintf("the account is locked: ALTER USER '%s'... ACCOUNT UNLOCK", c.User)
	case erPrivilegeNeeded, erTableDenied, erColumnDenied:
		return fmt.Sprintf("grant it to %s: docs/mysql-source.md lists what is needed", c.User)
	}
	var dns *net.DNSError
	var op *net.OpError
	var unknownCA x509.UnknownAuthorityError
	var hostname x509.HostnameError
	var invalid x509.CertificateInvalidError
	var verify *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &dns):
		return "the name is not known: check the host of " + c.key()
	case errors.As(err, &unknownCA), errors.As(err, &hostname), errors.As(err, &invalid), errors.As(err, &verify):
		return "the server's certificate is not accepted: set sslrootcert to its authority, or choose another sslmode"
	case errors.Is(err, mysql.ErrNoTLS), errors.As(err, &record):
		return "the server does not speak TLS: turn it on there, or set sslmode=disable"
	case errors.Is(err, context.Canceled):
		return ""
	case errors.As(err, &op), errors.Is(err, context.DeadlineExceeded):
		return "check the host and port of " + c.key() + ", that the server runs, and that no firewall is between"
	}
	return ""
}
