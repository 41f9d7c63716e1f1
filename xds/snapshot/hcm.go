package snapshot

import (
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	earlyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/early_header_mutation/header_mutation/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// connections is what differs between the HTTP connection managers of the roles. All else is the same everywhere.
type connections struct {
	name    string // of the listener, its routes and its statistics
	filters []*hcmv3.HttpFilter
	replies *hcmv3.LocalReplyConfig
	log     map[string]string // fields of its request log, beside those that all have
	strip   []string          // prefixes of request headers that are gone before anything looks
	upgrade bool              // whether a route may allow WebSockets

	// knowsClient is true where the edge tells the client's address (PROXY protocol) and backends may see it. Elsewhere only the address that connects
	// is seen, which is no client's: no header is made of it.
	knowsClient bool
}

// connectionManager is hardened so that Envoy, the check and the backend see one path, one host and no header that a client may not write.
func (b *builder) connectionManager(c connections) *hcmv3.HttpConnectionManager {
	hcm := &hcmv3.HttpConnectionManager{
		StatPrefix:     c.name,
		RouteSpecifier: &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{RouteConfigName: c.name, ConfigSource: ads()}},
		HttpFilters:    c.filters,
		AccessLog:      []*accesslogv3.AccessLog{b.requestLog(c.log)},

		UseRemoteAddress:              yes, // the address of the PROXY header or the connection; x-forwarded-* of clients count nothing
		SkipXffAppend:                 !c.knowsClient,
		EarlyHeaderMutationExtensions: []*corev3.TypedExtensionConfig{b.strip(c.strip)},
		ForwardClientCertDetails:      hcmv3.HttpConnectionManager_SANITIZE,
		PreserveExternalRequestId:     false,
		ServerHeaderTransformation:    hcmv3.HttpConnectionManager_PASS_THROUGH,
		SchemeHeaderTransformation: &corev3.SchemeHeaderTransformation{ // :scheme of HTTP/2 is the client's word
			Transformation: &corev3.SchemeHeaderTransformation_SchemeToOverwrite{SchemeToOverwrite: "https"},
		},

		NormalizePath:                yes,
		MergeSlashes:                 true,
		PathWithEscapedSlashesAction: hcmv3.HttpConnectionManager_REJECT_REQUEST,
		StripPortMode:                &hcmv3.HttpConnectionManager_StripAnyHostPort{StripAnyHostPort: true},

		LocalReplyConfig: c.replies,
	}
	if c.upgrade {
		hcm.UpgradeConfigs = []*hcmv3.HttpConnectionManager_UpgradeConfig{{UpgradeType: "websocket", Enabled: wrapperspb.Bool(false)}} // routes enable it
	}
	bound(hcm)
	return hcm
}

func (b *builder) networkFilter(hcm *hcmv3.HttpConnectionManager) *listenerv3.Filter {
	return &listenerv3.Filter{
		Name:       "envoy.filters.network.http_connection_manager",
		ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: b.any(hcm)},
	}
}

// bound sets the limits on what one connection and one request may take. Routes to backends have their own time limits.
func bound(hcm *hcmv3.HttpConnectionManager) {
	hcm.MaxRequestHeadersKb = number(32)
	hcm.RequestHeadersTimeout = seconds(10)
	hcm.StreamIdleTimeout = seconds(300)
	hcm.CommonHttpProtocolOptions = &corev3.HttpProtocolOptions{
		IdleTimeout:                  seconds(60),
		MaxHeadersCount:              number(100),
		MaxStreamDuration:            seconds(3600),
		HeadersWithUnderscoresAction: corev3.HttpProtocolOptions_REJECT_REQUEST, // many backends read x_y as x-y
	}
	hcm.HttpProtocolOptions = &corev3.Http1ProtocolOptions{AllowChunkedLength: false, AcceptHttp_10: false}
	// No extended CONNECT (RFC 8441): backends speak HTTP/1.1, and Envoy would hand them an upgrade without Sec-WebSocket-Key. Browsers open
	// HTTP/1.1 for a WebSocket then.
	hcm.Http2ProtocolOptions = &corev3.Http2ProtocolOptions{
		MaxConcurrentStreams:                    number(100),
		InitialStreamWindowSize:                 number(64 << 10),
		InitialConnectionWindowSize:             number(1 << 20),
		OverrideStreamErrorOnInvalidHttpMessage: yes,
	}
}

// clientMayNotSend are prefixes of the request headers that are ours, or Envoy's, or that backends take for the truth about a request's origin,
// path or method. sec-fetch-* and origin pass: the check reads them.
var clientMayNotSend = []string{
	"forwarded", "x-real-ip", "x-user-context", "x-isolated-", "x-isogate", "x-envoy-", "x-forwarded-", "x-original-", "x-rewrite-", "x-http-method",
	"x-method-override",
}

// fromElsewhere are prefixes of headers that tie a request to what was recorded at another place (W3C Trace Context, W3C Baggage, B3). A page inside
// could have the browser send them to the commercial side, whose logs would then name the same visit as those inside.
var fromElsewhere = []string{"traceparent", "tracestate", "baggage", "b3", "x-b3-", "x-request-id"}

// addressHeaders are what Envoy itself makes of the address that connects to it.
var addressHeaders = []string{"x-forwarded-for", "x-envoy-external-address", "x-envoy-internal"}

// strip removes headers by their prefixes before routing and before the check. Envoy then writes its own x-forwarded-proto and x-request-id, and where
// the client's address is known x-forwarded-for.
func (b *builder) strip(prefixes []string) *corev3.TypedExtensionConfig {
	config := &earlyv3.HeaderMutation{}
	for _, prefix := range prefixes {
		config.Mutations = append(config.Mutations, &mutationv3.HeaderMutation{Action: &mutationv3.HeaderMutation_RemoveOnMatch_{
			RemoveOnMatch: &mutationv3.HeaderMutation_RemoveOnMatch{KeyMatcher: &matcherv3.StringMatcher{
				MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: prefix},
			}},
		}})
	}
	return &corev3.TypedExtensionConfig{Name: "envoy.http.early_header_mutation.header_mutation", TypedConfig: b.any(config)}
}

func (b *builder) httpFilter(name string, config proto.Message) *hcmv3.HttpFilter {
	return &hcmv3.HttpFilter{Name: name, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: b.any(config)}}
}
