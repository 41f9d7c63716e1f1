package snapshot

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"isogate/envoy/daemon"
)

// Certificate is one TLS server certificate, in PEM.
type Certificate struct {
	Name  string        // for error texts, such as its file; not sent to Envoy
	Chain []byte        // leaf first
	Key   daemon.Secret // of the leaf
}

// CheckCertificates refuses what Envoy would refuse or what browsers would: a key that is another certificate's, a certificate out of its time, a
// kind of key that Envoy does not take, a host that none covers. It returns the leaves in the order of the certificates.
func CheckCertificates(certificates []Certificate, hosts []string, now time.Time) ([]*x509.Certificate, error) {
	var leaves []*x509.Certificate
	for _, c := range certificates {
		leaf, err := c.check(now)
		if err != nil {
			return nil, fmt.Errorf("snapshot: the certificate %s: %w", c.Name, err)
		}
		leaves = append(leaves, leaf)
	}
	for _, host := range hosts {
		if !covered(host, leaves) {
			return nil, fmt.Errorf("snapshot: no certificate covers the host %s: add one for it to xds.certificates", host)
		}
	}
	return leaves, nil
}

func (c Certificate) check(now time.Time) (*x509.Certificate, error) {
	pair, err := tls.X509KeyPair(c.Chain, c.Key.Reveal())
	if err != nil {
		return nil, err
	}
	switch {
	case now.Before(pair.Leaf.NotBefore):
		return nil, fmt.Errorf("is not valid before %s", pair.Leaf.NotBefore.Format(time.RFC3339))
	case now.After(pair.Leaf.NotAfter):
		return nil, fmt.Errorf("expired at %s", pair.Leaf.NotAfter.Format(time.RFC3339))
	}
	return pair.Leaf, usable(pair.Leaf)
}

// usable knows what Envoy's TLS takes: RSA from 2048 bits, and ECDSA on P-256, P-384 or P-521.
func usable(leaf *x509.Certificate) error {
	switch key := leaf.PublicKey.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() < 2048 {
			return fmt.Errorf("its RSA key has %d bits; 2048 is the least", key.N.BitLen())
		}
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P224() {
			return errors.New("its curve is P-224; P-256, P-384 and P-521 work")
		}
	default:
		return fmt.Errorf("its key is %s; RSA and ECDSA work", leaf.PublicKeyAlgorithm)
	}
	return nil
}

func covered(host string, leaves []*x509.Certificate) bool {
	for _, leaf := range leaves {
		if leaf.VerifyHostname(host) == nil {
			return true
		}
	}
	return false
}

// secretName goes by place and not by content or host: a renewed certificate then is the same secret with other content.
func secretName(i int) string { return fmt.Sprintf("certificate-%d", i) }

func secret(i int, c Certificate) *tlsv3.Secret {
	return pair(i, inlineBytes(c.Chain), inlineBytes(c.Key.Reveal()))
}

func pair(i int, chain, key *corev3.DataSource) *tlsv3.Secret {
	return &tlsv3.Secret{Name: secretName(i), Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{CertificateChain: chain, PrivateKey: key}}}
}

// CallersSecret names the authorities of the gateway's callers.
const CallersSecret = "callers"

// AuthoritiesSecret names those of a cloud's gateway.
func AuthoritiesSecret(cloud string) string { return "authorities-" + cloud }

// trust is a secret that holds no secret: whose certificates are believed. What names they must have stands beside each use (holdAgainst).
func trust(name string, authorities *corev3.DataSource) *tlsv3.Secret {
	return &tlsv3.Secret{Name: name, Type: &tlsv3.Secret_ValidationContext{ValidationContext: &tlsv3.CertificateValidationContext{TrustedCa: authorities}}}
}

func inlineBytes(raw []byte) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: raw}}
}
