package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"isogate/extauthz/session"
)

const whole = `cloud:
  id: acme-9f3b6c1de2a84f70
  domain: acme.example
  products: [{id: issues, upstream: "10.0.0.11:8080"}]
  managed_domains: [{name: acme.example, state: verified}, {name: acme.test, state: pending}]
  clients: [{id: commercial, name: Commercial, jwks: commercial.jwks, redirect_uris: ["https://id.commercial.example/cb"]}]
  listeners: {ingress: "10.0.0.2:8443"}
  sockets: run
extauthz:
  admin: 127.0.0.1:9901
  store: sessions.db
  policies: policies
  keys: {uct: uct, sealing: sealing, user_id: user_id}
  providers:
    - id: corp
      issuer: https://idp.corp.example
      client_id: isogate
      client_secret: secret
      domains: [acme.example]
  session: {idle: 20m, absolute: 8h}
xds: {anything: [of, another, daemon]}
`

func read(t *testing.T, text string) (*config, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "isolated.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return loadConfig(file)
}

func TestFaultsOfTheFile(t *testing.T) {
	for _, c := range []struct{ name, old, fresh, want string }{
		{"no store", "  store: sessions.db\n", "", "extauthz.store: is required"},
		{"no policies", "  policies: policies\n", "", "extauthz.policies: is required"},
		{"no user id key", ", user_id: user_id", "", "extauthz.keys.user_id: is required"},
		{"an issuer without TLS", "https://idp", "http://idp", "extauthz.providers[0].issuer: must be the provider's https:// issuer"},
		{"an issuer with a query", "corp.example\n", "corp.example?x\n", "extauthz.providers[0].issuer:"},
		{"no client id", "      client_id: isogate\n", "", "extauthz.providers[0].client_id: is required"},
		{"the secret itself", "client_secret: secret", "client_secret: {value: x}", "extauthz.providers[0].client_secret:"},
		{"no domains", "      domains: [acme.example]\n", "", "extauthz.providers[0].domains: needs at least one"},
		{"a domain in capitals", "      domains: [acme.example]\n", "      domains: [Acme.example]\n", "extauthz.providers[0].domains[0]: must be a lower-case"},
		{"scopes without openid", "      client_id:", "      scopes: [email]\n      client_id:", "extauthz.providers[0].scopes: must hold openid"},
		{"a provider's id that is no name", "id: corp", "id: Corp/1", "extauthz.providers[0].id: must be 1 to 32"},
		{"no provider", whole[strings.Index(whole, "  providers:"):strings.Index(whole, "  session:")], "", "extauthz.providers: needs at least one"},
		{"idle longer than absolute", "idle: 20m", "idle: 9h", "extauthz.session.idle: is longer than absolute"},
		{"absolute longer than a year", "absolute: 8h", "absolute: 9000h", "extauthz.session.absolute: is longer than a year"},
		{"a federated limit over a day", "absolute: 8h", "absolute: 8h, federated: 25h", "extauthz.session.federated: is longer than 24h0m0s"},
		{"a bare number", "idle: 20m", "idle: 20", "extauthz.session.idle: must be a time span with its unit"},
		{"an exception for nobody", "absolute: 8h}", "absolute: 8h, exceptions: [{idle: 5m}]}", "extauthz.session.exceptions[0]: needs groups or providers"},
		{"an exception for an unknown provider", "absolute: 8h}", "absolute: 8h, exceptions: [{providers: [x]}]}", `extauthz.session.exceptions[0].providers[0]: "x" is none`},
		{"a key of the other side", "  store: sessions.db\n", "  store: sessions.db\n  check_every: 5s\n", "extauthz.check_every: belongs to the commercial side"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if !strings.Contains(whole, c.old) {
				t.Fatalf("the file does not hold %q", c.old)
			}
			_, err := read(t, strings.Replace(whole, c.old, c.fresh, 1))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestPoliciesOfTheFile(t *testing.T) {
	c, err := read(t, strings.Replace(whole, "absolute: 8h}", "absolute: 8h, federated: 4h, exceptions: [{groups: [admins], idle: 5m}, {providers: [corp], absolute: 2h, federated: 1h}]}", 1))
	if err != nil {
		t.Fatal(err)
	}
	want := session.Policies{
		Believed: map[string][]string{"corp": {"acme.example"}},
		Managed:  []string{"acme.example"},
		Clients:  []string{"commercial"},
		Default:  session.Limits{Idle: 20 * time.Minute, Absolute: 8 * time.Hour, Federated: 4 * time.Hour},
		Special: []session.Policy{
			{Groups: []string{"admins"}, Limits: session.Limits{Idle: 5 * time.Minute, Absolute: 8 * time.Hour, Federated: 4 * time.Hour}},
			{Providers: []string{"corp"}, Limits: session.Limits{Idle: 20 * time.Minute, Absolute: 2 * time.Hour, Federated: time.Hour}},
		},
	}
	if diff := cmp.Diff(want, c.policies()); diff != "" {
		t.Error(diff)
	}
	without, err := read(t, strings.Replace(whole, "  session: {idle: 20m, absolute: 8h}\n", "", 1))
	if err != nil {
		t.Fatal(err)
	}
	if got := without.policies().Default; got != (session.Limits{Idle: 30 * time.Minute, Absolute: 12 * time.Hour, Federated: 24 * time.Hour}) {
		t.Errorf("limits that nobody gave: %v", got)
	}
}

const commercial = `platform:
  identity_host: id.commercial.example
  services: [{id: support, host: support.commercial.example, upstream: "10.0.1.1:80", federation: allowed}]
  listeners: {edge: "10.0.1.2:443", commercial: "10.0.1.2:8445"}
  sockets: run
clouds:
  - id: acme-9f3b6c1de2a84f70
    domain: acme.example
    ingress: 10.0.0.2:8443
    domains: [acme.example]
    issuer: https://auth.acme.example
    client: {id: commercial, key: client}
extauthz:
  admin: 127.0.0.1:9911
  keys: {sealing: sealing, federated: federated, service_users: service_users}
xds: {anything: [of, another, daemon]}
`

// What could identify a person or mint a token for a product may not be on the commercial side.
func TestFaultsOfTheCommercialFile(t *testing.T) {
	if _, err := read(t, commercial); err != nil {
		t.Fatal(err)
	}
	const belongs = "belongs to the isolated side"
	for _, c := range []struct{ name, old, fresh, want string }{
		{"a UCT key", "keys: {", "keys: {uct: uct, ", "extauthz.keys.uct: " + belongs},
		{"a user id key", "keys: {", "keys: {user_id: user_id, ", "extauthz.keys.user_id: " + belongs},
		{"a store", "  admin:", "  store: sessions.db\n  admin:", "extauthz.store: " + belongs},
		{"policies", "  admin:", "  policies: policies\n  admin:", "extauthz.policies: " + belongs},
		{"providers", "  admin:", "  providers: [{id: corp}]\n  admin:", "extauthz.providers: " + belongs},
		{"sessions", "  admin:", "  session: {idle: 5m}\n  admin:", "extauthz.session: " + belongs},
		{"no key of sessions", ", federated: federated", "", "extauthz.keys.federated: is required"},
		{"no key of ids", ", service_users: service_users", "", "extauthz.keys.service_users: is required"},
		{"no sealing key", "sealing: sealing, ", "", "extauthz.keys.sealing: is required"},
		{"a check at every moment", "  admin:", "  check_every: 10ms\n  admin:", "extauthz.check_every: must be from 1s to 1h"},
		{"an edge alone", commercial[strings.Index(commercial, "  identity_host"):strings.Index(commercial, "  listeners")], "", "platform.services: is required"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Replace(commercial, c.old, c.fresh, 1)
			if c.name == "an edge alone" {
				text = strings.Replace(text, `, commercial: "10.0.1.2:8445"`, "", 1)
			}
			_, err := read(t, text)
			if text == commercial || err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
