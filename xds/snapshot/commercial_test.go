package snapshot

import (
	"slices"
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"isogate/envoy/daemon"
	"isogate/envoy/topology"
)

// commercialSide is a whole commercial side: the edge's platform with services behind it.
func commercialSide() (topology.Platform, []topology.Directory) {
	p, clouds := platform()
	p.Port, p.IdentityHost, p.Listeners.Commercial = 8443, "id.commercial.example", "127.0.0.1:8445"
	p.Services = []topology.Service{
		{ID: "support", Host: "support.commercial.example", Upstream: "127.0.0.1:9101", Federation: topology.FederationAllowed, WebSockets: true,
			IdleTimeout: daemon.Duration(2 * time.Minute), StreamLimit: daemon.Duration(time.Hour)},
		{ID: "shop", Host: "shop.example", Upstream: "shop.internal:80", Federation: topology.FederationNone},
	}
	return p, clouds
}

func commercialOf(t *testing.T, p topology.Platform, certificates ...Certificate) Resources {
	t.Helper()
	if len(certificates) == 0 {
		certificates = []Certificate{{Chain: []byte("chain")}}
	}
	r, err := Commercial(p, certificates)
	return must(t, r, err)
}

func TestCommercialRoutes(t *testing.T) {
	p, _ := commercialSide()
	got := map[string][]string{}
	var hosts []string
	for _, host := range commercialOf(t, p).Routes[0].GetVirtualHosts() {
		hosts = append(hosts, strings.Join(host.GetDomains(), ","))
		for _, route := range host.GetRoutes() {
			got[host.GetName()] = append(got[host.GetName()], describe(route))
		}
	}
	want := map[string][]string{
		"identity":        {"identity.door /.isogate/* extauthz.door door=identity", "identity.none /*  none=identity"},
		"service.support": {"support.door /.isogate/* extauthz.door door=support", "support /* service.support product=support"},
		"service.shop":    {"shop.door /.isogate/* extauthz.door door=shop", "shop /* service.shop product=shop"},
		"misdirected":     {"misdirected /* "},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if diff := cmp.Diff([]string{"id.commercial.example", "support.commercial.example", "shop.example", "*"}, hosts); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// A service that comes, or a renewed certificate, touches no listener of the commercial Envoy, and at the edge no filter chain that was there.
func TestServicesTouchNoListener(t *testing.T) {
	p, clouds := commercialSide()
	more := p
	more.Services = append(slices.Clone(p.Services), topology.Service{ID: "new", Host: "new.example", Upstream: "127.0.0.1:1"})
	if !proto.Equal(commercialOf(t, p).Listeners[0], commercialOf(t, more, Certificate{Chain: []byte("renewed")}).Listeners[0]) {
		t.Error("the listener changed")
	}
	before, err := Edge(p, clouds)
	must(t, before, err)
	after, err := Edge(more, clouds)
	must(t, after, err)
	old, next := before.Listeners[0], proto.CloneOf(after.Listeners[0])
	next.FilterChains = slices.DeleteFunc(next.FilterChains, func(c *listenerv3.FilterChain) bool { return c.GetName() == "host.new.example" })
	if len(after.Listeners[0].FilterChains) != len(old.FilterChains)+1 || !proto.Equal(old, next) {
		t.Error("the edge's listener changed beyond one more filter chain")
	}
}

// The commercial Envoy is told no client address: neither by the edge, nor does it make headers of the edge's.
func TestNoClientAddress(t *testing.T) {
	for role, r := range roles(t) {
		text := string(render(t, Resources{Listeners: r.Listeners, Clusters: r.Clusters, Routes: r.Routes}))
		knows := strings.Contains(text, "proxy_protocol.v3.ProxyProtocol\"")
		removes := strings.Contains(text, `"request_headers_to_remove"`) && strings.Contains(text, `"skip_xff_append": true`)
		if knows != (role == "ingress") || removes != (role == "commercial" || role == "gateway" || role == "egress-support") {
			t.Errorf("%s: takes an address: %t, removes it: %t", role, knows, removes)
		}
		for _, personal := range []string{"%DOWNSTREAM", "REQ(USER-AGENT", "REQ(:PATH", "%PATH", "REQ(X-FORWARDED", "%REQUESTED_SERVER", "REQ(COOKIE", "RESP("} {
			if strings.Contains(strings.ToUpper(text), personal) {
				t.Errorf("%s: logs %s", role, personal)
			}
		}
	}
	p, clouds := commercialSide()
	edge, err := Edge(p, clouds)
	i := slices.IndexFunc(must(t, edge, err).Clusters, func(c *clusterv3.Cluster) bool { return c.GetName() == "commercial" })
	if i < 0 || edge.Clusters[i].GetTransportSocket() != nil {
		t.Error("the edge tells the commercial Envoy more than the bytes")
	}
}

func TestEdgeReachesCommercialElsewhere(t *testing.T) {
	p, clouds := commercialSide()
	p.Listeners.Commercial, p.Commercial = ":8445", "commercial.internal:443"
	r, err := Edge(p, clouds)
	text := string(render(t, must(t, r, err)))
	if !strings.Contains(text, "commercial.internal") || strings.Contains(text, "8445") {
		t.Error("the edge connects to what the commercial Envoy binds")
	}
}

func TestCommercialRefusals(t *testing.T) {
	p, _ := commercialSide()
	identity, _ := commercialSide()
	identity.Services[0].ID = "identity"
	for name, err := range map[string]error{
		"no certificate": second(Commercial(p, nil)),
		"a service called like the identity host": second(Commercial(identity, []Certificate{{}})),
	} {
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
