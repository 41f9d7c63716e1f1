package snapshot

import (
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"isogate/envoy/topology"
)

const (
	authID = "auth" // stands for the auth host where a product's id would stand

	uctKeys      = "/.well-known/uct/jwks.json"
	oauthPaths   = "/oauth2/"
	oauthSession = "/oauth2/session" // the one of them that extauthz answers: it alone knows sessions
)

// documents are the two addresses where a client finds the OAuth server (OpenID Connect Discovery 1.0 section 4, RFC 8414 section 3).
var documents = []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"}

// Ingress is what the ingress gets: it ends TLS, asks extauthz about every request and forwards to products. The certificates must have passed
// CheckCertificates. Its auth host leads to the door and, where the file has clients, to the OAuth server: nowhere else.
func Ingress(cloud topology.Cloud, certificates []Certificate) (Resources, error) {
	var b builder
	f := front{
		role: topology.Ingress, address: cloud.Listeners.Ingress, host: cloud.AuthHost(), hostID: authID, knowsClient: true,
		clusters: []*clusterv3.Cluster{b.checkCluster(cloud.CheckSocket(string(topology.Ingress))), b.ownCluster(doorCluster, cloud.DoorSocket())},
		own:      []*routev3.Route{own("auth.door", exact(uctKeys), doorCluster, metadata("door", authID))},
		log: map[string]string{
			"product": "%METADATA(ROUTE:isogate:product)%",
			"policy":  "%DYNAMIC_METADATA(envoy.filters.http.ext_authz:policy)%", // the digest of the policies that decided
			"rule":    "%DYNAMIC_METADATA(envoy.filters.http.ext_authz:rule)%",   // the word of their rule
		},
	}
	if len(cloud.Clients) > 0 {
		f.clusters = append(f.clusters, b.ownCluster(oauthCluster, cloud.OAuthSocket()))
		f.own = append(f.own, oauth()...)
	}
	for _, p := range cloud.Products {
		f.backends = append(f.backends, backend{
			id: p.ID, cluster: "product." + p.ID, host: cloud.HostOf(p), upstream: p.Upstream, webSockets: p.WebSockets, idle: p.Idle(), stream: p.Stream(),
		})
	}
	return b.front(f, certificates)
}

// oauth leads to the OAuth server. The session resource stands before the prefix that it is part of: Envoy takes the first route that matches.
func oauth() []*routev3.Route {
	list := []*routev3.Route{
		own("auth.session", exact(oauthSession), doorCluster, metadata("door", authID)),
		own("auth.oauth", prefix(oauthPaths), oauthCluster, metadata("oauth", authID)),
	}
	for _, path := range documents {
		list = append(list, own("auth.discovery", exact(path), oauthCluster, metadata("oauth", authID)))
	}
	return list
}
