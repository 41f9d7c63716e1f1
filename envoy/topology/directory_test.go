package topology

import (
	"strings"
	"testing"
)

func TestDirectory(t *testing.T) {
	f, _ := load(t, wholeCommercial)
	acme, globex := f.Clouds[0], f.Clouds[1]
	if !acme.Federates() || acme.Title() != "Acme" || globex.Federates() || globex.Title() != "globex.example" {
		t.Errorf("%+v %+v", acme, globex)
	}
	if !strings.HasSuffix(string(acme.Client.Key), "/secrets/acme") || !strings.HasSuffix(string(acme.CA), "/acme-ca.pem") {
		t.Errorf("paths are not the file's: %s %s", acme.Client.Key, acme.CA)
	}
}

func TestDirectoryFederationFaults(t *testing.T) {
	const together = "is required: an entry has domains, issuer and client, or none of them"
	issuer, domains := "https://auth.acme.example:8443", "    domains: [acme.example, mail.acme.example]\n"
	badIssuer := "27: clouds[0].issuer: must be https://auth.acme.example, and its port where that is not 443"
	three := func(line, entry string, left ...string) string {
		var out []string
		for _, key := range left {
			out = append(out, "F"+line+": clouds["+entry+"]."+key+": "+together)
		}
		return strings.TrimPrefix(strings.Join(out, "\n"), "F")
	}
	second := "    ingress: 10.0.0.2:8444\n"
	federated := func(domain string) string {
		return second + "    domains: [" + domain + "]\n    issuer: https://auth.globex.example\n    client: {id: commercial, key: k}\n"
	}
	try(t, wholeCommercial, []change{
		{"no domains", domains, "", three("22", "0", "domains")},
		{"empty domains", "[acme.example, mail.acme.example]", "[]", "26: clouds[0].domains: " + together},
		{"no issuer", "    issuer: " + issuer + "\n", "", three("22", "0", "issuer")},
		{"no client", "    client: {id: commercial, key: secrets/acme}\n", "", three("22", "0", "client")},
		{"domains alone", second, second + "    domains: [globex.example]\n", three("30", "1", "client", "issuer")},
		{"authorities alone", second, second + "    ca: a.pem\n", three("30", "1", "client", "domains", "issuer")},
		{"no authorities", "    ca: acme-ca.pem\n", "", ""},
		{"a second one", second, federated("globex.example"), ""},
		{"a domain of another entry", second, federated("acme.example"), `33: clouds[1].domains[0]: "acme.example" stands in an entry already`},
		{"a domain twice", "mail.acme.example]", "acme.example]", `26: clouds[0].domains[1]: "acme.example" stands in an entry already`},
		{"a domain of everybody", "mail.acme.example]", "gmail.com]", "26: clouds[0].domains[1]: gmail.com belongs to a provider where anybody can have an address, so it is no organisation's own"},
		{"a domain in capitals", "mail.acme.example]", "Mail.acme.example]", "26: clouds[0].domains[1]: must be a lower-case e-mail domain, such as acme.example"},
		{"an address", "mail.acme.example]", "'@acme.example']", "26: clouds[0].domains[1]: must be a lower-case e-mail domain, such as acme.example"},
		{"issuer of the default port", issuer, "https://auth.acme.example", ""},
		{"issuer that names the default port", issuer, "https://auth.acme.example:443", badIssuer},
		{"issuer with a slash", issuer, "https://auth.acme.example:8443/", badIssuer},
		{"issuer in plain HTTP", issuer, "http://auth.acme.example:8443", badIssuer},
		{"issuer of another cloud", issuer, "https://auth.globex.example:8443", badIssuer},
		{"issuer is another host", issuer, "https://issues.acme.example:8443", badIssuer},
		{"client without an id", "{id: commercial, ", "{", "29: clouds[0].client.id: must be 1 to 64 characters of A-Z, a-z, 0-9, ., _ and -"},
		{"client without a key", ", key: secrets/acme}", "}", "29: clouds[0].client.key: is required: a folder with ES256 keys"},
		{"name", "name: Acme", "name: ' '", "23: clouds[0].name: must be 1 to 64 bytes of printable characters: people see it"},
		{"unknown key", "ca: acme-ca.pem", "jwks: a", `28: clouds[0].jwks: unknown key "jwks"`},
	})
}
