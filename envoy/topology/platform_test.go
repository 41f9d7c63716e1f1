package topology

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const wholeCommercial = `platform:
  port: 8443
  identity_host: id.commercial.example
  services:
    - id: support
      name: Support Centre
      host: support.commercial.example
      upstream: 127.0.0.1:9101
      federation: allowed
      websockets: true
      idle_timeout: 2m
      stream_limit: 1h
    - id: shop
      host: shop.example
      upstream: shop.internal:80
      federation: none
  sign_in:
    - {name: "Sign in with a password", address: "https://login.example/sign-in?from=id"}
  listeners: {edge: "127.0.0.1:8443", commercial: "127.0.0.1:8445"}
  sockets: run
clouds:
  - id: k3v9x2m7q4w8z1ab
    name: Acme
    domain: acme.example
    ingress: 127.0.0.1:8444
    domains: [acme.example, mail.acme.example]
    issuer: https://auth.acme.example:8443
    ca: acme-ca.pem
    client: {id: commercial, key: secrets/acme}
  - id: 0123456789abcdef
    domain: globex.example
    ingress: 10.0.0.2:8444
`

func TestPlatform(t *testing.T) {
	f, faults := load(t, wholeCommercial)
	if faults != "" {
		t.Fatal(faults)
	}
	p := *f.Platform
	p.Sockets = "/run/x"
	got := append(p.Hosts(), p.CheckSocket("federated"), p.DoorSocket(), p.XDSSocket(Commercial), p.URL(p.IdentityHost), string(p.FromEdge()))
	want := []string{"id.commercial.example", "support.commercial.example", "shop.example",
		"/run/x/check-federated.sock", "/run/x/door.sock", "/run/x/xds-commercial.sock", "https://id.commercial.example:8443", "127.0.0.1:8445"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	p.Commercial = "commercial.internal:443"
	if got := p.FromEdge(); got != "commercial.internal:443" {
		t.Errorf("from the edge: %s", got)
	}
	support, shop := p.Services[0], p.Services[1]
	if support.Title() != "Support Centre" || support.Idle() != 2*time.Minute || support.Stream() != time.Hour || support.Federation != FederationAllowed {
		t.Errorf("given: %+v", support)
	}
	if shop.Title() != "shop" || shop.Idle() != time.Minute || shop.Stream() != 5*time.Minute || shop.WebSockets || shop.Federation != FederationNone {
		t.Errorf("defaults: %+v", shop)
	}
	f, _ = load(t, commercial)
	if f.Platform.Serves() || f.Platform.Hosts() != nil || f.Clouds[0].Federates() || f.Clouds[0].Title() != "acme.example" {
		t.Error("the edge alone has hosts, or its clouds federate")
	}
}

func TestPlatformSideFaults(t *testing.T) {
	const together = "1: platform."
	services := wholeCommercial[strings.Index(wholeCommercial, "  services:"):strings.Index(wholeCommercial, "  sign_in:")]
	listeners := `{edge: "127.0.0.1:8443", commercial: "127.0.0.1:8445"}`
	noAddress := "19: platform.listeners.commercial: needs one address before the port, since the edge connects there; else say in platform.commercial where it does"
	try(t, wholeCommercial, []change{
		{"port", "port: 8443", "port: 70000", "2: platform.port: must be from 1 to 65535"},
		{"no identity host", "  identity_host: id.commercial.example\n", "", together + "identity_host: is required beside services: the host where people sign in"},
		{"no services", services, "", together + "services: needs at least one service beside identity_host"},
		{"no listener", `, commercial: "127.0.0.1:8445"`, "", "19: platform.listeners.commercial: is required beside services: host:port"},
		{"neither identity host nor services", wholeCommercial[:strings.Index(wholeCommercial, "  sign_in:")],
			"platform:\n", "1: platform.identity_host: is required beside services: the host where people sign in\nF1: platform.services: needs at least one service beside identity_host"},
		{"identity host", "id.commercial.example", "ID.commercial.example", "3: platform.identity_host: must be a lower-case host name, such as support.commercial.example"},
		{"one address for two", "127.0.0.1:8445", "127.0.0.1:8443", "19: platform.listeners.commercial: is the edge's address already"},
		{"every address", listeners, `{edge: "127.0.0.1:8443", commercial: ":8445"}`, noAddress},
		{"every address of IPv4", listeners, `{edge: "127.0.0.1:8443", commercial: "0.0.0.0:8445"}`, noAddress},
		{"every address of IPv6", listeners, `{edge: "127.0.0.1:8443", commercial: "[::]:8445"}`, noAddress},
		{"every address, and where", listeners, `{edge: "127.0.0.1:8443", commercial: ":8445"}` + "\n  commercial: commercial.internal:8445", ""},
		{"where is every address", listeners, listeners + "\n  commercial: :8445", "20: platform.commercial: needs a host before the port: it is connected to, not listened on"},
		{"option without a name", `{name: "Sign in with a password", `, "{", "18: platform.sign_in[0].name: must be 1 to 64 bytes of printable characters: people see it"},
		{"option in plain HTTP", "https://login", "http://login", "18: platform.sign_in[0].address: must be " + anAddress},
		{"option is a script", "https://login.example/sign-in?from=id", "javascript:alert(1)", "18: platform.sign_in[0].address: must be " + anAddress},
		{"unknown key", "  sign_in:", "  domain: a.example\n  sign_in:", `17: platform.domain: unknown key "domain"`},
	})
}

func TestServiceFaults(t *testing.T) {
	const badID, badHost = "must be 1 to 32 characters of a-z, 0-9 and -, starting with a letter", "must be a lower-case host name, such as support.commercial.example"
	const badFederation = "must be allowed or none: whether people of isolated clouds may use it"
	owned := ` is a name of the isolated cloud of acme.example: the edge must forward all of those to its ingress`
	try(t, wholeCommercial, []change{
		{"id", "id: support\n", "id: Support\n", "5: platform.services[0].id: " + badID},
		{"id absent", "    - id: shop\n      host", "    - host", "13: platform.services[1].id: " + badID},
		{"id twice", "id: shop\n", "id: support\n", `13: platform.services[1].id: "support" names another service already`},
		{"id is identity", "id: shop\n", "id: identity\n", "13: platform.services[1].id: identity is the identity host's own name: choose another"},
		{"name ends a line", "name: Support Centre", `name: "Support\nCentre"`, "6: platform.services[0].name: must be 1 to 64 bytes of printable characters: people see it"},
		{"name too long", "name: Support Centre", "name: " + strings.Repeat("a", 65), "6: platform.services[0].name: must be 1 to 64 bytes of printable characters: people see it"},
		{"host absent", "      host: shop.example\n", "", "13: platform.services[1].host: " + badHost},
		{"host is a wildcard", "host: shop.example", "host: '*.example'", "14: platform.services[1].host: " + badHost},
		{"host is an address", "host: shop.example", "host: 10.0.0.1", "14: platform.services[1].host: " + badHost},
		{"host twice", "host: shop.example", "host: support.commercial.example", `14: platform.services[1].host: "support.commercial.example" belongs to another service or is the identity host`},
		{"host is the identity host", "host: shop.example", "host: id.commercial.example", `14: platform.services[1].host: "id.commercial.example" belongs to another service or is the identity host`},
		{"host of an isolated cloud", "host: shop.example", "host: auth.acme.example", `14: platform.services[1].host: "auth.acme.example"` + owned},
		{"host deep in an isolated cloud", "host: shop.example", "host: a.b.acme.example", `14: platform.services[1].host: "a.b.acme.example"` + owned},
		{"host is an isolated domain", "host: shop.example", "host: acme.example", `14: platform.services[1].host: "acme.example"` + owned},
		{"host with the same end as an isolated domain", "host: shop.example", "host: notacme.example", ""},
		{"identity host of an isolated cloud", "id.commercial.example", "auth.acme.example", `3: platform.identity_host: "auth.acme.example"` + owned},
		{"federation absent", "      federation: none\n", "", "13: platform.services[1].federation: " + badFederation},
		{"federation", "federation: none", "federation: no", "16: platform.services[1].federation: " + badFederation},
		{"upstream absent", "      upstream: shop.internal:80\n", "", "13: platform.services[1].upstream: is required: host:port of the service"},
		{"upstream without a host", "shop.internal:80", ":80", "15: platform.services[1].upstream: needs a host before the port: it is connected to, not listened on"},
		{"timeout without a unit", "idle_timeout: 2m", "idle_timeout: 120", "11: platform.services[0].idle_timeout: must be a time span with its unit, such as 30m or 12h"},
		{"a product's key", "websockets: true", "claims: [email]", `10: platform.services[0].claims: unknown key "claims"`},
	})
}
