package topology

import (
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"isogate/envoy/daemon"
)

// Cloud is one isolated cloud: cloud: of the isolated file.
type Cloud struct {
	ID             string            `yaml:"id"`              // opaque and unguessable, [a-z0-9-], 16 to 64 characters
	Domain         string            `yaml:"domain"`          // every guarded host stands below it
	Port           int               `yaml:"port"`            // that people's browsers use, at the edge; 443 if absent
	Products       []Product         `yaml:"products"`        // what stands behind the ingress
	ManagedDomains []Managed         `yaml:"managed_domains"` // e-mail domains of the organisation: only their people may use commercial services
	Clients        []Client          `yaml:"clients"`         // who may recognise people through the OAuth server; without one it has no routes
	Gateway        *IsolationGateway `yaml:"gateway"`         // the Isolation Gateway; none if absent
	Listeners      CloudListeners    `yaml:"listeners"`
	Sockets        daemon.Path       `yaml:"sockets"` // folder of the unix sockets between our daemons and Envoy, owner only
}

// CloudListeners are the addresses that the Envoys of the isolated side bind.
type CloudListeners struct {
	Ingress daemon.Address `yaml:"ingress"` // takes PROXY protocol v2, so only the edge may reach it
	Gateway daemon.Address `yaml:"gateway"` // takes mutual TLS from the sidecars of commercial services
}

// Product is a backend inside.
type Product struct {
	ID          string          `yaml:"id"`           // [a-z0-9-]; the audience of its User Context Tokens
	Name        string          `yaml:"name"`         // for people; the id if absent
	Host        string          `yaml:"host"`         // <id>.<domain> if absent
	Upstream    daemon.Address  `yaml:"upstream"`     // where it listens
	Claims      []string        `yaml:"claims"`       // of email, name, groups: what its tokens hold beside the minimum
	Origins     []string        `yaml:"origins"`      // further origins whose unsafe requests it accepts, as https://host[:port]
	WebSockets  bool            `yaml:"websockets"`   // whether it may upgrade
	IdleTimeout daemon.Duration `yaml:"idle_timeout"` // how long a request may see no byte in either direction; 1m if absent
	StreamLimit daemon.Duration `yaml:"stream_limit"` // for any one request, WebSocket or event stream: the bound within which a stream ends after its session did; 5m if absent
}

// PersonalClaims are the claims that a product must ask for by name.
var PersonalClaims = []string{"email", "name", "groups"}

// AuthHost is where people sign in.
func (c Cloud) AuthHost() string { return "auth." + c.Domain }

// URL is the external address of a host, as people's browsers see it: never taken from a request.
func (c Cloud) URL(host string) string { return urlOf(host, c.Port) }

func urlOf(host string, port int) string {
	if port == 443 || port == 0 {
		return "https://" + host
	}
	return "https://" + net.JoinHostPort(host, strconv.Itoa(port))
}

// Hosts are all guarded hosts, the auth host first.
func (c Cloud) Hosts() []string {
	hosts := []string{c.AuthHost()}
	for _, p := range c.Products {
		hosts = append(hosts, c.HostOf(p))
	}
	return hosts
}

// HostOf is the host of a product.
func (c Cloud) HostOf(p Product) string {
	if p.Host != "" {
		return p.Host
	}
	return p.ID + "." + c.Domain
}

// Idle is IdleTimeout or its default.
func (p Product) Idle() time.Duration { return p.IdleTimeout.Or(time.Minute) }

// Stream is StreamLimit or its default.
func (p Product) Stream() time.Duration { return p.StreamLimit.Or(5 * time.Minute) }

// Title is the product's name for people.
func (p Product) Title() string {
	if p.Name != "" {
		return p.Name
	}
	return p.ID
}

// CheckSocket is where a check profile listens for Envoy.
func (c Cloud) CheckSocket(profile string) string { return checkSocket(c.Sockets, profile) }

// OAuthSocket is where oidcprovider serves the OAuth server, behind the ingress, and its keys to extauthz.
func (c Cloud) OAuthSocket() string { return filepath.Join(string(c.Sockets), "oauth.sock") }

// SessionSocket is where extauthz opens and ends grants for oidcprovider.
func (c Cloud) SessionSocket() string { return filepath.Join(string(c.Sockets), "session.sock") }

// DoorSocket is where extauthz serves its own pages and endpoints, behind the ingress.
func (c Cloud) DoorSocket() string { return filepath.Join(string(c.Sockets), "door.sock") }

// XDSSocket is where the control plane serves one role.
func (c Cloud) XDSSocket(role Role) string { return xdsSocket(c.Sockets, role) }

func (c Cloud) validate(f *daemon.Faults) {
	if !opaqueID(c.ID) {
		f.Add("id", "must be 16 to 64 characters of a-z, 0-9 and -, made at random: it names this cloud to others and must not be guessable")
	}
	if !IsHostName(c.Domain) {
		f.Add("domain", "must be a lower-case domain name, such as acme.example")
	}
	if c.Port < 0 || c.Port > 65535 {
		f.Add("port", "must be from 1 to 65535")
	}
	if c.Listeners.Ingress == "" {
		f.In("listeners").Add("ingress", "is required: host:port")
	}
	if c.Sockets == "" {
		f.Add("sockets", "is required: a folder for unix sockets")
	}
	c.validateManaged(f)
	c.validateProducts(f)
	c.validateClients(f)
	c.validateGateway(f)
}

func (c Cloud) validateProducts(f *daemon.Faults) {
	if len(c.Products) == 0 {
		f.Add("products", "needs at least one product")
	}
	ids, hosts := map[string]bool{}, map[string]bool{c.AuthHost(): true, c.GatewayHost(): true}
	for i, p := range c.Products {
		at, host := f.In("products[%d]", i), c.HostOf(p)
		p.validate(at)
		if p.ID != "" && ids[p.ID] {
			at.Add("id", "%q names another product already", p.ID)
		}
		ids[p.ID] = true
		if !IsHostName(c.Domain) || p.Host == "" && (!name.MatchString(p.ID) || p.ID == "auth" || p.ID == gatewayID) {
			continue // what the host is made of has its fault already
		}
		if hosts[host] {
			at.Add("host", "%q belongs to another product, or is the auth host or the gateway", host)
		}
		if !hostBelow(host, c.Domain) {
			at.Add("host", "%q must stand directly below %s", host, c.Domain)
		}
		hosts[host] = true
	}
}

// validateTarget wants an address to connect to, so with a host.
func validateTarget(f *daemon.Faults, key, whose string, address daemon.Address) {
	host, _ := address.Split()
	switch {
	case address == "":
		f.Add(key, "is required: host:port %s", whose)
	case host == "":
		f.Add(key, "needs a host before the port: it is connected to, not listened on")
	}
}

func (p Product) validate(f *daemon.Faults) {
	if !name.MatchString(p.ID) {
		f.Add("id", "must be 1 to 32 characters of a-z, 0-9 and -, starting with a letter")
	}
	if p.ID == "auth" {
		f.Add("id", "auth is the auth host's own name: choose another")
	}
	if p.ID == gatewayID {
		f.Add("id", "gateway is the gateway's own name: choose another")
	}
	if p.ID == OAuthAudience {
		f.Add("id", "%s is the OAuth server's own name: choose another", OAuthAudience)
	}
	validateTarget(f, "upstream", "of the product", p.Upstream)
	for i, claim := range p.Claims {
		if !slices.Contains(PersonalClaims, claim) {
			f.Add(fmt.Sprintf("claims[%d]", i), "must be one of %v", PersonalClaims)
		}
	}
	for i, origin := range p.Origins {
		if !isOrigin(origin) {
			f.Add(fmt.Sprintf("origins[%d]", i), "must be https://host or https://host:port, lower-case and without a path")
		}
	}
}
