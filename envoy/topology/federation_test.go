package topology

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// federated is the isolated file with two clients, in lines 22 and 29.
var federated = strings.Replace(isolated, "extauthz:", `  clients:
    - id: platform
      name: Support Centre
      jwks: platform.jwks
      redirect_uris: ["https://id.commercial.example/callback", "https://id.commercial.example:8443/callback?a=b"]
      callers: ["spiffe://commercial.example/support", "spiffe://commercial.example/billing"]
    - id: Other_1.x-y
      name: Ünïcode & Söhne
      jwks_uri: https://keys.other.example/jwks
      redirect_uris: ["https://a.other.example/", "https://b.other.example/"]
      sector: other.example
extauthz:`, 1)

const (
	badAddress = "must be an https:// address: a lower-case host name or an IP address, no user information, no fragment, no wildcard"
	badName    = "is required, at most 64 bytes of printable characters: people see it when they confirm"
	badClient  = "must be 1 to 64 characters of A-Z, a-z, 0-9, ., _ and -"
	badCaller  = "must be a SPIFFE id with a path, such as spiffe://commercial.example/support"
	needsKeys  = "needs a file with the client's public keys here, or their address in jwks_uri, and not both"
	needsOne   = "is required where the redirect URIs have several hosts: it decides the sub that the client gets, so it must never change"
)

func TestGoodClients(t *testing.T) {
	f, faults := load(t, federated)
	if faults != "" {
		t.Fatal(faults)
	}
	var got []string
	for _, c := range f.Cloud.Clients {
		got = append(got, c.ID, c.SectorOf())
	}
	if diff := cmp.Diff([]string{"platform", "id.commercial.example", "Other_1.x-y", "other.example"}, got); diff != "" {
		t.Error(diff)
	}
	if jwks := string(f.Cloud.Clients[0].JWKS); !strings.HasPrefix(jwks, "/") || !strings.HasSuffix(jwks, "/platform.jwks") {
		t.Errorf("jwks = %s: not below the file's folder", jwks)
	}
}

func TestClientFaults(t *testing.T) {
	try(t, federated, []change{
		{"none", federated[strings.Index(federated, "  clients:"):strings.Index(federated, "extauthz:")], "", ""},
		{"id absent", "    - id: platform\n      name", "    - name", "22: cloud.clients[0].id: " + badClient},
		{"id of the longest length", "id: platform", "id: " + strings.Repeat("a", 64), ""},
		{"id too long", "id: platform", "id: " + strings.Repeat("a", 65), "22: cloud.clients[0].id: " + badClient},
		{"id with a colon, which HTTP Basic would split", "id: platform", "id: 'a:b'", "22: cloud.clients[0].id: " + badClient},
		{"id with white space", "id: platform", "id: a b", "22: cloud.clients[0].id: " + badClient},
		{"id with a line end", "id: platform", `id: "a\n"`, "22: cloud.clients[0].id: " + badClient},
		{"id beyond ASCII", "id: platform", "id: plätform", "22: cloud.clients[0].id: " + badClient},
		{"id twice", "id: Other_1.x-y", "id: platform", `27: cloud.clients[1].id: "platform" names another client already`},
		{"ids that differ in case are two", "id: Other_1.x-y", "id: Platform", ""},
		{"name absent", "      name: Support Centre\n", "", "22: cloud.clients[0].name: " + badName},
		{"name of spaces", "name: Support Centre", "name: '  '", "23: cloud.clients[0].name: " + badName},
		{"name of the longest length", "name: Support Centre", "name: " + strings.Repeat("a", 64), ""},
		{"name too long", "name: Support Centre", "name: " + strings.Repeat("a", 65), "23: cloud.clients[0].name: " + badName},
		{"name with a line end", "name: Support Centre", `name: "a\nb"`, "23: cloud.clients[0].name: " + badName},
		{"name that turns the text after it", "name: Support Centre", `name: "a\u202eb"`, "23: cloud.clients[0].name: " + badName},
		{"no keys", "      jwks: platform.jwks\n", "", "22: cloud.clients[0].jwks: " + needsKeys},
		{"keys in two places", "jwks: platform.jwks", "jwks: platform.jwks\n      jwks_uri: https://a.example/", "24: cloud.clients[0].jwks: " + needsKeys},
		{"keys over plain HTTP", "https://keys.other.example", "http://keys.other.example", "29: cloud.clients[1].jwks_uri: " + badAddress},
		{"a secret, as other servers take", "jwks: platform.jwks", "jwks: platform.jwks\n      secret: x", `25: cloud.clients[0].secret: unknown key "secret"`},
		{"sector absent with two hosts", "      sector: other.example\n", "", "27: cloud.clients[1].sector: " + needsOne},
		{"sector is an address", "sector: other.example", "sector: https://other.example", "31: cloud.clients[1].sector: must be a lower-case host name of the client's"},
		{"sector in capitals", "sector: other.example", "sector: Other.example", "31: cloud.clients[1].sector: must be a lower-case host name of the client's"},
		{"caller is a host", "spiffe://commercial.example/support", "support.commercial.example", "26: cloud.clients[0].callers[0]: " + badCaller},
		{"caller without a path", "commercial.example/billing", "commercial.example", "26: cloud.clients[0].callers[1]: " + badCaller},
		{"caller twice", "/billing", "/support", `26: cloud.clients[0].callers[1]: "spiffe://commercial.example/support" stands here twice`},
	})
}

func TestRedirectURIFaults(t *testing.T) {
	const first = `"https://id.commercial.example/callback", `
	all := `["https://id.commercial.example/callback", "https://id.commercial.example:8443/callback?a=b"]`
	at := "25: cloud.clients[0].redirect_uris"
	try(t, federated, []change{
		{"none", all, "[]", at + ": needs at least one"},
		{"absent", "      redirect_uris: " + all + "\n", "", "22: cloud.clients[0].redirect_uris: needs at least one"},
		{"twice", all, `["https://a.example/", "https://a.example/"]`, at + `[1]: "https://a.example/" stands here twice`},
		{"the longest", all, `["https://a.example/` + strings.Repeat("a", 1006) + `"]`, ""},
		{"too long", all, `["https://a.example/` + strings.Repeat("a", 1007) + `"]`, at + "[0]: " + badAddress},
		{"two hosts without a sector", first, `"https://b.example/", `, "22: cloud.clients[0].sector: " + needsOne},
		{"a bad one asks for no sector", first, `"http://b.example/", `, at + "[0]: " + badAddress},
	})
	for _, parameter := range answerParameters {
		try(t, federated, []change{{"holds " + parameter, "?a=b", "?a=b&" + parameter + "=1", at + "[1]: must hold none of code, error, error_description, " +
			"error_uri, iss, state in its query: the answer adds its own"}})
	}
	try(t, federated, []change{{"holds one in disguise", "?a=b", "?%63ode", at + "[1]: must hold none of code, error, error_description, error_uri, iss, " +
		"state in its query: the answer adds its own"}})
}

// The tricks of the published lists of open redirects, and what browsers repair each in its own way.
func TestAddresses(t *testing.T) {
	for address, want := range map[string]bool{
		"https://a.example": true, "https://a.example/": true, "https://a.example:8443/x/y?a=b&c=d%20e": true, "https://a.example/a;b=(c)'d',e": true,
		"https://xn--bcher-kva.example/": true, "https://a.localhost/": true, "https://a.example?x": true,
		"": false, "https://": false, "https:///a": false, "https:a.example": false, "https:/a.example": false, "//a.example/": false, "/a": false, "a.example": false,
		"http://a.example/": false, "HTTPS://a.example/": false, "javascript:alert(1)": false, "data:text/html,x": false, "com.example.app:/a": false,
		"https://u@a.example/": false, "https://u:p@a.example/": false, "https://good.example@evil.example/": false, "https://@a.example/": false,
		`https://good.example\@evil.example/`: false, `https://a.example\b`: false, "https://a.example/#": false, "https://a.example/#f": false, "https://a.example#@b.example/": false,
		"https://*.example/": false, "https://*/": false, "https://a.example/*": false, "https://a.*/": false,
		"https://A.example/": false, "https://a.example./": false, "https://a..example/": false, "https://a/": true, "https://localhost:18443/": true,
		"https://10.0.0.1/": true, "https://[::1]/": true, "https://[::1/": false, "https://10.0.0.256/": false, "https://2130706433/": false, "https://0x7f.1/": false, "https://a%2eexample/": false, "https://ä.example/": false,
		"https://a.example:/": false, "https://a.example:443/": true, "https://a.example:0/": false, "https://a.example:65536/": false, "https://a.example:80:80/": false,
		"https://a.example/\x00": false, "https://a.example/\r\nset-cookie: a=b": false, "https://a.example/\t": false, "https://a.exa\nmple/": false, " https://a.example/": false,
		"https://a.example/ ": false, "https://a.example/a b": false, "https://a.example/é": false, "https://a.example/%zz": false, "https://a.example/\x7f": false,
		`https://a.example/"onload="x`: false, "https://a.example/<x>": false, "https://a.example/{x}": false, "https://a.example/|": false, "https://a.example/`": false,
	} {
		if got := isAddress(address); got != want {
			t.Errorf("%q: %t", address, got)
		}
	}
}

func TestManagedDomainFaults(t *testing.T) {
	const good, badDomain, at = "{name: acme.example, state: verified}", "must be a lower-case e-mail domain, such as acme.example", "5: cloud.managed_domains[0]"
	public := func(name string) string {
		return at + ".name: " + name + " belongs to a provider where anybody can have an address, so it is no organisation's own"
	}
	cases := []change{
		{"none", "[" + good + "]", "[]", ""},
		{"pending", "verified", "pending", ""},
		{"sub-domain", "acme.example, state", "mail.acme.example, state", ""},
		{"the old form", good, "acme.example", "5: cloud.managed_domains[0]: cannot be text here: want a mapping"},
		{"name absent", "name: acme.example, ", "", at + ".name: " + badDomain},
		{"name in capitals", "name: acme.example", "name: Acme.example", at + ".name: " + badDomain},
		{"name is an address", "name: acme.example", "name: kim@acme.example", at + ".name: " + badDomain},
		{"name starts with an at", "name: acme.example", "name: '@acme.example'", at + ".name: " + badDomain},
		{"name is a wildcard", "name: acme.example", "name: '*.acme.example'", at + ".name: " + badDomain},
		{"name is a top domain", "name: acme.example", "name: example", at + ".name: " + badDomain},
		{"twice", good, good + ", {name: acme.example, state: pending}", `5: cloud.managed_domains[1].name: "acme.example" stands here twice`},
		{"state absent", ", state: verified", "", at + ".state: must be verified or pending"},
		{"another state", "verified", "Verified", at + ".state: must be verified or pending"},
		{"unknown key", "state: verified", "state: verified, since: 2026", `5: cloud.managed_domains[0].since: unknown key "since"`},
		{"public", "name: acme.example", "name: gmail.com", public("gmail.com")},
		{"below a public one", "name: acme.example", "name: team.gmail.com", public("team.gmail.com")},
		{"with the end of a public one", "name: acme.example", "name: notgmail.com", ""},
		{"with a public one in front", "name: acme.example", "name: gmail.com.example", ""},
	}
	try(t, isolated, cases)
}

// A public domain that is no host name, or stands there twice, is a slip of the list.
func TestPublicMail(t *testing.T) {
	seen := map[string]bool{}
	for _, domain := range publicMail {
		if !IsHostName(domain) || seen[domain] || !isPublicMail(domain) {
			t.Errorf("%q is no host name or stands there twice", domain)
		}
		seen[domain] = true
	}
	if len(seen) < 50 {
		t.Errorf("only %d domains", len(seen))
	}
}

func TestVerified(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   []Managed
		want []string
	}{
		{"none", nil, nil},
		{"pending alone", []Managed{{"a.example", Pending}}, nil},
		{"no state", []Managed{{"a.example", ""}}, nil},
		{"verified ones, in order", []Managed{{"b.example", Verified}, {"a.example", Pending}, {"c.example", Verified}}, []string{"b.example", "c.example"}},
	} {
		if diff := cmp.Diff(tt.want, Cloud{ManagedDomains: tt.in}.Verified()); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
}

func TestSectorOf(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   Client
		want string
	}{
		{"given", Client{Sector: "s.example", RedirectURIs: []string{"https://a.example/"}}, "s.example"},
		{"host of the redirect URI, without its port", Client{RedirectURIs: []string{"https://a.example:8443/x"}}, "a.example"},
		{"nothing", Client{}, ""},
		{"no address", Client{RedirectURIs: []string{":"}}, ""},
	} {
		if got := tt.in.SectorOf(); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestIssuerAndAudience(t *testing.T) {
	c := Cloud{ID: "0123456789abcdef", Domain: "acme.example"}
	for port, want := range map[int]string{443: "https://auth.acme.example", 8443: "https://auth.acme.example:8443"} {
		if c.Port = port; c.Issuer() != want {
			t.Errorf("port %d: %s, want %s", port, c.Issuer(), want)
		}
	}
	if got := c.Audience(); got != "urn:isogate:cloud:0123456789abcdef" {
		t.Errorf("audience %s", got)
	}
}
