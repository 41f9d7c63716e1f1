package push

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	clusterservice "github.com/envoyproxy/go-control-plane/envoy/service/cluster/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	secretservice "github.com/envoyproxy/go-control-plane/envoy/service/secret/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/prometheus/client_golang/prometheus"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"isogate/envoy/daemon"
	"isogate/envoy/topology"
	"isogate/xds/snapshot"
)

// edge is a set with one cluster for each id.
func edge(t *testing.T, ids ...string) snapshot.Resources {
	t.Helper()
	var clouds []topology.Directory
	for _, id := range ids {
		clouds = append(clouds, topology.Directory{ID: id, Domain: id + ".example", Ingress: "127.0.0.1:1"})
	}
	r, err := snapshot.Edge(topology.Platform{Listeners: topology.PlatformListeners{Edge: "127.0.0.1:2"}}, clouds)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}
func (l *logBuffer) String() string { l.mu.Lock(); defer l.mu.Unlock(); return l.buf.String() }

type fixture struct {
	server  *Server
	metrics *prometheus.Registry
	log     *logBuffer
	conn    *grpc.ClientConn
}

// serve starts a server, with resources unless there are none, and connects to it.
func serve(t *testing.T, initial *snapshot.Resources) *fixture {
	t.Helper()
	f := &fixture{metrics: prometheus.NewRegistry(), log: new(logBuffer)}
	f.server = NewServer(topology.Edge, slog.New(slog.NewJSONHandler(f.log, nil)), NewMetrics(f.metrics))
	f.server.settleTime, f.server.lingerTime = 500*time.Millisecond, 20*time.Millisecond
	if initial != nil {
		if err := f.server.Set(*initial); err != nil {
			t.Fatal(err)
		}
	}
	dir, err := os.MkdirTemp("", "x")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	listener, err := daemon.ListenUnix(socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.server.Unit(listener).Run(ctx) }()
	f.conn, err = grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		f.conn.Close()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return f
}

// client is one delta stream that speaks as Envoy does.
type client struct {
	t      *testing.T
	stream discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesClient
}

func (f *fixture) connect(t *testing.T, node string) *client {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(f.conn).DeltaAggregatedResources(ctx)
	if err != nil {
		t.Fatal(err)
	}
	c := &client{t, stream}
	c.send(&discoveryv3.DeltaDiscoveryRequest{Node: &corev3.Node{Id: node}, TypeUrl: resource.ClusterType})
	return c
}

func (c *client) send(r *discoveryv3.DeltaDiscoveryRequest) {
	c.t.Helper()
	if err := c.stream.Send(r); err != nil && err != io.EOF {
		c.t.Fatal(err)
	}
}

// receive gives the clusters that came and went.
func (c *client) receive() (response *discoveryv3.DeltaDiscoveryResponse, came, went []string) {
	c.t.Helper()
	response, err := c.stream.Recv()
	if err != nil {
		c.t.Fatal(err)
	}
	for _, r := range response.GetResources() {
		came = append(came, r.GetName())
	}
	return response, came, response.GetRemovedResources()
}

func (c *client) accept(r *discoveryv3.DeltaDiscoveryResponse) {
	c.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: r.GetTypeUrl(), ResponseNonce: r.GetNonce()})
}

func (c *client) refuse(r *discoveryv3.DeltaDiscoveryResponse, why string) {
	c.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: r.GetTypeUrl(), ResponseNonce: r.GetNonce(), ErrorDetail: &rpcstatus.Status{Code: 13, Message: why}})
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}

// What the other variant, the other services and an unready server answer.
func TestOnlyDeltaADS(t *testing.T) {
	r := edge(t, "one")
	f := serve(t, &r)
	ads := discoveryv3.NewAggregatedDiscoveryServiceClient(f.conn)
	sotw, err := ads.StreamAggregatedResources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_ = sotw.Send(&discoveryv3.DiscoveryRequest{Node: &corev3.Node{Id: "n"}, TypeUrl: resource.ClusterType})
	if _, err := sotw.Recv(); status.Code(err) != codes.Unimplemented {
		t.Errorf("state of the world: got %v", err)
	}
	if _, err := secretservice.NewSecretDiscoveryServiceClient(f.conn).FetchSecrets(t.Context(), &discoveryv3.DiscoveryRequest{}); status.Code(err) != codes.Unimplemented {
		t.Errorf("fetching secrets: got %v", err)
	}
	cds, err := clusterservice.NewClusterDiscoveryServiceClient(f.conn).DeltaClusters(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cds.Recv(); status.Code(err) != codes.Unimplemented {
		t.Errorf("clusters alone: got %v", err)
	}
}

func TestRefusedClients(t *testing.T) {
	r := edge(t, "one")
	cases := []struct {
		name, node, url string
		initial         *snapshot.Resources
		want            codes.Code
	}{
		{"nothing set yet", "n", resource.ClusterType, nil, codes.Unavailable},
		{"no node", "", resource.ClusterType, &r, codes.InvalidArgument},
		{"node too long", strings.Repeat("n", maxNodeID+1), resource.ClusterType, &r, codes.InvalidArgument},
		{"unknown type", "n", "type.googleapis.com/x", &r, codes.InvalidArgument},
		{"type that exists elsewhere", "n", resource.RuntimeType, &r, codes.InvalidArgument},
		{"message too large", "n", strings.Repeat("x", maxMessage), &r, codes.ResourceExhausted},
	}
	for _, c := range cases {
		f := serve(t, c.initial)
		stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(f.conn).DeltaAggregatedResources(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_ = stream.Send(&discoveryv3.DeltaDiscoveryRequest{Node: &corev3.Node{Id: c.node}, TypeUrl: c.url})
		if _, err := stream.Recv(); status.Code(err) != c.want {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}

func TestStreamsAreBounded(t *testing.T) {
	r := edge(t, "one")
	f := serve(t, &r)
	for range maxStreams {
		f.connect(t, "n").receive()
	}
	err := f.server.record.OnDeltaStreamOpen(t.Context(), 1<<40, "")
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("got %v", err)
	}
}

// An empty set, and one that Envoy would refuse, change nothing.
func TestSetRefuses(t *testing.T) {
	r := edge(t, "one")
	f := serve(t, &r)
	bad := edge(t, "two")
	bad.Clusters = append(bad.Clusters, &clusterv3.Cluster{})
	for name, r := range map[string]snapshot.Resources{"empty": {}, "no listener": {Clusters: r.Clusters}, "invalid": bad} {
		if err := f.server.Set(r); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if got := f.server.Status().Version; got != r.Version() {
		t.Errorf("serves %s, want the first set", got)
	}
}

// first is what an Envoy asks first.
func first(node string) *discoveryv3.DeltaDiscoveryRequest {
	return &discoveryv3.DeltaDiscoveryRequest{Node: &corev3.Node{Id: node}, TypeUrl: resource.ClusterType}
}
