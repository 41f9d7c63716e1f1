package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const whole = `cloud:
  id: acme-9f3b6c1de2a84f70
  domain: acme.example
  products: [{id: issues, upstream: "10.0.0.11:8080"}]
  managed_domains: [{name: acme.example, state: verified}]
  clients:
    - {id: shop, name: Shop, jwks: shop.json, redirect_uris: ["https://login.shop.example/back"]}
  listeners: {ingress: "10.0.0.2:8443"}
  sockets: run
oidcprovider:
  admin: 127.0.0.1:9903
  store: codes.db
  keys: {signing: signing, sealing: sealing, pairwise: pairwise}
  connect: {}
extauthz: {anything: [of, another, daemon]}
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
		{"no admin", "  admin: 127.0.0.1:9903\n", "", "oidcprovider.admin: is required"},
		{"no store", "  store: codes.db\n", "", "oidcprovider.store: is required"},
		{"no signing keys", "signing: signing, ", "", "oidcprovider.keys.signing: is required"},
		{"no sealing keys", "sealing: sealing, ", "", "oidcprovider.keys.sealing: is required"},
		{"no pairwise key", ", pairwise: pairwise", "", "oidcprovider.keys.pairwise: is required"},
		{"the key itself", "pairwise: pairwise", "pairwise: {value: x}", "oidcprovider.keys: cannot be a mapping here"},
		{"an unknown key", "  store: codes.db\n", "  store: codes.db\n  user_id: x\n", "user_id"},
		{"a connect without a port", "connect: {}", `connect: {"a.test": "127.0.0.1:1"}`, "oidcprovider.connect: \"a.test\" must be host:port"},
		{"no section", whole[strings.Index(whole, "oidcprovider:"):strings.Index(whole, "extauthz:")], "", "oidcprovider.store: is required"},
		{"a client without keys", "jwks: shop.json, ", "", "cloud.clients[0].jwks: needs a file"},
		{"a redirect URI without TLS", "https://login", "http://login", "cloud.clients[0].redirect_uris[0]: must be an https://"},
		{"the other side", whole[:strings.Index(whole, "oidcprovider:")], "platform: {listeners: {edge: \"127.0.0.1:1\"}, sockets: run}\nclouds: [{id: acme-9f3b6c1de2a84f70, domain: acme.example, ingress: \"10.0.0.2:1\"}]\n", "cloud: is required: oidcprovider serves the isolated side"},
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

func TestAGoodFile(t *testing.T) {
	c, err := read(t, whole)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.OIDCProvider.Keys.folders(); len(got) != 2 || filepath.Base(got[0]) != "signing" || filepath.Base(got[1]) != "sealing" || !filepath.IsAbs(got[0]) {
		t.Errorf("folders: %v", got)
	}
	if _, err := read(t, strings.Replace(whole, whole[strings.Index(whole, "  clients:"):strings.Index(whole, "  listeners:")], "", 1)); err != nil {
		t.Errorf("without a client: %v", err)
	}
}
