package snapshot

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	proxyprotocolv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/proxy_protocol/v3"
	tlsinspectorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/tls_inspector/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"isogate/envoy/daemon"
)

// listener is what all roles share: a bound on what is read before a filter chain is chosen, and on what is buffered afterwards.
//
// A changed listener is replaced by Envoy and every open stream of the old one is cut in the end, so what changes often (routes, certificates)
// must not be part of it.
func listener(name string, address daemon.Address, inspectors []*listenerv3.ListenerFilter, chains []*listenerv3.FilterChain) *listenerv3.Listener {
	return &listenerv3.Listener{
		Name:                             name,
		Address:                          tcp(address),
		ListenerFilters:                  inspectors,
		ListenerFiltersTimeout:           seconds(5),
		ContinueOnListenerFiltersTimeout: false,
		PerConnectionBufferLimitBytes:    wrapperspb.UInt32(32 << 10),
		FilterChains:                     chains,
	}
}

// tlsInspector reads the server name of the ClientHello.
func (b *builder) tlsInspector() *listenerv3.ListenerFilter {
	return &listenerv3.ListenerFilter{
		Name:       "envoy.filters.listener.tls_inspector",
		ConfigType: &listenerv3.ListenerFilter_TypedConfig{TypedConfig: b.any(&tlsinspectorv3.TlsInspector{})},
	}
}

// proxyProtocol reads the client's address from the edge's PROXY header, version 2 only. The header is not authenticated: whoever reaches this
// port chooses the address, so only the edge may.
func (b *builder) proxyProtocol() *listenerv3.ListenerFilter {
	config := &proxyprotocolv3.ProxyProtocol{DisallowedVersions: []corev3.ProxyProtocolConfig_Version{corev3.ProxyProtocolConfig_V1}}
	return &listenerv3.ListenerFilter{
		Name:       "envoy.filters.listener.proxy_protocol",
		ConfigType: &listenerv3.ListenerFilter_TypedConfig{TypedConfig: b.any(config)},
	}
}
