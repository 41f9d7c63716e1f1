package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"isogate/envoy/daemon"
	"isogate/envoy/run"
	"isogate/envoy/topology"
	"isogate/policies"
	"isogate/xds/push"
	"isogate/xds/snapshot"
)

const (
	gatewayHost = "gateway." + domain
	supportID   = "spiffe://commercial.example/support"
)

// gatewayWorld is a real gateway Envoy between a caller, a check and two products, one of which answers as it is told, byte for byte.
type gatewayWorld struct {
	config  *Config
	ca      *authority // of the gateway
	callers *authority
	caller  tls.Certificate
	check   *checker
	push    *push.Server
	envoy   *run.Envoy
	rude    *rude
	open    *tls.Conn // kept between calls of route
	echo
}

func exposedEndpoints() []policies.Endpoint {
	get := func(id, path string) policies.Endpoint {
		return policies.Endpoint{ID: id, Product: "issues", Method: "GET", Path: path, Body: policies.BodyNone, Callers: []string{supportID}}
	}
	post := get("issue.comment", "/rest/api/issue/{key}/comment")
	post.Method, post.Body = "POST", policies.BodyOpaque
	elsewhere, rudely, unknown := get("wiki.page", "/page/{name}"), get("rude.any", "/{how}"), get("unknown", "/")
	elsewhere.Product, rudely.Product, unknown.Product = "wiki", "rude", "no-such"
	head := get("rude.head", "/{how}")
	head.Method, head.Product = "HEAD", "rude"
	return []policies.Endpoint{get("issue.read", "/rest/api/issue/{key}"), get("issue.mine", "/rest/api/issue/mine"), post, elsewhere, rudely, head, unknown}
}

func newGatewayWorld(t *testing.T) *gatewayWorld {
	t.Helper()
	dir := shortDir(t)
	w := &gatewayWorld{ca: newAuthority(t), callers: newAuthority(t), check: &checker{answer: pass}, rude: newRude(t)}
	roots := filepath.Join(dir, "callers.pem")
	w.callers.writeRoots(t, roots)
	w.caller = w.callers.caller(t, func(c *x509.Certificate) { c.URIs = uris(t, supportID) })
	w.config = &Config{
		Frame: topology.Frame{Cloud: &topology.Cloud{
			ID: "0123456789abcdef", Domain: domain, Sockets: daemon.Path(dir),
			Products: []topology.Product{
				{ID: "issues", Upstream: backend(t, w.product)}, {ID: "wiki", Host: "docs." + domain, Upstream: backend(t, w.product)},
				{ID: "rude", Upstream: w.rude.address}, {ID: "dead", Upstream: freeAddress(t)},
			},
			Gateway:   &topology.IsolationGateway{TrustDomain: "commercial.example", Callers: daemon.Path(roots), Rate: 1000},
			Listeners: topology.CloudListeners{Ingress: freeAddress(t), Gateway: freeAddress(t)},
		}},
		XDS: Section{Admin: "127.0.0.1:1", Certificates: []KeyPair{w.ca.issue(t, dir, "wild", 10, "*."+domain)}},
	}
	resources, _, err := build(w.config, time.Now(), exposedEndpoints(), new(snapshot.Lists))
	if err != nil {
		t.Fatal(err)
	}
	w.push, _ = controlPlane(t, topology.Gateway, w.config.socket(topology.Gateway), resources[topology.Gateway])
	w.envoy = envoy(t, topology.Gateway, "gateway-1", w.config.socket(topology.Gateway))
	return w
}

func (w *gatewayWorld) startCheck(t *testing.T) {
	t.Helper()
	inBackground(t, w.check.unit(t, w.config.Cloud.CheckSocket("gateway")))
}

// set pushes the configuration with these endpoints, and waits for Envoy to accept the one type that it changes.
func (w *gatewayWorld) set(t *testing.T, changed string, endpoints []policies.Endpoint) {
	t.Helper()
	resources, _, err := build(w.config, time.Now(), endpoints, new(snapshot.Lists))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.push.Set(resources[topology.Gateway]); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the gateway has it", func() bool { return allAccepted(w.push, "gateway-1", changed) })
}

// caller issues a certificate of a caller's.
func (a *authority) caller(t *testing.T, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	pair := a.issueAs(t, shortDir(t), "caller", 50, func(c *x509.Certificate) {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		change(c)
	})
	c, err := tls.LoadX509KeyPair(string(pair.Certificate), string(pair.Key))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func uris(t *testing.T, list ...string) (out []*url.URL) {
	t.Helper()
	for _, s := range list {
		u, err := url.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, u)
	}
	return out
}

// tls is a caller's view of the gateway.
func (w *gatewayWorld) tls(certificates ...tls.Certificate) *tls.Config {
	return &tls.Config{RootCAs: w.ca.roots, ServerName: gatewayHost, Certificates: certificates}
}

func (w *gatewayWorld) dial(config *tls.Config) (*tls.Conn, error) {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", string(w.config.Cloud.Listeners.Gateway), config)
	if err == nil {
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	}
	return conn, err
}

// raw sends a request as it is written and gives the answer.
func (w *gatewayWorld) raw(t *testing.T, request string) *http.Response {
	t.Helper()
	conn, err := w.dial(w.tls(w.caller))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := conn.Write([]byte(request)); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("reading the answer: %v", err)
	}
	return response
}

func (w *gatewayWorld) call(t *testing.T, method, product, path string, headers ...string) *http.Response {
	t.Helper()
	request := method + " " + path + " HTTP/1.1\r\nHost: " + product + "." + gatewayHost + "\r\n"
	for _, h := range headers {
		request += h + "\r\n"
	}
	return w.raw(t, request+"\r\n")
}

// chosen is the endpoint that Envoy's route named to the check; "-" for the catch-all.
func chosen(r *authv3.CheckRequest) string {
	fields := r.GetAttributes().GetRouteMetadataContext().GetFilterMetadata()["isogate"].GetFields()
	if fields["none"].GetStringValue() == "gateway" {
		return "-"
	}
	return fields["endpoint"].GetStringValue()
}

// rude is a product that answers whatever it was told.
type rude struct {
	address daemon.Address
	answer  atomic.Pointer[string]
	hits    atomic.Int32
}

func newRude(t *testing.T) *rude {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	r := &rude{address: daemon.Address(listener.Addr().String())}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go r.serve(conn)
		}
	}()
	return r
}

func (r *rude) serve(conn net.Conn) {
	defer conn.Close()
	if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
		return
	}
	r.hits.Add(1)
	_, _ = conn.Write([]byte(*r.answer.Load()))
}

func (r *rude) tell(answer string) { r.answer.Store(&answer) }
