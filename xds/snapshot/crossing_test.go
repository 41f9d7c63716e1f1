package snapshot

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"isogate/envoy/topology"
	"isogate/policies"
)

// crossingCloud is a cloud with a gateway, and what it exposes.
func crossingCloud() (topology.Cloud, []policies.Endpoint) {
	c := cloud()
	c.Listeners.Gateway = "127.0.0.1:8446"
	c.Gateway = &topology.IsolationGateway{TrustDomain: "commercial.example", Callers: "/etc/callers.pem"}
	return c, []policies.Endpoint{
		{ID: "issue.create", Product: "issues", Method: "POST", Path: "/rest/api/issue"},
		{ID: "issue.mine", Product: "issues", Method: "GET", Path: "/rest/api/issue/mine"},
		{ID: "issue.read", Product: "issues", Method: "GET", Path: "/rest/api/issue/{key}"},
		{ID: "kind.list", Product: "issues", Method: "GET", Path: "/rest/api/{kind}"},
		{ID: "lost", Product: "no-such-product", Method: "GET", Path: "/"},
	}
}

func gatewayOf(t *testing.T, c topology.Cloud, endpoints []policies.Endpoint) Resources {
	t.Helper()
	r, err := Gateway(c, endpoints, []Certificate{{Name: "a", Chain: []byte("chain")}}, []byte("callers"))
	return must(t, r, err)
}

func egressOf(t *testing.T, change func(*topology.Platform, []topology.Directory)) Resources {
	t.Helper()
	p, clouds := commercialSide()
	clouds[0].Gateway = "127.0.0.1:8446"
	p.Services[0].Egress = &topology.Egress{SPIFFE: "spiffe://commercial.example/support", Listen: "127.0.0.1:9801"}
	if change != nil {
		change(&p, clouds)
	}
	r, err := Egress(p, p.Services[0], clouds, Certificate{Name: "a", Chain: []byte("chain")}, map[string][]byte{clouds[0].ID: []byte("ca")})
	return must(t, r, err)
}

// A policy edit is a change of the routes and of nothing else, so it cuts no connection and closes no port.
func TestAPolicyEditTouchesRoutesAlone(t *testing.T) {
	c, endpoints := crossingCloud()
	before := gatewayOf(t, c, endpoints)
	for name, edited := range map[string][]policies.Endpoint{"nothing exposed": nil, "one less": endpoints[1:]} {
		after := gatewayOf(t, c, edited)
		if proto.Equal(before.Routes[0], after.Routes[0]) {
			t.Errorf("%s: the routes stay", name)
		}
		before, after := before, after
		before.Routes, after.Routes = nil, nil
		if before.Version() != after.Version() {
			t.Errorf("%s: more than the routes changed", name)
		}
	}
}

// An endpoint of a product that the file does not have leads nowhere; a product of which nothing is exposed has no host.
func TestGatewayHosts(t *testing.T) {
	c, endpoints := crossingCloud()
	var got []string
	for _, host := range gatewayOf(t, c, endpoints).Routes[0].GetVirtualHosts() {
		got = append(got, host.GetDomains()...)
	}
	if diff := cmp.Diff([]string{"issues.gateway.acme.example", "*"}, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// Envoy answers what no route matches without asking the check: so each list, and what no list is for, ends in the refusal.
func TestEveryListOfTheGatewayIsClosed(t *testing.T) {
	c, endpoints := crossingCloud()
	for _, host := range gatewayOf(t, c, endpoints).Routes[0].GetVirtualHosts() {
		lists := [][]*routev3.Route{host.GetRoutes()}
		if m := host.GetMatcher(); m != nil {
			last := new(routev3.Route)
			if err := m.GetOnNoMatch().GetAction().GetTypedConfig().UnmarshalTo(last); err != nil {
				t.Fatal(err)
			}
			lists = [][]*routev3.Route{{last}}
			for _, way := range m.GetMatcherTree().GetPrefixMatchMap().GetMap() {
				list := new(routev3.RouteList)
				if err := way.GetAction().GetTypedConfig().UnmarshalTo(list); err != nil {
					t.Fatal(err)
				}
				lists = append(lists, list.GetRoutes())
			}
		}
		for _, list := range lists {
			if last := list[len(list)-1]; !proto.Equal(last, closed("gateway")) {
				t.Errorf("%s: a list ends in %v", host.GetName(), last)
			}
		}
	}
}

// What the lists keep from one build to the next changes nothing, whatever was built before, and a failed build leaves nothing behind.
func TestListsChangeNothing(t *testing.T) {
	c, endpoints := crossingCloud()
	lists := new(Lists)
	moved := c
	moved.Products = slices.Clone(c.Products)
	moved.Products[0].Host = "tickets.acme.example"
	build := func(endpoints []policies.Endpoint) string {
		r, err := lists.Gateway(c, endpoints, []Certificate{{Name: "a", Chain: []byte("chain")}}, []byte("callers"))
		return must(t, r, err).Version()
	}
	edited := slices.Clone(endpoints)
	edited[2].Method = "HEAD"
	bad := slices.Clone(endpoints)
	bad[0].Path = "/\xff"
	for range 2 {
		for _, list := range [][]policies.Endpoint{endpoints, edited, nil, endpoints[:2], edited} {
			if got, want := build(list), gatewayOf(t, c, list).Version(); got != want {
				t.Errorf("%d endpoints: %s, want %s", len(list), got, want)
			}
		}
		r, err := lists.Gateway(moved, edited, []Certificate{{Name: "a", Chain: []byte("chain")}}, []byte("callers"))
		if got, want := must(t, r, err).Version(), gatewayOf(t, moved, edited).Version(); got != want {
			t.Errorf("the product has another host: %s, want %s", got, want)
		}
		if _, err := lists.Gateway(c, bad, []Certificate{{}}, nil); err == nil {
			t.Error("a text that is no UTF-8 was taken")
		}
	}
}

// A seal does not outlive its message: what is put in its place is validated, and counts.
func TestSealsAreOfMessages(t *testing.T) {
	c, endpoints := crossingCloud()
	r := gatewayOf(t, c, endpoints)
	before := r.Version()
	r.Routes = []*routev3.RouteConfiguration{proto.CloneOf(r.Routes[0])}
	if r.Version() != before {
		t.Error("a copy has another version")
	}
	r.Routes[0].VirtualHosts[1].Domains = nil
	if r.Version() == before {
		t.Error("a changed copy has the version of the original")
	}
	if Validate(r) == nil {
		t.Error("a host without domains was taken")
	}
}

// A sidecar has a way to each cloud that takes calls, and no other.
func TestEgressRoutes(t *testing.T) {
	var got []string
	for _, route := range egressOf(t, nil).Routes[0].GetVirtualHosts()[0].GetRoutes() {
		line := route.GetName()
		for _, h := range route.GetMatch().GetHeaders() {
			line += " " + h.GetName() + "=" + h.GetStringMatch().GetExact()
		}
		got = append(got, line+" "+route.GetRoute().GetHostRewrite())
	}
	want := []string{
		"gateway.0123456789abcdef x-isolated-cloud-id=0123456789abcdef %REQ(x-isolated-cloud-product)%.gateway.acme.example",
		"egress.none ",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestCrossingRefusals(t *testing.T) {
	c, endpoints := crossingCloud()
	p, clouds := commercialSide()
	none := c
	none.Gateway = nil
	for name, err := range map[string]error{
		"gateway without a certificate":   second(Gateway(c, endpoints, nil, nil)),
		"gateway of a cloud without one":  second(Gateway(none, endpoints, []Certificate{{}}, nil)),
		"egress of a service without one": second(Egress(p, p.Services[0], clouds, Certificate{}, nil)),
	} {
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
