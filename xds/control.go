package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"isogate/envoy/daemon"
	"isogate/envoy/topology"
	"isogate/xds/push"
	"isogate/xds/snapshot"
)

// control is what a reload changes. Only the start and then the watch use it, one after the other.
type control struct {
	file    string
	config  *Config
	now     func() time.Time
	servers map[topology.Role]*push.Server
	remote  *push.Remote // nil without xds.remote
	expiry  *prometheus.GaugeVec
}

func newExpiry(registry prometheus.Registerer) *prometheus.GaugeVec {
	gauge := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "isogate_certificate_expiry_timestamp_seconds", Help: "When a TLS server certificate ends, in seconds since 1970.",
	}, []string{"certificate"})
	registry.MustRegister(gauge)
	return gauge
}

func (c *control) configFiles() []string { return []string{c.file} }

func (c *control) certificateFiles() []string {
	var files []string
	for _, pair := range c.config.XDS.Certificates {
		files = append(files, string(pair.Certificate), string(pair.Key))
	}
	if c.config.XDS.Remote != nil {
		files = append(files, c.config.XDS.Remote.files()...)
	}
	return files
}

// reloadConfig takes the file as it is now. On any error the last good one stays in force, whole.
func (c *control) reloadConfig() error {
	next, err := load(c.file)
	if err != nil {
		return err
	}
	if err := c.config.restartFor(next); err != nil {
		return err
	}
	return c.apply(next)
}

// restartFor names what a running process cannot change: what it is bound to.
func (c *Config) restartFor(next *Config) error {
	switch {
	case c.Isolated() != next.Isolated():
		return errors.New("the file is now for the other side: restart xds to serve it")
	case !slices.Equal(c.roles(), next.roles()):
		return fmt.Errorf("the file is now for the roles %v: restart xds to serve them", next.roles())
	case c.socket(c.roles()[0]) != next.socket(c.roles()[0]):
		return errors.New("sockets has changed: restart extauthz, xds and the Envoys for that")
	case c.Platform != nil && (c.Platform.IdentityHost != next.Platform.IdentityHost || c.Platform.Port != next.Platform.Port):
		return errors.New("platform.identity_host or platform.port has changed: restart extauthz, xds and the Envoys for that")
	case c.Cloud != nil && (c.Cloud.Domain != next.Cloud.Domain || c.Cloud.Port != next.Cloud.Port):
		return errors.New("cloud.domain or cloud.port has changed: restart extauthz, xds and the Envoys for that")
	case c.XDS.Admin != next.XDS.Admin:
		return errors.New("xds.admin has changed: restart xds to listen there")
	case c.XDS.listen() != next.XDS.listen():
		return errors.New("xds.remote.listen has changed: restart xds to listen there")
	}
	return nil
}

// rebuild takes the certificates as they are now.
func (c *control) rebuild() error { return c.apply(c.config) }

// apply reads everything before it changes anything.
func (c *control) apply(config *Config) error {
	resources, leaves, err := build(config, c.now())
	if err != nil {
		return err
	}
	var access push.Access
	if c.remote != nil {
		if access, err = config.XDS.Remote.access(c.now()); err != nil {
			return err
		}
	}
	for _, role := range slices.Backward(config.roles()) { // the edge leads to a host once that is served
		if err := c.servers[role].Set(resources[role]); err != nil {
			return err
		}
	}
	if c.remote != nil {
		c.remote.Allow(access)
	}
	c.config = config
	c.expiry.Reset()
	for i, leaf := range leaves {
		c.expiry.WithLabelValues(string(config.XDS.Certificates[i].Certificate)).Set(float64(leaf.NotAfter.Unix()))
	}
	if c.remote != nil {
		c.expiry.WithLabelValues(string(config.XDS.Remote.Certificate)).Set(float64(access.Certificate.Leaf.NotAfter.Unix()))
	}
	return nil
}

// build reads the certificates and makes the resources of the side's roles.
func build(config *Config, now time.Time) (map[topology.Role]snapshot.Resources, []*x509.Certificate, error) {
	certificates, err := config.XDS.read()
	if err != nil {
		return nil, nil, err
	}
	leaves, err := snapshot.CheckCertificates(certificates, config.hosts(), now)
	if err != nil {
		return nil, nil, err
	}
	all := map[topology.Role]snapshot.Resources{}
	for _, role := range config.roles() {
		if all[role], err = config.resources(role, certificates); err != nil {
			return nil, nil, err
		}
	}
	return all, leaves, nil
}

// hosts are those for which this side must have certificates.
func (c *Config) hosts() []string {
	if c.Isolated() {
		return c.Cloud.Hosts()
	}
	return c.Platform.Hosts()
}

func (c *Config) resources(role topology.Role, certificates []snapshot.Certificate) (snapshot.Resources, error) {
	switch role {
	case topology.Ingress:
		return snapshot.Ingress(*c.Cloud, certificates)
	case topology.Commercial:
		return snapshot.Commercial(*c.Platform, certificates)
	default:
		return snapshot.Edge(*c.Platform, c.Clouds)
	}
}

func (s Section) read() ([]snapshot.Certificate, error) {
	var out []snapshot.Certificate
	for _, pair := range s.Certificates {
		certificate, err := readPair(pair)
		if err != nil {
			return nil, err
		}
		out = append(out, certificate)
	}
	return out, nil
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
