package snapshot

import (
	_ "embed"

	matcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"

	customresponsev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/custom_response/v3"
	luav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/lua/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	localresponsev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/custom_response/local_response_policy/v3"
	inputv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
)

//go:embed crossing.lua
var crossingLua string

// failedMark is the response header by which crossing.lua tells failedAnswers that an answer must not cross. One that was answered is removed there.
const failedMark = "x-isogate-failed"

// crossingAnswers cuts a product's answer down to what may cross. It is a filter of the product's cluster: no answer of the check's comes by.
func (b *builder) crossingAnswers() *hcmv3.HttpFilter { return b.answersOf("product") }

// gatewayAnswers does the same to what a gateway answers, before it reaches the service. That is the other side's machine: it must not lead the service
// to other addresses, set cookies at its host, or say who somebody is. The gateway's own refusals pass.
func (b *builder) gatewayAnswers() *hcmv3.HttpFilter { return b.answersOf("gateway") }

func (b *builder) answersOf(whose string) *hcmv3.HttpFilter {
	script := "local whose = \"" + whose + "\"\n" + crossingLua
	return b.httpFilter("envoy.filters.http.lua", &luav3.Lua{DefaultSourceCode: inlineText(script), StatPrefix: "crossing"})
}

// failedAnswers replaces a marked answer. The product's body is not read: its stream is reset.
func (b *builder) failedAnswers() *hcmv3.HttpFilter {
	byMark := map[string]*matcherv3.Matcher_OnMatch{}
	for mark, status := range map[string]int{"502": 502, "503": 503} {
		byMark[mark] = b.act("upstream", &localresponsev3.LocalResponsePolicy{
			StatusCode:           number(uint32(status)),
			Body:                 inlineText(upstreamProblem(status)),
			ResponseHeadersToAdd: problemHeaders(uint32(status)),
		})
	}
	return b.httpFilter("envoy.filters.http.custom_response", &customresponsev3.CustomResponse{CustomResponseMatcher: &matcherv3.Matcher{
		MatcherType: &matcherv3.Matcher_MatcherTree_{MatcherTree: &matcherv3.Matcher_MatcherTree{
			Input: b.input("mark", &inputv3.HttpResponseHeaderMatchInput{HeaderName: failedMark}),
			TreeType: &matcherv3.Matcher_MatcherTree_ExactMatchMap{
				ExactMatchMap: &matcherv3.Matcher_MatcherTree_MatchMap{Map: byMark},
			},
		}},
	}})
}
