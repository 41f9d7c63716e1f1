package snapshot

import (
	"errors"
	"slices"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"isogate/envoy/topology"
)

// Ingress is what the ingress gets: it ends TLS, asks extauthz about every request and forwards to products. The certificates must have passed
// CheckCertificates. Routes and certificates change without touching the listener, unless the number of certificates changes.
func Ingress(cloud topology.Cloud, certificates []Certificate) (Resources, error) {
	if len(certificates) == 0 {
		return Resources{}, errors.New("snapshot: the ingress has no certificate")
	}
	if slices.ContainsFunc(cloud.Products, func(p topology.Product) bool { return p.ID == authID }) {
		return Resources{}, errors.New("snapshot: no product can have the id " + authID + ": in route metadata it means the auth host")
	}
	var b builder
	r := Resources{
		Clusters: []*clusterv3.Cluster{b.checkCluster(cloud.CheckSocket(string(topology.Ingress))), b.doorCluster(cloud.DoorSocket())},
		Routes:   []*routev3.RouteConfiguration{b.routes(cloud)},
	}
	for _, p := range cloud.Products {
		r.Clusters = append(r.Clusters, b.productCluster(p))
	}
	for i, c := range certificates {
		r.Secrets = append(r.Secrets, secret(i, c))
	}
	inspectors := []*listenerv3.ListenerFilter{b.proxyProtocol(), b.tlsInspector()}
	chain := &listenerv3.FilterChain{
		Name:                          "ingress",
		Filters:                       []*listenerv3.Filter{b.httpConnectionManager()},
		TransportSocket:               b.downstreamTLS(len(certificates)),
		TransportSocketConnectTimeout: seconds(10),
	}
	r.Listeners = []*listenerv3.Listener{listener("ingress", cloud.Listeners.Ingress, inspectors, []*listenerv3.FilterChain{chain})}
	return b.finish(r)
}
