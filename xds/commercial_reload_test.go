package main

import (
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"isogate/envoy/bootstrap"
	"isogate/envoy/run"
	"isogate/envoy/topology"
)

// A service that is added is served at once, and no open connection is cut: neither at the edge nor at the commercial Envoy. One that goes away is
// closed at the edge.
func TestServiceAddedUnderOpenStream(t *testing.T) {
	w := newCommercialWorld(t)
	w.startCheck(t)
	open, err := w.dial(t, supportHost)
	if err != nil {
		t.Fatal(err)
	}
	if response := ask(t, open, requestOf(supportHost, "/", "Connection: upgrade", "Upgrade: websocket")); response.StatusCode != 101 {
		t.Fatalf("the stream: %d", response.StatusCode)
	}
	const added = "new.commercial.example"
	if _, err := w.dial(t, added); err == nil {
		t.Fatal("the host is served already")
	}
	services := w.config.Platform.Services
	w.config.Platform.Services = append(services[:2:2], topology.Service{ID: "new", Host: added, Upstream: backend(t, w.product)})
	w.set(t)
	eventually(t, "the new service is reached", func() bool {
		_, err := w.dial(t, added)
		return err == nil && w.get(t, added, "/").StatusCode == 200
	})
	time.Sleep(2 * time.Second) // a listener that was replaced would cut its connections after 1 s
	_ = open.SetDeadline(time.Now().Add(300 * time.Millisecond))
	if _, err := open.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "timeout") {
		t.Errorf("the open stream: %v, want silence", err)
	}
	stat := func(role topology.Role, name string) string {
		text, err := w.envoys[role].Admin(t.Context(), "GET", "/stats?filter="+url.QueryEscape("^listener_manager."+name+"$"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(text))
	}
	for _, c := range []struct {
		role       topology.Role
		name, want string
	}{{topology.Commercial, "listener_modified", "0"}, {topology.Edge, "listener_in_place_updated", "1"}} {
		if got := stat(c.role, c.name); got != "listener_manager."+c.name+": "+c.want {
			t.Errorf("%s: %s, want %s", c.role, got, c.want)
		}
	}
	w.config.Platform.Services = services
	w.set(t)
	eventually(t, "the service is gone", func() bool { _, err := w.dial(t, added); return err != nil })
	for _, role := range w.config.roles() {
		if log := w.log[role].String(); strings.Contains(log, "refused") {
			t.Errorf("%s: %s", role, log)
		}
	}
}

// commercial is a whole commercial file of this site.
func (s *site) commercial(t *testing.T) string {
	t.Helper()
	s.ca.issue(t, s.dir, "out", 40, identityHost, supportHost)
	return fmt.Sprintf(`platform:
  identity_host: %s
  services:
  - {id: support, host: %s, upstream: "127.0.0.1:1", federation: allowed}
  listeners: {edge: "%s", commercial: "%s"}
  sockets: run
clouds: [{id: 0123456789abcdef, domain: acme.example, ingress: "127.0.0.1:2"}]
xds:
  admin: %s
  certificates: [{certificate: out.crt, key: out.key}]
extauthz: {whatever: [1]}
`, identityHost, supportHost, freeAddress(t), freeAddress(t), s.admin)
}

const edgeAlone = "platform: {listeners: {edge: ':1'}, sockets: run}\nclouds: [{id: 0123456789abcdef, domain: acme.example, ingress: 'b:1'}]\nxds: {admin: '%s'}\n"

// One process serves both roles; the file and the certificates are watched as on the isolated side.
func TestCommercialProgram(t *testing.T) {
	s := newSite(t)
	good := s.commercial(t)
	s.write(t, good)
	log, _ := s.start(t)
	config, err := load(s.file)
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range config.roles() {
		envoy(t, role, string(role)+"-1", config.socket(role))
	}
	accepted := func(n int) func() bool {
		return func() bool { return strings.Count(s.ask(t, "/status"), `"state": "accepted"`) == n }
	}
	eventually(t, "both Envoys accepted: two types and four", accepted(6))
	served := s.version(t)
	for _, c := range []struct{ what, text, want string }{
		{"another identity host", strings.Replace(good, identityHost, supportHost+"x", 1), "restart extauthz, xds and the Envoys"},
		{"another port", strings.Replace(good, "platform:\n", "platform:\n  port: 1\n", 1), "restart extauthz, xds and the Envoys"},
		{"the edge alone", fmt.Sprintf(edgeAlone, s.admin), "for the roles [edge]: restart xds"},
		{"a host without a certificate", strings.Replace(good, supportHost, "x.example", 1), "no certificate covers the host x.example"},
		{"a fault", strings.Replace(good, "federation: allowed", "federation: maybe", 1), "platform.services[0].federation"},
	} {
		failures := strings.Count(log.String(), "reload failed")
		s.write(t, c.text)
		eventually(t, c.what+" is a fault", func() bool { return strings.Count(log.String(), "reload failed") > failures })
		if !strings.Contains(log.String(), c.want) || s.version(t) != served {
			t.Errorf("%s: the log lacks %q, or something else is served", c.what, c.want)
		}
	}
	s.write(t, strings.Replace(good, "127.0.0.1:1\"", "127.0.0.1:3\"", 1))
	eventually(t, "another upstream is served", func() bool { return s.version(t) != served })
	eventually(t, "both Envoys accepted", accepted(6))
	if metrics := s.ask(t, "/metrics"); !strings.Contains(metrics, `certificate="`+filepath.Join(s.dir, "out.crt")) {
		t.Error("no metric tells when the certificate ends")
	}
}

func TestCommercialConfigFaults(t *testing.T) {
	s := newSite(t)
	good := s.commercial(t)
	for _, c := range []struct{ name, old, text, want string }{ // "" is none
		{"good", "", "", ""},
		{"no certificates", "  certificates: [{certificate: out.crt, key: out.key}]\n", "", "xds.certificates: needs at least one"},
		{"no key", ", key: out.key", "", "xds.certificates[0].key: is required"},
		{"a name to bind", `commercial: "127.0.0.1`, `commercial: "localhost`, "platform.listeners.commercial: must have an IP address"},
		{"the other side's role", "xds:\n", "xds:\n  remote: {listen: ':1', certificate: a, key: b, clients: c, roles: {'spiffe://a/b': ingress}}\n",
			`"spiffe://a/b" has the role "ingress", but this side's are [edge commercial]`},
		{"both roles from afar", "xds:\n", "xds:\n  remote: {listen: ':1', certificate: a, key: b, clients: c, roles: {'spiffe://a/b': edge, 'spiffe://a/c': commercial}}\n", ""},
	} {
		s.write(t, strings.Replace(good, c.old, c.text, 1))
		if _, err := load(s.file); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

// Envoys on other machines get what their certificates' roles have: the edge no key, the commercial one its own. Both say that they are the edge, which
// counts for nothing.
func TestRemoteCommercial(t *testing.T) {
	f := newFarSite(t)
	f.site.write(t, strings.Replace(f.site.commercial(t), "xds:\n", `xds:
  remote:
    listen: `+string(f.config.XDS.Remote.Listen)+`
    certificate: xds.crt
    key: xds.key
    clients: ca.pem
    roles: {"`+edgeID+`": edge, "spiffe://acme.example/envoy/commercial": commercial}
`, 1))
	f.start(t)
	dump := func(e *run.Envoy) string {
		text, _ := e.Admin(t.Context(), "GET", "/config_dump?include_eds")
		return string(text)
	}
	own := func(name, id string) bootstrap.Remote {
		f.ca.spiffe(t, f.far, name, 50, id)
		r := f.boot
		r.Certificate, r.Key = filepath.Join(f.far, name+".crt"), filepath.Join(f.far, name+".key")
		r.Secrets = shortDir(t)
		return r
	}
	edge := f.envoy(t, "far-edge", own("edge", edgeID))
	commercial := f.envoy(t, "far-commercial", own("commercial", "spiffe://acme.example/envoy/commercial"))
	live(t, edge)
	live(t, commercial)
	for _, c := range []struct {
		name          string
		e             *run.Envoy
		has           string
		never, never2 string
	}{
		{"edge", edge, `"cloud.0123456789abcdef"`, "certificate-0", "service.support"},
		{"commercial", commercial, `"service.support"`, "cloud.0123456789abcdef", "127.0.0.1:2"},
	} {
		eventually(t, "the "+c.name+" has its own", func() bool { return strings.Contains(dump(c.e), c.has) })
		if text := dump(c.e); strings.Contains(text, c.never) || strings.Contains(text, c.never2) {
			t.Errorf("the %s has what is another role's", c.name)
		}
	}
}
