package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/genproto/googleapis/rpc/code"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	"isogate/envoy/daemon"
	"isogate/envoy/run"
	"isogate/envoy/topology"
	"isogate/xds/push"
	"isogate/xds/snapshot"
)

// ingressWorld is a real ingress Envoy between a client, a check, a door, an OAuth server and two products.
type ingressWorld struct {
	config *Config
	ca     *authority
	check  *checker
	push   *push.Server
	log    *lines
	envoy  *run.Envoy
	echo
}

// echo is a product or a service.
type echo struct {
	hits atomic.Int32 // requests that reached it
}

const domain = "acme.example"

func newIngressWorld(t *testing.T) *ingressWorld {
	t.Helper()
	dir := shortDir(t)
	w := &ingressWorld{ca: newAuthority(t), check: &checker{answer: pass}}
	products := []topology.Product{
		{ID: "issues", Upstream: backend(t, w.product), WebSockets: true, StreamLimit: daemon.Duration(2 * time.Second)},
		{ID: "wiki", Upstream: daemon.Address(strings.Replace(string(backend(t, w.product)), "127.0.0.1", "localhost", 1))},
		{ID: "dead", Upstream: freeAddress(t)},
	}
	w.config = &Config{
		Frame: topology.Frame{Cloud: &topology.Cloud{
			ID: "0123456789abcdef", Domain: domain, Products: products, Sockets: daemon.Path(dir),
			Listeners: topology.CloudListeners{Ingress: freeAddress(t)},
			Clients:   []topology.Client{{ID: "platform"}},
		}},
		XDS: Section{Admin: "127.0.0.1:1", Certificates: []KeyPair{w.ca.issue(t, dir, "wild", 10, "*."+domain)}},
	}
	door, err := daemon.ListenUnix(w.config.Cloud.DoorSocket())
	if err != nil {
		t.Fatal(err)
	}
	inBackground(t, daemon.HTTP("door", door, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Add("Set-Cookie", "__Host-isogate_session=door; Secure; Path=/")
		fmt.Fprintf(rw, "door %s", r.URL.Path)
	})))
	oauth, err := daemon.ListenUnix(w.config.Cloud.OAuthSocket())
	if err != nil {
		t.Fatal(err)
	}
	inBackground(t, daemon.HTTP("oauth", oauth, http.HandlerFunc(w.oauth)))
	resources, _, err := build(w.config, time.Now(), nil, new(snapshot.Lists))
	if err != nil {
		t.Fatal(err)
	}
	w.push, w.log = controlPlane(t, topology.Ingress, w.config.socket(topology.Ingress), resources[topology.Ingress])
	w.envoy = envoy(t, topology.Ingress, "ingress-1", w.config.socket(topology.Ingress))
	return w
}

// seen is what the product says it got.
type seen struct {
	Method, Path, Host string
	Header             http.Header
	Body               int64 // bytes
}

// product echoes a request, sets the cookies that the request's header "cookies" lists, or fails as the path asks.
func (w *echo) product(rw http.ResponseWriter, r *http.Request) {
	w.hits.Add(1)
	if r.Header.Get("Upgrade") == "websocket" {
		upgrade(rw)
		return
	}
	var cookies []string
	_ = json.Unmarshal([]byte(r.Header.Get("cookies")), &cookies)
	for _, c := range cookies {
		rw.Header().Add("Set-Cookie", c)
	}
	for _, c := range r.Header.Values("clears") {
		rw.Header().Add("Clear-Site-Data", c)
	}
	rw.Header().Set("Strict-Transport-Security", "max-age=0")
	rw.Header().Set("X-Envoy-Upstream-Canary", "true")
	rw.Header().Set("X-User-Context-Token", "leak")
	rw.Header().Set("X-Harmless", "1")
	body, _ := io.Copy(io.Discard, r.Body)
	_ = json.NewEncoder(rw).Encode(seen{r.Method, r.RequestURI, r.Host, r.Header, body})
}

// oauth is the OAuth server: it says what it got.
func (w *ingressWorld) oauth(rw http.ResponseWriter, r *http.Request) {
	body, _ := io.Copy(io.Discard, r.Body)
	fmt.Fprintf(rw, "oauth %s %s %d %q", r.Method, r.RequestURI, body, r.Header.Values("X-User-Context-Token"))
}

func upgrade(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Set-Cookie: __Host-isogate_session=x\r\nSet-Cookie: a=1\r\n\r\n")
	_, _ = bufio.NewReader(conn).ReadByte() // until Envoy cuts it
}

// startCheck serves the check; a world without it has none.
func (w *ingressWorld) startCheck(t *testing.T) {
	t.Helper()
	inBackground(t, w.check.unit(t, w.config.Cloud.CheckSocket("ingress")))
}

func pass(context.Context, *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	return &authv3.CheckResponse{
		Status:          &rpcstatus.Status{Code: int32(code.Code_OK)},
		HttpResponse:    &authv3.CheckResponse_OkResponse{OkResponse: &authv3.OkHttpResponse{}},
		DynamicMetadata: &structpb.Struct{Fields: map[string]*structpb.Value{"method": structpb.NewStringValue("word")}},
	}, nil
}

// dial connects as the edge would: a PROXY protocol version 2 header with the client's address, then TLS.
func (w *ingressWorld) dial(t *testing.T, serverName string, protocols ...string) *tls.Conn {
	t.Helper()
	raw, err := net.Dial("tcp", string(w.config.Cloud.Listeners.Ingress))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { raw.Close() })
	if _, err := raw.Write(proxyHeader("203.0.113.7", 4711)); err != nil {
		t.Fatal(err)
	}
	conn := tls.Client(raw, &tls.Config{RootCAs: w.ca.roots, ServerName: serverName, NextProtos: protocols})
	if err := conn.HandshakeContext(t.Context()); err != nil {
		t.Fatalf("handshake: %v", err)
	}
	return conn
}

func proxyHeader(source string, port uint16) []byte {
	h := append([]byte("\r\n\r\n\x00\r\nQUIT\n"), 0x21, 0x11, 0, 12)
	h = append(h, net.ParseIP(source).To4()...)
	h = append(h, 127, 0, 0, 1)
	h = binary.BigEndian.AppendUint16(h, port)
	return binary.BigEndian.AppendUint16(h, 443)
}

// raw sends a request as it is written and gives the answer.
func (w *ingressWorld) raw(t *testing.T, serverName, request string) *http.Response {
	t.Helper()
	conn := w.dial(t, serverName)
	_ = conn.SetDeadline(time.Now().Add(8 * time.Second))
	if _, err := conn.Write([]byte(request)); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("reading the answer: %v", err)
	}
	return response
}

// get asks for a path at a host, with further header lines.
func (w *ingressWorld) get(t *testing.T, host, path string, headers ...string) *http.Response {
	t.Helper()
	request := "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n"
	for _, h := range headers {
		request += h + "\r\n"
	}
	return w.raw(t, host, request+"\r\n")
}
