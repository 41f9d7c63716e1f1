package snapshot

import (
	"maps"
	"slices"

	xdscorev3 "github.com/cncf/xds/go/xds/core/v3"
	matcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	uritemplatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/path/match/uri_template/v3"
	inputv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"isogate/envoy/topology"
	"isogate/policies"
)

// exposed is the gateway's table: a virtual host for each product of which something is exposed, and one for every other name. An endpoint of a
// product that the file does not have gets no route.
//
// The routes of a product hang in matcher trees by the literal beginning of their path, one tree for each shape of a path. A list of ten thousand
// templates would cost Envoy milliseconds for each request, whoever sends it; a tree costs microseconds.
func (b *builder) exposed(cloud topology.Cloud, endpoints []policies.Endpoint, lists *Lists) *routev3.RouteConfiguration {
	byProduct := map[string][]*template{}
	for i := range endpoints {
		e := &endpoints[i]
		byProduct[e.Product] = append(byProduct[e.Product], newTemplate(e))
	}
	table := &routev3.RouteConfiguration{Name: gatewayName, ValidateClusters: yes, RequestHeadersToRemove: slices.Concat(addedByEnvoy, ofTheCaller)}
	for _, p := range cloud.Products {
		if list := byProduct[p.ID]; len(list) > 0 {
			table.VirtualHosts = append(table.VirtualHosts, &routev3.VirtualHost{
				Name: productCluster(p.ID), Domains: []string{cloud.GatewayName(p.ID)}, Matcher: b.byPath(list, cloud.HostOf(p), lists), RetryPolicy: harmlessRetry(),
			})
		}
	}
	table.VirtualHosts = append(table.VirtualHosts, &routev3.VirtualHost{
		Name: gatewayName + ".none", Domains: []string{"*"}, Routes: []*routev3.Route{closed(gatewayName)},
	})
	return table
}

// ofTheCaller are request headers that end here. The check removes them, and all that a product is not to see; these are removed in any case, since
// with them a product could call in the caller's place.
var ofTheCaller = []string{"authorization", "dpop", "cookie"}

// byPath leads from the shape of a path, and then from its beginning, to the routes that can match it.
func (b *builder) byPath(list []*template, host string, lists *Lists) *matcherv3.Matcher {
	of := map[shape][]*template{}
	for _, t := range list {
		of[t.shape()] = append(of[t.shape()], t)
	}
	return b.byShape(slices.SortedFunc(maps.Keys(of), shape.compare), func(s shape) *matcherv3.Matcher { return b.byBeginning(of[s], host, lists) })
}

// byShape halves the shapes until one is left, since finding out whether a path has one costs time that grows with the path.
func (b *builder) byShape(shapes []shape, then func(shape) *matcherv3.Matcher) *matcherv3.Matcher {
	var ways []*matcherv3.Matcher_MatcherList_FieldMatcher
	for _, some := range halves(shapes) {
		next := then
		if len(some) > 1 {
			next = func(shape) *matcherv3.Matcher { return b.byShape(some, then) }
		}
		ways = append(ways, &matcherv3.Matcher_MatcherList_FieldMatcher{
			Predicate: b.matching(patternOf(some)),
			OnMatch:   &matcherv3.Matcher_OnMatch{OnMatch: &matcherv3.Matcher_OnMatch_Matcher{Matcher: next(some[0])}},
		})
	}
	return &matcherv3.Matcher{
		MatcherType: &matcherv3.Matcher_MatcherList_{MatcherList: &matcherv3.Matcher_MatcherList{Matchers: ways}},
		OnNoMatch:   b.act("none", closed(gatewayName)),
	}
}

func (b *builder) matching(pattern string) *matcherv3.Matcher_MatcherList_Predicate {
	return &matcherv3.Matcher_MatcherList_Predicate{MatchType: &matcherv3.Matcher_MatcherList_Predicate_SinglePredicate_{
		SinglePredicate: &matcherv3.Matcher_MatcherList_Predicate_SinglePredicate{
			Input: b.target(),
			Matcher: &matcherv3.Matcher_MatcherList_Predicate_SinglePredicate_ValueMatch{ValueMatch: &matcherv3.StringMatcher{
				MatchPattern: &matcherv3.StringMatcher_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{
					EngineType: &matcherv3.RegexMatcher_GoogleRe2{GoogleRe2: &matcherv3.RegexMatcher_GoogleRE2{}},
					Regex:      pattern,
				}},
			}},
		},
	}}
}

// byBeginning leads from the beginning of a path to the routes that can match it, all of one shape. The longest beginning wins and its list is final, so
// each list ends in the refusal: without a route Envoy would answer unasked.
func (b *builder) byBeginning(list []*template, host string, lists *Lists) *matcherv3.Matcher {
	ways := map[string]*matcherv3.Matcher_OnMatch{}
	split(list, nil, func(beginning string, templates []*template) {
		ways[beginning] = lists.way(b, templates, host)
	})
	return &matcherv3.Matcher{
		MatcherType: &matcherv3.Matcher_MatcherTree_{MatcherTree: &matcherv3.Matcher_MatcherTree{
			Input:    b.target(),
			TreeType: &matcherv3.Matcher_MatcherTree_PrefixMatchMap{PrefixMatchMap: &matcherv3.Matcher_MatcherTree_MatchMap{Map: ways}},
		}},
		OnNoMatch: b.act("none", closed(gatewayName)),
	}
}

// route leads to one endpoint. Its metadata tells the check which: {"endpoint": id, "product": id}.
func (b *builder) route(t *template, host string) *routev3.Route {
	return &routev3.Route{
		Name:  t.ID,
		Match: b.match(t),
		Metadata: &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{namespace: {Fields: map[string]*structpb.Value{
			"endpoint": structpb.NewStringValue(t.ID), "product": structpb.NewStringValue(t.Product),
		}}}},
		Action: &routev3.Route_Route{Route: &routev3.RouteAction{
			ClusterSpecifier:     &routev3.RouteAction_Cluster{Cluster: productCluster(t.Product)},
			HostRewriteSpecifier: &routev3.RouteAction_HostRewriteLiteral{HostRewriteLiteral: host},
			Timeout:              seconds(15),
		}},
	}
}

// match is for paths of the template's shape. A prefix says as much of these as a template that ends in variables, and costs Envoy half of a route.
func (b *builder) match(t *template) *routev3.RouteMatch {
	match := &routev3.RouteMatch{Headers: []*routev3.HeaderMatcher{{Name: ":method", HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{
		StringMatch: &inputv3.StringMatcher{MatchPattern: &inputv3.StringMatcher_Exact{Exact: t.Method}},
	}}}}
	switch {
	case t.literal == t.Path:
		match.PathSpecifier = &routev3.RouteMatch_Path{Path: t.Path}
	case t.endsInVariables():
		match.PathSpecifier = &routev3.RouteMatch_Prefix{Prefix: t.literal}
	default:
		match.PathSpecifier = &routev3.RouteMatch_PathMatchPolicy{PathMatchPolicy: &corev3.TypedExtensionConfig{
			Name:        "envoy.path.match.uri_template.uri_template_matcher",
			TypedConfig: b.any(&uritemplatev3.UriTemplateMatchConfig{PathTemplate: t.Path}),
		}}
	}
	return match
}

func (b *builder) act(name string, action proto.Message) *matcherv3.Matcher_OnMatch {
	return &matcherv3.Matcher_OnMatch{OnMatch: &matcherv3.Matcher_OnMatch_Action{
		Action: &xdscorev3.TypedExtensionConfig{Name: name, TypedConfig: b.any(action)},
	}}
}

// target is the path with the query.
func (b *builder) target() *xdscorev3.TypedExtensionConfig {
	return b.input("path", &inputv3.HttpRequestHeaderMatchInput{HeaderName: ":path"})
}

func (b *builder) input(name string, input proto.Message) *xdscorev3.TypedExtensionConfig {
	return &xdscorev3.TypedExtensionConfig{Name: name, TypedConfig: b.any(input)}
}
