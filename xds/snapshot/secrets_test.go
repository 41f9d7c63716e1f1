package snapshot

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"isogate/envoy/daemon"
)

var now = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// certificate is self-signed and valid for an hour before and after now.
func certificate(t *testing.T, key crypto.Signer, hosts ...string) []byte {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: hosts, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func secretOf(t *testing.T, key crypto.Signer) daemon.Secret {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	secret, err := daemon.ReadSecret(daemon.Path(file))
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

func generated[K crypto.Signer](t *testing.T) func(K, error) K {
	return func(key K, err error) K {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
}

func TestCheckCertificates(t *testing.T) {
	p256 := generated[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	other := generated[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	p224 := generated[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P224(), rand.Reader))
	rsa1024 := generated[*rsa.PrivateKey](t)(rsa.GenerateKey(rand.Reader, 1024))
	rsa2048 := generated[*rsa.PrivateKey](t)(rsa.GenerateKey(rand.Reader, 2048))
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pair := func(key crypto.Signer, hosts ...string) Certificate {
		return Certificate{Name: "c.pem", Chain: certificate(t, key, hosts...), Key: secretOf(t, key)}
	}
	hosts := []string{"auth.acme.example", "issues.acme.example"}
	good := pair(p256, "*.acme.example")
	cases := []struct {
		name string
		list []Certificate
		at   time.Time
		want string // part of the error; "" is none
	}{
		{"wildcard", []Certificate{good}, now, ""},
		{"several", []Certificate{pair(p256, hosts[0]), pair(rsa2048, hosts[1])}, now, ""},
		{"P-384", []Certificate{pair(other, hosts...)}, now, ""},
		{"none", nil, now, "no certificate covers the host auth.acme.example"},
		{"a host is missing", []Certificate{pair(p256, hosts[0])}, now, "no certificate covers the host issues.acme.example"},
		{"only the domain", []Certificate{pair(p256, "acme.example")}, now, "no certificate covers"},
		{"expired", []Certificate{good}, now.Add(2 * time.Hour), "c.pem: expired at 2030-01-01T01:00:00Z"},
		{"not yet valid", []Certificate{good}, now.Add(-2 * time.Hour), "is not valid before"},
		{"one of two expired", []Certificate{pair(p256, hosts...), {Name: "x", Chain: []byte("no PEM"), Key: good.Key}}, now, "the certificate x"},
		{"another's key", []Certificate{{Name: "c.pem", Chain: good.Chain, Key: secretOf(t, other)}}, now, "c.pem"},
		{"no key", []Certificate{{Name: "c.pem", Chain: good.Chain}}, now, "c.pem"},
		{"P-224", []Certificate{pair(p224, hosts...)}, now, "P-224"},
		{"RSA 1024", []Certificate{pair(rsa1024, hosts...)}, now, "1024 bits"},
		{"Ed25519", []Certificate{pair(ed, hosts...)}, now, "Ed25519"},
	}
	for _, c := range cases {
		leaves, err := CheckCertificates(c.list, hosts, c.at)
		switch {
		case c.want == "" && (err != nil || len(leaves) != len(c.list)):
			t.Errorf("%s: %v", c.name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

// A set that is printed by mistake is not how a key gets out: Certificate holds it in a type that does not print.
func TestCertificateDoesNotPrintItsKey(t *testing.T) {
	key := generated[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	secret := secretOf(t, key)
	printed := fmt.Sprintf("%v %+v %#v", Certificate{Key: secret}, Certificate{Key: secret}, Certificate{Key: secret})
	if strings.Contains(printed, "PRIVATE KEY") {
		t.Error(printed)
	}
}
