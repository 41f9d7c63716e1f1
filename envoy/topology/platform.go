package topology

import (
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"isogate/envoy/daemon"
)

// Platform is the commercial side: platform: of the commercial file. Without identity_host, services and listeners.commercial it is the edge alone.
type Platform struct {
	Port         int               `yaml:"port"`          // that people's browsers use, at the edge; 443 if absent
	IdentityHost string            `yaml:"identity_host"` // where people sign in
	Services     []Service         `yaml:"services"`      // what stands behind the commercial Envoy
	SignIn       []Option          `yaml:"sign_in"`       // the standard options, beside the button of an isolated cloud
	Listeners    PlatformListeners `yaml:"listeners"`
	Commercial   daemon.Address    `yaml:"commercial"` // where the edge reaches listeners.commercial; that very address if absent
	Sockets      daemon.Path       `yaml:"sockets"`    // folder of the unix sockets between our daemons and Envoy, owner only
}

// PlatformListeners are the addresses that the Envoys of the commercial side bind.
type PlatformListeners struct {
	Edge       daemon.Address `yaml:"edge"`       // the one address that browsers reach
	Commercial daemon.Address `yaml:"commercial"` // takes TLS from the edge, and no client address
}

// Service is a backend outside, which people of many organisations share.
type Service struct {
	ID          string          `yaml:"id"`           // [a-z0-9-]; part of every user id that it sees, so it is never changed
	Name        string          `yaml:"name"`         // for people; the id if absent
	Host        string          `yaml:"host"`         // any name of our own, below no isolated cloud's domain
	Upstream    daemon.Address  `yaml:"upstream"`     // where it listens
	Federation  string          `yaml:"federation"`   // allowed or none: whether people of isolated clouds may use it
	WebSockets  bool            `yaml:"websockets"`   // whether it may upgrade
	IdleTimeout daemon.Duration `yaml:"idle_timeout"` // how long a request may see no byte in either direction; 1m if absent
	StreamLimit daemon.Duration `yaml:"stream_limit"` // for any one request, WebSocket or event stream; 5m if absent
	Egress      *Egress         `yaml:"egress"`       // its sidecar; without one it calls no isolated cloud
}

// What a service says of people of isolated clouds. There is no default: it is a decision.
const (
	FederationAllowed = "allowed"
	FederationNone    = "none"
)

// Option is one of the ways to sign in that the identity host offers to everybody. Isogate only leads there.
type Option struct {
	Name    string `yaml:"name"`    // on its button
	Address string `yaml:"address"` // https://
}

// Serves is true where the side has services; else its file is the edge's alone.
func (p Platform) Serves() bool {
	return p.IdentityHost != "" || len(p.Services) > 0 || len(p.SignIn) > 0 || p.Listeners.Commercial != "" || p.Commercial != ""
}

// URL is the external address of a host, as people's browsers see it: never taken from a request.
func (p Platform) URL(host string) string { return urlOf(host, p.Port) }

// Hosts are all guarded hosts, the identity host first. The edge alone has none.
func (p Platform) Hosts() (hosts []string) {
	if !p.Serves() {
		return nil
	}
	hosts = append(hosts, p.IdentityHost)
	for _, s := range p.Services {
		hosts = append(hosts, s.Host)
	}
	return hosts
}

// FromEdge is where the edge reaches the commercial Envoy.
func (p Platform) FromEdge() daemon.Address {
	if p.Commercial != "" {
		return p.Commercial
	}
	return p.Listeners.Commercial
}

// CheckSocket is where a check profile listens for Envoy.
func (p Platform) CheckSocket(profile string) string { return checkSocket(p.Sockets, profile) }

// DoorSocket is where extauthz serves its own pages and endpoints, behind the commercial Envoy.
func (p Platform) DoorSocket() string { return filepath.Join(string(p.Sockets), "door.sock") }

// XDSSocket is where the control plane serves one role.
func (p Platform) XDSSocket(role Role) string { return xdsSocket(p.Sockets, role) }

func checkSocket(dir daemon.Path, profile string) string {
	return filepath.Join(string(dir), "check-"+profile+".sock")
}

func xdsSocket(dir daemon.Path, role Role) string {
	return filepath.Join(string(dir), "xds-"+string(role)+".sock")
}

// Idle is IdleTimeout or its default.
func (s Service) Idle() time.Duration { return s.IdleTimeout.Or(time.Minute) }

// Stream is StreamLimit or its default.
func (s Service) Stream() time.Duration { return s.StreamLimit.Or(5 * time.Minute) }

// Title is the service's name for people.
func (s Service) Title() string {
	if s.Name != "" {
		return s.Name
	}
	return s.ID
}

func (p Platform) validate(f *daemon.Faults, clouds []Directory) {
	if p.Port < 0 || p.Port > 65535 {
		f.Add("port", "must be from 1 to 65535")
	}
	if p.Listeners.Edge == "" {
		f.In("listeners").Add("edge", "is required: host:port")
	}
	if p.Sockets == "" {
		f.Add("sockets", "is required: a folder for unix sockets")
	}
	if !p.Serves() {
		return
	}
	p.validateHosts(f, clouds)
	p.validateEgresses(f)
	p.validateCommercial(f)
	for i, option := range p.SignIn {
		option.validate(f.In("sign_in[%d]", i))
	}
}

// identityID stands for the identity host where a service's id would stand.
const identityID = "identity"

func (p Platform) validateHosts(f *daemon.Faults, clouds []Directory) {
	if p.IdentityHost == "" {
		f.Add("identity_host", "is required beside services: the host where people sign in")
	} else {
		validateHost(f, "identity_host", p.IdentityHost, clouds)
	}
	if len(p.Services) == 0 {
		f.Add("services", "needs at least one service beside identity_host")
	}
	ids, hosts := map[string]bool{}, map[string]bool{p.IdentityHost: true}
	for i, s := range p.Services {
		at := f.In("services[%d]", i)
		s.validate(at)
		if s.ID != "" && ids[s.ID] {
			at.Add("id", "%q names another service already", s.ID)
		}
		if s.Host != "" && hosts[s.Host] {
			at.Add("host", "%q belongs to another service or is the identity host", s.Host)
		}
		validateHost(at, "host", s.Host, clouds)
		ids[s.ID], hosts[s.Host] = true, true
	}
}

// validateHost refuses a name that an isolated cloud owns. At the edge a whole name wins over a wildcard, so the commercial side would end the TLS
// of that cloud's people: see their session cookies, and show them a page where they would type their password.
func validateHost(f *daemon.Faults, key, host string, clouds []Directory) {
	if !IsHostName(host) {
		f.Add(key, "must be a lower-case host name, such as support.commercial.example")
		return
	}
	for _, c := range clouds {
		if c.Domain != "" && (host == c.Domain || strings.HasSuffix(host, "."+c.Domain)) {
			f.Add(key, "%q is a name of the isolated cloud of %s: the edge must forward all of those to its ingress", host, c.Domain)
		}
	}
}

func (s Service) validate(f *daemon.Faults) {
	if !name.MatchString(s.ID) {
		f.Add("id", "must be 1 to 32 characters of a-z, 0-9 and -, starting with a letter")
	}
	if s.ID == identityID {
		f.Add("id", "%s is the identity host's own name: choose another", identityID)
	}
	if s.Name != "" {
		validateTitle(f, s.Name)
	}
	if s.Federation != FederationAllowed && s.Federation != FederationNone {
		f.Add("federation", "must be %s or %s: whether people of isolated clouds may use it", FederationAllowed, FederationNone)
	}
	validateTarget(f, "upstream", "of the service", s.Upstream)
}

func (p Platform) validateCommercial(f *daemon.Faults) {
	at := f.In("listeners")
	switch {
	case p.Listeners.Commercial == "":
		at.Add("commercial", "is required beside services: host:port")
	case p.Listeners.Commercial == p.Listeners.Edge:
		at.Add("commercial", "is the edge's address already")
	case p.Commercial == "" && !isTarget(p.Listeners.Commercial):
		at.Add("commercial", "needs one address before the port, since the edge connects there; else say in platform.commercial where it does")
	}
	if p.Commercial != "" && !isTarget(p.Commercial) {
		f.Add("commercial", "needs a host before the port: it is connected to, not listened on")
	}
}

// isTarget is false for what stands for every address: it can be listened on, and not connected to.
func isTarget(address daemon.Address) bool {
	host, _ := address.Split()
	ip, err := netip.ParseAddr(host)
	return host != "" && (err != nil || !ip.IsUnspecified())
}

func (o Option) validate(f *daemon.Faults) {
	validateTitle(f, o.Name)
	if !isAddress(o.Address) {
		f.Add("address", "must be "+anAddress)
	}
}

// maxTitle bounds a name that people read, in bytes.
const maxTitle = 64

func validateTitle(f *daemon.Faults, title string) {
	if strings.TrimSpace(title) == "" || len(title) > maxTitle || !isPrintable(title) {
		f.Add("name", "must be 1 to %d bytes of printable characters: people see it", maxTitle)
	}
}
