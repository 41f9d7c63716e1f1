package kubernetes

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"isogate/extauthz/keys"
)

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{cert: &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}}
	der, key := sign(t, a.cert, nil)
	var err error
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.key, a.pem = key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return a
}

// issue gives a certificate for a SPIFFE id or for DNS names.
func (a *authority) issue(t *testing.T, names ...string) map[string][]byte {
	t.Helper()
	leaf := &x509.Certificate{
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if id, err := url.Parse(names[0]); err == nil && id.Scheme == "spiffe" {
		leaf.URIs = []*url.URL{id}
	} else {
		leaf.DNSNames = names
	}
	der, key := sign(t, leaf, a)
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{
		"tls.crt": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		"tls.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}),
	}
}

func sign(t *testing.T, template *x509.Certificate, by *authority) ([]byte, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber, _ = rand.Int(rand.Reader, big.NewInt(1<<62))
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	parent, signer := template, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	return der, key
}

// with adds a file to a Secret.
func with(secret map[string][]byte, name string, content []byte) map[string][]byte {
	secret[name] = content
	return secret
}

// lasting is a key as base64 writes it, in a file that may end in a line end.
func lasting(name string) map[string][]byte {
	return map[string][]byte{name: []byte(base64.StdEncoding.EncodeToString(random("")[""]))}
}

func random(name string) map[string][]byte {
	key := make([]byte, 32)
	rand.Read(key) // it never returns an error
	return map[string][]byte{name: key}
}

// makeSecrets makes what the README lists. The web authority signs for everybody that browsers see; each other one is for one purpose.
func makeSecrets(t *testing.T, web *authority) map[string]map[string][]byte {
	t.Helper()
	inside, outside, callers := newAuthority(t, "envoys inside"), newAuthority(t, "envoys outside"), newAuthority(t, "callers")
	client := filepath.Join(t.TempDir(), "client")
	signers, err := keys.OpenSigners(client, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	private, err := os.ReadFile(filepath.Join(client, "0-first.pem"))
	if err != nil {
		t.Fatal(err)
	}
	envoy := func(a *authority, id string) map[string][]byte { return with(a.issue(t, id), "ca.crt", a.pem) }
	return map[string]map[string][]byte{
		"acme/ingress-tls":       web.issue(t, "auth.acme.example", "issues.acme.example", "gateway.acme.example"),
		"acme/xds-tls":           envoy(inside, "xds.acme.svc.cluster.local"),
		"acme/envoy-ingress-tls": envoy(inside, "spiffe://acme.example/envoy/ingress"),
		"acme/envoy-gateway-tls": envoy(inside, "spiffe://acme.example/envoy/gateway"),
		"acme/callers":           {"ca.crt": callers.pem},
		"acme/clients":           {"commercial.jwks": signers.JWKS()},
		"acme/provider":          {"client_secret": []byte("between the cloud and its provider")},
		"acme/user":              lasting("user_id"),
		"acme/pairwise":          lasting("pairwise"),

		"commercial/commercial-tls":           web.issue(t, "id.commercial.example", "support.commercial.example"),
		"commercial/xds-tls":                  envoy(outside, "xds.commercial.svc.cluster.local"),
		"commercial/caller-support-tls":       callers.issue(t, "spiffe://commercial.example/support"),
		"commercial/acme-ca":                  {"ca.crt": web.pem},
		"commercial/envoy-edge-tls":           envoy(outside, "spiffe://commercial.example/envoy/edge"),
		"commercial/envoy-commercial-tls":     envoy(outside, "spiffe://commercial.example/envoy/commercial"),
		"commercial/envoy-egress-support-tls": envoy(outside, "spiffe://commercial.example/envoy/egress-support"),
		"commercial/sealing":                  random("2026-01.key"),
		"commercial/federated":                random("2026-01.key"),
		"commercial/service-users":            lasting("service_users"),
		"commercial/client-acme":              {"2026-01.pem": private},
		"commercial/token-support":            random("2026-01.key"),
	}
}
