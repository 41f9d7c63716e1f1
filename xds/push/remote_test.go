package push

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	clusterservice "github.com/envoyproxy/go-control-plane/envoy/service/cluster/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"isogate/envoy/topology"
)

// authority signs certificates of one test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	a := &authority{cert: template, key: newKey(t), pool: x509.NewCertPool()}
	a.cert = a.issue(t, template, &a.key.PublicKey)
	a.pool.AddCert(a.cert)
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (a *authority) issue(t *testing.T, template *x509.Certificate, key any) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key, a.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// san is one subject alternative name as it stands in a certificate, whatever its bytes.
type san struct {
	tag  int // 2 DNS, 6 URI
	text string
}

func uri(text string) san { return san{6, text} }

// certificate is a leaf of these names.
func (a *authority) certificate(t *testing.T, change func(*x509.Certificate), names ...san) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	var raw []asn1.RawValue
	for _, n := range names {
		raw = append(raw, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: n.tag, Bytes: []byte(n.text)})
	}
	if len(raw) > 0 {
		value, err := asn1.Marshal(raw)
		if err != nil {
			t.Fatal(err)
		}
		template.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: value}}
	}
	if change != nil {
		change(template)
	}
	key := newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

const edgeID = "spiffe://acme.example/envoy/edge"

// far is a Remote with an edge behind it.
type far struct {
	remote  *Remote
	ca      *authority
	own     tls.Certificate
	address string
	log     *logBuffer
}

func (f *far) access(clients *x509.CertPool, roles map[string]topology.Role) Access {
	return Access{Certificate: f.own, Clients: clients, Roles: roles}
}

func newFar(t *testing.T) *far {
	t.Helper()
	f := &far{ca: newAuthority(t), log: new(logBuffer)}
	f.own = f.ca.certificate(t, nil, san{2, "xds.example"})
	log := slog.New(slog.NewJSONHandler(f.log, nil))
	server := NewServer(topology.Edge, log, NewMetrics(prometheus.NewRegistry()))
	if err := server.Set(edge(t, "a")); err != nil {
		t.Fatal(err)
	}
	f.remote = NewRemote(log, server)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.address = listener.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.remote.Unit(listener).Run(ctx) }()
	t.Cleanup(func() {
		start := time.Now()
		cancel()
		if err := <-done; err != nil || time.Since(start) > 3*time.Second {
			t.Errorf("ending took %s: %v", time.Since(start), err)
		}
	})
	return f
}

func (f *far) dial(t *testing.T, creds credentials.TransportCredentials) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(f.address, grpc.WithTransportCredentials(creds))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func (f *far) as(t *testing.T, certificates ...tls.Certificate) *grpc.ClientConn {
	t.Helper()
	return f.dial(t, credentials.NewTLS(&tls.Config{RootCAs: f.ca.pool, ServerName: "xds.example", Certificates: certificates}))
}

// rpcs are ways to ask, and what an Envoy that may ask is told.
var rpcs = []struct {
	name    string
	call    func(context.Context, *grpc.ClientConn) error
	allowed codes.Code
}{
	{"delta", func(ctx context.Context, conn *grpc.ClientConn) error {
		stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx)
		if err != nil {
			return err
		}
		_ = stream.Send(first("n"))
		_, err = stream.Recv()
		return err
	}, codes.OK},
	{"state of the world", func(ctx context.Context, conn *grpc.ClientConn) error {
		stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).StreamAggregatedResources(ctx)
		if err != nil {
			return err
		}
		_, err = stream.Recv()
		return err
	}, codes.Unimplemented},
	{"fetch", func(ctx context.Context, conn *grpc.ClientConn) error {
		_, err := clusterservice.NewClusterDiscoveryServiceClient(conn).FetchClusters(ctx, &discoveryv3.DiscoveryRequest{TypeUrl: resource.ClusterType})
		return err
	}, codes.Unimplemented},
	{"reflection", func(ctx context.Context, conn *grpc.ClientConn) error {
		return conn.Invoke(ctx, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", &discoveryv3.DiscoveryRequest{}, &discoveryv3.DiscoveryResponse{})
	}, codes.Unimplemented},
	{"anything", func(ctx context.Context, conn *grpc.ClientConn) error {
		return conn.Invoke(ctx, "/a/b", &discoveryv3.DiscoveryRequest{}, &discoveryv3.DiscoveryResponse{})
	}, codes.Unimplemented},
}

func (f *far) expect(t *testing.T, name string, conn *grpc.ClientConn, refused codes.Code) {
	t.Helper()
	for _, rpc := range rpcs {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		want := refused
		if want == codes.OK {
			want = rpc.allowed
		}
		if err := rpc.call(ctx, conn); status.Code(err) != want {
			t.Errorf("%s, %s: got %v, want %s", name, rpc.name, err, want)
		}
		cancel()
	}
}

// No RPC of any kind works without a certificate of the Envoys' authority (CVE-2026-53714).
func TestRemoteHandshake(t *testing.T) {
	f := newFar(t)
	f.expect(t, "before Allow", f.as(t, f.ca.certificate(t, nil, uri(edgeID))), codes.Unavailable)
	f.remote.Allow(f.access(nil, map[string]topology.Role{edgeID: topology.Edge}))
	if _, err := f.remote.tls().GetConfigForClient(nil); err == nil {
		t.Error("without authorities, those of the system would count")
	}
	f.remote.Allow(f.access(f.ca.pool, map[string]topology.Role{edgeID: topology.Edge}))
	expired := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }
	serverOnly := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }
	for name, conn := range map[string]*grpc.ClientConn{
		"no certificate":       f.as(t),
		"another authority":    f.as(t, newAuthority(t).certificate(t, nil, uri(edgeID))),
		"expired":              f.as(t, f.ca.certificate(t, expired, uri(edgeID))),
		"a server's":           f.as(t, f.ca.certificate(t, serverOnly, uri(edgeID))),
		"a NUL in the URI":     f.as(t, f.ca.certificate(t, nil, uri(edgeID+"\x00.evil"))), // no URI at all to Go's parser
		"plain text":           f.dial(t, insecure.NewCredentials()),
		"TLS 1.2, certificate": f.dial(t, credentials.NewTLS(&tls.Config{RootCAs: f.ca.pool, ServerName: "xds.example", MaxVersion: tls.VersionTLS12, Certificates: []tls.Certificate{f.ca.certificate(t, nil, uri(edgeID))}})),
	} {
		f.expect(t, name, conn, codes.Unavailable)
	}
}

// The role is that of exactly one URI, byte for byte (CVE-2026-47778), whatever the node says of itself.
func TestRemoteRole(t *testing.T) {
	f := newFar(t)
	f.remote.Allow(f.access(f.ca.pool, map[string]topology.Role{
		edgeID: topology.Edge, "spiffe://acme.example/envoy/ingress": topology.Ingress, "spiffe://acme.example/none": "", "": topology.Edge,
	}))
	subject := func(c *x509.Certificate) { c.Subject = pkix.Name{CommonName: edgeID} }
	authority := func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true }
	cases := []struct {
		name   string
		change func(*x509.Certificate)
		sans   []san
		want   codes.Code
	}{
		{"the id", nil, []san{uri(edgeID)}, codes.OK},
		{"the id and a DNS name", nil, []san{{2, "a.example"}, uri(edgeID)}, codes.OK},
		{"another role's", nil, []san{uri("spiffe://acme.example/envoy/ingress")}, codes.PermissionDenied},
		{"no role's", nil, []san{uri("spiffe://acme.example/none")}, codes.PermissionDenied},
		{"unknown", nil, []san{uri("spiffe://acme.example/envoy/other")}, codes.PermissionDenied},
		{"another case", nil, []san{uri("spiffe://acme.example/envoy/Edge")}, codes.PermissionDenied},
		{"another case of the scheme", nil, []san{uri("SPIFFE://acme.example/envoy/edge")}, codes.PermissionDenied},
		{"another case of the host", nil, []san{uri("spiffe://ACME.example/envoy/edge")}, codes.PermissionDenied},
		{"a trailing dot", nil, []san{uri("spiffe://acme.example./envoy/edge")}, codes.Unavailable}, // not even a URI to Go: refused in the handshake
		{"a dot at the end", nil, []san{uri(edgeID + ".")}, codes.PermissionDenied},
		{"a slash at the end", nil, []san{uri(edgeID + "/")}, codes.PermissionDenied},
		{"an escape", nil, []san{uri("spiffe://acme.example/envoy/%65dge")}, codes.PermissionDenied},
		{"a comma", nil, []san{uri(edgeID + ",x")}, codes.PermissionDenied},
		{"a list", nil, []san{uri(edgeID + "," + edgeID)}, codes.PermissionDenied},
		{"a longer one", nil, []san{uri(edgeID + "/x")}, codes.PermissionDenied},
		{"a query", nil, []san{uri(edgeID + "?")}, codes.PermissionDenied},
		{"two URIs", nil, []san{uri(edgeID), uri("spiffe://acme.example/other")}, codes.PermissionDenied},
		{"twice the same", nil, []san{uri(edgeID), uri(edgeID)}, codes.PermissionDenied},
		{"a DNS name", nil, []san{{2, "spiffe.acme.example"}}, codes.PermissionDenied},
		{"a DNS name that reads like it", nil, []san{{2, edgeID}}, codes.PermissionDenied},
		{"the subject", subject, nil, codes.PermissionDenied},
		{"the subject, and a DNS name", subject, []san{{2, edgeID}}, codes.PermissionDenied},
		{"no name", nil, nil, codes.PermissionDenied},
		{"an authority's", authority, []san{uri(edgeID)}, codes.PermissionDenied},
	}
	for _, c := range cases {
		f.expect(t, c.name, f.as(t, f.ca.certificate(t, c.change, c.sans...)), c.want)
	}
	if log := f.log.String(); !strings.Contains(log, "remote client denied") || !strings.Contains(log, "exactly one URI") {
		t.Errorf("the log does not tell why: %s", log)
	}
}

// A change of authorities or roles reaches who is connected; a new certificate of the server's own cuts nobody.
func TestRemoteLive(t *testing.T) {
	f := newFar(t)
	roles := map[string]topology.Role{edgeID: topology.Edge}
	f.remote.Allow(f.access(f.ca.pool, roles))
	mine := f.ca.certificate(t, nil, uri(edgeID))
	open := func() (discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesClient, *grpc.ClientConn) {
		conn := f.as(t, mine)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		t.Cleanup(cancel)
		stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx)
		if err := errors.Join(err, stream.Send(first("n"))); err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
		return stream, conn
	}
	stream, _ := open()
	ended := make(chan error, 1)
	go func() { _, err := stream.Recv(); ended <- err }()

	f.own = f.ca.certificate(t, nil, san{2, "xds.example"}, san{2, "new.example"})
	f.remote.Allow(f.access(f.ca.pool, roles))
	select {
	case err := <-ended:
		t.Fatalf("a new certificate of the server cut the stream: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	conn, err := tls.Dial("tcp", f.address, &tls.Config{RootCAs: f.ca.pool, ServerName: "new.example", NextProtos: []string{"h2"}, Certificates: []tls.Certificate{mine}})
	if err != nil {
		t.Fatalf("a new handshake does not see the new certificate: %v", err)
	}
	conn.Close()

	f.remote.Allow(f.access(f.ca.pool, map[string]topology.Role{"spiffe://acme.example/envoy/other": topology.Edge}))
	if err := <-ended; err == nil {
		t.Error("the stream of an id without a role goes on")
	}
	f.expect(t, "withdrawn", f.as(t, mine), codes.PermissionDenied)

	f.remote.Allow(f.access(f.ca.pool, roles))
	stream, old := open()
	f.remote.Allow(f.access(newAuthority(t).pool, roles))
	if _, err := stream.Recv(); err == nil {
		t.Error("the stream of another authority goes on")
	}
	f.expect(t, "another authority, an old connection", old, codes.Unavailable)
}

// Connections are bounded, those that never begin a handshake too.
func TestRemoteBound(t *testing.T) {
	f := newFar(t)
	f.remote.Allow(f.access(f.ca.pool, map[string]topology.Role{edgeID: topology.Edge}))
	var last net.Conn
	for range maxConnections + 1 {
		conn, err := net.Dial("tcp", f.address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		last = conn
	}
	_ = last.SetReadDeadline(time.Now().Add(3 * time.Second))
	if _, err := last.Read(make([]byte, 1)); err == nil || errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "timeout") {
		t.Errorf("one too many stays open: %v", err)
	}
}
