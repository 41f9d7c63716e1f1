package snapshot

import (
	"slices"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/google/go-cmp/cmp"

	"isogate/envoy/topology"
)

func ingressOf(t *testing.T, c topology.Cloud) Resources {
	t.Helper()
	r, err := Ingress(c, []Certificate{{Chain: []byte("chain")}})
	return must(t, r, err)
}

// routesOf describes the routes of the auth host in their order: name, path, cluster and metadata. The order decides: the first match counts.
func routesOf(r Resources) (lines []string) {
	for _, host := range r.Routes[0].GetVirtualHosts() {
		for _, route := range host.GetRoutes() {
			if host.GetName() == "auth" {
				lines = append(lines, describe(route))
			}
		}
	}
	return lines
}

func describe(r *routev3.Route) string {
	about := ""
	for key, value := range r.GetMetadata().GetFilterMetadata()[namespace].GetFields() {
		about += " " + key + "=" + value.GetStringValue()
	}
	path := r.GetMatch().GetPath()
	if path == "" {
		path = r.GetMatch().GetPrefix() + "*"
	}
	return r.GetName() + " " + path + " " + r.GetRoute().GetCluster() + about
}

func TestRoutesOfTheOAuthServer(t *testing.T) {
	with := cloud()
	without := cloud()
	without.Clients = nil
	first := []string{"auth.door /.isogate/* extauthz.door door=auth", "auth.door /.well-known/uct/jwks.json extauthz.door door=auth"}
	last := []string{"auth.none /*  none=auth"}
	oauth := []string{
		"auth.session /oauth2/session extauthz.door door=auth",
		"auth.oauth /oauth2/* oidcprovider oauth=auth",
		"auth.discovery /.well-known/openid-configuration oidcprovider oauth=auth",
		"auth.discovery /.well-known/oauth-authorization-server oidcprovider oauth=auth",
	}
	if diff := cmp.Diff(slices.Concat(first, oauth, last), routesOf(ingressOf(t, with))); diff != "" {
		t.Errorf("with clients: (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff(slices.Concat(first, last), routesOf(ingressOf(t, without))); diff != "" {
		t.Errorf("without clients: (-want +got)\n%s", diff)
	}
}

// The first client, and the last, touch routes and clusters alone: a changed listener would cut every open stream.
func TestClientsTouchNoListener(t *testing.T) {
	c := cloud()
	c.Clients = nil
	without := ingressOf(t, c)
	c.Clients = []topology.Client{{ID: "a"}}
	one := ingressOf(t, c)
	c.Clients = append(c.Clients, topology.Client{ID: "b"})
	if two := ingressOf(t, c); one.Version() != two.Version() {
		t.Error("a second client changes the ingress")
	}
	listeners := func(r Resources) string { return Resources{Listeners: r.Listeners}.Version() }
	if listeners(without) != listeners(one) {
		t.Error("a client changes the listener")
	}
	var clusters []string
	for _, cluster := range one.Clusters {
		clusters = append(clusters, cluster.GetName())
	}
	want := []string{"extauthz.check", "extauthz.door", "oidcprovider", "product.issues", "product.wiki"}
	if diff := cmp.Diff(want, clusters); diff != "" {
		t.Error(diff)
	}
	if kept, gone := without.Keeping(one); gone != 1 || len(kept.Clusters) != len(one.Clusters) {
		t.Errorf("the last client's end: %d clusters go away at the second step, want 1", gone)
	}
}
