package topology

import (
	"net/netip"

	"isogate/envoy/daemon"
)

// Egress is the sidecar of a service, by which it calls products of isolated clouds: services[].egress. The service holds no secret: its sidecar has
// the certificate that says who calls, and the key that opens what the service was given for a person.
type Egress struct {
	SPIFFE      string         `yaml:"spiffe"`      // the one URI of its certificate: by this name the isolated clouds know the service
	Listen      daemon.Address `yaml:"listen"`      // loopback, where the service calls in plain HTTP
	Certificate daemon.Path    `yaml:"certificate"` // PEM, leaf first; xds alone reads it, and its key
	Key         daemon.Path    `yaml:"key"`
	TokenKey    daemon.Path    `yaml:"token_key"` // folder of the keys that seal x-isolated-cloud-token for this service
	Admin       daemon.Address `yaml:"admin"`     // of the sidecar's extauthz: health, metrics and status; loopback
}

// Service finds one by its id.
func (p Platform) Service(id string) (Service, bool) {
	for _, s := range p.Services {
		if s.ID == id {
			return s, true
		}
	}
	return Service{}, false
}

// Egresses are the ids of the services that have a sidecar, in the order of the file.
func (p Platform) Egresses() (services []string) {
	for _, s := range p.Services {
		if s.Egress != nil {
			services = append(services, s.ID)
		}
	}
	return services
}

// Crosses is true where services can call products of this cloud.
func (d Directory) Crosses() bool { return d.Gateway != "" }

func (p Platform) validateEgresses(f *daemon.Faults) {
	type taken struct {
		key, value string
	}
	seen := map[taken]bool{}
	for i, s := range p.Services {
		if s.Egress == nil {
			continue
		}
		at := f.In("services[%d]", i).In("egress")
		s.validateEgress(at)
		for _, one := range []taken{{"spiffe", s.Egress.SPIFFE}, {"listen", string(s.Egress.Listen)}, {"token_key", string(s.Egress.TokenKey)}, {"admin", string(s.Egress.Admin)}} {
			if one.value != "" && seen[one] {
				at.Add(one.key, "%q is another service's: what one sidecar has, no other may", one.value)
			}
			seen[one] = true
		}
	}
}

func (s Service) validateEgress(f *daemon.Faults) {
	e := s.Egress
	if !IsSPIFFE(e.SPIFFE) {
		f.Add("spiffe", "must be a SPIFFE id with a path, such as spiffe://commercial.example/%s", s.ID)
	}
	if !isLoopback(e.Listen) {
		f.Add("listen", "must be a loopback address of IPv4 and a port, such as 127.0.0.1:9801: whoever reaches it calls in the service's name")
	}
	for key, path := range map[string]daemon.Path{"certificate": e.Certificate, "key": e.Key, "token_key": e.TokenKey} {
		if path == "" {
			f.Add(key, "is required")
		}
	}
	if e.Admin == "" {
		f.Add("admin", "is required: host:port, on loopback unless there is a reason")
	}
}

// isLoopback is for IPv4 alone: services call by the address, and the check takes no host with a bracket.
func isLoopback(address daemon.Address) bool {
	host, _ := address.Split()
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Is4() && ip.IsLoopback()
}

// validateGateway demands what the sidecars hold a gateway's certificate against.
func (d Directory) validateGateway(f *daemon.Faults) {
	if !d.Crosses() {
		return
	}
	validateTarget(f, "gateway", "of the cloud's gateway", d.Gateway)
	if d.Client == (DirectoryClient{}) || d.CA == "" {
		f.Add("gateway", "needs domains, issuer, client and ca beside it: calls carry a person's token, and go to no gateway whose authority is not given here")
	}
}
