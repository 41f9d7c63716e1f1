package differential

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/url"
	"os"
	"time"

	"isogate/envoy/daemon"
	"isogate/xds/snapshot"
)

// authority signs the certificates of both ends of the boundary.
type authority struct {
	key  *ecdsa.PrivateKey
	leaf *x509.Certificate
	pem  []byte
}

func newAuthority() (authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return authority{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return authority{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	return authority{key, leaf, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}, err
}

// server issues a certificate for a host.
func (a authority) server(host string) *x509.Certificate {
	return &x509.Certificate{DNSNames: []string{host}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
}

// caller issues a certificate for a service.
func (a authority) caller(id string) *x509.Certificate {
	uri, err := url.Parse(id)
	if err != nil {
		panic(err) // one of the few above
	}
	return &x509.Certificate{URIs: []*url.URL{uri}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
}

// issue makes the certificate, for a Go client and for Envoy. Its key is written to a file of that name.
func (a authority) issue(template *x509.Certificate, file string) (tls.Certificate, snapshot.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, snapshot.Certificate{}, err
	}
	template.SerialNumber, template.NotBefore, template.NotAfter = big.NewInt(2), time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, a.leaf, key.Public(), a.key)
	if err != nil {
		return tls.Certificate{}, snapshot.Certificate{}, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return tls.Certificate{}, snapshot.Certificate{}, err
	}
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600); err != nil {
		return tls.Certificate{}, snapshot.Certificate{}, err
	}
	secret, err := daemon.ReadSecret(daemon.Path(file))
	chain := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, snapshot.Certificate{Name: "test", Chain: chain, Key: secret}, err
}
