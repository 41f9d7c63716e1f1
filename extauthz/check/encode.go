package check

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

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
	v = sound(v)
	if v.Allow {
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

var errUnsound = errors.New("check: a verdict that contradicts itself")

// sound makes a 503 of a verdict that is neither plainly a pass nor plainly a denial, so that status, body, reason and metric always say one
// thing.
func sound(v Verdict) Verdict {
	if v.Allow && passes[v.Reason] && mayChange(v) || !v.Allow && v.Reason != "" && !passes[v.Reason] && mayAnswer(v.Answer) {
		return v
	}
	cause := v.Cause
	if cause == nil {
		cause = errUnsound
	}
	answer := page.Denial(http.StatusServiceUnavailable, string(Unavailable), false, "")
	return Verdict{Reason: Unavailable, Answer: answer, Cause: cause, Policy: v.Policy, Rule: v.Rule}
}

// mayChange tells whether a pass changes only what it may: neither where the request goes, nor where its body ends, nor Envoy's own controls.
func mayChange(v Verdict) bool {
	bad := func(name string) bool { return !isField(name) || name == "host" || strings.HasPrefix(name, "x-envoy-") }
	return !slices.ContainsFunc(v.Remove, bad) && !slices.ContainsFunc(v.Set, func(f page.Field) bool { return bad(f.Name) || !isValue(f.Value) })
}

// mayAnswer tells whether Envoy can send an answer whole, and as a denial.
func mayAnswer(a page.Answer) bool {
	_, known := envoytype.StatusCode_name[int32(a.Status)]
	return known && 300 <= a.Status && a.Status <= 599 && utf8.Valid(a.Body) &&
		!slices.ContainsFunc(a.Header, func(f page.Field) bool { return !isField(f.Name) || !isValue(f.Value) })
}

// isField accepts a name in lower case (a token of RFC 9110 section 5.6.2, so no pseudo-header) that does not frame a body.
func isField(name string) bool {
	return name != "" && name != "content-length" && name != "transfer-encoding" && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && notDigit(r) && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
}

func isValue(value string) bool {
	return utf8.ValidString(value) && !strings.ContainsFunc(value, isControl)
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
	fields := map[string]*structpb.Value{"reason": structpb.NewStringValue(strings.ToValidUTF8(string(v.Reason), "?"))}
	if v.Policy != "" {
		fields["policy"] = structpb.NewStringValue(strings.ToValidUTF8(v.Policy, "?"))
	}
	if v.Rule != "" {
		fields["rule"] = structpb.NewStringValue(strings.ToValidUTF8(v.Rule, "?"))
	}
	return &structpb.Struct{Fields: fields}
}
