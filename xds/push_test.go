package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	"isogate/envoy/topology"
	"isogate/xds/snapshot"
)

// set rebuilds the world's resources, with a change to them, and pushes them.
func (w *ingressWorld) set(t *testing.T, change func(*snapshot.Resources)) snapshot.Resources {
	t.Helper()
	all, _, err := build(w.config, time.Now(), nil, new(snapshot.Lists))
	if err != nil {
		t.Fatal(err)
	}
	r := all[topology.Ingress]
	if change != nil {
		change(&r)
	}
	if err := w.push.Set(r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestIngressAcceptsEverything(t *testing.T) {
	w := newIngressWorld(t)
	eventually(t, "all accepted", func() bool { return allAccepted(w.push, "ingress-1", "cluster", "listener", "route", "secret") })
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := w.envoy.WaitListener(ctx, "ingress"); err != nil {
		t.Error(err)
	}
	if log := w.log.String(); strings.Contains(log, "refused") {
		t.Errorf("log: %s", log)
	}
}

// A route to no cluster passes the API's constraints: Envoy refuses the table, keeps the old one, says so once, and takes the next one.
func TestEnvoyRefusesRoutes(t *testing.T) {
	w := newIngressWorld(t)
	w.startCheck(t)
	w.set(t, func(r *snapshot.Resources) {
		r.Routes = []*routev3.RouteConfiguration{proto.CloneOf(r.Routes[0])}
		bad := r.Routes[0].VirtualHosts[1].Routes[1].GetRoute()
		bad.ClusterSpecifier = &routev3.RouteAction_Cluster{Cluster: "nobody"}
	})
	refused := func() bool { return w.push.Status().Nodes["ingress-1"]["route"].State == "refused" }
	eventually(t, "refused", refused)
	time.Sleep(300 * time.Millisecond)
	if n := strings.Count(w.log.String(), "an Envoy refused"); n != 1 {
		t.Errorf("refused %d times, want once", n)
	}
	if got := w.push.Status().Nodes["ingress-1"]["route"].Refusal; !strings.Contains(got, "nobody") {
		t.Errorf("the status does not say why: %s", got)
	}
	if response := w.get(t, "issues."+domain, "/"); response.StatusCode != 200 {
		t.Errorf("the old table is gone: %d", response.StatusCode)
	}
	w.config.Cloud.Products[1].Host = "renamed." + domain
	w.set(t, nil)
	eventually(t, "the next table is in force", func() bool { return w.get(t, "renamed."+domain, "/").StatusCode == 200 })
}

// Of an update of clusters that Envoy refuses in part, the good ones serve at the latest with the next set.
func TestEnvoyRefusesClusters(t *testing.T) {
	w := newIngressWorld(t)
	w.startCheck(t)
	w.config.Cloud.Products = append(w.config.Cloud.Products, topology.Product{ID: "good", Upstream: backend(t, w.product)})
	w.set(t, func(r *snapshot.Resources) {
		r.Clusters = slices.Clone(r.Clusters)
		for i, c := range r.Clusters {
			if c.GetName() == "product.dead" {
				r.Clusters[i] = proto.CloneOf(c)
				address := r.Clusters[i].LoadAssignment.Endpoints[0].LbEndpoints[0].GetEndpoint().Address.GetSocketAddress()
				address.Address = "a name, in a cluster that wants addresses"
			}
		}
	})
	eventually(t, "refused", func() bool { return w.push.Status().Nodes["ingress-1"]["cluster"].State == "refused" })
	w.set(t, nil)
	eventually(t, "the good product is reached", func() bool { return w.get(t, "good."+domain, "/").StatusCode == 200 })
}

// One product takes another's place at a host, again and again under load: no request fails. Both clusters must be there while Envoy has one
// table and then the other.
func TestProductVanishes(t *testing.T) {
	w := newIngressWorld(t)
	w.startCheck(t)
	all := w.config.Cloud.Products
	failed, stop := w.load(t, "issues."+domain)
	for i := range 40 {
		w.config.Cloud.Products = all
		if i%2 == 0 {
			w.config.Cloud.Products = slices.Clone(all[1:])
			w.config.Cloud.Products[0].Host = "issues." + domain
		}
		w.set(t, nil)
		time.Sleep(10 * time.Millisecond)
	}
	stop()
	if n := failed.Load(); n != 0 {
		t.Errorf("%d requests failed", n)
	}
	w.config.Cloud.Products = all[1:]
	w.set(t, nil)
	eventually(t, "the cluster is gone", func() bool {
		clusters, err := w.envoy.Admin(t.Context(), "GET", "/clusters")
		return err == nil && !strings.Contains(string(clusters), "product.issues")
	})
}

// load sends requests to a host until it is stopped, and counts those that fail.
func (w *ingressWorld) load(t *testing.T, host string) (failed *atomic.Int32, stop func()) {
	t.Helper()
	failed = new(atomic.Int32)
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: w.ca.roots},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", string(w.config.Cloud.Listeners.Ingress))
			if err == nil {
				_, err = conn.Write(proxyHeader("203.0.113.7", 4711))
			}
			return conn, err
		},
	}}
	t.Cleanup(client.CloseIdleConnections)
	done := make(chan struct{})
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				response, err := client.Get("https://" + host + "/")
				if err != nil {
					failed.Add(1)
					continue
				}
				_, _ = io.Copy(io.Discard, response.Body)
				response.Body.Close()
				if response.StatusCode != 200 {
					failed.Add(1)
				}
			}
		})
	}
	return failed, func() { close(done); workers.Wait() }
}

// A new certificate reaches new handshakes; an open connection goes on.
func TestCertificateRotation(t *testing.T) {
	w := newIngressWorld(t)
	w.startCheck(t)
	open := w.dial(t, "issues."+domain)
	w.ca.issue(t, string(w.config.Cloud.Sockets), "wild", 11, "*."+domain)
	w.set(t, nil)
	eventually(t, "the new certificate", func() bool {
		return w.dial(t, "issues."+domain).ConnectionState().PeerCertificates[0].SerialNumber.Int64() == 11
	})
	_ = open.SetDeadline(time.Now().Add(5 * time.Second))
	fmt.Fprintf(open, "GET / HTTP/1.1\r\nHost: issues.%s\r\n\r\n", domain)
	if n, err := open.Read(make([]byte, 12)); err != nil || n == 0 {
		t.Errorf("the open connection: %v", err)
	}
}

// Several certificates: each name gets its own.
func TestCertificateByServerName(t *testing.T) {
	w := newIngressWorld(t)
	dir := string(w.config.Cloud.Sockets)
	w.config.XDS.Certificates = []KeyPair{
		w.ca.issue(t, dir, "a", 21, "issues."+domain, "dead."+domain), w.ca.issue(t, dir, "b", 22, "wiki."+domain), w.ca.issue(t, dir, "c", 23, "auth."+domain),
	}
	w.set(t, nil)
	serial := func(name string) int64 {
		conn, err := net.Dial("tcp", string(w.config.Cloud.Listeners.Ingress))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = conn.Write(proxyHeader("203.0.113.7", 1))
		client := tls.Client(conn, &tls.Config{RootCAs: w.ca.roots, ServerName: name})
		if client.Handshake() != nil {
			return 0
		}
		return client.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	for name, want := range map[string]int64{"issues." + domain: 21, "wiki." + domain: 22, "auth." + domain: 23} {
		eventually(t, "the certificate of "+name, func() bool { return serial(name) == want })
	}
}

// What is no handshake of the ingress: too old a version, a suite without forward secrecy or AEAD, no PROXY header, one of version 1.
func TestIngressRefusesConnections(t *testing.T) {
	w := newIngressWorld(t)
	v2 := proxyHeader("203.0.113.7", 1)
	cases := []struct {
		name   string
		header []byte
		config *tls.Config
		ok     bool
	}{
		{"TLS 1.3", v2, &tls.Config{MinVersion: tls.VersionTLS13}, true},
		{"TLS 1.2", v2, &tls.Config{MaxVersion: tls.VersionTLS12}, true},
		{"TLS 1.1", v2, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, false},
		{"CBC", v2, &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}}, false},
		{"RSA key exchange", v2, &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}}, false},
		{"no PROXY header", nil, &tls.Config{}, false},
		{"PROXY version 1", []byte("PROXY TCP4 203.0.113.7 127.0.0.1 1 443\r\n"), &tls.Config{}, false},
	}
	for _, c := range cases {
		conn, err := net.Dial("tcp", string(w.config.Cloud.Listeners.Ingress))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(3 * time.Second))
		_, _ = conn.Write(c.header)
		c.config.RootCAs, c.config.ServerName = w.ca.roots, "issues."+domain
		if err := tls.Client(conn, c.config).Handshake(); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// The role is the socket's. A client of the edge's socket that calls itself an ingress gets the edge's resources, and no key.
func TestRoleIsTheSockets(t *testing.T) {
	w := newEdgeWorld(t)
	conn, err := grpc.NewClient("unix:"+w.socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	liar := &corev3.Node{Id: "ingress-1", Cluster: "ingress"}
	for _, kind := range []string{"envoy.config.cluster.v3.Cluster", "envoy.config.listener.v3.Listener", "envoy.extensions.transport_sockets.tls.v3.Secret", "envoy.config.route.v3.RouteConfiguration"} {
		if err := stream.Send(&discoveryv3.DeltaDiscoveryRequest{Node: liar, TypeUrl: "type.googleapis.com/" + kind, ResourceNamesSubscribe: []string{"*"}}); err != nil {
			t.Fatal(err)
		}
		response, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range response.GetResources() {
			if r.GetName() != "edge" && !strings.HasPrefix(r.GetName(), "cloud.") {
				t.Errorf("%s: got %s", kind, r.GetName())
			}
		}
		if strings.HasSuffix(kind, "Secret") && len(response.GetResources()) > 0 {
			t.Error("the edge's socket gives secrets")
		}
	}
}
