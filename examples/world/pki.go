package world

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// CA is a certificate authority of the world's own. Its key never leaves this machine.
type CA struct {
	File string // the PEM certificate to trust
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// openCA reads the CA of a folder, for server certificates, or makes one.
func openCA(dir string) (*CA, error) {
	name := filepath.Join(dir, "ca")
	pair, err := tls.LoadX509KeyPair(name+".pem", name+".key")
	if err == nil && time.Until(pair.Leaf.NotAfter) > 30*24*time.Hour {
		return &CA{File: name + ".pem", cert: pair.Leaf, key: pair.PrivateKey.(*ecdsa.PrivateKey)}, nil
	}
	return newCA(name, &x509.Certificate{
		Subject:             pkix.Name{CommonName: "Isogate demo CA"},
		PermittedDNSDomains: []string{"localhost"}, PermittedDNSDomainsCritical: true, // whoever trusts it trusts it for nothing else
	})
}

// newCA makes a CA and writes it to NAME.pem and NAME.key.
func newCA(name string, template *x509.Certificate) (_ *CA, err error) {
	ca := &CA{File: name + ".pem"}
	template.IsCA, template.BasicConstraintsValid, template.MaxPathLenZero = true, true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	if ca.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	der, err := sign(template, template, &ca.key.PublicKey, ca.key, 365*24*time.Hour)
	if err != nil {
		return nil, err
	}
	if ca.cert, err = x509.ParseCertificate(der); err != nil {
		return nil, err
	}
	return ca, writePair(name, der, ca.key)
}

// Pool trusts this CA alone.
func (ca *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	return pool
}

// Issue writes a server certificate for names to NAME.pem and NAME.key in a folder.
func (ca *CA) Issue(dir, name string, dnsNames ...string) error {
	return ca.issue(filepath.Join(dir, name), &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, DNSNames: dnsNames,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
}

// issue writes what a template says to NAME.pem and NAME.key.
func (ca *CA) issue(name string, template *x509.Certificate) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := sign(template, ca.cert, &key.PublicKey, ca.key, 90*24*time.Hour)
	if err != nil {
		return err
	}
	return writePair(name, der, key)
}

func sign(template, parent *x509.Certificate, public *ecdsa.PublicKey, key *ecdsa.PrivateKey, life time.Duration) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(life)
	return x509.CreateCertificate(rand.Reader, template, parent, public, key)
}

func writePair(name string, der []byte, key *ecdsa.PrivateKey) error {
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := replaceFile(name+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})); err != nil {
		return err
	}
	return replaceFile(name+".pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// replaceFile writes a file as a whole: who reads it sees the old or the new one.
func replaceFile(file string, content []byte) error {
	fresh := fmt.Sprintf("%s.%d", file, os.Getpid())
	if err := os.WriteFile(fresh, content, 0o600); err != nil {
		return err
	}
	return os.Rename(fresh, file)
}
