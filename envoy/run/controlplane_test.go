package run

import (
	"path/filepath"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"isogate/envoy/bootstrap"
	"isogate/envoy/daemon"
)

const listenerType = "type.googleapis.com/envoy.config.listener.v3.Listener"

// fakeADS gives one listener, no other resource, and nothing later.
type fakeADS struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer
	listener *discoveryv3.Resource
}

func (f fakeADS) DeltaAggregatedResources(stream discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	for {
		req, err := stream.Recv()
		if err != nil {
			return err
		}
		if req.ResponseNonce != "" {
			continue // an answer to our answer
		}
		resp := &discoveryv3.DeltaDiscoveryResponse{TypeUrl: req.TypeUrl, Nonce: "1"}
		if req.TypeUrl == listenerType {
			resp.Resources = []*discoveryv3.Resource{f.listener}
		}
		if err := stream.Send(resp); err != nil {
			return err
		}
	}
}

// controlPlane serves, where the bootstrap of setUp looks for it, one listener of that name.
func controlPlane(t *testing.T, o Options, name string) {
	t.Helper()
	socket, err := daemon.ListenUnix(filepath.Join(o.Dir, "xds.sock"))
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: bootstrap.KeepAlive / 2, PermitWithoutStream: true}))
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(server, fakeADS{listener: &discoveryv3.Resource{
		Name: name, Version: "1", Resource: packed(t, anyListener(t, name)),
	}})
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(socket) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-ended; err != nil && err != grpc.ErrServerStopped {
			t.Error(err)
		}
	})
}

func anyListener(t *testing.T, name string) *listenerv3.Listener {
	proxy := packed(t, &tcpv3.TcpProxy{StatPrefix: name, ClusterSpecifier: &tcpv3.TcpProxy_Cluster{Cluster: "xds"}})
	return &listenerv3.Listener{
		Name: name,
		Address: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
			Address: "127.0.0.1", PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 0},
		}}},
		FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{{Name: "tcp", ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: proxy}}}}},
	}
}

func packed(t *testing.T, m proto.Message) *anypb.Any {
	t.Helper()
	a, err := anypb.New(m)
	if err != nil {
		t.Fatal(err)
	}
	return a
}
