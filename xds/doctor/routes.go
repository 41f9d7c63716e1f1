package doctor

import (
	"maps"
	"slices"
	"strings"

	matcher "github.com/cncf/xds/go/xds/type/matcher/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	extauthzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	"google.golang.org/protobuf/types/known/anypb"
)

// routeExaminer judges the routes of one HTTP connection manager.
type routeExaminer struct {
	*examiner
	check        string   // the filter's name, under which settings for one route stand
	hostRewrites []string // what may rewrite the host: an egress names the gateway, and a gateway the product
}

func (e *routeExaminer) table(r *routev3.RouteConfiguration, at place) {
	at = at.in("routes", r.GetName())
	e.must(!r.GetIgnorePathParametersInPathMatching(), pathParameters, at)
	e.overrides(r.GetTypedPerFilterConfig(), at)
	everyHost := false
	for i, host := range r.GetVirtualHosts() {
		everyHost = everyHost || slices.Contains(host.GetDomains(), "*")
		e.host(host, at.in("virtual host", nameOr(host.GetName(), i)))
	}
	e.must(everyHost, noHostCatchAll, at)
}

func (e *routeExaminer) host(h *routev3.VirtualHost, at place) {
	e.overrides(h.GetTypedPerFilterConfig(), at)
	if m := h.GetMatcher(); m != nil {
		e.tree(m, at)
		return
	}
	e.list(h.GetRoutes(), at)
}

// list judges routes that are tried one after the other, and holds the last one to match everything.
func (e *routeExaminer) list(routes []*routev3.Route, at place) {
	for i, r := range routes {
		e.route(r, at.in("route", nameOr(r.GetName(), i)))
	}
	e.must(len(routes) > 0 && matchesAll(routes[len(routes)-1].GetMatch()), noCatchAll, at)
}

// tree judges a matcher: whatever it does not match, and each list that it leads to, must end in a route that matches everything.
func (e *routeExaminer) tree(m *matcher.Matcher, at place) {
	e.must(m.GetOnNoMatch() != nil, noCatchAll, at)
	for _, next := range branches(m) {
		if inner := next.GetMatcher(); inner != nil {
			e.tree(inner, at)
			continue
		}
		action, url := open(next.GetAction().GetTypedConfig())
		switch action := action.(type) {
		case *routev3.Route:
			e.list([]*routev3.Route{action}, at)
		case *routev3.RouteList:
			e.list(action.GetRoutes(), at)
		default:
			e.note("%s: a route of type %q was not looked at", at, kind(action, url))
		}
	}
}

// branches are all ways out of one node, in a fixed order.
func branches(m *matcher.Matcher) (out []*matcher.Matcher_OnMatch) {
	for _, field := range m.GetMatcherList().GetMatchers() {
		out = append(out, field.GetOnMatch())
	}
	tree := m.GetMatcherTree()
	for _, ways := range []map[string]*matcher.Matcher_OnMatch{tree.GetExactMatchMap().GetMap(), tree.GetPrefixMatchMap().GetMap()} {
		for _, key := range slices.Sorted(maps.Keys(ways)) {
			out = append(out, ways[key])
		}
	}
	if m.GetOnNoMatch() != nil {
		out = append(out, m.GetOnNoMatch())
	}
	return out
}

// matchesAll is true for a match without any condition.
func matchesAll(m *routev3.RouteMatch) bool {
	regex := m.GetSafeRegex().GetRegex()
	path := m.GetPrefix() == "/" || regex == ".*" || regex == "/.*"
	if prefix, ok := m.GetPathSpecifier().(*routev3.RouteMatch_Prefix); ok && prefix.Prefix == "" {
		path = true
	}
	return path && len(m.GetHeaders()) == 0 && len(m.GetQueryParameters()) == 0 && m.GetRuntimeFraction() == nil && m.GetGrpc() == nil &&
		m.GetTlsContext() == nil && len(m.GetDynamicMetadata()) == 0 && len(m.GetFilterState()) == 0 && len(m.GetCookies()) == 0
}

func (e *routeExaminer) route(r *routev3.Route, at place) {
	e.overrides(r.GetTypedPerFilterConfig(), at)
	if r.GetMatch().GetConnectMatcher() != nil {
		e.found(connect, at, "connect_matcher")
	}
	action := r.GetRoute()
	if action == nil {
		return
	}
	for _, name := range rewrites(action) {
		if !slices.Contains(e.hostRewrites, name) {
			e.found(rewrite, at, name)
		}
	}
	for _, u := range action.GetUpgradeConfigs() {
		if strings.EqualFold(u.GetUpgradeType(), "CONNECT") || u.GetConnectConfig() != nil {
			e.found(connect, at, "upgrade_configs: CONNECT")
		}
	}
	for _, w := range action.GetWeightedClusters().GetClusters() {
		e.overrides(w.GetTypedPerFilterConfig(), at.in("cluster", w.GetName()))
		if w.GetHostRewriteLiteral() != "" && !slices.Contains(e.hostRewrites, "host_rewrite_literal") {
			e.found(rewrite, at, "host_rewrite_literal")
		}
	}
}

// rewrites names what an action changes of path and host.
func rewrites(a *routev3.RouteAction) (names []string) {
	for _, r := range []struct {
		name string
		set  bool
	}{
		{"prefix_rewrite", a.GetPrefixRewrite() != ""},
		{"regex_rewrite", a.GetRegexRewrite() != nil},
		{"path_rewrite_policy", a.GetPathRewritePolicy() != nil},
		{"path_rewrite", a.GetPathRewrite() != ""},
		{"host_rewrite_literal", a.GetHostRewriteLiteral() != ""},
		{"host_rewrite_header", a.GetHostRewriteHeader() != ""},
		{"host_rewrite_path_regex", a.GetHostRewritePathRegex() != nil},
		{"host_rewrite", a.GetHostRewrite() != ""},
		{"auto_host_rewrite", a.GetAutoHostRewrite().GetValue()},
	} {
		if r.set {
			names = append(names, r.name)
		}
	}
	return names
}

// overrides judges settings of filters for one part of the routes: they may switch the check off, or change requests after it.
func (e *routeExaminer) overrides(configs map[string]*anypb.Any, at place) {
	for _, name := range slices.Sorted(maps.Keys(configs)) {
		here := at.in("filter", name)
		m, _ := open(configs[name])
		if wrapped, ok := m.(*routev3.FilterConfig); ok {
			if name == e.check && wrapped.GetDisabled() {
				e.found(checkDisabled, here, "disabled: true")
			}
			m, _ = open(wrapped.GetConfig())
		}
		if own, ok := m.(*extauthzv3.ExtAuthzPerRoute); ok && own.GetDisabled() {
			e.found(checkDisabled, here, "disabled: true")
		}
		if why, _ := changes(m); why != "" {
			e.found(filterAfter, here, why)
		}
	}
}
