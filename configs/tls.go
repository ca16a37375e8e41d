package configs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
)

// SSLMode says how much a connection insists on TLS, in the words of libpq and with their meaning, for every engine.
type SSLMode string

// The modes.
const (
	SSLDisable    SSLMode = "disable"     // no TLS
	SSLPrefer     SSLMode = "prefer"      // TLS where the server has it, unverified; the default
	SSLRequire    SSLMode = "require"     // TLS; the certificate is verified only when sslrootcert is given
	SSLVerifyCA   SSLMode = "verify-ca"   // TLS, the certificate signed by sslrootcert, for whatever host
	SSLVerifyFull SSLMode = "verify-full" // TLS, the certificate signed by sslrootcert or the system's roots, for this host
)

var sslModes = []SSLMode{SSLDisable, SSLPrefer, SSLRequire, SSLVerifyCA, SSLVerifyFull}

// tlsParams are the parameters of a URL.
type tlsParams struct {
	mode      SSLMode // empty: not said
	rootCert  string
	cert, key string
}

func parseTLSParams(query string) (tlsParams, error) {
	values, err := url.ParseQuery(query)
	if err != nil { // its text shows a part of the URL
		return tlsParams{}, &fault{problem: "the parameters of the URL are not valid", remedy: "write them like ?sslmode=verify-full&sslrootcert=/etc/ssl/ca.pem"}
	}
	var p tlsParams
	known := map[string]*string{"sslmode": (*string)(&p.mode), "sslrootcert": &p.rootCert, "sslcert": &p.cert, "sslkey": &p.key}
	for name, given := range values {
		param, ok := known[name]
		if !ok {
			return tlsParams{}, &fault{problem: fmt.Sprintf("the parameter %q of the URL is not known", name), remedy: "use sslmode, sslrootcert, sslcert and sslkey"}
		}
		if len(given) != 1 || given[0] == "" {
			return tlsParams{}, &fault{problem: fmt.Sprintf("the parameter %s of the URL is empty or given twice", name), remedy: "give it one value or remove it"}
		}
		*param = given[0]
	}
	return p, p.check()
}

func (p tlsParams) check() error {
	if p.mode != "" && !slices.Contains(sslModes, p.mode) {
		return &fault{problem: fmt.Sprintf("sslmode %q is not known", string(p.mode)), remedy: "use disable, prefer, require, verify-ca or verify-full"}
	}
	if (p.cert == "") != (p.key == "") {
		return &fault{problem: "only one of sslcert and sslkey is given", remedy: "give both or none"}
	}
	if p.mode == SSLDisable && (p.rootCert != "" || p.cert != "") {
		return &fault{problem: "certificates are given, and sslmode=disable uses none", remedy: "use sslmode=verify-full or remove them"}
	}
	if p.mode == SSLVerifyCA && p.rootCert == "" {
		return &fault{problem: "sslmode=verify-ca without sslrootcert would accept any public certificate", remedy: "give sslrootcert, or use verify-full"}
	}
	if (p.mode == SSLPrefer || p.mode == "") && p.rootCert != "" {
		return &fault{problem: "sslrootcert is given, and an sslmode that verifies nothing", remedy: "add sslmode=verify-full"}
	}
	return nil
}

// query writes the parameters as they are read, paths with their slashes.
func (p tlsParams) query() string {
	var parts []string
	for _, one := range []struct{ name, value string }{
		{"sslmode", string(p.mode)}, {"sslrootcert", p.rootCert}, {"sslcert", p.cert}, {"sslkey", p.key},
	} {
		if one.value != "" {
			parts = append(parts, one.name+"="+strings.ReplaceAll(escape(one.value), "%2F", "/"))
		}
	}
	return strings.Join(parts, "&")
}

// SSLMode returns the mode; where the URL says none, prefer, and verify-full for tls://.
func (u URL) SSLMode() SSLMode {
	switch {
	case u.tls.mode != "":
		return u.tls.mode
	case u.scheme == "tls":
		return SSLVerifyFull
	default:
		return SSLPrefer
	}
}

// SSLRootCert returns the file with the certificates that may sign the server's, or nothing for the system's.
func (u URL) SSLRootCert() string { return u.tls.rootCert }

// SSLCert returns the file with the client's certificate.
func (u URL) SSLCert() string { return u.tls.cert }

// SSLKey returns the file with the key of SSLCert.
func (u URL) SSLKey() string { return u.tls.key }

// TLSConfig returns what SSLMode asks for, nil for disable. It reads the certificate files anew each time.
//
// The configuration for prefer is the same as for require: only the caller can go on without TLS when the server has none.
func (u URL) TLSConfig() (*tls.Config, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: u.Host()}
	if u.tls.rootCert != "" {
		pem, err := os.ReadFile(u.tls.rootCert)
		if err != nil {
			return nil, fmt.Errorf("read sslrootcert: %w", err)
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read sslrootcert %s: it holds no certificate in PEM form", u.tls.rootCert)
		}
	}
	if u.tls.cert != "" {
		pair, err := tls.LoadX509KeyPair(u.tls.cert, u.tls.key)
		if err != nil {
			return nil, fmt.Errorf("read sslcert and sslkey: %w", err)
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	switch mode := u.SSLMode(); mode {
	case SSLDisable:
		return nil, nil
	case SSLPrefer:
		conf.InsecureSkipVerify = true
	case SSLRequire, SSLVerifyCA:
		// As in libpq: require with a root certificate verifies it. The library verifies chain and host in one, so the chain alone
		// is verified here.
		conf.InsecureSkipVerify = true
		if conf.RootCAs != nil {
			roots := conf.RootCAs
			conf.VerifyConnection = func(state tls.ConnectionState) error { return verifyChain(state, roots) }
		}
	case SSLVerifyFull: // what the library does by itself
	default:
		return nil, fmt.Errorf("sslmode %q is not known", string(mode))
	}
	return conf, nil
}

func verifyChain(state tls.ConnectionState, roots *x509.CertPool) error {
	if len(state.PeerCertificates) == 0 {
		return errors.New("verify the server: it shows no certificate")
	}
	options := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
	for _, cert := range state.PeerCertificates[1:] {
		options.Intermediates.AddCert(cert)
	}
	if _, err := state.PeerCertificates[0].Verify(options); err != nil {
		return fmt.Errorf("verify the server's certificate against sslrootcert: %w", err)
	}
	return nil
}
