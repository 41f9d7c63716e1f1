package profile

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"isogate/envoy/topology"
)

// maxCallers is how many certificates are remembered before older ones go; twice as many are kept at most. There is one for each service and
// each time that it was renewed.
const maxCallers = 256

var errCaller = errors.New("profile: a certificate that names no caller")

// callers read the name of a commercial service in its certificate: the one URI among its subject alternative names, a SPIFFE id of the trust
// domain. No DNS name and no subject ever counts (CVE-2026-47778). Envoy has verified the chain and that the peer has the key.
type callers struct {
	prefix string // of their ids

	mu            sync.Mutex
	recent, older map[string]caller // by the certificate as it came
}

// caller is what a certificate says.
type caller struct {
	id          string
	from, until time.Time
}

func newCallers(trustDomain string) *callers {
	return &callers{prefix: "spiffe://" + trustDomain + "/", recent: map[string]caller{}}
}

// name gives the SPIFFE id in a certificate. A connection may be older than its certificate is good for, so time is looked at with each call.
func (c *callers) name(certificate string, now time.Time) (string, error) {
	known, ok := c.find(certificate)
	if !ok {
		read, err := c.read(certificate)
		if err != nil {
			return "", err
		}
		known = read
		c.keep(strings.Clone(certificate), read) // as it came, it is a piece of the whole question
	}
	if now.Before(known.from) || now.After(known.until) { // RFC 5280 section 4.1.2.5: both moments are within
		return "", fmt.Errorf("%w: it is not valid at this time", errCaller)
	}
	return known.id, nil
}

// read takes the one PEM block that Envoy gives, with escapes as in a URL
// (https://www.envoyproxy.io/docs/envoy/latest/api-v3/service/auth/v3/attribute_context.proto, certificate of Peer).
func (c *callers) read(certificate string) (caller, error) {
	text, err := url.PathUnescape(certificate)
	if err != nil {
		return caller{}, fmt.Errorf("%w: %w", errCaller, err)
	}
	block, rest := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE" || strings.TrimSpace(string(rest)) != "" {
		return caller{}, fmt.Errorf("%w: it is not one certificate in PEM", errCaller)
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return caller{}, fmt.Errorf("%w: %w", errCaller, err)
	}
	id, err := topology.PeerID(leaf)
	if err != nil {
		return caller{}, fmt.Errorf("%w: %w", errCaller, err)
	}
	if !topology.IsSPIFFE(id) || !strings.HasPrefix(id, c.prefix) {
		return caller{}, fmt.Errorf("%w: its URI is no SPIFFE id of the trust domain", errCaller)
	}
	return caller{id: id, from: leaf.NotBefore, until: leaf.NotAfter}, nil
}

func (c *callers) find(certificate string) (caller, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if known, ok := c.recent[certificate]; ok {
		return known, true
	}
	known, ok := c.older[certificate]
	return known, ok
}

func (c *callers) keep(certificate string, read caller) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.recent) >= maxCallers {
		c.recent, c.older = map[string]caller{}, c.recent
	}
	c.recent[certificate] = read
}
