package snapshot

import (
	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extauthzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	headermutationv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
)

// httpFilters is the order of the HTTP filters. Requests pass downwards, answers upwards.
//
//  1. hsts is first and so the last to see an answer: whoever wrote it below, the check's refusals included, it gets the header.
//  2. ext_authz stands alone before the router. Whatever stood between them could change path, method or route after the check; whatever stood
//     before it would read a request that nobody has judged.
//  3. router is last by Envoy's rule. Direct responses come from it, so they too are asked about first.
//
// What backends answer is cleaned below the router, in their clusters (backendAnswers).
func (b *builder) httpFilters() []*hcmv3.HttpFilter {
	return []*hcmv3.HttpFilter{
		b.hsts(),
		b.extAuthz(extAuthz()),
		b.router(),
	}
}

func (b *builder) router() *hcmv3.HttpFilter {
	return b.httpFilter("envoy.filters.http.router", &routerv3.Router{SuppressEnvoyHeaders: true})
}

// hsts overwrites what a backend may say: the hosts are ours (RFC 6797 section 6.1).
func (b *builder) hsts() *hcmv3.HttpFilter {
	return b.httpFilter("envoy.filters.http.header_mutation", &headermutationv3.HeaderMutation{Mutations: &headermutationv3.Mutations{
		ResponseMutations: []*mutationv3.HeaderMutation{{Action: &mutationv3.HeaderMutation_Append{Append: hstsHeader()}}},
	}})
}

func hstsHeader() *corev3.HeaderValueOption {
	return overwrite("strict-transport-security", "max-age=31536000")
}

func overwrite(key, value string) *corev3.HeaderValueOption {
	return &corev3.HeaderValueOption{
		Header:       &corev3.HeaderValue{Key: key, Value: value},
		AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	}
}

// checkFailed is the status that Envoy gives where the check did not answer. The check itself never uses it, so localReplies can tell Envoy's
// failures from the check's own 503 and leave those alone.
const checkFailed = 507

func (b *builder) extAuthz(config *extauthzv3.ExtAuthz) *hcmv3.HttpFilter {
	return b.httpFilter("envoy.filters.http.ext_authz", config)
}

// extAuthz asks about every request, over a unix socket that only the daemon's user reaches. There is no way past a check that fails.
func extAuthz() *extauthzv3.ExtAuthz {
	return &extauthzv3.ExtAuthz{
		TransportApiVersion:            corev3.ApiVersion_V3,
		Services:                       &extauthzv3.ExtAuthz_GrpcService{GrpcService: checkService()},
		FailureModeAllow:               false,
		StatusOnError:                  &typev3.HttpStatus{Code: checkFailed},
		EncodeRawHeaders:               true,                // repeated headers as they came, not joined
		IncludeTlsSession:              true,                // the server name, to compare with the host
		RouteMetadataContextNamespaces: []string{namespace}, // which route Envoy chose
		ValidateMutations:              true,
		ClearRouteCache:                false,
		DecoderHeaderMutationRules: &mutationv3.HeaderMutationRules{ // no answer may rewrite :path or :method
			DisallowSystem:  yes,
			AllowEnvoy:      yes, // x-envoy-upstream-stream-duration-ms: a stream ends with its session
			DisallowIsError: yes,
		},
	}
}

// checkService retries while a daemon is replaced; a check is harmless to repeat.
func checkService() *corev3.GrpcService {
	return &corev3.GrpcService{
		Timeout: seconds(1),
		TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{
			ClusterName: checkCluster,
			RetryPolicy: &corev3.RetryPolicy{
				RetryOn:      "unavailable,connect-failure,reset,cancelled",
				NumRetries:   number(5),
				RetryBackOff: &corev3.BackoffStrategy{BaseInterval: millis(20), MaxInterval: millis(100)},
			},
		}},
	}
}
