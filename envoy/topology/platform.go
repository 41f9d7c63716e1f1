package topology

import (
	"path/filepath"

	"isogate/envoy/daemon"
)

// Platform is the commercial side: platform: of the commercial file.
type Platform struct {
	Listeners PlatformListeners `yaml:"listeners"`
	Sockets   daemon.Path       `yaml:"sockets"` // folder of the unix sockets between our daemons and Envoy, owner only
}

// PlatformListeners are the addresses that the Envoys of the commercial side bind.
type PlatformListeners struct {
	Edge daemon.Address `yaml:"edge"` // the one address that browsers reach
}

// Directory is one entry of clouds: what the commercial side knows of an isolated cloud.
type Directory struct {
	ID      string         `yaml:"id"`      // the isolated cloud's id
	Domain  string         `yaml:"domain"`  // its hosts stand directly below it; the edge routes them by SNI
	Ingress daemon.Address `yaml:"ingress"` // where its ingress takes connections from the edge
}

// XDSSocket is where the control plane serves one role.
func (p Platform) XDSSocket(role Role) string { return xdsSocket(p.Sockets, role) }

func xdsSocket(dir daemon.Path, role Role) string {
	return filepath.Join(string(dir), "xds-"+string(role)+".sock")
}

func (p Platform) validate(f *daemon.Faults) {
	if p.Listeners.Edge == "" {
		f.In("listeners").Add("edge", "is required: host:port")
	}
	if p.Sockets == "" {
		f.Add("sockets", "is required: a folder for unix sockets")
	}
}

func validateDirectory(clouds []Directory, faults *daemon.Faults) {
	if len(clouds) == 0 {
		faults.Add("clouds", "needs at least one isolated cloud")
	}
	ids, domains := map[string]bool{}, map[string]bool{}
	for i, c := range clouds {
		f := faults.In("clouds[%d]", i)
		if !opaqueID(c.ID) {
			f.Add("id", "must be the isolated cloud's id: 16 to 64 characters of a-z, 0-9 and -")
		}
		if !IsHostName(c.Domain) {
			f.Add("domain", "must be a lower-case domain name, such as acme.example")
		}
		validateTarget(f, "ingress", "of the cloud's ingress", c.Ingress)
		if c.ID != "" && ids[c.ID] || c.Domain != "" && domains[c.Domain] {
			f.Add("", "names an id or a domain that another entry has")
		}
		ids[c.ID], domains[c.Domain] = true, true
	}
}
