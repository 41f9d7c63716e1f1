package main

import (
	"crypto/x509"
	"fmt"
	"iter"
	"maps"
	"os"
	"slices"
	"time"

	"isogate/envoy/daemon"
	"isogate/envoy/topology"
	"isogate/xds/snapshot"
)

// material is what the files beside the YAML file held at one moment, checked.
type material struct {
	certificates []checked // xds.certificates, in their order
	callers      []byte    // cloud.gateway.callers
	sidecars     map[string]checked
	authorities  map[string][]byte // the ca of clouds, by cloud id
}

// checked is a certificate that works: its files, what they hold, and its leaf.
type checked struct {
	KeyPair
	content snapshot.Certificate
	leaf    *x509.Certificate
}

// certificateFiles are those that material is read from, and those of the remote listener.
func (c *Config) certificateFiles() (files []string) {
	add := func(paths ...daemon.Path) {
		for _, p := range paths {
			files = append(files, string(p))
		}
	}
	for _, pair := range c.XDS.Certificates {
		add(pair.Certificate, pair.Key)
	}
	if c.XDS.Remote != nil {
		files = append(files, c.XDS.Remote.files()...)
	}
	if c.Cloud != nil && c.Cloud.Gateway != nil {
		add(c.Cloud.Gateway.Callers)
	}
	for _, s := range c.sidecars() {
		add(s.Egress.Certificate, s.Egress.Key)
	}
	for _, d := range c.crossed() {
		add(d.CA)
	}
	return files
}

// sidecars are the services that have one.
func (c *Config) sidecars() (list []topology.Service) {
	if c.Platform == nil {
		return nil
	}
	for _, s := range c.Platform.Services {
		if s.Egress != nil {
			list = append(list, s)
		}
	}
	return list
}

// crossed are the clouds that sidecars call.
func (c *Config) crossed() (list []topology.Directory) {
	if len(c.sidecars()) == 0 {
		return nil
	}
	for _, d := range c.Clouds {
		if d.Crosses() {
			list = append(list, d)
		}
	}
	return list
}

// read takes all of them as they are now.
func (c *Config) read(now time.Time) (m material, err error) {
	if m.certificates, err = c.readCertificates(now); err != nil {
		return material{}, err
	}
	if c.Cloud != nil && c.Cloud.Gateway != nil {
		if m.callers, err = readAuthorities(c.Cloud.Gateway.Callers); err != nil {
			return material{}, err
		}
	}
	m.sidecars, m.authorities = map[string]checked{}, map[string][]byte{}
	for _, s := range c.sidecars() {
		if m.sidecars[s.ID], err = readSidecar(*s.Egress, now); err != nil {
			return material{}, err
		}
	}
	for _, d := range c.crossed() {
		if m.authorities[d.ID], err = readAuthorities(d.CA); err != nil {
			return material{}, err
		}
	}
	return m, nil
}

func (c *Config) readCertificates(now time.Time) ([]checked, error) {
	var list []snapshot.Certificate
	for _, pair := range c.XDS.Certificates {
		certificate, err := readPair(pair)
		if err != nil {
			return nil, err
		}
		list = append(list, certificate)
	}
	leaves, err := snapshot.CheckCertificates(list, c.hosts(), now)
	if err != nil {
		return nil, err
	}
	out := make([]checked, len(list))
	for i := range list {
		out[i] = checked{c.XDS.Certificates[i], list[i], leaves[i]}
	}
	return out, nil
}

// hosts are those for which this side must have certificates.
func (c *Config) hosts() []string {
	switch {
	case !c.Isolated():
		return c.Platform.Hosts()
	case c.Cloud.Gateway != nil:
		return append(c.Cloud.Hosts(), c.Cloud.GatewayHost())
	}
	return c.Cloud.Hosts()
}

func readPair(pair KeyPair) (snapshot.Certificate, error) {
	chain, err := os.ReadFile(string(pair.Certificate))
	if err != nil {
		return snapshot.Certificate{}, fmt.Errorf("xds: reading a certificate: %w", err)
	}
	key, err := daemon.ReadSecret(pair.Key)
	if err != nil {
		return snapshot.Certificate{}, fmt.Errorf("xds: %w", err)
	}
	return snapshot.Certificate{Name: string(pair.Certificate), Chain: chain, Key: key}, nil
}

// readSidecar also holds the certificate to the name by which the clouds know the service: with another they would refuse every call.
func readSidecar(e topology.Egress, now time.Time) (checked, error) {
	pair := KeyPair{Certificate: e.Certificate, Key: e.Key}
	own, err := readPair(pair)
	if err != nil {
		return checked{}, err
	}
	leaves, err := snapshot.CheckCertificates([]snapshot.Certificate{own}, nil, now)
	if err != nil {
		return checked{}, err
	}
	id, err := topology.PeerID(leaves[0])
	if err != nil {
		return checked{}, fmt.Errorf("xds: %s: %w", e.Certificate, err)
	}
	if id != e.SPIFFE {
		return checked{}, fmt.Errorf("xds: %s is the certificate of %s, not of %s", e.Certificate, id, e.SPIFFE)
	}
	return checked{pair, own, leaves[0]}, nil
}

func readAuthorities(file daemon.Path) ([]byte, error) {
	raw, err := os.ReadFile(string(file))
	if err != nil {
		return nil, fmt.Errorf("xds: reading authorities: %w", err)
	}
	if _, err := authorities(raw); err != nil {
		return nil, fmt.Errorf("xds: %s: %w", file, err)
	}
	return raw, nil
}

// of are the certificates that a role gets: none that it cannot use.
func (m material) of(role topology.Role, c *Config) (list []checked) {
	switch role {
	case topology.Edge:
		return nil
	case topology.Ingress:
		return m.covering(c.Cloud.Hosts())
	case topology.Gateway:
		return m.covering([]string{c.Cloud.GatewayHost()})
	case topology.Commercial:
		return m.certificates
	}
	for _, s := range c.sidecars() {
		if role == topology.EgressRole(s.ID) {
			return []checked{m.sidecars[s.ID]}
		}
	}
	return nil
}

// covering are those that are good for at least one of the hosts.
func (m material) covering(hosts []string) (list []checked) {
	for _, c := range m.certificates {
		if slices.ContainsFunc(hosts, func(host string) bool { return c.leaf.VerifyHostname(host) == nil }) {
			list = append(list, c)
		}
	}
	return list
}

func contents(list []checked) []snapshot.Certificate {
	out := make([]snapshot.Certificate, len(list))
	for i, c := range list {
		out[i] = c.content
	}
	return out
}

// leaves are all of them, by the file of each.
func (m material) leaves() iter.Seq2[string, *x509.Certificate] {
	return func(yield func(string, *x509.Certificate) bool) {
		for _, c := range slices.Concat(m.certificates, slices.Collect(maps.Values(m.sidecars))) {
			if !yield(string(c.Certificate), c.leaf) {
				return
			}
		}
	}
}

// static names the files of a role's secrets, for an Envoy that reads them itself.
func (m material) static(role topology.Role, c *Config) snapshot.Files {
	files := snapshot.Files{Authorities: map[string]string{}}
	for _, pair := range m.of(role, c) {
		files.Certificates = append(files.Certificates, snapshot.KeyFiles{Certificate: string(pair.Certificate), Key: string(pair.Key)})
	}
	if c.Cloud != nil && c.Cloud.Gateway != nil {
		files.Authorities[snapshot.CallersSecret] = string(c.Cloud.Gateway.Callers)
	}
	for _, d := range c.crossed() {
		files.Authorities[snapshot.AuthoritiesSecret(d.ID)] = string(d.CA)
	}
	return files
}
