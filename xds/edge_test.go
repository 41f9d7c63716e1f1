package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"isogate/envoy/daemon"
	"isogate/envoy/topology"
	"isogate/xds/push"
	"isogate/xds/snapshot"
)

// edgeWorld is a real edge before a real ingress.
type edgeWorld struct {
	*ingressWorld
	address daemon.Address
	socket  string
	push    *push.Server
	stop    func() string // ends the edge's Envoy and gives its log
}

func newEdgeWorld(t *testing.T) *edgeWorld {
	t.Helper()
	inner := newIngressWorld(t)
	inner.startCheck(t)
	config := &Config{Frame: topology.Frame{
		Platform: &topology.Platform{Listeners: topology.PlatformListeners{Edge: freeAddress(t)}, Sockets: daemon.Path(shortDir(t))},
		Clouds: []topology.Directory{
			{ID: inner.config.Cloud.ID, Domain: domain, Ingress: inner.config.Cloud.Listeners.Ingress},
			{ID: "fedcba9876543210", Domain: "other.example", Ingress: freeAddress(t)},
		},
	}}
	resources, _, err := build(config, time.Now(), nil, new(snapshot.Lists))
	if err != nil {
		t.Fatal(err)
	}
	server, _ := controlPlane(t, topology.Edge, config.socket(topology.Edge), resources[topology.Edge])
	e := envoy(t, topology.Edge, "edge-1", config.socket(topology.Edge))
	return &edgeWorld{ingressWorld: inner, address: config.Platform.Listeners.Edge, socket: config.socket(topology.Edge), push: server, stop: func() string {
		if err := e.Stop(); err != nil {
			t.Error(err)
		}
		log, err := os.ReadFile(e.LogFile())
		if err != nil {
			t.Fatal(err)
		}
		return string(log)
	}}
}

func (w *edgeWorld) client(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{
		ForceAttemptHTTP2: true,
		TLSClientConfig:   &tls.Config{RootCAs: w.ca.roots},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}).DialContext(ctx, "tcp", string(w.address))
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 5 * time.Second}
}

func TestEdgeToIngress(t *testing.T) {
	w := newEdgeWorld(t)
	eventually(t, "edge accepted", func() bool { return allAccepted(w.push, "edge-1", "cluster", "listener") })

	for _, host := range []string{"issues." + domain, "WIKI." + domain, "auth." + domain} {
		response, err := w.client(t).Get("https://" + host + "/.isogate/x")
		if err != nil {
			t.Fatalf("%s: %v", host, err)
		}
		if got := read(t, response); got != "door /.isogate/x" || response.ProtoMajor != 2 {
			t.Errorf("%s: got %s %q, want the door over HTTP/2", host, response.Proto, got)
		}
		if serial := response.TLS.PeerCertificates[0].SerialNumber.Int64(); serial != 10 {
			t.Errorf("%s: the client sees certificate %d, not the ingress's own", host, serial)
		}
	}
	for _, question := range w.check.questions() {
		if got := question.GetAttributes().GetSource().GetAddress().GetSocketAddress(); got.GetAddress() != "127.0.0.2" {
			t.Errorf("the check saw the address %v, not the client's", got)
		}
	}
}

func TestEdgeClosesWhatIsNoClouds(t *testing.T) {
	w := newEdgeWorld(t)
	for _, name := range []string{"", "nobody.example", domain, "acme.example.evil.example"} {
		conn, err := net.Dial("tcp", string(w.address))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(3 * time.Second))
		if err := tls.Client(conn, &tls.Config{ServerName: name, InsecureSkipVerify: true}).Handshake(); err == nil || strings.Contains(err.Error(), "timeout") {
			t.Errorf("server name %q: got %v, want a closed connection", name, err)
		}
	}
	conn, err := net.Dial("tcp", string(w.address))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(3 * time.Second))
	_, _ = conn.Write([]byte("GET / HTTP/1.1\r\nHost: issues." + domain + "\r\n\r\n"))
	if n, err := conn.Read(make([]byte, 1)); n != 0 || strings.Contains(err.Error(), "timeout") {
		t.Errorf("plain HTTP: read %d bytes, %v; want a closed connection", n, err)
	}
}

// The edge's log tells which cloud and how much, and neither who nor which host.
func TestEdgeLog(t *testing.T) {
	w := newEdgeWorld(t)
	client := w.client(t)
	response, err := client.Get("https://issues." + domain + "/personal?q=secret")
	if err != nil {
		t.Fatal(err)
	}
	read(t, response)
	client.CloseIdleConnections()
	time.Sleep(50 * time.Millisecond)
	log := w.stop()
	entry := ""
	for line := range strings.Lines(log) {
		if strings.HasPrefix(line, "{") && strings.Contains(line, "cloud.") {
			entry = line
		}
	}
	t.Log(entry)
	if !strings.Contains(entry, `"cluster":"cloud.`+w.config.Cloud.ID) || strings.Contains(entry, `"received":0`) || strings.Contains(entry, `"sent":0`) {
		t.Errorf("the log does not tell the cloud and the bytes: %q", entry)
	}
	for _, personal := range []string{"127.0.0.", "issues", "personal", "secret"} {
		if bytes.Contains([]byte(entry), []byte(personal)) {
			t.Errorf("the log holds %q: %s", personal, entry)
		}
	}
}
