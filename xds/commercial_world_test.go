package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"isogate/envoy/daemon"
	"isogate/envoy/run"
	"isogate/envoy/topology"
	"isogate/xds/push"
	"isogate/xds/snapshot"
)

const (
	identityHost = "id.commercial.example"
	supportHost  = "support.commercial.example"
	shopHost     = "shop.example"
)

// commercialWorld is a real edge before a real commercial Envoy, between a client, a check, a door and two services.
type commercialWorld struct {
	config *Config
	ca     *authority
	check  *checker
	push   map[topology.Role]*push.Server
	log    map[topology.Role]*lines
	envoys map[topology.Role]*run.Envoy
	echo
}

func newCommercialWorld(t *testing.T) *commercialWorld {
	t.Helper()
	dir := shortDir(t)
	w := &commercialWorld{
		ca: newAuthority(t), check: &checker{answer: pass},
		push: map[topology.Role]*push.Server{}, log: map[topology.Role]*lines{}, envoys: map[topology.Role]*run.Envoy{},
	}
	w.config = &Config{
		Frame: topology.Frame{
			Platform: &topology.Platform{
				IdentityHost: identityHost, Sockets: daemon.Path(dir),
				Listeners: topology.PlatformListeners{Edge: freeAddress(t), Commercial: freeAddress(t)},
				Services: []topology.Service{
					{ID: "support", Host: supportHost, Upstream: backend(t, w.product), WebSockets: true},
					{ID: "shop", Host: shopHost, Upstream: backend(t, w.product)},
				},
			},
			Clouds: []topology.Directory{{ID: "0123456789abcdef", Domain: domain, Ingress: freeAddress(t)}},
		},
		XDS: Section{Certificates: []KeyPair{w.ca.issue(t, dir, "tls", 30, identityHost, supportHost, shopHost, "new.commercial.example")}},
	}
	door, err := daemon.ListenUnix(w.config.Platform.DoorSocket())
	if err != nil {
		t.Fatal(err)
	}
	inBackground(t, daemon.HTTP("door", door, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Add("Set-Cookie", "__Host-isogate_federated=door; Secure; Path=/")
		fmt.Fprintf(rw, "door %s %q", r.URL.Path, r.Header["X-Forwarded-For"])
	})))
	resources, _, err := build(w.config, time.Now(), nil, new(snapshot.Lists))
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range w.config.roles() {
		w.push[role], w.log[role] = controlPlane(t, role, w.config.socket(role), resources[role])
		w.envoys[role] = envoy(t, role, string(role)+"-1", w.config.socket(role))
	}
	return w
}

func (w *commercialWorld) startCheck(t *testing.T) {
	t.Helper()
	inBackground(t, w.check.unit(t, w.config.Platform.CheckSocket("federated")))
}

// set pushes what the configuration says now.
func (w *commercialWorld) set(t *testing.T) {
	t.Helper()
	resources, _, err := build(w.config, time.Now(), nil, new(snapshot.Lists))
	if err != nil {
		t.Fatal(err)
	}
	for role, r := range resources {
		if err := w.push[role].Set(r); err != nil {
			t.Fatal(err)
		}
	}
}

// dial connects through the edge, from an address that nothing else here has.
func (w *commercialWorld) dial(t *testing.T, serverName string, protocols ...string) (*tls.Conn, error) {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}, Timeout: 5 * time.Second}
	raw, err := dialer.Dial("tcp", string(w.config.Platform.Listeners.Edge))
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { raw.Close() })
	_ = raw.SetDeadline(time.Now().Add(8 * time.Second))
	conn := tls.Client(raw, &tls.Config{RootCAs: w.ca.roots, ServerName: serverName, NextProtos: protocols})
	return conn, conn.HandshakeContext(t.Context())
}

// raw sends a request as it is written, through the edge, and gives the answer.
func (w *commercialWorld) raw(t *testing.T, serverName, request string) *http.Response {
	t.Helper()
	conn, err := w.dial(t, serverName)
	if err != nil {
		t.Fatalf("%s: %v", serverName, err)
	}
	return ask(t, conn, request)
}

func ask(t *testing.T, conn net.Conn, request string) *http.Response {
	t.Helper()
	if _, err := conn.Write([]byte(request)); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("reading the answer: %v", err)
	}
	return response
}

func (w *commercialWorld) get(t *testing.T, host, path string, headers ...string) *http.Response {
	t.Helper()
	return w.raw(t, host, requestOf(host, path, headers...))
}

func requestOf(host, path string, headers ...string) string {
	request := "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n"
	for _, h := range headers {
		request += h + "\r\n"
	}
	return request + "\r\n"
}
