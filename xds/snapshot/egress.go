package snapshot

import (
	"errors"
	"slices"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"isogate/envoy/topology"
)

// What a service tells its sidecar. It gets the first two with each person's request, and chooses the third.
const (
	cloudHeader   = "x-isolated-cloud-id"
	tokenHeader   = "x-isolated-cloud-token"
	productHeader = "x-isolated-cloud-product"
)

// Egress is what the sidecar of a service gets: plain HTTP from the service, over loopback; the check, which puts the person's token and a proof into
// the call; and a way to the gateway of each cloud that takes calls. authorities are those of the clouds' ca files, by cloud id. The certificate that
// says who calls is in this service's role and in no other.
func Egress(platform topology.Platform, service topology.Service, clouds []topology.Directory, own Certificate, authorities map[string][]byte) (Resources, error) {
	if service.Egress == nil {
		return Resources{}, errors.New("snapshot: the service " + service.ID + " has no egress")
	}
	var b builder
	role := string(topology.EgressRole(service.ID))
	r := Resources{Clusters: []*clusterv3.Cluster{b.checkCluster(platform.CheckSocket(role))}}
	host := &routev3.VirtualHost{Name: "clouds", Domains: []string{"*"}}
	r.Secrets = append(r.Secrets, secret(0, own))
	for _, d := range clouds {
		if !d.Crosses() {
			continue
		}
		cluster := "gateway." + d.ID
		host.Routes = append(host.Routes, toGateway(d, cluster))
		r.Clusters = append(r.Clusters, b.gatewayCluster(cluster, d))
		r.Secrets = append(r.Secrets, trust(AuthoritiesSecret(d.ID), inlineBytes(authorities[d.ID])))
	}
	host.Routes = append(host.Routes, closed("egress"))
	r.Routes = []*routev3.RouteConfiguration{{
		Name: role, VirtualHosts: []*routev3.VirtualHost{host}, ValidateClusters: yes, RequestHeadersToRemove: addedByEnvoy,
	}}
	chain := &listenerv3.FilterChain{Name: role, Filters: []*listenerv3.Filter{b.networkFilter(b.egressConnections(role, service.ID))}}
	r.Listeners = []*listenerv3.Listener{listener(role, service.Egress.Listen, nil, []*listenerv3.FilterChain{chain})}
	return b.finish(r)
}

// toGateway leads to one cloud, by the id that the service gives. A repeated header would match by any of its values: the check refuses it.
func toGateway(d topology.Directory, cluster string) *routev3.Route {
	return &routev3.Route{
		Name: cluster,
		Match: &routev3.RouteMatch{
			PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"},
			Headers: []*routev3.HeaderMatcher{{Name: cloudHeader, HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{
				StringMatch: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: d.ID}},
			}}},
		},
		Metadata: metadata("cloud", d.ID),
		Action: &routev3.Route_Route{Route: &routev3.RouteAction{
			ClusterSpecifier:     &routev3.RouteAction_Cluster{Cluster: cluster},
			HostRewriteSpecifier: &routev3.RouteAction_HostRewrite{HostRewrite: "%REQ(" + productHeader + ")%." + d.GatewayHost()},
			Timeout:              seconds(20),
			RetryPolicy:          harmlessRetry(),
		}},
		// The product's header stays, since Envoy removes before it rewrites the host. The gateway drops it before it looks at anything.
		RequestHeadersToRemove: []string{cloudHeader, tokenHeader},
	}
}

// egressConnections takes from the service what nobody else may send anywhere: the cloud, the token and the product.
func (b *builder) egressConnections(role, service string) *hcmv3.HttpConnectionManager {
	hcm := b.connectionManager(connections{
		name:    role,
		filters: []*hcmv3.HttpFilter{b.failedAnswers(), b.extAuthz(extAuthz()), b.router()}, // the first does nothing to a request: see gatewayFilters
		replies: machineReplies(
			reply(statusIs(closedStatus), 403, cloudProblem),
			reply(both(statusIs(403), requestHas("upgrade")), 400, problem("Bad Request", "400", "bad-request")), // Envoy refuses every upgrade unasked
		),
		strip: serviceMayNotSend(),
		log:   map[string]string{"service": service, "cloud": "%METADATA(ROUTE:isogate:cloud)%"},
	})
	hcm.StreamIdleTimeout = seconds(20)
	hcm.CommonHttpProtocolOptions.MaxStreamDuration = seconds(60)
	return hcm
}

// serviceMayNotSend leaves the three headers. The fourth that a service knows is the person's id, which is nobody's business inside.
func serviceMayNotSend() []string {
	others := slices.DeleteFunc(slices.Concat(clientMayNotSend, fromElsewhere), func(prefix string) bool { return prefix == "x-isolated-" })
	return append(others, "x-isolated-cloud-user")
}
