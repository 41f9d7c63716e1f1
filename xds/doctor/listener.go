package doctor

import (
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	earlyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/early_header_mutation/header_mutation/v3"
)

func (e *examiner) listener(name string, l *listenerv3.Listener) {
	at := place("").in("listener", name)
	e.bounds(at, bound{"per_connection_buffer_limit_bytes", l.GetPerConnectionBufferLimitBytes() != nil})
	chains := l.GetFilterChains()
	if l.GetDefaultFilterChain() != nil {
		chains = append(slices.Clone(chains), l.GetDefaultFilterChain())
	}
	for i, chain := range chains {
		here := at.in("chain", nameOr(chain.GetName(), i))
		e.downstream(chain.GetTransportSocket(), here)
		for _, f := range chain.GetFilters() {
			if m, _ := open(f.GetTypedConfig()); m != nil {
				if hcm, ok := m.(*hcmv3.HttpConnectionManager); ok {
					e.http(hcm, takesCallers(chain.GetTransportSocket()), here)
				}
			}
		}
	}
}

// http judges one HTTP connection manager. Behind a client certificate it is a gateway's.
func (e *examiner) http(m *hcmv3.HttpConnectionManager, gateway bool, at place) {
	check := e.filters(m.GetHttpFilters(), at)
	routes, seen := m.GetRouteConfig(), m.GetRouteConfig() != nil
	if rds := m.GetRds(); rds != nil {
		routes, seen = e.routes[rds.GetRouteConfigName()]
	}
	takesIdentity := takesIdentity(routes)
	e.reading(m, takesIdentity, at)
	e.tunnels(m, at)
	e.httpBounds(m, at)
	if !seen {
		e.found(unseenRoutes, at, nameOf(m))
		return
	}
	var rewrites []string
	switch {
	case takesIdentity:
		rewrites = []string{"host_rewrite_literal", "host_rewrite"}
	case gateway:
		rewrites = []string{"host_rewrite_literal"}
	}
	(&routeExaminer{examiner: e, check: check, hostRewrites: rewrites}).table(routes, at)
}

func nameOf(m *hcmv3.HttpConnectionManager) string {
	if rds := m.GetRds(); rds != nil {
		return rds.GetRouteConfigName()
	}
	return "scoped routes"
}

// takesIdentity is true for an egress: a service's own sidecar, which is told the cloud by a header and names the gateway as the host. Nobody
// else may send x-isolated-*, and only a gateway too may rewrite a host.
func takesIdentity(routes *routev3.RouteConfiguration) bool {
	for _, host := range routes.GetVirtualHosts() {
		for _, route := range host.GetRoutes() {
			for _, header := range route.GetMatch().GetHeaders() {
				if strings.HasPrefix(strings.ToLower(header.GetName()), "x-isolated-") {
					return true
				}
			}
		}
	}
	return false
}

// reading holds Envoy, the check and the backend to one reading of a request.
func (e *examiner) reading(m *hcmv3.HttpConnectionManager, takesIdentity bool, at place) {
	e.must(m.GetNormalizePath().GetValue(), normalizePath, at)
	e.must(m.GetMergeSlashes(), mergeSlashes, at)
	e.must(m.GetPathWithEscapedSlashesAction() == hcmv3.HttpConnectionManager_REJECT_REQUEST, escapedSlashes, at)
	e.must(m.GetCommonHttpProtocolOptions().GetHeadersWithUnderscoresAction() != corev3.HttpProtocolOptions_ALLOW, underscores, at)
	e.must(m.GetUseRemoteAddress().GetValue(), remoteAddress, at)
	e.must(m.GetSchemeHeaderTransformation().GetSchemeToOverwrite() != "", scheme, at)
	forward := m.GetForwardClientCertDetails()
	e.must(forward == hcmv3.HttpConnectionManager_SANITIZE || forward == hcmv3.HttpConnectionManager_SANITIZE_SET, clientCert, at)
	if m.GetHttpProtocolOptions().GetAllowChunkedLength() {
		e.found(lenientHTTP1, at, "allow_chunked_length")
	}
	if m.GetHttpProtocolOptions().GetAcceptHttp_10() {
		e.found(lenientHTTP1, at, "accept_http_10")
	}
	if open := notStripped(m.GetEarlyHeaderMutationExtensions(), takesIdentity); len(open) > 0 {
		e.found(stripHeaders, at, strings.Join(open, " "))
	}
}

// strangersMayNotSend are prefixes of request headers, or whole names, that must be gone before the check and the routes look.
var strangersMayNotSend = []string{
	"forwarded", "x-real-ip", "x-user-context", "x-isolated-", "x-isogate", "x-envoy-", "x-forwarded-", "x-original-", "x-rewrite-",
	"x-http-method", "x-method-override",
}

func notStripped(extensions []*corev3.TypedExtensionConfig, takesIdentity bool) (open []string) {
	prefixes, names := stripped(extensions)
	for _, header := range strangersMayNotSend {
		covered := slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(header, p) })
		exact := !strings.HasSuffix(header, "-") && names[header] && (header == "forwarded" || header == "x-real-ip" || header == "x-method-override")
		if !covered && !exact && !(takesIdentity && header == "x-isolated-") {
			open = append(open, header)
		}
	}
	return open
}

// stripped are the prefixes and names that are removed from requests before anything else looks at them.
func stripped(extensions []*corev3.TypedExtensionConfig) (prefixes []string, names map[string]bool) {
	names = map[string]bool{}
	for _, extension := range extensions {
		m, _ := open(extension.GetTypedConfig())
		early, ok := m.(*earlyv3.HeaderMutation)
		if !ok {
			continue
		}
		for _, mutation := range early.GetMutations() {
			names[strings.ToLower(mutation.GetRemove())] = true
			matcher := mutation.GetRemoveOnMatch().GetKeyMatcher()
			names[strings.ToLower(matcher.GetExact())] = true
			if prefix := strings.ToLower(matcher.GetPrefix()); prefix != "" {
				prefixes = append(prefixes, prefix)
			}
		}
	}
	return prefixes, names
}

// tunnels finds upgrades that every route gets.
func (e *examiner) tunnels(m *hcmv3.HttpConnectionManager, at place) {
	for _, u := range m.GetUpgradeConfigs() {
		enabled := u.GetEnabled() == nil || u.GetEnabled().GetValue()
		switch {
		case strings.EqualFold(u.GetUpgradeType(), "CONNECT"):
			e.found(connect, at, "upgrade_configs: CONNECT")
		case enabled:
			e.found(upgrade, at, u.GetUpgradeType())
		}
		if len(u.GetFilters()) > 0 {
			e.filters(u.GetFilters(), at.in("upgrade", u.GetUpgradeType()))
		}
	}
}

// bound is a limit and whether it is set.
type bound struct {
	name string
	set  bool
}

func (e *examiner) bounds(at place, bounds ...bound) {
	var absent []string
	for _, b := range bounds {
		if !b.set {
			absent = append(absent, b.name)
		}
	}
	if len(absent) > 0 {
		e.found(limits, at, strings.Join(absent, ", "))
	}
}

func (e *examiner) httpBounds(m *hcmv3.HttpConnectionManager, at place) {
	idle := m.GetStreamIdleTimeout()
	e.bounds(at,
		bound{"request_headers_timeout", m.GetRequestHeadersTimeout().AsDuration() > 0},
		bound{"stream_idle_timeout", idle == nil || idle.AsDuration() > 0}, // five minutes unless it is switched off
		bound{"common_http_protocol_options.max_stream_duration", m.GetCommonHttpProtocolOptions().GetMaxStreamDuration().AsDuration() > 0},
		bound{"http2_protocol_options.max_concurrent_streams", m.GetHttp2ProtocolOptions().GetMaxConcurrentStreams() != nil},
	)
}
