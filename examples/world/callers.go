package world

import (
	"crypto/x509"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"isogate/extauthz/keys"
)

// trustDomain is the SPIFFE trust domain of the commercial side's services.
const trustDomain = "commercial.example"

// stranger has a good certificate of the commercial side, and no isolated cloud knows it.
const stranger = "stranger"

// sidecars are the services that have one.
func sidecars() (ids []string) {
	for _, s := range services {
		if s.Sidecar {
			ids = append(ids, s.ID)
		}
	}
	return ids
}

// callers are the names of those who have a certificate for gateways.
func callers() []string { return append(sidecars(), stranger) }

// SPIFFE is the id of a caller, by its name.
func SPIFFE(caller string) string { return "spiffe://" + trustDomain + "/" + caller }

// caller is the certificate of a caller, as a path without its ending.
func (p *Platform) caller(name string) string { return filepath.Join(p.dir, "callers", name) }

// writeCallers makes the authority for callers, which signs nothing else, their certificates, and the keys that each sidecar shares with the
// commercial side.
func (w *World) writeCallers() (err error) {
	p := w.Platform
	if w.Callers, err = newCA(p.caller("ca"), &x509.Certificate{}); err != nil {
		return err
	}
	for _, name := range callers() {
		if err := w.IssueCaller(name, []string{SPIFFE(name)}, nil); err != nil {
			return err
		}
	}
	for _, name := range sidecars() {
		if _, err := keys.OpenSealers(p.secret(tokenKey(name)), time.Now); err != nil { // it makes the first one
			return err
		}
	}
	authority, err := os.ReadFile(w.Callers.File)
	if err != nil {
		return err
	}
	for _, c := range w.clouds() {
		if err := replaceFile(c.secret("callers.pem"), authority); err != nil {
			return err
		}
	}
	return nil
}

// tokenKey is the folder with the keys of a service's tokens.
func tokenKey(service string) string { return "token-" + service }

// IssueCaller makes a certificate of the commercial side with these alternative names, by which [World.CallGateway] can call. A name that is there
// gets a new one.
func (w *World) IssueCaller(name string, uris, dnsNames []string) error {
	template := &x509.Certificate{
		DNSNames: dnsNames, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, uri := range uris {
		parsed, err := url.Parse(uri)
		if err != nil {
			return fmt.Errorf("world: a caller's name: %w", err)
		}
		template.URIs = append(template.URIs, parsed)
	}
	return w.Callers.issue(w.Platform.caller(name), template)
}
