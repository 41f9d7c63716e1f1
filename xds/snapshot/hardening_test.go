package snapshot

import (
	"slices"
	"testing"

	extauthzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protopath"
	"google.golang.org/protobuf/reflect/protorange"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"isogate/envoy/topology"
)

// never are fields that no resource of ours may set, wherever it stands: each of them lets a request pass unasked, or change after it was judged.
var never = map[protoreflect.FullName]string{
	// A check that fails is no pass (CVE-2024-23324 made one fail at will), and no request goes by it.
	"envoy.extensions.filters.http.ext_authz.v3.ExtAuthz.failure_mode_allow":            "a check that fails passes",
	"envoy.extensions.filters.http.ext_authz.v3.ExtAuthz.failure_mode_allow_header_add": "a check that fails passes",
	"envoy.extensions.filters.http.ext_authz.v3.ExtAuthz.filter_enabled":                "some requests are not checked",
	"envoy.extensions.filters.http.ext_authz.v3.ExtAuthz.filter_enabled_metadata":       "some requests are not checked",
	"envoy.extensions.filters.http.ext_authz.v3.ExtAuthz.allowed_headers":               "the check does not see all headers",
	"envoy.extensions.filters.http.ext_authz.v3.ExtAuthz.disallowed_headers":            "the check does not see all headers",
	"envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter.disabled":   "the check can be off",
	"envoy.config.route.v3.Route.typed_per_filter_config":                               "a route has a check of its own",
	"envoy.config.route.v3.VirtualHost.typed_per_filter_config":                         "a host has a check of its own",
	"envoy.config.route.v3.RouteConfiguration.typed_per_filter_config":                  "the routes have a check of their own",
	"envoy.config.route.v3.WeightedCluster.ClusterWeight.typed_per_filter_config":       "a cluster has a check of its own",

	// The route that was judged is the route that is taken.
	"envoy.extensions.filters.http.ext_authz.v3.ExtAuthz.clear_route_cache": "the route is chosen anew after the check",

	// What was judged is what the product gets.
	"envoy.config.route.v3.RouteAction.prefix_rewrite":                                                             "the path changes after the check",
	"envoy.config.route.v3.RouteAction.regex_rewrite":                                                              "the path changes after the check",
	"envoy.config.route.v3.RouteAction.path_rewrite":                                                               "the path changes after the check",
	"envoy.config.route.v3.RouteAction.path_rewrite_policy":                                                        "the path changes after the check",
	"envoy.config.route.v3.RouteAction.host_rewrite":                                                               "the host changes after the check",
	"envoy.config.route.v3.RouteAction.host_rewrite_literal":                                                       "the host changes after the check",
	"envoy.config.route.v3.RouteAction.host_rewrite_header":                                                        "the host is what a header says",
	"envoy.config.route.v3.RouteAction.host_rewrite_path_regex":                                                    "the host is what the path says",
	"envoy.config.route.v3.RouteAction.auto_host_rewrite":                                                          "the host changes after the check",
	"envoy.config.route.v3.RouteAction.cluster_header":                                                             "a header chooses the product",
	"envoy.config.route.v3.RouteAction.internal_redirect_policy":                                                   "a product sends a request on, unasked",
	"envoy.config.route.v3.RouteAction.request_mirror_policies":                                                    "somebody else gets the request too",
	"envoy.config.route.v3.RouteConfiguration.request_headers_to_add":                                              "a header changes after the check",
	"envoy.config.route.v3.VirtualHost.request_headers_to_add":                                                     "a header changes after the check",
	"envoy.config.route.v3.Route.request_headers_to_add":                                                           "a header changes after the check",
	"envoy.extensions.filters.http.header_mutation.v3.Mutations.request_mutations":                                 "a header changes after the check",
	"envoy.config.route.v3.RouteMatch.connect_matcher":                                                             "a route takes CONNECT",
	"envoy.config.route.v3.RouteConfiguration.ignore_path_parameters_in_path_matching":                             "Envoy matches another path than the check (CVE-2026-73511)",
	"envoy.config.core.v3.Http2ProtocolOptions.allow_connect":                                                      "an upgrade by CONNECT of HTTP/2 (CVE-2026-73548)",
	"envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.path_normalization_options": "the path is read in two ways",
}

// Neither the check can be left out nor its judgement be undone, whatever the topology. Each field's name must exist in Envoy's API, so that a
// name which it changes is noticed here.
func TestNothingPassesUnaskedOrChangesAfterTheCheck(t *testing.T) {
	for name := range never {
		if _, err := protoregistry.GlobalFiles.FindDescriptorByName(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for role, r := range roles(t) {
		for _, m := range r.All() {
			for name, fault := range faultsOf(t, m) {
				if !slices.Contains(crossing[role], name) {
					t.Errorf("%s: %s", role, fault)
				}
			}
		}
	}
}

// crossing are the two places where a call gets another host: what the check judged is the product, and each is the one host of that product.
var crossing = map[string][]protoreflect.FullName{
	"gateway":        {"envoy.config.route.v3.RouteAction.host_rewrite_literal"},
	"egress-support": {"envoy.config.route.v3.RouteAction.host_rewrite"},
}

// The walk finds a fault inside an Any too: else the test above would prove nothing.
func TestTheWalkSeesEverything(t *testing.T) {
	var b builder
	for _, m := range []proto.Message{
		b.httpFilter("x", &extauthzv3.ExtAuthz{FailureModeAllow: true}),
		b.httpFilter("x", &extauthzv3.ExtAuthz{ClearRouteCache: true}),
	} {
		outer := &hcmv3.HttpConnectionManager{HttpFilters: []*hcmv3.HttpFilter{m.(*hcmv3.HttpFilter)}}
		if got := faultsOf(t, b.any(outer)); len(got) != 1 {
			t.Errorf("found %q", got)
		}
	}
}

// faultsOf gives the fields of never that are set, and the place of one each, in a message or in whatever it holds, packed or not.
func faultsOf(t *testing.T, m proto.Message) map[protoreflect.FullName]string {
	t.Helper()
	faults := map[protoreflect.FullName]string{}
	err := protorange.Range(m.ProtoReflect(), func(p protopath.Values) error {
		last := p.Index(-1)
		if last.Step.Kind() != protopath.FieldAccessStep {
			return nil
		}
		name := last.Step.FieldDescriptor().FullName()
		if why, ok := never[name]; ok {
			faults[name] = why + ": " + p.Path.String()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return faults
}

// The check is the last to see a request before the router, and what stands before it changes none; what Envoy's own failure to ask is answered with
// is no success.
func TestTheCheckStandsRightBeforeTheRouter(t *testing.T) {
	var b builder
	for role, filters := range map[string][]*hcmv3.HttpFilter{
		"ingress": b.httpFilters(), "gateway": b.gatewayFilters(topology.IsolationGateway{}), "egress": b.egressConnections("egress-a", "a").GetHttpFilters(),
	} {
		check, router := new(extauthzv3.ExtAuthz), new(routerv3.Router)
		last := len(filters) - 1
		if err := filters[last].GetTypedConfig().UnmarshalTo(router); err != nil {
			t.Fatalf("%s: the last filter: %v", role, err)
		}
		if err := filters[last-1].GetTypedConfig().UnmarshalTo(check); err != nil {
			t.Fatalf("%s: the filter before the router: %v", role, err)
		}
		for _, f := range filters[:last-1] {
			if !slices.Contains(mayStandBefore, f.GetName()) {
				t.Errorf("%s: %s stands before the check", role, f.GetName())
			}
		}
		for what, kept := range promises(check) {
			if !kept {
				t.Errorf("%s: broken: %s", role, what)
			}
		}
		// Elsewhere Envoy keeps no body for the check: see TestABodyIsNoInput of the policies.
		if body := check.GetWithRequestBody(); role != "gateway" && body != nil || role == "gateway" && body.GetMaxRequestBytes() != 1 {
			t.Errorf("%s: the check is given a body: %v", role, body)
		}
	}
}

// mayStandBefore refuse requests or change answers, and do nothing else; header_mutation has no request_mutations (never).
var mayStandBefore = []string{
	"envoy.filters.http.header_mutation", "envoy.filters.http.local_ratelimit", "envoy.filters.http.custom_response", "envoy.filters.http.body_size_limit",
}

func promises(check *extauthzv3.ExtAuthz) map[string]bool {
	rules := check.GetDecoderHeaderMutationRules()
	return map[string]bool{
		"an answer may not touch :path, :method or host": rules.GetDisallowSystem().GetValue() && rules.GetDisallowIsError().GetValue() && !rules.GetAllowAllRouting().GetValue(),
		"an answer is validated":                         check.GetValidateMutations(),
		"repeated headers and their bytes are seen":      check.GetEncodeRawHeaders(), // CVE-2021-32777, CVE-2023-27488
		"no check is no pass":                            check.GetStatusOnError().GetCode() >= 500,
	}
}

// An upgrade passes where a product's route says so, and nowhere else (CVE-2026-73548).
func TestUpgradesAreClosedUnlessARouteOpensThem(t *testing.T) {
	c := cloud()
	table := ingressOf(t, c).Routes[0]
	open := 0
	for _, host := range table.GetVirtualHosts() {
		for _, route := range host.GetRoutes() {
			for _, u := range route.GetRoute().GetUpgradeConfigs() {
				open++
				if route.GetName() != "issues" || u.GetUpgradeType() != "websocket" || u.GetConnectConfig() != nil {
					t.Errorf("%s opens %s", route.GetName(), u.GetUpgradeType())
				}
			}
		}
	}
	if open != 1 {
		t.Errorf("%d upgrades are open, want that of the one product that asks for it", open)
	}
	c.Products = []topology.Product{{ID: "wiki", Upstream: "127.0.0.1:1"}}
	for _, host := range ingressOf(t, c).Routes[0].GetVirtualHosts() {
		for _, route := range host.GetRoutes() {
			if len(route.GetRoute().GetUpgradeConfigs()) > 0 {
				t.Errorf("%s opens an upgrade that nobody asked for", route.GetName())
			}
		}
	}
}
