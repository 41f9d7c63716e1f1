package main

import (
	"bufio"
	"crypto/x509"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"isogate/envoy/daemon"
	"isogate/envoy/run"
	"isogate/envoy/topology"
	"isogate/xds/push"
	"isogate/xds/snapshot"
)

// egressWorld is a real sidecar before a real gateway, with a check each.
type egressWorld struct {
	*gatewayWorld
	config *Config
	check  *checker
	push   *push.Server
	envoy  *run.Envoy
}

const (
	egressRole = topology.Role("egress-support")
	otherCloud = "fedcba9876543210"
)

func newEgressWorld(t *testing.T) *egressWorld {
	t.Helper()
	dir := shortDir(t)
	inner := newGatewayWorld(t)
	inner.startCheck(t)
	w := &egressWorld{gatewayWorld: inner, check: &checker{answer: pass}}
	ca := filepath.Join(dir, "ca.pem")
	inner.ca.writeRoots(t, ca)
	own := inner.callers.issueAs(t, dir, "support", 60, func(c *x509.Certificate) {
		c.URIs, c.ExtKeyUsage = uris(t, supportID), []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	})
	service := topology.Service{ID: "support", Host: supportHost, Upstream: "127.0.0.1:1", Federation: topology.FederationAllowed, Egress: &topology.Egress{
		SPIFFE: supportID, Listen: freeAddress(t), Certificate: own.Certificate, Key: own.Key, TokenKey: "keys", Admin: "127.0.0.1:2",
	}}
	w.config = &Config{
		Frame: topology.Frame{
			Platform: &topology.Platform{
				IdentityHost: identityHost, Sockets: daemon.Path(dir), Services: []topology.Service{service},
				Listeners: topology.PlatformListeners{Edge: freeAddress(t), Commercial: freeAddress(t)},
			},
			Clouds: []topology.Directory{
				{ID: inner.config.Cloud.ID, Domain: domain, Ingress: "127.0.0.1:1", Gateway: inner.config.Cloud.Listeners.Gateway, CA: daemon.Path(ca)},
				{ID: otherCloud, Domain: "other.example", Ingress: "127.0.0.1:1", Gateway: freeAddress(t), CA: daemon.Path(ca)},
				{ID: "0000000000000000", Domain: "closed.example", Ingress: "127.0.0.1:1"},
			},
		},
		XDS: Section{Certificates: []KeyPair{inner.ca.issue(t, dir, "tls", 61, identityHost, supportHost)}},
	}
	resources, _, err := build(w.config, time.Now(), nil, new(snapshot.Lists))
	if err != nil {
		t.Fatal(err)
	}
	w.push, _ = controlPlane(t, egressRole, w.config.socket(egressRole), resources[egressRole])
	w.envoy = envoy(t, egressRole, "egress-1", w.config.socket(egressRole))
	return w
}

func (w *egressWorld) startCheck(t *testing.T) {
	t.Helper()
	inBackground(t, w.check.unit(t, w.config.Platform.CheckSocket(string(egressRole))))
}

// set pushes what the configuration says now, and waits for Envoy to accept the types that it changes.
func (w *egressWorld) set(t *testing.T, changed ...string) {
	t.Helper()
	resources, _, err := build(w.config, time.Now(), nil, new(snapshot.Lists))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.push.Set(resources[egressRole]); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the sidecar has it", func() bool { return allAccepted(w.push, "egress-1", changed...) })
}

// call sends a request as the service would, with the headers that name a cloud and a product and then these.
func (w *egressWorld) call(t *testing.T, cloud, product, path string, headers ...string) *http.Response {
	t.Helper()
	request := "GET " + path + " HTTP/1.1\r\nHost: localhost:9801\r\nx-isolated-cloud-id: " + cloud + "\r\nx-isolated-cloud-token: sealed\r\nx-isolated-cloud-product: " + product + "\r\n"
	for _, h := range headers {
		request += h + "\r\n"
	}
	conn, err := net.Dial("tcp", string(w.config.Platform.Services[0].Egress.Listen))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := conn.Write([]byte(request + "\r\n")); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("reading the answer: %v", err)
	}
	return response
}
