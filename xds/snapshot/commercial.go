package snapshot

import (
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"

	"isogate/envoy/topology"
)

const (
	identityID = "identity"  // stands for the identity host where a service's id would stand
	federated  = "federated" // the check profile of the commercial side
)

// Commercial is what the commercial Envoy gets: it ends TLS, asks extauthz about every request and forwards to services. The certificates must have
// passed CheckCertificates. Its identity host leads to the door and nowhere else.
//
// This side holds nothing personal. Its Envoy is not told the client's address: the edge connects to it in its own name. So there is none to log, to
// send on, or to show in statistics and config dumps; those name hosts, services and clouds only.
func Commercial(platform topology.Platform, certificates []Certificate) (Resources, error) {
	var b builder
	f := front{
		role: topology.Commercial, address: platform.Listeners.Commercial, host: platform.IdentityHost, hostID: identityID,
		clusters: []*clusterv3.Cluster{b.checkCluster(platform.CheckSocket(federated)), b.ownCluster(doorCluster, platform.DoorSocket())},
		log:      map[string]string{"service": "%METADATA(ROUTE:isogate:product)%"},
	}
	for _, s := range platform.Services {
		f.backends = append(f.backends, backend{
			id: s.ID, cluster: "service." + s.ID, host: s.Host, upstream: s.Upstream, webSockets: s.WebSockets, idle: s.Idle(), stream: s.Stream(),
		})
	}
	return b.front(f, certificates)
}
