package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"isogate/envoy/daemon"
	"isogate/envoy/topology"
	"isogate/policies"
	"isogate/xds/push"
)

// crossing is the site's file with a gateway, and the files that it names.
func (s *site) crossing(t *testing.T, gateway daemon.Address, callers *authority) string {
	t.Helper()
	callers.writeRoots(t, filepath.Join(s.dir, "callers.pem"))
	text := strings.Replace(s.isolated(), `listeners: {ingress: "127.0.0.1:2"}`, fmt.Sprintf(`listeners: {ingress: "%s", gateway: "%s"}
  gateway: {trust_domain: commercial.example, callers: callers.pem}`, freeAddress(t), gateway), 1)
	return strings.Replace(text, "xds:\n", "xds:\n  policies: policies\n", 1)
}

// calling is the commercial file with a sidecar, and the files that it names.
func (s *site) calling(t *testing.T) string {
	t.Helper()
	s.ca.writeRoots(t, filepath.Join(s.dir, "ca.pem"))
	s.ca.issueAs(t, s.dir, "support", 41, func(c *x509.Certificate) {
		c.URIs, c.ExtKeyUsage = uris(t, supportID), []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	})
	text := strings.Replace(s.commercial(t), "federation: allowed}", `federation: allowed, egress: {spiffe: "`+supportID+`", listen: "`+string(freeAddress(t))+
		`", certificate: support.crt, key: support.key, token_key: keys, admin: "127.0.0.1:5"}}`, 1)
	return strings.Replace(text, `ingress: "127.0.0.1:2"}`, `ingress: "127.0.0.1:2", domains: [acme.example], issuer: "https://auth.acme.example", `+
		`client: {id: a, key: keys}, ca: ca.pem, gateway: "127.0.0.1:6"}`, 1)
}

func (s *site) policy(t *testing.T, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(s.dir, "policies"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(s.dir, "policies", "ingress.rego"), []byte(ingressPolicy))
	write(t, filepath.Join(s.dir, "policies", "gateway.rego"), []byte(text))
}

// The whole program: no policy yet, then one, a broken one, another, and a restart with a broken one. The ingress is served all the time, and the
// gateway keeps the last good routes.
func TestProgramFollowsThePolicies(t *testing.T) {
	s, callers, listen := newSite(t), newAuthority(t), freeAddress(t)
	s.write(t, s.crossing(t, listen, callers))
	log, stop := s.start(t)
	config, err := load(s.file)
	if err != nil {
		t.Fatal(err)
	}
	check := &checker{answer: pass}
	inBackground(t, check.unit(t, config.Cloud.CheckSocket("gateway")))
	envoy(t, topology.Ingress, "ingress-1", config.socket(topology.Ingress))
	if ready := s.ask(t, "/readyz"); !strings.Contains(ready, `"policies": "not loaded yet"`) {
		t.Errorf("without policies it is ready: %s", ready)
	}
	s.policy(t, gatewayPolicy([]string{"GET"}, []string{"/a"}))
	e := envoy(t, topology.Gateway, "gateway-1", config.socket(topology.Gateway))
	w := &gatewayWorld{config: config, ca: s.ca, callers: callers, check: check, envoy: e}
	w.caller = callers.caller(t, func(c *x509.Certificate) { c.URIs = uris(t, supportID) })
	leads := func(path, want string) func() bool {
		return func() bool { _, id, ok := w.route(t, "GET", path); return ok && id == want }
	}
	eventually(t, "the first policy", leads("/a", "e0"))
	eventually(t, "ready", func() bool { return strings.Contains(s.ask(t, "/readyz"), `"policies": "ok"`) })
	bundle, err := policies.Load(t.Context(), filepath.Join(s.dir, "policies"))
	if err != nil || !strings.Contains(s.ask(t, "/status"), bundle.Digest()) {
		t.Errorf("the status does not name the policies %s: %v", bundle.Digest(), err)
	}
	s.policy(t, "package isogate.gateway\n\nendpoints :=")
	eventually(t, "a fault in the log", func() bool { return strings.Contains(log.String(), "reload failed") })
	if !leads("/a", "e0")() || !strings.Contains(s.ask(t, "/readyz"), `"policies": "ok"`) {
		t.Error("a broken policy closed what the last good one exposed")
	}
	s.policy(t, strings.ReplaceAll(gatewayPolicy([]string{"GET", "GET"}, []string{"/b/{x}", "/c"}), `["e1"] := {"product": "issues"`, `["e1"] := {"product": "nothing"`))
	eventually(t, "the next policy", leads("/b/1", "e0"))
	if !leads("/a", "-")() {
		t.Error("what the next policy does not expose is still exposed")
	}
	s.policy(t, "package isogate.gateway\n\nendpoints :=")
	stop()
	log, _ = s.start(t)
	eventually(t, "the fault in the log of the next process", func() bool {
		return strings.Contains(log.String(), "none was good yet, so the gateway keeps what it has")
	})
	eventually(t, "the gateway asks the next process", func() bool {
		raw, err := os.ReadFile(e.LogFile())
		return err == nil && strings.Contains(string(raw), "no resources yet")
	})
	if !leads("/b/1", "e0")() {
		t.Error("a restart closed what the last good policy exposed")
	}
}

// An endpoint's route goes when its last day does, without an edit; and it is not made at all after that.
func TestRoutesEndWithTheirEndpoints(t *testing.T) {
	s := newSite(t)
	s.write(t, s.crossing(t, freeAddress(t), newAuthority(t)))
	end := time.Now().Truncate(24*time.Hour).AddDate(0, 0, 30)
	s.policy(t, strings.Replace(gatewayPolicy([]string{"GET"}, []string{"/a"}), `"body"`, `"expires": "`+end.AddDate(0, 0, -1).Format(time.DateOnly)+`", "body"`, 1))
	config, err := load(s.file)
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := policies.Load(t.Context(), string(config.XDS.Policies))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	log := slog.New(slog.DiscardHandler)
	registry := prometheus.NewRegistry()
	metrics := push.NewMetrics(registry)
	c := &control{config: config, now: func() time.Time { return now }, log: log, expiry: newExpiry(registry), servers: map[topology.Role]*push.Server{}}
	for _, role := range config.roles() {
		c.servers[role] = push.NewServer(role, log, metrics)
	}
	version := func() string { return c.servers[topology.Gateway].Status().Version }
	if err := c.rebuild(); err != nil {
		t.Fatal(err)
	}
	if version() != "" {
		t.Error("the gateway got routes before there were policies")
	}
	now = end
	c.policiesChanged(daemon.NewAdmin(), bundle, nil)
	empty := version()
	now = end.AddDate(0, 0, -2)
	c.policiesChanged(daemon.NewAdmin(), bundle, nil)
	full := version()
	now = end.Add(-time.Second)
	if c.endpointsEnd(); empty == "" || full == empty || version() != full {
		t.Errorf("a second before the end the version is %s; empty is %s", version(), empty)
	}
	now = end
	if c.endpointsEnd(); version() != empty {
		t.Error("the route is still there at the end")
	}
	if c.policiesChanged(daemon.NewAdmin(), bundle, nil); version() != empty {
		t.Error("a reload brings it back")
	}
}

// The unit looks at the clock by itself.
func TestEndsAreWatched(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	looked := make(chan struct{}, 8)
	c := &control{now: func() time.Time { looked <- struct{}{}; return time.Time{} }, ends: time.Now()}
	done := make(chan error)
	go func() { done <- c.watchEnds(ctx) }()
	select {
	case <-looked:
	case <-time.After(10 * time.Second):
		t.Error("nobody looks at the clock")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A role gets no key that it cannot use: certificates go by the hosts that they are good for.
func TestCertificatesByRole(t *testing.T) {
	w := newGatewayWorld(t)
	dir := string(w.config.Cloud.Sockets)
	w.config.XDS.Certificates = []KeyPair{
		w.ca.issue(t, dir, "products", 70, "auth."+domain, "issues."+domain, "docs."+domain, "rude."+domain, "dead."+domain),
		w.ca.issue(t, dir, "gateway", 71, gatewayHost),
	}
	files, err := w.config.read(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for role, want := range map[topology.Role]string{topology.Ingress: "products.crt", topology.Gateway: "gateway.crt"} {
		if got := files.of(role, w.config); len(got) != 1 || filepath.Base(string(got[0].Certificate)) != want {
			t.Errorf("%s has %v, want %s alone", role, got, want)
		}
	}
	w.config.XDS.Certificates = w.config.XDS.Certificates[:1]
	if _, err := w.config.read(time.Now()); err == nil || !strings.Contains(err.Error(), "no certificate covers the host "+gatewayHost) {
		t.Errorf("without one for the gateway: %v", err)
	}
	w.config.Cloud.Gateway.Callers = daemon.Path(filepath.Join(dir, "products.crt")) // no authority's
	if _, err := w.config.read(time.Now()); err == nil {
		t.Error("callers may be signed by whatever stands in the file")
	}
}
