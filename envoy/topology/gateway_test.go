package topology

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// crossing is a good isolated file with a gateway.
const crossing = `cloud:
  id: k3v9x2m7q4w8z1ab
  domain: acme.example
  products:
    - {id: issues, upstream: "127.0.0.1:9001"}
  managed_domains: [{name: acme.example, state: verified}]
  clients:
    - id: commercial
      name: Commercial Platform
      jwks: c.jwks
      redirect_uris: ["https://id.commercial.example/cb"]
      callers: ["spiffe://commercial.example/support"]
  gateway:
    trust_domain: commercial.example
    callers: callers.pem
    rate: 50
  listeners: {ingress: "127.0.0.1:8444", gateway: "127.0.0.1:8446"}
  sockets: run
`

func TestGateway(t *testing.T) {
	f, faults := load(t, crossing)
	if faults != "" {
		t.Fatal(faults)
	}
	c := *f.Cloud
	c.Sockets = "/run/x"
	got := []string{c.GatewayHost(), c.GatewayName("issues"), c.CheckSocket("gateway"), c.XDSSocket(Gateway)}
	want := []string{"gateway.acme.example", "issues.gateway.acme.example", "/run/x/check-gateway.sock", "/run/x/xds-gateway.sock"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if c.Gateway.PerSecond() != 50 || (IsolationGateway{}).PerSecond() != 100 {
		t.Error("rate")
	}
	if client := c.Clients[0]; !client.Admits("spiffe://commercial.example/support") || client.Admits("spiffe://commercial.example/suppor") || client.Admits("") {
		t.Error("callers")
	}
}

func TestGatewayFaults(t *testing.T) {
	gateway := crossing[strings.Index(crossing, "  gateway:"):strings.Index(crossing, "  listeners:")]
	badDomain := "14: cloud.gateway.trust_domain: must be a SPIFFE trust domain of a-z, 0-9, ., _ and -, such as commercial.example"
	badRate := "16: cloud.gateway.rate: must be from 1 to 100000 calls in a second"
	foreign := "12: cloud.clients[0].callers[0]: is not of gateway.trust_domain, whose certificates alone the gateway takes"
	try(t, crossing, []change{
		{"no gateway", gateway, "", "13: cloud.listeners.gateway: leads nowhere without cloud.gateway"},
		{"no listener", `, gateway: "127.0.0.1:8446"`, "", "17: cloud.listeners.gateway: is required beside cloud.gateway: host:port"},
		{"the ingress's address", "8446", "8444", "17: cloud.listeners.gateway: is the ingress's address already"},
		{"trust domain of upper case", "trust_domain: commercial.example", "trust_domain: Commercial.example", badDomain},
		{"trust domain with a scheme", "trust_domain: commercial.example", "trust_domain: spiffe://commercial.example", badDomain},
		{"no authorities", "    callers: callers.pem\n", "", "13: cloud.gateway.callers: is required: a PEM file with the authorities that sign the callers' certificates"},
		{"negative rate", "rate: 50", "rate: -1", badRate},
		{"rate of the impossible", "rate: 50", "rate: 100001", badRate},
		{"a caller that no certificate can be", "spiffe://commercial.example/support", "spiffe://commercial.example.evil/support", foreign},
		{"a product with its name", "id: issues", "id: gateway", "5: cloud.products[0].id: gateway is the gateway's own name: choose another"},
		{"a product on its host", "{id: issues,", "{id: issues, host: gateway.acme.example,",
			`5: cloud.products[0].host: "gateway.acme.example" belongs to another product, or is the auth host or the gateway`},
		{"unknown key", "    rate: 50", "    limit: 50", `16: cloud.gateway.limit: unknown key "limit"`},
	})
}

// sidecars is a good commercial file with two of them.
var sidecars = strings.Replace(strings.Replace(strings.Replace(wholeCommercial, "      websockets: true\n", `      egress:
        spiffe: spiffe://commercial.example/support
        listen: 127.0.0.1:9801
        certificate: support.pem
        key: support.key
        token_key: support-token
        admin: 127.0.0.1:9802
      websockets: true
`, 1), "      federation: none\n", `      federation: allowed
      egress: {spiffe: "spiffe://commercial.example/shop", listen: "127.0.0.1:9803", certificate: shop.pem, key: shop.key, token_key: shop-token, admin: "127.0.0.1:9804"}
`, 1), "secrets/acme}\n", "secrets/acme}\n    gateway: 10.0.0.1:8446\n", 1)

func TestEgress(t *testing.T) {
	f, faults := load(t, sidecars)
	if faults != "" {
		t.Fatal(faults)
	}
	p := *f.Platform
	if diff := cmp.Diff([]string{"support", "shop"}, p.Egresses()); diff != "" {
		t.Error(diff)
	}
	if s, ok := p.Service("shop"); !ok || s.Egress.SPIFFE != "spiffe://commercial.example/shop" || EgressRole(s.ID) != "egress-shop" {
		t.Errorf("%v %v", s, ok)
	}
	if s, ok := p.Service("sho"); ok || s.Egress != nil {
		t.Error("there is no such service")
	}
	acme, globex := f.Clouds[0], f.Clouds[1]
	if !acme.Crosses() || globex.Crosses() || acme.GatewayHost() != "gateway.acme.example" || acme.GatewayName("wiki") != "wiki.gateway.acme.example" {
		t.Error("the directory")
	}
}

func TestEgressFaults(t *testing.T) {
	at := "platform.services[0].egress."
	shop := "platform.services[1].egress."
	again := " is another service's: what one sidecar has, no other may"
	loopback := "must be a loopback address of IPv4 and a port, such as 127.0.0.1:9801: whoever reaches it calls in the service's name"
	needs := "37: clouds[0].gateway: needs domains, issuer, client and ca beside it: calls carry a person's token, and go to no gateway whose authority is not given here"
	try(t, sidecars, []change{
		{"no person is ever there: the sidecar idles", "federation: allowed\n      egress: {", "federation: none\n      egress: {", ""},
		{"no SPIFFE id", "spiffe: spiffe://commercial.example/support", "spiffe: support",
			"11: " + at + "spiffe: must be a SPIFFE id with a path, such as spiffe://commercial.example/support"},
		{"one SPIFFE id for two", "spiffe://commercial.example/shop", "spiffe://commercial.example/support", "24: " + shop + `spiffe: "spiffe://commercial.example/support"` + again},
		{"one address for two", "127.0.0.1:9803", "127.0.0.1:9801", "24: " + shop + `listen: "127.0.0.1:9801"` + again},
		{"every address", "listen: 127.0.0.1:9801", "listen: :9801", "12: " + at + "listen: " + loopback},
		{"an address of the network", "listen: 127.0.0.1:9801", "listen: 10.0.0.1:9801", "12: " + at + "listen: " + loopback},
		{"loopback of IPv6", "listen: 127.0.0.1:9801", "listen: '[::1]:9801'", "12: " + at + "listen: " + loopback},
		{"a name", "listen: 127.0.0.1:9801", "listen: localhost:9801", "12: " + at + "listen: " + loopback},
		{"no certificate", "        certificate: support.pem\n", "", "10: " + at + "certificate: is required"},
		{"no key", "        key: support.key\n", "", "10: " + at + "key: is required"},
		{"no token key", "        token_key: support-token\n", "", "10: " + at + "token_key: is required"},
		{"no admin", "        admin: 127.0.0.1:9802\n", "", "10: " + at + "admin: is required: host:port, on loopback unless there is a reason"},
		{"a gateway without an authority", "    ca: acme-ca.pem\n", "", needs},
		{"a gateway without a host", "gateway: 10.0.0.1:8446", "gateway: :8446", "38: clouds[0].gateway: needs a host before the port: it is connected to, not listened on"},
	})
}
