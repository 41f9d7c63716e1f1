package main

import (
	"net/netip"

	"isogate/envoy/daemon"
	"isogate/envoy/topology"
)

// Config is the file of one side as xds reads it.
type Config struct {
	topology.Frame `yaml:",inline"`
	XDS            Section        `yaml:"xds"`
	ExtAuthz       topology.Other `yaml:"extauthz"`
	OIDCProvider   topology.Other `yaml:"oidcprovider"`
}

// Section is xds: of the file.
type Section struct {
	Admin        daemon.Address `yaml:"admin"`        // health, metrics and status, on loopback unless there is a reason
	Certificates []KeyPair      `yaml:"certificates"` // of the guarded hosts; the isolated side only
	Remote       *Remote        `yaml:"remote"`       // for Envoys on other machines; none if absent
}

// KeyPair names the PEM files of one TLS server certificate.
type KeyPair struct {
	Certificate daemon.Path `yaml:"certificate"` // leaf first, then the rest of its chain
	Key         daemon.Path `yaml:"key"`
}

func load(file string) (*Config, error) {
	config := new(Config)
	if err := daemon.Load(file, config); err != nil {
		return nil, err
	}
	return config, nil
}

// Validate reports every fault of the file.
func (c *Config) Validate(f *daemon.Faults) {
	c.Frame.Validate(f)
	section := f.In("xds")
	if c.XDS.Admin == "" {
		section.Add("admin", "is required: host:port for health, metrics and status, such as 127.0.0.1:9902")
	}
	if c.XDS.Remote != nil {
		c.XDS.Remote.validate(section.In("remote"), c.role())
	}
	switch {
	case c.Cloud != nil:
		c.XDS.validateCertificates(section)
		validateBind(f.In("cloud.listeners"), "ingress", c.Cloud.Listeners.Ingress)
	case c.Platform != nil:
		if len(c.XDS.Certificates) > 0 {
			section.Add("certificates", "belong to the isolated side: the edge forwards TLS without ending it and must hold no key")
		}
		validateBind(f.In("platform.listeners"), "edge", c.Platform.Listeners.Edge)
	}
}

func (s Section) validateCertificates(f *daemon.Faults) {
	if len(s.Certificates) == 0 {
		f.Add("certificates", "needs at least one certificate and key for the guarded hosts")
	}
	for i, pair := range s.Certificates {
		at := f.In("certificates[%d]", i)
		if pair.Certificate == "" {
			at.Add("certificate", "is required: a PEM file")
		}
		if pair.Key == "" {
			at.Add("key", "is required: a PEM file")
		}
	}
}

// validateBind refuses a name: Envoy binds addresses. An empty address is another package's fault to report.
func validateBind(f *daemon.Faults, key string, address daemon.Address) {
	host, _ := address.Split()
	if _, err := netip.ParseAddr(host); err != nil && host != "" {
		f.Add(key, "must have an IP address before the port, since Envoy binds it; nothing before the colon means every address")
	}
}

func (c *Config) role() topology.Role {
	if c.Isolated() {
		return topology.Ingress
	}
	return topology.Edge
}

func (c *Config) socket() string {
	if c.Isolated() {
		return c.Cloud.XDSSocket(topology.Ingress)
	}
	return c.Platform.XDSSocket(topology.Edge)
}
