package check

import (
	"net/http"
	"strconv"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	envoytype "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/structpb"

	"isogate/extauthz/page"
)

// streamHeader tells Envoy how long the stream may last. It does not reach the product.
const streamHeader = "x-envoy-upstream-stream-duration-ms"

// Encode writes a verdict as Envoy's answer. To Envoy an empty CheckResponse allows the request, and so does one whose status is OK
// with a denial inside; so the status is written in one place, and what is not plainly a pass is a denial.
func Encode(v Verdict) *auth.CheckResponse {
	if v.Allow && passes[v.Reason] {
		return &auth.CheckResponse{
			Status:          &status.Status{Code: int32(codes.OK)},
			HttpResponse:    &auth.CheckResponse_OkResponse{OkResponse: pass(v)},
			DynamicMetadata: metadata(v),
		}
	}
	return &auth.CheckResponse{
		Status:          &status.Status{Code: int32(codes.PermissionDenied)},
		HttpResponse:    &auth.CheckResponse_DeniedResponse{DeniedResponse: denial(v)},
		DynamicMetadata: metadata(v),
	}
}

func pass(v Verdict) *auth.OkHttpResponse {
	ok := &auth.OkHttpResponse{HeadersToRemove: v.Remove}
	for _, f := range v.Set {
		ok.Headers = append(ok.Headers, option(f, core.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD))
	}
	if v.Stream > 0 {
		ms := strconv.FormatInt(max(v.Stream, time.Millisecond).Milliseconds(), 10)
		ok.Headers = append(ok.Headers, option(page.Field{Name: streamHeader, Value: ms}, core.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD))
	}
	return ok
}

func denial(v Verdict) *auth.DeniedHttpResponse {
	a := v.Answer
	if a.Status < 300 || a.Status > 599 || passes[v.Reason] || v.Reason == "" {
		a = page.Denial(http.StatusServiceUnavailable, string(Unavailable), false, "")
	}
	denied := &auth.DeniedHttpResponse{Status: &envoytype.HttpStatus{Code: envoytype.StatusCode(a.Status)}, Body: string(a.Body)}
	for _, f := range a.Header {
		denied.Headers = append(denied.Headers, option(f, core.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD))
	}
	return denied
}

func option(f page.Field, action core.HeaderValueOption_HeaderAppendAction) *core.HeaderValueOption {
	return &core.HeaderValueOption{Header: &core.HeaderValue{Key: f.Name, Value: f.Value}, AppendAction: action}
}

// metadata is what the access log can say about a decision.
func metadata(v Verdict) *structpb.Struct {
	if v.Reason == "" {
		v.Reason = Unavailable
	}
	fields := map[string]*structpb.Value{"reason": structpb.NewStringValue(string(v.Reason))}
	if v.Policy != "" {
		fields["policy"] = structpb.NewStringValue(v.Policy)
	}
	if v.Rule != "" {
		fields["rule"] = structpb.NewStringValue(v.Rule)
	}
	return &structpb.Struct{Fields: fields}
}
