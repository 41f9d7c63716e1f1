package snapshot

import (
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	upstreamcodecv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/upstream_codec/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"isogate/envoy/daemon"
	"isogate/envoy/topology"
)

// Names of the clusters of our own daemons. A backend's begins with "product." or "service.", so no id can be one of these.
const (
	checkCluster = "extauthz.check"
	doorCluster  = "extauthz.door"
	oauthCluster = "oidcprovider"
)

// checkCluster's connection is probed, so a hung daemon is noticed between requests too. Envoy's default of 1024 requests would turn load into 503s.
func (b *builder) checkCluster(socket string) *clusterv3.Cluster {
	cluster := unixCluster(checkCluster, socket)
	cluster.ConnectTimeout = millis(250)
	cluster.CircuitBreakers = breakers(10_000)
	cluster.TypedExtensionProtocolOptions = b.httpOptions(http2(5, 1))
	return cluster
}

// ownCluster is what one of our daemons serves to browsers and programs, in HTTP/1.1.
func (b *builder) ownCluster(name, socket string) *clusterv3.Cluster {
	cluster := unixCluster(name, socket)
	cluster.CircuitBreakers = breakers(4096)
	cluster.TypedExtensionProtocolOptions = b.httpOptions(http1())
	return cluster
}

// backendCluster speaks HTTP/1.1 to a backend and cleans what it answers.
func (b *builder) backendCluster(name string, upstream daemon.Address, answers *hcmv3.HttpFilter) *clusterv3.Cluster {
	cluster := tcpCluster(name, upstream)
	cluster.CircuitBreakers = breakers(4096)
	options := http1()
	options.HttpFilters = []*hcmv3.HttpFilter{
		answers,
		b.httpFilter("envoy.filters.http.upstream_codec", &upstreamcodecv3.UpstreamCodec{}), // must be last
	}
	cluster.TypedExtensionProtocolOptions = b.httpOptions(options)
	return cluster
}

// gatewayCluster speaks HTTP/2 to an isolated cloud's gateway. Its connection is probed, so one that is dead on the way is noticed between calls too.
func (b *builder) gatewayCluster(name string, d topology.Directory) *clusterv3.Cluster {
	cluster := tcpCluster(name, d.Gateway)
	cluster.CircuitBreakers = breakers(4096)
	options := http2(30, 5)
	options.CommonHttpProtocolOptions = &corev3.HttpProtocolOptions{IdleTimeout: seconds(60), MaxConnectionDuration: seconds(maxConnection)}
	options.HttpFilters = []*hcmv3.HttpFilter{b.gatewayAnswers(), b.httpFilter("envoy.filters.http.upstream_codec", &upstreamcodecv3.UpstreamCodec{})}
	cluster.TypedExtensionProtocolOptions = b.httpOptions(options)
	cluster.TransportSocket = b.gatewayTLS(d.GatewayHost(), AuthoritiesSecret(d.ID))
	return cluster
}

// http2 probes a connection every so many seconds.
func http2(interval, timeout int) *httpv3.HttpProtocolOptions {
	return &httpv3.HttpProtocolOptions{
		UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
			ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{Http2ProtocolOptions: &corev3.Http2ProtocolOptions{
				ConnectionKeepalive: &corev3.KeepaliveSettings{Interval: seconds(interval), Timeout: seconds(timeout)},
			}},
		}},
	}
}

// http1 closes idle connections before a server is likely to: a request on a connection that closes at that moment would fail.
func http1() *httpv3.HttpProtocolOptions {
	return &httpv3.HttpProtocolOptions{
		CommonHttpProtocolOptions: &corev3.HttpProtocolOptions{IdleTimeout: seconds(30), MaxHeadersCount: number(100)},
		UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
			ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_HttpProtocolOptions{HttpProtocolOptions: &corev3.Http1ProtocolOptions{}},
		}},
	}
}

func (b *builder) httpOptions(options *httpv3.HttpProtocolOptions) map[string]*anypb.Any {
	return map[string]*anypb.Any{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": b.any(options)}
}

func unixCluster(name, socket string) *clusterv3.Cluster {
	return &clusterv3.Cluster{
		Name:                 name,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
		ConnectTimeout:       seconds(1),
		LoadAssignment:       oneEndpoint(name, unix(socket)),
	}
}

func tcpCluster(name string, address daemon.Address) *clusterv3.Cluster {
	return &clusterv3.Cluster{
		Name:                 name,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: discovery(address)},
		DnsLookupFamily:      clusterv3.Cluster_V4_PREFERRED, // the default prefers IPv6 and would fail at a "localhost" that listens on IPv4
		ConnectTimeout:       seconds(2),
		LoadAssignment:       oneEndpoint(name, tcp(address)),
	}
}

// breakers bounds what may be under way to one cluster at once.
func breakers(limit uint32) *clusterv3.CircuitBreakers {
	return &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{
		MaxConnections: number(limit), MaxPendingRequests: number(limit), MaxRequests: number(limit),
	}}}
}
