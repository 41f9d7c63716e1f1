package snapshot

import (
	"errors"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tcpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	proxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/proxy_protocol/v3"
	rawbufferv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/raw_buffer/v3"

	"isogate/envoy/topology"
)

// Edge is what the edge gets: connections go by their TLS server name to the ingress of the cloud that owns it, or to the commercial Envoy. There is
// no key and no HTTP here, so an edge in the wrong hands sees names, addresses and bytes. A server name of nobody, and what is no TLS, is closed.
func Edge(platform topology.Platform, clouds []topology.Directory) (Resources, error) {
	if len(clouds) == 0 {
		return Resources{}, errors.New("snapshot: the edge has no cloud to forward to")
	}
	var b builder
	var chains []*listenerv3.FilterChain
	var r Resources
	for _, c := range clouds {
		// The wildcard stands for one label or more and so covers auth.<domain>; Envoy prefers a whole name, and then the longest suffix, where one
		// cloud's domain stands below another's.
		chains = append(chains, b.passThrough(cloudName(c), "*."+c.Domain, cloudName(c)))
		r.Clusters = append(r.Clusters, b.cloudCluster(c))
	}
	for _, host := range platform.Hosts() { // a chain each: where one is added, Envoy leaves the connections of the others alone
		chains = append(chains, b.passThrough("host."+host, host, commercialName))
	}
	if platform.Serves() {
		r.Clusters = append(r.Clusters, commercialCluster(platform))
	}
	l := listener("edge", platform.Listeners.Edge, []*listenerv3.ListenerFilter{b.tlsInspector()}, chains)
	l.AccessLog = []*accesslogv3.AccessLog{b.connectionLog()}
	r.Listeners = []*listenerv3.Listener{l}
	return b.finish(r)
}

const commercialName = "commercial"

func cloudName(c topology.Directory) string { return "cloud." + c.ID }

// passThrough forwards the bytes of connections that ask for a name.
func (b *builder) passThrough(name, serverName, cluster string) *listenerv3.FilterChain {
	proxy := &tcpproxyv3.TcpProxy{
		StatPrefix:       cluster,
		ClusterSpecifier: &tcpproxyv3.TcpProxy_Cluster{Cluster: cluster},
		IdleTimeout:      seconds(3600), // whoever ends TLS ends idle connections sooner; this is for one that is gone
	}
	return &listenerv3.FilterChain{
		Name:             name,
		FilterChainMatch: &listenerv3.FilterChainMatch{ServerNames: []string{serverName}, TransportProtocol: "tls"},
		Filters: []*listenerv3.Filter{{
			Name:       "envoy.filters.network.tcp_proxy",
			ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: b.any(proxy)},
		}},
	}
}

// commercialCluster is not told the client's address: that side has no use for it that would be worth knowing it.
func commercialCluster(platform topology.Platform) *clusterv3.Cluster {
	cluster := tcpCluster(commercialName, platform.FromEdge())
	cluster.CircuitBreakers = breakers(10_000)
	return cluster
}

// cloudCluster is a cloud's ingress, told the client's address by PROXY protocol version 2. Its connection limit is its own, so a flood of one
// cloud's name leaves the others their share.
func (b *builder) cloudCluster(c topology.Directory) *clusterv3.Cluster {
	cluster := tcpCluster(cloudName(c), c.Ingress)
	cluster.CircuitBreakers = breakers(10_000)
	cluster.TransportSocket = &corev3.TransportSocket{
		Name: "envoy.transport_sockets.upstream_proxy_protocol",
		ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: b.any(&proxyv3.ProxyProtocolUpstreamTransport{
			Config: &corev3.ProxyProtocolConfig{Version: corev3.ProxyProtocolConfig_V2},
			TransportSocket: &corev3.TransportSocket{
				Name:       "envoy.transport_sockets.raw_buffer",
				ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: b.any(&rawbufferv3.RawBuffer{})},
			},
		})},
	}
	return cluster
}
