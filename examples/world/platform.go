package world

import (
	"maps"
	"net"
	"path/filepath"
	"strconv"

	"isogate/envoy/topology"
	"isogate/examples/service"
)

// Platform is the commercial side of a world: what many organisations share.
type Platform struct {
	Services map[string]*service.Service // by id: support, market and tenant
	Login    *service.Login              // the standard sign-in, on a host of its own

	ports        platformPorts
	dir, sockets string // of its keys, and of its unix sockets
	file         string
}

// commercialDomain is below no isolated cloud's.
const commercialDomain = "commercial.localhost"

// identityHost is where people sign in outside, by its first label, and loginHost is a site that is no part of Isogate.
const (
	identityHost = "id"
	loginHost    = "login"
)

// services are what stands behind the commercial Envoy. Those with a sidecar can call isolated clouds.
var services = []struct {
	ID, Name, Federation string
	Sidecar              bool
}{
	{"support", "Support Centre", topology.FederationAllowed, true},
	{"market", "Marketplace", topology.FederationAllowed, true},
	{"tenant", "Standard Tenant", topology.FederationNone, false},
}

func newPlatform(dir, sockets string) *Platform {
	return &Platform{
		Services: map[string]*service.Service{}, Login: &service.Login{},
		dir: filepath.Join(dir, "commercial"), sockets: sockets, file: filepath.Join(dir, "commercial.yaml"),
	}
}

// URL is the external address of a path on one of the commercial hosts, given by its first label.
func (p *Platform) URL(name, path string) string { return "https://" + p.host(name) + path }

func (p *Platform) host(name string) string {
	port := p.ports.edge
	if name == loginHost {
		port = p.ports.login
	}
	return net.JoinHostPort(name+"."+commercialDomain, strconv.Itoa(port))
}

// File is the commercial file.
func (p *Platform) File() string { return p.file }

// EditFile replaces text in the commercial file. The old text must be there.
func (p *Platform) EditFile(old, fresh string) error { return editFile(p.file, old, fresh) }

// secret is a file or a folder of the commercial side's own.
func (p *Platform) secret(name string) string { return filepath.Join(p.dir, name) }

// hosts are the commercial names by their first label.
func (p *Platform) hosts() map[string]string {
	out := map[string]string{identityHost: p.host(identityHost), loginHost: p.host(loginHost)}
	for _, s := range services {
		out[s.ID] = p.host(s.ID)
	}
	return out
}

// guarded are the hosts that the commercial Envoy answers for, without their port.
func guarded() []string {
	names := []string{identityHost + "." + commercialDomain}
	for _, s := range services {
		names = append(names, s.ID+"."+commercialDomain)
	}
	return names
}

// connect says where to dial for each of them.
func (p *Platform) connect() map[string]string {
	out := map[string]string{}
	for host := range maps.Values(p.hosts()) {
		out[host] = local(p.ports.edge)
	}
	out[p.host(loginHost)] = local(p.ports.login)
	return out
}
