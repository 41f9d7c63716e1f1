package snapshot

import (
	"errors"
	"slices"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	bodysizev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/body_size_limit/v3"
	extauthzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"isogate/envoy/topology"
	"isogate/policies"
)

const (
	gatewayName = string(topology.Gateway)
	maxBody     = 1 << 20 // bytes of a call; what is exposed is an interface, not a way to move files
)

// Gateway is what the Isolation Gateway gets: mutual TLS, the check, and a route for each endpoint of a product that the file has. Everything else is
// the one refusal, and no product hears of it. The certificates must have passed CheckCertificates for the gateway's host; callers are the authorities
// of cloud.gateway.callers. Endpoints appear in the routes and nowhere else, so an edit of the policies cuts no connection.
func Gateway(cloud topology.Cloud, endpoints []policies.Endpoint, certificates []Certificate, callers []byte) (Resources, error) {
	return new(Lists).Gateway(cloud, endpoints, certificates, callers)
}

// Gateway is the function of that name, quicker where most of the endpoints are those of the last call.
func (l *Lists) Gateway(cloud topology.Cloud, endpoints []policies.Endpoint, certificates []Certificate, callers []byte) (Resources, error) {
	if cloud.Gateway == nil || len(certificates) == 0 {
		return Resources{}, errors.New("snapshot: the gateway needs cloud.gateway and a certificate for " + cloud.GatewayHost())
	}
	b := builder{valid: validator{}}
	r := Resources{
		Clusters: []*clusterv3.Cluster{b.checkCluster(cloud.CheckSocket(gatewayName))},
		Routes:   []*routev3.RouteConfiguration{b.exposed(cloud, endpoints, l)},
	}
	for _, p := range cloud.Products { // whether anything of it is exposed or not: an edit of the policies then changes routes alone
		r.Clusters = append(r.Clusters, b.backendCluster(productCluster(p.ID), p.Upstream, b.crossingAnswers()))
	}
	for i, c := range certificates {
		r.Secrets = append(r.Secrets, secret(i, c))
	}
	r.Secrets = append(r.Secrets, trust(CallersSecret, inlineBytes(callers)))
	chain := &listenerv3.FilterChain{
		Name:                          gatewayName,
		FilterChainMatch:              &listenerv3.FilterChainMatch{ServerNames: []string{cloud.GatewayHost()}, TransportProtocol: "tls"},
		Filters:                       []*listenerv3.Filter{b.networkFilter(b.gatewayConnections(*cloud.Gateway))},
		TransportSocket:               b.downstreamTLS(b.callersTLS(len(certificates), cloud.Gateway.TrustDomain)),
		TransportSocketConnectTimeout: seconds(10),
	}
	r.Listeners = []*listenerv3.Listener{
		listener(gatewayName, cloud.Listeners.Gateway, []*listenerv3.ListenerFilter{b.tlsInspector()}, []*listenerv3.FilterChain{chain}),
	}
	r, err := b.finish(r)
	l.built(err == nil)
	return r, err
}

func productCluster(id string) string { return "product." + id }

// maxConnection bounds how long a caller that was struck off, or a gateway whose authority was, keeps a connection from before.
const maxConnection = 300 // seconds

// gatewayConnections takes calls and nothing else: no upgrade, no stream. A caller that stops in the middle holds its place for seconds.
func (b *builder) gatewayConnections(gateway topology.IsolationGateway) *hcmv3.HttpConnectionManager {
	hcm := b.connectionManager(connections{
		name:    gatewayName,
		filters: b.gatewayFilters(gateway),
		replies: machineReplies(
			reply(statusIs(closedStatus), 403, notExposedProblem),
			reply(both(statusIs(403), requestHas("upgrade")), 403, notExposedProblem), // Envoy refuses every upgrade unasked
			reply(statusIs(413), 413, problem("Request Entity Too Large", "413", "too-large")),
			reply(statusIs(429), 429, problem("Too Many Requests", "429", "rate")),
		),
		strip: slices.Concat(clientMayNotSend, fromElsewhere),
		log: map[string]string{
			"product":  "%METADATA(ROUTE:isogate:product)%",
			"endpoint": "%METADATA(ROUTE:isogate:endpoint)%",
			"caller":   "%DYNAMIC_METADATA(envoy.filters.http.ext_authz:caller)%",
			"policy":   "%DYNAMIC_METADATA(envoy.filters.http.ext_authz:policy)%",
			"rule":     "%DYNAMIC_METADATA(envoy.filters.http.ext_authz:rule)%",
		},
	})
	hcm.RequestTimeout = seconds(15)
	hcm.StreamIdleTimeout = seconds(15)
	hcm.CommonHttpProtocolOptions.MaxStreamDuration = seconds(60)
	hcm.CommonHttpProtocolOptions.MaxConnectionDuration = seconds(maxConnection)
	return hcm
}

// gatewayFilters is the order of the gateway's HTTP filters. Requests pass downwards, answers upwards.
//
//  1. local_ratelimit is first: a caller that asks too often costs neither the check nor the other callers anything.
//  2. custom_response puts a problem in the place of an answer that crossing.lua marked, and does nothing to a request.
//  3. body_size_limit counts what passes and keeps nothing.
//  4. ext_authz stands alone before the router, as everywhere.
func (b *builder) gatewayFilters(gateway topology.IsolationGateway) []*hcmv3.HttpFilter {
	return []*hcmv3.HttpFilter{
		b.callerRate(gateway.PerSecond()),
		b.failedAnswers(),
		b.httpFilter("envoy.filters.http.body_size_limit", &bodysizev3.BodySizeLimit{MaxRequestBytes: wrapperspb.UInt64(maxBody)}),
		b.extAuthz(gatewayCheck()),
		b.router(),
	}
}

// gatewayCheck also shows the caller's certificate, and whether a body comes. Of a body it shows one byte, as raw_body: so the check sees one that is
// not announced too (HTTP/2, chunks), and a request without a body does not wait. The rest passes by when the check has allowed it.
func gatewayCheck() *extauthzv3.ExtAuthz {
	check := extAuthz()
	check.IncludePeerCertificate = true
	check.WithRequestBody = &extauthzv3.BufferSettings{MaxRequestBytes: 1, AllowPartialMessage: true, PackAsBytes: true}
	return check
}
