package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"isogate/envoy/daemon"
	"isogate/envoy/topology"
	"isogate/xds/push"
	"isogate/xds/snapshot"
)

// Remote is xds.remote: the listener for Envoys on other machines.
type Remote struct {
	Listen      daemon.Address           `yaml:"listen"`
	Certificate daemon.Path              `yaml:"certificate"` // of this server; leaf first, then the rest of its chain
	Key         daemon.Path              `yaml:"key"`
	Clients     daemon.Path              `yaml:"clients"` // PEM: the authorities that sign the Envoys' certificates
	Roles       map[string]topology.Role `yaml:"roles"`   // by SPIFFE id: the one URI SAN of the Envoy's certificate, compared byte for byte
}

func (r Remote) validate(f *daemon.Faults, served []topology.Role) {
	if r.Listen == "" {
		f.Add("listen", "is required: host:port")
	}
	for _, need := range []struct {
		key, what string
		file      daemon.Path
	}{
		{"certificate", "a PEM file", r.Certificate}, {"key", "a PEM file", r.Key},
		{"clients", "a PEM file with the authorities that sign the Envoys' certificates", r.Clients},
	} {
		if need.file == "" {
			f.Add(need.key, "is required: %s", need.what)
		}
	}
	if len(r.Roles) == 0 {
		f.Add("roles", "needs at least one SPIFFE id and its role")
	}
	for id, role := range r.Roles {
		if !topology.IsSPIFFE(id) {
			f.Add("roles", "%q is no SPIFFE id with a path, such as spiffe://acme.example/envoy/%s", id, served[0])
		}
		if !slices.Contains(served, role) {
			f.Add("roles", "%q has the role %q, but this side's are %v", id, role, served)
		}
	}
}

func (r Remote) files() []string {
	return []string{string(r.Certificate), string(r.Key), string(r.Clients)}
}

// listen is where Envoys on other machines connect; "" if they cannot.
func (s Section) listen() daemon.Address {
	if s.Remote == nil {
		return ""
	}
	return s.Remote.Listen
}

// access reads what the remote listener needs.
func (r Remote) access(now time.Time) (push.Access, error) {
	own, err := readPair(KeyPair{Certificate: r.Certificate, Key: r.Key})
	if err != nil {
		return push.Access{}, err
	}
	if _, err := snapshot.CheckCertificates([]snapshot.Certificate{own}, nil, now); err != nil {
		return push.Access{}, err
	}
	pair, err := tls.X509KeyPair(own.Chain, own.Key.Reveal())
	if err != nil {
		return push.Access{}, fmt.Errorf("xds: %s: %w", r.Certificate, err)
	}
	raw, err := os.ReadFile(string(r.Clients))
	if err != nil {
		return push.Access{}, fmt.Errorf("xds: reading the clients' authorities: %w", err)
	}
	clients, err := authorities(raw)
	if err != nil {
		return push.Access{}, fmt.Errorf("xds: %s: %w", r.Clients, err)
	}
	return push.Access{Certificate: pair, Clients: clients, Roles: r.Roles}, nil
}

// authorities reads every certificate of a PEM file. The pool's own reader passes over what it does not understand: half a file would then lock
// some Envoys out without a word.
func authorities(raw []byte) (*x509.CertPool, error) {
	pool, count := x509.NewCertPool(), 0
	for len(bytes.TrimSpace(raw)) > 0 {
		block, rest := pem.Decode(raw)
		if block == nil || block.Type != "CERTIFICATE" {
			return nil, errors.New("holds something that is no certificate in PEM")
		}
		ca, err := x509.ParseCertificate(block.Bytes)
		switch {
		case err != nil:
			return nil, err
		case !ca.IsCA:
			return nil, fmt.Errorf("the certificate %q is no authority's", ca.Subject)
		}
		pool.AddCert(ca)
		raw, count = rest, count+1
	}
	if count == 0 {
		return nil, errors.New("holds no certificate")
	}
	return pool, nil
}
