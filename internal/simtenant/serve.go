package simtenant

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"math/big"
	"net"
	"net/http"
	"time"
)

// Server is a tenant on a port.
type Server struct {
	URL    string         // "https://127.0.0.1:port"
	CAFile string         // PEM of the authority that signed its certificate
	Roots  *x509.CertPool // the same for a client in this process

	tenant *Tenant
	http   *http.Server
	done   chan error
}

// Serve listens on a TCP address such as "127.0.0.1:0" with TLS, which
// Microsoft's client libraries demand of an authority. The certificate is made
// now, for 127.0.0.1, ::1 and localhost; the certificate of its authority is
// written to caFile, which a client trusts by SSL_CERT_FILE. It stops when ctx
// ends or on Close.
func (t *Tenant) Serve(ctx context.Context, addr, caFile string) (*Server, error) {
	cert, authority, err := newCertificate(time.Now()) // TLS has no simulated time
	if err != nil {
		return nil, fmt.Errorf("make the tenant's certificate: %w", err)
	}
	file := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority.Raw})
	if err := writeFile(caFile, file, 0o644); err != nil {
		return nil, fmt.Errorf("write the tenant's authority: %w", err)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for the simulated tenant: %w", err)
	}
	s := &Server{URL: "https://" + listener.Addr().String(), CAFile: caFile, Roots: x509.NewCertPool(), tenant: t, done: make(chan error, 1)}
	s.Roots.AddCert(authority)
	s.http = &http.Server{
		Handler: t, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12},
		ErrorLog:  log.New(io.Discard, "", 0), // clients that break off are what faults are for
	}
	go func() { s.done <- s.http.ServeTLS(listener, "", "") }()
	context.AfterFunc(ctx, func() { _ = s.http.Close() })
	return s, nil
}

// Env returns the settings with which a program uses the tenant here,
// SSL_CERT_FILE among them.
func (s *Server) Env() map[string]string {
	env := maps.Clone(s.tenant.Env(s.URL))
	env["SSL_CERT_FILE"] = s.CAFile
	return env
}

// Client returns a client that trusts the server.
func (s *Server) Client() *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.Roots, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}}
}

// Close breaks all connections and waits until the port is free. The error is
// why the server had stopped before, if it had.
func (s *Server) Close() error {
	_ = s.http.Close() // its listener is closed when Serve's error arrives
	err := <-s.done
	s.done <- err // for whoever closes again
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// newCertificate makes an authority and a certificate that it signed.
func newCertificate(now time.Time) (tls.Certificate, *x509.Certificate, error) {
	root := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "Simulated tenant's authority"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	rootDER, err := x509.CreateCertificate(rand.Reader, root, root, rootKey.Public(), rootKey)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	if root, err = x509.ParseCertificate(rootDER); err != nil {
		return tls.Certificate{}, nil, err
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano() + 1), Subject: pkix.Name{CommonName: "localhost"},
		NotBefore: root.NotBefore, NotAfter: root.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}, DNSNames: []string{"localhost"},
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, root, key.Public(), rootKey)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, root, err
}
