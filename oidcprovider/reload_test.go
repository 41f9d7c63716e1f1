package main

import (
	"encoding/pem"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"isogate/envoy/daemon"
	"isogate/extauthz/keys"
	"isogate/extauthz/kv"
)

// opened is a daemon's live part whose reloads the test calls itself.
func (f folder) opened() *live {
	f.t.Helper()
	c, err := loadConfig(f.path("isolated.yaml"))
	if err != nil {
		f.t.Fatal(err)
	}
	store, err := kv.OpenBolt(f.path("codes.db"), time.Now)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = store.Close() })
	l := newLive(&daemon.Process{File: f.path("isolated.yaml"), Admin: daemon.NewAdmin()}, c)
	if err := l.open(c, store); err != nil {
		f.t.Fatal(err)
	}
	return l
}

// has tells whether a client has a key of a name now.
func (l *live) has(t *testing.T, client, kid string) bool {
	t.Helper()
	c := l.state.Load().provider.Clients[client]
	if c == nil {
		return false
	}
	_, err := c.Keys.Key(t.Context(), kid)
	return err == nil
}

func TestWhatOnlyARestartChanges(t *testing.T) {
	for _, c := range []struct{ old, fresh, want string }{
		{"id: acme-9f3b6c1de2a84f70", "id: evil-9f3b6c1de2a84f70", "cloud.id"},
		{"domain: acme.example", "domain: evil.example", "cloud.domain"},
		{"domain: acme.example", "domain: acme.example\n  port: 8443", "cloud.port"},
		{"sockets: run", "sockets: run2", "cloud.sockets"},
		{"admin: ", "admin: 127.0.0.1:1 # ", "oidcprovider.admin"},
		{"store: codes.db", "store: other.db", "oidcprovider.store"},
		{"pairwise: pairwise", "pairwise: other", "oidcprovider.keys"},
	} {
		f := newFolder(t)
		l := f.opened()
		was := l.state.Load()
		f.edit(c.old, c.fresh)
		if err := l.reloadFile(); err == nil || !strings.Contains(err.Error(), c.want+" has changed: restart oidcprovider") {
			t.Errorf("%s: %v", c.want, err)
		}
		if l.state.Load() != was {
			t.Errorf("%s: the state changed all the same", c.want)
		}
	}
}

// A fault anywhere changes nothing anywhere: the last good state answers.
func TestTheLastGoodStateStays(t *testing.T) {
	f := newFolder(t)
	l := f.opened()
	was := l.state.Load()
	f.edit("name: Shop, ", "")
	if err := l.reloadFile(); err == nil || !strings.Contains(err.Error(), "cloud.clients[0].name") {
		t.Errorf("a faulty file: %v", err)
	}
	f.edit("id: shop, ", "id: shop, name: Renamed, ")
	f.write("shop.json", "{}")
	for what, reload := range map[string]func() error{"the file": l.reloadFile, "the keys": l.reloadClients} {
		if err := reload(); err == nil || !strings.Contains(err.Error(), "client shop") || !strings.Contains(err.Error(), "shop.json") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if l.state.Load() != was || !l.has(t, "shop", "shop") {
		t.Error("the last good state is gone")
	}
	f.write("shop.json", f.jwks("fresh"))
	if err := l.reloadFile(); err != nil {
		t.Fatal(err)
	}
	if now := l.state.Load().provider; now.Clients["shop"].Name != "Renamed" || !l.has(t, "shop", "fresh") || l.has(t, "shop", "shop") {
		t.Errorf("%+v", now.Clients["shop"])
	}
}

// Clients come and go, and a client's keys change, while the daemon runs.
func TestTheFilesAreWatched(t *testing.T) {
	f := newFolder(t)
	p := f.run()
	reloaded := func(what string) func() bool {
		return func() bool {
			_, body := status(p, "/metrics")
			return strings.Contains(body, `isogate_reloads_total{result="ok",what="`+what+`"} 1`)
		}
	}
	f.write("shop.json", f.jwks("fresh"))
	eventually(t, "the clients' keys are read again", reloaded("clients"))
	f.edit("name: Shop", "name: Renamed")
	eventually(t, "the file is read again", reloaded("config"))
	if err := keys.GenerateSigner(f.path("signing"), "next"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a new key of ours is published", func() bool {
		_, body := f.ask("/oauth2/jwks")
		return strings.Count(body, `"kid"`) == 2
	})
	f.write("shop.json", "{")
	eventually(t, "a broken key file is reported", func() bool {
		_, body := status(p, "/status")
		return strings.Contains(body, "reload of clients") && strings.Contains(body, "failed") && strings.Contains(body, "client shop")
	})
}

// What was fetched from a client is kept as long as its entry, and the way to it, stay the same.
func TestFetchedKeysAreKept(t *testing.T) {
	f := newFolder(t)
	const published = `jwks_uri: "https://shop.example/jwks"`
	f.edit("jwks: shop.json", published)
	server := httptest.NewTLSServer(nil)
	t.Cleanup(server.Close)
	f.write("roots.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	l := f.opened()
	first := l.state.Load().provider.Clients["shop"].Keys
	for _, c := range []struct {
		name, old, fresh string
		same             bool
	}{
		{"another name", "name: Shop", "name: Renamed", true},
		{"another client", "  clients:\n", "  clients:\n    - {id: two, name: Two, jwks: shop.json, redirect_uris: [\"https://two.example/\"]}\n", true},
		{"another address", published, `jwks_uri: "https://shop.example/jwks2"`, false},
		{"another way", "connect: {}", `connect: {"shop.example:443": "127.0.0.1:1"}`, false},
		{"a root of its own", `connect: {`, "ca: roots.pem\n  connect: {", false},
	} {
		f.edit(c.old, c.fresh)
		if err := l.reloadFile(); err != nil {
			t.Fatal(err)
		}
		now := l.state.Load().provider.Clients["shop"].Keys
		if (now == first) != c.same {
			t.Errorf("%s: kept %t", c.name, now == first)
		}
		first = now
	}
	f.edit("  clients:\n", "  clients:\n    - {id: three, name: Three, jwks_uri: \"https://shop.example/jwks2\", redirect_uris: [\"https://three.example/\"]}\n")
	if err := l.reloadFile(); err != nil {
		t.Fatal(err)
	}
	if now := l.state.Load().provider.Clients; now["three"].Keys != now["shop"].Keys || now["shop"].Keys != first {
		t.Error("one address is asked by two")
	}
}
