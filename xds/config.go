package main

import (
	"net/netip"
	"strings"

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
	Certificates []KeyPair      `yaml:"certificates"` // of the guarded hosts; none where the file is the edge's alone
	Remote       *Remote        `yaml:"remote"`       // for Envoys on other machines; none if absent
	Policies     daemon.Path    `yaml:"policies"`     // folder of the policies, which say what the gateway exposes; beside cloud.gateway only
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
		c.XDS.Remote.validate(section.In("remote"), c.roles())
	}
	switch needed := c.Cloud != nil && c.Cloud.Gateway != nil; {
	case needed && c.XDS.Policies == "":
		section.Add("policies", "is required beside cloud.gateway: the folder of the policies, which say what is exposed")
	case !needed && c.XDS.Policies != "":
		section.Add("policies", "is of no use without cloud.gateway: only the gateway's routes come from the policies")
	}
	switch {
	case c.Cloud != nil:
		c.XDS.validateCertificates(section)
		validateBind(f.In("cloud.listeners"), "ingress", c.Cloud.Listeners.Ingress)
		validateBind(f.In("cloud.listeners"), "gateway", c.Cloud.Listeners.Gateway)
	case c.Platform != nil:
		if c.Platform.Serves() {
			c.XDS.validateCertificates(section)
		} else if len(c.XDS.Certificates) > 0 {
			section.Add("certificates", "belong to a side with hosts of its own: the edge forwards TLS without ending it and must hold no key")
		}
		validateBind(f.In("platform.listeners"), "edge", c.Platform.Listeners.Edge)
		validateBind(f.In("platform.listeners"), "commercial", c.Platform.Listeners.Commercial)
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

// roles are what this side's Envoys can be, in an order in which none leads to one before it.
func (c *Config) roles() []topology.Role {
	switch {
	case c.Isolated() && c.Cloud.Gateway != nil:
		return []topology.Role{topology.Ingress, topology.Gateway}
	case c.Isolated():
		return []topology.Role{topology.Ingress}
	case c.Platform == nil || !c.Platform.Serves():
		return []topology.Role{topology.Edge}
	}
	roles := []topology.Role{topology.Edge, topology.Commercial}
	for _, service := range c.Platform.Egresses() {
		roles = append(roles, topology.EgressRole(service))
	}
	return roles
}

// rolesText is for people.
func (c *Config) rolesText() string {
	var names []string
	for _, role := range c.roles() {
		names = append(names, string(role))
	}
	return strings.Join(names, " or ")
}

func (c *Config) socket(role topology.Role) string {
	if c.Isolated() {
		return c.Cloud.XDSSocket(role)
	}
	return c.Platform.XDSSocket(role)
}
