package topology

import (
	"regexp"
	"slices"
	"strings"

	"isogate/envoy/daemon"
)

// IsolationGateway is where commercial services call products: cloud.gateway. Without it nothing crosses. Which calls may cross is
// in the policies.
type IsolationGateway struct {
	TrustDomain string      `yaml:"trust_domain"` // SPIFFE trust domain of the callers, such as commercial.example; one of any other is refused in the TLS handshake
	Callers     daemon.Path `yaml:"callers"`      // PEM: the authorities that sign the callers' certificates, and nothing else
	Rate        int         `yaml:"rate"`         // calls that one caller may make in a second; 100 if absent
}

// defaultRate is Rate where the file says nothing, and maxRate more than one Envoy serves.
const (
	defaultRate = 100
	maxRate     = 100_000
)

// PerSecond is Rate or its default.
func (g IsolationGateway) PerSecond() int {
	if g.Rate == 0 {
		return defaultRate
	}
	return g.Rate
}

// gatewayID is the first label of the gateway's host.
const gatewayID = "gateway"

// GatewayHost is the name in the gateway's certificate, and the server name by which callers ask for it.
func (c Cloud) GatewayHost() string { return gatewayHost(c.Domain) }

// GatewayName is the host of a product at the gateway: what a request's authority must be and what its proof of possession names, without a port,
// since it is no address. So no proof for one product is good at another.
func (c Cloud) GatewayName(product string) string { return gatewayName(product, c.Domain) }

// GatewayHost is the same as the isolated cloud's own.
func (d Directory) GatewayHost() string { return gatewayHost(d.Domain) }

// GatewayName is the same as the isolated cloud's own.
func (d Directory) GatewayName(product string) string { return gatewayName(product, d.Domain) }

func gatewayHost(domain string) string { return gatewayID + "." + domain }

func gatewayName(product, domain string) string { return product + "." + gatewayHost(domain) }

var trustDomain = regexp.MustCompile(`^[a-z0-9._-]{1,255}$`)

func (c Cloud) validateGateway(f *daemon.Faults) {
	listeners := f.In("listeners")
	if c.Gateway == nil {
		if c.Listeners.Gateway != "" {
			listeners.Add("gateway", "leads nowhere without cloud.gateway")
		}
		return
	}
	switch c.Listeners.Gateway {
	case "":
		listeners.Add("gateway", "is required beside cloud.gateway: host:port")
	case c.Listeners.Ingress:
		listeners.Add("gateway", "is the ingress's address already")
	}
	at := f.In("gateway")
	if !trustDomain.MatchString(c.Gateway.TrustDomain) {
		at.Add("trust_domain", "must be a SPIFFE trust domain of a-z, 0-9, ., _ and -, such as commercial.example")
	} else {
		c.validateCallers(f)
	}
	if c.Gateway.Callers == "" {
		at.Add("callers", "is required: a PEM file with the authorities that sign the callers' certificates")
	}
	if c.Gateway.Rate < 0 || c.Gateway.Rate > maxRate {
		at.Add("rate", "must be from 1 to %d calls in a second", maxRate)
	}
}

// validateCallers names callers that no certificate could ever show.
func (c Cloud) validateCallers(f *daemon.Faults) {
	for i, client := range c.Clients {
		for j, caller := range client.Callers {
			if IsSPIFFE(caller) && !strings.HasPrefix(caller, "spiffe://"+c.Gateway.TrustDomain+"/") {
				f.In("clients[%d]", i).In("callers[%d]", j).Add("", "is not of gateway.trust_domain, whose certificates alone the gateway takes")
			}
		}
	}
}

// Admits tells whether a caller may come with this client's tokens.
func (c Client) Admits(caller string) bool { return slices.Contains(c.Callers, caller) }
