package differential

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"time"

	"isogate/envoy/daemon"
	"isogate/xds/snapshot"
)

// certificate makes one for all hosts below the domain, its own authority.
func (w *world) certificate() (snapshot.Certificate, *x509.CertPool, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return snapshot.Certificate{}, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"*." + domain}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return snapshot.Certificate{}, nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return snapshot.Certificate{}, nil, err
	}
	file := w.path("tls.key")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600); err != nil {
		return snapshot.Certificate{}, nil, err
	}
	secret, err := daemon.ReadSecret(daemon.Path(file))
	if err != nil {
		return snapshot.Certificate{}, nil, err
	}
	chain := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(chain) {
		return snapshot.Certificate{}, nil, errors.New("no certificate was made")
	}
	certificate := snapshot.Certificate{Name: "test", Chain: chain, Key: secret}
	_, err = snapshot.CheckCertificates([]snapshot.Certificate{certificate}, w.cloud.Hosts(), time.Now())
	return certificate, roots, err
}
