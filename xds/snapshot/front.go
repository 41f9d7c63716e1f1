package snapshot

import (
	"fmt"
	"slices"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"isogate/envoy/daemon"
	"isogate/envoy/topology"
)

// front is a listener that ends TLS, asks the check about every request, and leads to backends and to our own daemons. Ingress and commercial differ
// in nothing but what stands here.
type front struct {
	role     topology.Role // names the listener, its routes and its statistics
	address  daemon.Address
	host     string // where people sign in: the door, and the routes of own
	hostID   string // stands for it where a backend's id would stand, so no backend may have it
	own      []*routev3.Route
	backends []backend
	clusters []*clusterv3.Cluster // of our own daemons
	log      map[string]string    // fields of its request log, beside those that all have

	// knowsClient is true where the edge tells the client's address (PROXY protocol) and backends may see it. Elsewhere only the edge's own address is
	// seen: no header is made of it, and headers that tie a request to another place's records are dropped (fromElsewhere).
	knowsClient bool
}

// backend is a product or a service.
type backend struct {
	id, cluster, host string
	upstream          daemon.Address
	webSockets        bool
	idle, stream      time.Duration
}

// front makes all resources of one. Routes and certificates change without touching the listener, unless the number of certificates changes.
func (b *builder) front(f front, certificates []Certificate) (Resources, error) {
	if len(certificates) == 0 {
		return Resources{}, fmt.Errorf("snapshot: the role %s has no certificate", f.role)
	}
	if slices.ContainsFunc(f.backends, func(to backend) bool { return to.id == f.hostID }) {
		return Resources{}, fmt.Errorf("snapshot: nothing can have the id %s: in route metadata it means the host where people sign in", f.hostID)
	}
	r := Resources{Clusters: f.clusters, Routes: []*routev3.RouteConfiguration{f.routes()}}
	for _, to := range f.backends {
		r.Clusters = append(r.Clusters, b.backendCluster(to.cluster, to.upstream, b.backendAnswers()))
	}
	for i, c := range certificates {
		r.Secrets = append(r.Secrets, secret(i, c))
	}
	chain := &listenerv3.FilterChain{
		Name:                          string(f.role),
		Filters:                       []*listenerv3.Filter{b.networkFilter(b.connectionManager(f.connections(b)))},
		TransportSocket:               b.downstreamTLS(b.serverTLS(len(certificates))),
		TransportSocketConnectTimeout: seconds(10),
	}
	r.Listeners = []*listenerv3.Listener{listener(string(f.role), f.address, b.inspectors(f), []*listenerv3.FilterChain{chain})}
	return b.finish(r)
}

func (f front) connections(b *builder) connections {
	c := connections{
		name: string(f.role), filters: b.httpFilters(), replies: localReplies(), log: f.log, strip: clientMayNotSend, upgrade: true, knowsClient: f.knowsClient,
	}
	if !f.knowsClient {
		c.strip = slices.Concat(clientMayNotSend, fromElsewhere)
	}
	return c
}

func (b *builder) inspectors(f front) []*listenerv3.ListenerFilter {
	if f.knowsClient {
		return []*listenerv3.ListenerFilter{b.proxyProtocol(), b.tlsInspector()}
	}
	return []*listenerv3.ListenerFilter{b.tlsInspector()}
}

// routes is the whole table. Envoy answers what matches no route without asking the check, so every virtual host ends in a route that matches
// everything, and the last virtual host takes every other name.
func (f front) routes() *routev3.RouteConfiguration {
	hosts := []*routev3.VirtualHost{{Name: f.hostID, Domains: []string{f.host}, Routes: append(
		[]*routev3.Route{own(f.hostID+".door", prefix(ownPaths), doorCluster, metadata("door", f.hostID))},
		append(f.own, refuse(f.hostID+".none", 404, "Not Found", "not-found", metadata("none", f.hostID)))...,
	)}}
	for _, to := range f.backends {
		hosts = append(hosts, to.virtualHost())
	}
	hosts = append(hosts, &routev3.VirtualHost{Name: "misdirected", Domains: []string{"*"}, Routes: []*routev3.Route{
		refuse("misdirected", 421, "Misdirected Request", "misdirected", nil),
	}})
	table := &routev3.RouteConfiguration{Name: string(f.role), VirtualHosts: hosts, ValidateClusters: yes}
	if !f.knowsClient {
		table.RequestHeadersToRemove = addressHeaders
	}
	return table
}

// virtualHost leads to one backend, and to the door under our own path.
func (to backend) virtualHost() *routev3.VirtualHost {
	return &routev3.VirtualHost{Name: to.cluster, Domains: []string{to.host}, Routes: []*routev3.Route{
		own(to.id+".door", prefix(ownPaths), doorCluster, metadata("door", to.id)),
		to.route(),
	}}
}
