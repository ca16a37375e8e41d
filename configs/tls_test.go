package configs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authority signs certificates for tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T, name string) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return authority{cert, key, writePEM(t, "CERTIFICATE", der)}
}

// sign returns a certificate for a host, and its files.
func (a authority) sign(t *testing.T, host string) (pair tls.Certificate, certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: host}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{host}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = writePEM(t, "CERTIFICATE", der), writePEM(t, "EC PRIVATE KEY", private)
	if pair, err = tls.LoadX509KeyPair(certFile, keyFile); err != nil {
		t.Fatal(err)
	}
	return pair, certFile, keyFile
}

func writePEM(t *testing.T, kind string, der []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// handshake lets a client connect to a server and returns what the client says. Not over net.Pipe: it has no buffer, and both sides may
// write at once.
func handshake(t *testing.T, client, server *tls.Config) error {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(20 * time.Second)
	served := make(chan error, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			served <- err
			return
		}
		defer conn.Close()
		if err := conn.SetDeadline(deadline); err != nil {
			served <- err
			return
		}
		// What the server thinks of a client that refuses it is not the question.
		_ = tls.Server(conn, server).Handshake()
		served <- nil
	}()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SetDeadline(deadline); err != nil {
		t.Fatal(err)
	}
	result := tls.Client(conn, client).Handshake()
	if err := errors.Join(conn.Close(), <-served, listener.Close()); err != nil {
		t.Fatal(err)
	}
	return result
}

func TestTLSModesVerifyWhatTheySay(t *testing.T) {
	ours, theirs := newAuthority(t, "ours"), newAuthority(t, "theirs")
	good, _, _ := ours.sign(t, "db1")
	otherHost, _, _ := ours.sign(t, "db2")
	stranger, _, _ := theirs.sign(t, "db1")
	for _, c := range []struct {
		params                string
		good, host, authority bool // whether the server is accepted: as it should be, with another host's certificate, of another authority
	}{
		{"sslmode=prefer", true, true, true},
		{"sslmode=require", true, true, true},
		{"", true, true, true},
		{"sslmode=require&sslrootcert=" + ours.file, true, true, false},
		{"sslmode=verify-ca&sslrootcert=" + ours.file, true, true, false},
		{"sslmode=verify-full&sslrootcert=" + ours.file, true, false, false},
		{"sslmode=verify-full", false, false, false}, // by the system's roots, which do not know either
	} {
		u, err := ParseURL("postgres://u@db1/shop?" + c.params)
		if err != nil {
			t.Fatal(err)
		}
		conf, err := u.TLSConfig()
		if err != nil {
			t.Fatalf("%s: %v", c.params, err)
		}
		for _, server := range []struct {
			name string
			cert tls.Certificate
			want bool
		}{{"good", good, c.good}, {"another host", otherHost, c.host}, {"another authority", stranger, c.authority}} {
			err := handshake(t, conf, &tls.Config{Certificates: []tls.Certificate{server.cert}})
			if (err == nil) != server.want {
				t.Errorf("%q, server with %s certificate: got %v, want accepted %v", c.params, server.name, err, server.want)
			}
		}
		if err := handshake(t, conf, &tls.Config{Certificates: []tls.Certificate{good}, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}); err == nil {
			t.Errorf("%q: TLS 1.1 is accepted", c.params)
		}
	}
}

func TestTLSClientCertificateIsShown(t *testing.T) {
	ca := newAuthority(t, "ours")
	server, _, _ := ca.sign(t, "db1")
	_, certFile, keyFile := ca.sign(t, "client")
	u, err := ParseURL("mysql://u@db1/shop?sslmode=verify-full&sslrootcert=" + ca.file + "&sslcert=" + certFile + "&sslkey=" + keyFile)
	if err != nil {
		t.Fatal(err)
	}
	conf, err := u.TLSConfig()
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	seen := ""
	demanding := &tls.Config{
		Certificates: []tls.Certificate{server}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool, MaxVersion: tls.VersionTLS12,
		VerifyConnection: func(state tls.ConnectionState) error {
			seen = state.PeerCertificates[0].Subject.CommonName
			return nil
		},
	}
	if err := handshake(t, conf, demanding); err != nil || seen != "client" {
		t.Errorf("got %v and %q", err, seen)
	}
}

func TestTLSFilesThatAreWrongAreNamed(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	for params, want := range map[string]string{
		"sslmode=verify-full&sslrootcert=/does/not/exist": "/does/not/exist",
		"sslmode=verify-full&sslrootcert=" + empty:        "no certificate in PEM form",
		"sslmode=require&sslcert=/no/cert&sslkey=/no/key": "/no/cert",
	} {
		u, err := ParseURL("mysql://u@db1/shop?" + params)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := u.TLSConfig(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", params, err, want)
		}
	}
	u, err := ParseURL("mysql://u@db1/shop?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	if conf, err := u.TLSConfig(); conf != nil || err != nil {
		t.Errorf("disable: got %v and %v", conf, err)
	}
}
