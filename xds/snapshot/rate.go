package snapshot

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	ratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/ratelimit/v3"
	localratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/local_ratelimit/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	exprv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/rate_limit_descriptors/expr/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// maxCallers bounds the buckets of one Envoy; the caller that was not heard of for longest loses its own first.
const maxCallers = 1000

// callerRate gives each caller, by the URI of its certificate, its own number of calls a second. Buckets are per Envoy.
func (b *builder) callerRate(perSecond int) *hcmv3.HttpFilter {
	always := &corev3.RuntimeFractionalPercent{DefaultValue: &typev3.FractionalPercent{Numerator: 100, Denominator: typev3.FractionalPercent_HUNDRED}}
	bucket := &typev3.TokenBucket{MaxTokens: uint32(perSecond), TokensPerFill: number(uint32(perSecond)), FillInterval: seconds(1)}
	const caller = "caller"
	return b.httpFilter("envoy.filters.http.local_ratelimit", &localratelimitv3.LocalRateLimit{
		StatPrefix:                      "callers",
		TokenBucket:                     bucket, // of nobody: TLS lets no certificate without a URI in
		AlwaysConsumeDefaultTokenBucket: wrapperspb.Bool(false),
		FilterEnabled:                   always,
		FilterEnforced:                  always,
		MaxDynamicDescriptors:           number(maxCallers),
		RateLimits: []*routev3.RateLimit{{Actions: []*routev3.RateLimit_Action{{ActionSpecifier: &routev3.RateLimit_Action_Extension{
			Extension: &corev3.TypedExtensionConfig{Name: caller, TypedConfig: b.any(&exprv3.Descriptor{
				DescriptorKey: caller, ExprSpecifier: &exprv3.Descriptor_Text{Text: "connection.uri_san_peer_certificate"},
			})},
		}}}}},
		Descriptors: []*ratelimitv3.LocalRateLimitDescriptor{{ // an entry without a value is a bucket for each value
			Entries: []*ratelimitv3.RateLimitDescriptor_Entry{{Key: caller}}, TokenBucket: bucket,
		}},
		ResponseHeadersToAdd: []*corev3.HeaderValueOption{overwrite("retry-after", "1")},
	})
}
