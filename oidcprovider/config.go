package main

import (
	"isogate/envoy/daemon"
	"isogate/envoy/topology"
)

// config is the file as oidcprovider reads it.
type config struct {
	topology.Frame `yaml:",inline"`
	OIDCProvider   section        `yaml:"oidcprovider"`
	ExtAuthz       topology.Other `yaml:"extauthz"`
	XDS            topology.Other `yaml:"xds"`
}

// section is oidcprovider: of the isolated file.
type section struct {
	Admin   daemon.Address `yaml:"admin"` // health, metrics and status; loopback
	Store   daemon.Path    `yaml:"store"` // the file that holds pushed requests and codes; one process at a time has it
	Keys    keyFiles       `yaml:"keys"`
	CA      daemon.Path    `yaml:"ca"`      // PEM roots for the clients' jwks_uri, beside the system's; may be absent
	Connect daemon.Connect `yaml:"connect"` // where to dial for a name
}

// keyFiles say where our keys are. Folders hold one file a key and may be rotated; the pairwise key must never change.
type keyFiles struct {
	Signing  daemon.Path `yaml:"signing"`  // folder: ES256 keys of ID tokens and access tokens
	Sealing  daemon.Path `yaml:"sealing"`  // folder: keys of sealed values in addresses, pages and DPoP nonces
	Pairwise daemon.Path `yaml:"pairwise"` // file: 32 random bytes or more, kept in the backup
}

func (k keyFiles) folders() []string { return []string{string(k.Signing), string(k.Sealing)} }

func loadConfig(file string) (*config, error) {
	c := &config{}
	return c, daemon.Load(file, c)
}

// Validate reports every fault of what oidcprovider reads.
func (c *config) Validate(f *daemon.Faults) {
	c.Frame.Validate(f)
	if !c.Isolated() {
		f.Add("cloud", "is required: oidcprovider serves the isolated side")
		return
	}
	c.OIDCProvider.validate(f.In("oidcprovider"))
}

func (s section) validate(f *daemon.Faults) {
	for key, value := range map[string]string{
		"admin": string(s.Admin), "store": string(s.Store),
		"keys.signing": string(s.Keys.Signing), "keys.sealing": string(s.Keys.Sealing), "keys.pairwise": string(s.Keys.Pairwise),
	} {
		if value == "" {
			f.Add(key, "is required")
		}
	}
	s.Connect.Validate(f.In("connect"))
}
