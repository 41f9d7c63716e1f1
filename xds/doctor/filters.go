package doctor

import (
	"strings"

	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	headermutationv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"
	luav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/lua/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"
)

const filterTypes = "envoy.extensions.filters.http."

// harmless are filters below the check that leave path, method, host and route alone.
var harmless = types("router.v3.Router", "upstream_codec.v3.UpstreamCodec", "cors.v3.Cors", "fault.v3.HTTPFault", "buffer.v3.Buffer",
	"local_ratelimit.v3.LocalRateLimit", "ratelimit.v3.RateLimit", "rbac.v3.RBAC", "compressor.v3.Compressor", "decompressor.v3.Decompressor",
	"grpc_stats.v3.FilterConfig", "grpc_web.v3.GrpcWeb", "csrf.v3.CsrfPolicy", "bandwidth_limit.v3.BandwidthLimit", "tap.v3.Tap",
	"admission_control.v3.AdmissionControl", "adaptive_concurrency.v3.AdaptiveConcurrency")

// changing are those that can change them, whatever is configured.
var changing = types("ext_proc.v3.ExternalProcessor", "wasm.v3.Wasm", "golang.v3alpha.Config", "dynamic_modules.v3.DynamicModuleFilter",
	"grpc_json_transcoder.v3.GrpcJsonTranscoder", "grpc_http1_bridge.v3.Config", "grpc_http1_reverse_bridge.v3.FilterConfig",
	"header_to_metadata.v3.Config", "json_to_metadata.v3.JsonToMetadata", "oauth2.v3.OAuth2", "on_demand.v3.OnDemand",
	"original_src.v3.OriginalSrc", "composite.v3.Composite", "set_filter_state.v3.Config", "transform.v3.TransformConfig", "jwt_authn.v3.JwtAuthentication")

func types(names ...string) map[string]bool {
	set := map[string]bool{}
	for _, name := range names {
		set[filterTypes+name] = true
	}
	return set
}

func nameIn(url string) string { return url[strings.LastIndexByte(url, '/')+1:] }

// afterCheck judges a filter that sees a request after the check did.
func (e *examiner) afterCheck(m proto.Message, url string, at place) {
	name := kind(m, url)
	switch why, judged := changes(m); {
	case why != "":
		e.found(filterAfter, at, why)
	case judged || harmless[name]:
	case changing[name]:
		e.found(filterAfter, at, name)
	case name == "":
		e.found(filterUnknown, at, "not in the text")
	default:
		e.found(filterUnknown, at, name)
	}
}

// changes looks into a filter whose configuration tells, or into its settings for one route. Judged without a reason is harmless.
func changes(m proto.Message) (why string, judged bool) {
	switch m := m.(type) {
	case *luav3.Lua:
		return script(m), true
	case *luav3.LuaPerRoute:
		if m.GetSourceCode() != nil && touchesRequests(m.GetSourceCode()) {
			return "the script of this route", true
		}
		return "", true
	case *headermutationv3.HeaderMutation:
		return routing(m.GetMutations().GetRequestMutations()), true
	case *headermutationv3.HeaderMutationPerRoute:
		return routing(m.GetMutations().GetRequestMutations()), true
	}
	return "", false
}

// script finds Lua that sees requests. A script in a file may do anything.
func script(m *luav3.Lua) string {
	sources := []*corev3.DataSource{m.GetDefaultSourceCode()}
	for _, source := range m.GetSourceCodes() {
		sources = append(sources, source)
	}
	//lint:ignore SA1019 deprecated, and still in use
	if strings.Contains(m.GetInlineCode(), "envoy_on_request") {
		return "its script handles requests"
	}
	for _, source := range sources {
		if source != nil && touchesRequests(source) {
			return "its script handles requests, or stands elsewhere"
		}
	}
	return ""
}

func touchesRequests(source *corev3.DataSource) bool {
	text := source.GetInlineString() + string(source.GetInlineBytes())
	return text == "" || strings.Contains(text, "envoy_on_request")
}

// routing finds a mutation of a request header by which requests are routed.
func routing(mutations []*mutationv3.HeaderMutation) string {
	for _, m := range mutations {
		key := strings.ToLower(m.GetAppend().GetHeader().GetKey() + m.GetRemove())
		if strings.HasPrefix(key, ":") || key == "host" {
			return "it sets " + key
		}
	}
	return ""
}

// upstreamFilters stand in a cluster, so below every check.
func (e *examiner) upstreamFilters(filters []*hcmv3.HttpFilter, at place) {
	for _, f := range filters {
		m, url := open(f.GetTypedConfig())
		e.afterCheck(m, url, at.in("filter", f.GetName()))
	}
}
