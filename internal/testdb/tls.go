package testdb

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// tlsFiles is an authority and what it signed. The certificates that MySQL makes for itself name no host, so nothing could
// test sslmode=verify-full with them.
type tlsFiles struct {
	ca, serverCert, serverKey, clientCert, clientKey string
}

func (id identity) makeTLS(dir string) (tlsFiles, error) {
	f := tlsFiles{
		ca:         filepath.Join(dir, "ca.pem"),
		serverCert: filepath.Join(dir, "server-cert.pem"),
		serverKey:  filepath.Join(dir, "server-key.pem"),
		clientCert: filepath.Join(dir, "client-cert.pem"),
		clientKey:  filepath.Join(dir, "client-key.pem"),
	}
	if err := id.mkdir(dir, 0o755); err != nil {
		return f, err
	}
	authority := certificate(1, "crossfade testdb authority")
	authority.IsCA, authority.BasicConstraintsValid = true, true
	authority.KeyUsage = x509.KeyUsageCertSign
	caKey, err := id.sign(authority, authority, nil, f.ca, "")
	if err != nil {
		return f, fmt.Errorf("make a certificate authority: %w", err)
	}
	server := certificate(2, "localhost")
	server.DNSNames = []string{"localhost"}
	server.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	server.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	if _, err := id.sign(server, authority, caKey, f.serverCert, f.serverKey); err != nil {
		return f, fmt.Errorf("make a server certificate: %w", err)
	}
	client := certificate(3, "crossfade")
	client.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if _, err := id.sign(client, authority, caKey, f.clientCert, f.clientKey); err != nil {
		return f, fmt.Errorf("make a client certificate: %w", err)
	}
	return f, nil
}

func certificate(serial int64, name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-24 * time.Hour),
		NotAfter:     time.Now().AddDate(1, 0, 0),
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
}

// sign writes a certificate and its new key; a nil parentKey means that it signs itself.
func (id identity) sign(cert, parent *x509.Certificate, parentKey *ecdsa.PrivateKey, certFile, keyFile string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	if parentKey == nil {
		parentKey = key
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, parent, &key.PublicKey, parentKey)
	if err != nil {
		return nil, err
	}
	if err := id.writePEM(certFile, "CERTIFICATE", der, 0o644); err != nil || keyFile == "" {
		return key, err
	}
	der, err = x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, id.writePEM(keyFile, "PRIVATE KEY", der, 0o600)
}

func (id identity) writePEM(path, kind string, der []byte, mode os.FileMode) error {
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode); err != nil {
		return err
	}
	return id.own(path)
}
