package snapshot

import (
	"net/netip"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"isogate/envoy/daemon"
)

func tcp(address daemon.Address) *corev3.Address {
	host, port := address.Split()
	v4compat := false
	if host == "" { // every address, of both families
		host, v4compat = "::", true
	}
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: host, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(port)}, Ipv4Compat: v4compat,
	}}}
}

func unix(path string) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: path}}}
}

// discovery is STATIC for an IP address and STRICT_DNS for a name, which Envoy then looks up again and again.
func discovery(address daemon.Address) clusterv3.Cluster_DiscoveryType {
	host, _ := address.Split()
	if _, err := netip.ParseAddr(host); err == nil {
		return clusterv3.Cluster_STATIC
	}
	return clusterv3.Cluster_STRICT_DNS
}

func oneEndpoint(cluster string, address *corev3.Address) *endpointv3.ClusterLoadAssignment {
	return &endpointv3.ClusterLoadAssignment{ClusterName: cluster, Endpoints: []*endpointv3.LocalityLbEndpoints{{
		LbEndpoints: []*endpointv3.LbEndpoint{{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: address}}}},
	}}}
}

func seconds(n int) *durationpb.Duration { return durationpb.New(time.Duration(n) * time.Second) }

func millis(n int) *durationpb.Duration { return durationpb.New(time.Duration(n) * time.Millisecond) }

func number(n uint32) *wrapperspb.UInt32Value { return wrapperspb.UInt32(n) }

var yes = wrapperspb.Bool(true)

// ads says that a resource comes over the stream that gave the listener. The short timeout is how long a start without it may hold back the
// Envoy's other ports; 0 would hold them back for ever.
func ads() *corev3.ConfigSource {
	return &corev3.ConfigSource{
		ResourceApiVersion:    corev3.ApiVersion_V3,
		InitialFetchTimeout:   seconds(5),
		ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
	}
}
