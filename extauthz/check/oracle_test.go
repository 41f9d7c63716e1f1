package check

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/quick"
	"time"
	"unicode/utf8"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	envoytype "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"isogate/extauthz/page"
)

// attributesOf is the model of decode, over what the generated code reads.
func attributesOf(in *auth.CheckRequest) attributes {
	all := in.GetAttributes()
	http := all.GetRequest().GetHttp()
	a := attributes{
		isHTTP: http != nil, method: http.GetMethod(), target: http.GetPath(), host: http.GetHost(), isRaw: http.GetHeaderMap() != nil,
		sni: all.GetTlsSession().GetSni(), address: all.GetSource().GetAddress().GetSocketAddress().GetAddress(),
		id: http.GetId(), certificate: all.GetSource().GetCertificate(), hasBody: http.GetBody() != "" || len(http.GetRawBody()) > 0,
	}
	for _, l := range http.GetHeaderMap().GetHeaders() {
		value := l.GetValue()
		if raw := l.GetRawValue(); raw != nil {
			value = string(raw)
		}
		a.lines = append(a.lines, line{l.GetKey(), value})
	}
	fields := all.GetRouteMetadataContext().GetFilterMetadata()[metadataNamespace].GetFields()
	a.route = Route{
		Product: fields["product"].GetStringValue(), Door: fields["door"].GetStringValue(), OAuth: fields["oauth"].GetStringValue(),
		Endpoint: fields["endpoint"].GetStringValue(),
	}
	return a
}

func same(a, b attributes) bool {
	return slices.Equal(a.lines, b.lines) && a.isHTTP == b.isHTTP && a.isRaw == b.isRaw && a.route == b.route &&
		a.method == b.method && a.target == b.target && a.host == b.host && a.sni == b.sni && a.address == b.address &&
		a.id == b.id && a.certificate == b.certificate && a.hasBody == b.hasBody
}

// response is the model of Encode: what a verdict that was found sound means, for the generated code to write.
func response(v Verdict) *auth.CheckResponse {
	fields := map[string]*structpb.Value{}
	for name, value := range map[string]string{"reason": string(v.Reason), "method": v.Method, "caller": v.Caller, "policy": v.Policy, "rule": v.Rule} {
		if value != "" {
			fields[name] = structpb.NewStringValue(strings.ToValidUTF8(value, "?"))
		}
	}
	r := &auth.CheckResponse{Status: &status.Status{}, DynamicMetadata: &structpb.Struct{Fields: fields}}
	if !v.Allow {
		r.Status.Code = int32(codes.PermissionDenied)
		r.HttpResponse = &auth.CheckResponse_DeniedResponse{DeniedResponse: &auth.DeniedHttpResponse{
			Status: &envoytype.HttpStatus{Code: envoytype.StatusCode(v.Answer.Status)}, Body: string(v.Answer.Body),
			Headers: options(v.Answer.Header, core.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD),
		}}
		return r
	}
	changes := slices.Clone(v.Set)
	if v.Stream > 0 {
		changes = append(changes, page.Field{Name: streamHeader, Value: strconv.FormatInt(max(v.Stream, time.Millisecond).Milliseconds(), 10)})
	}
	r.HttpResponse = &auth.CheckResponse_OkResponse{OkResponse: &auth.OkHttpResponse{
		Headers: options(changes, core.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD), HeadersToRemove: v.Remove,
		ResponseHeadersToAdd: options(v.Respond, core.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD),
	}}
	return r
}

func options(fields []page.Field, action core.HeaderValueOption_HeaderAppendAction) (all []*core.HeaderValueOption) {
	for _, f := range fields {
		all = append(all, &core.HeaderValueOption{Header: &core.HeaderValue{Key: f.Name, Value: f.Value}, AppendAction: action})
	}
	return all
}

// Whatever the verdict, Envoy's own code reads out of our bytes what it would have read had the generated code written them.
func TestEncodeWritesWhatTheGeneratedCodeWrites(t *testing.T) {
	passed, denied := 0, 0
	property := func(any anyVerdict) bool {
		answer, said := Encode(any.Verdict)
		if said.Allow {
			passed++
		} else {
			denied++
		}
		want := response(said)
		if got := answered(t, answer); !proto.Equal(got, want) {
			t.Logf("got  %v\nwant %v", got, want)
			return false
		}
		return len(answer) == proto.Size(want) // no field stands twice
	}
	if err := quick.Check(property, &quick.Config{MaxCount: 5000}); err != nil {
		t.Error(err)
	}
	if passed < 100 || denied < 100 {
		t.Errorf("%d passed and %d were denied: that proves little", passed, denied)
	}
}

// A long answer has lengths of two and three bytes, and outgrows the room that was made for it.
func TestEncodeWritesLongAnswers(t *testing.T) {
	for _, n := range []int{0, 1, 100, 127, 128, 129, 1000, 16383, 16384, 70000} {
		long := strings.Repeat("x", n)
		fields := []page.Field{{Name: "a", Value: long}, {Name: "b" + long, Value: ""}}
		for name, v := range map[string]Verdict{
			"pass": {Allow: true, Reason: Session, Set: fields, Remove: []string{"c" + long, "d"}, Rule: long, Stream: time.Hour,
				Respond: []page.Field{{Name: "set-cookie", Value: aCookie + long}}},
			"denial": {Reason: Policy, Answer: page.Answer{Status: 403, Header: fields, Body: []byte(long)}, Policy: long},
		} {
			answer, said := Encode(v)
			if got, want := answered(t, answer), response(v); said.Allow != v.Allow || !proto.Equal(got, want) {
				t.Errorf("%s of %d bytes: %d bytes, %v", name, n, len(answer), said.Reason)
			}
		}
	}
}

// Whatever a pass would add to the backend's answer: it is a whole cookie of ours, or the pass becomes a denial.
func FuzzEncodeRespond(f *testing.F) {
	f.Add("set-cookie", aCookie)
	f.Add("set-cookie", "a=1")
	f.Add("location", "/")
	f.Add("set-cookie", "__Host-isogate_x\r\nset-cookie: a=1")
	f.Fuzz(func(t *testing.T, name, value string) {
		answer, said := Encode(Verdict{Allow: true, Reason: Session, Respond: []page.Field{{Name: "set-cookie", Value: aCookie}, {Name: name, Value: value}}})
		if got, want := answered(t, answer), response(said); !proto.Equal(got, want) {
			t.Errorf("got  %v\nwant %v", got, want)
		}
		if ours := name == "set-cookie" && strings.HasPrefix(value, "__Host-isogate_") && utf8.ValidString(value) && strings.IndexFunc(strings.ReplaceAll(value, "\t", ""), isASCIIControl) < 0; said.Allow != ours {
			t.Errorf("%q: %q passes: %v", name, value, said.Allow)
		}
	})
}

func isASCIIControl(r rune) bool { return r < ' ' || r == 0x7f }

func TestDenialsHaveAStatusThatEnvoyKnows(t *testing.T) {
	for code := -1; code < 1000; code++ {
		_, known := envoytype.StatusCode_name[int32(code)]
		if want := known && 300 <= code && code <= 599; isDenial(code) != want {
			t.Errorf("%d: %v", code, !want)
		}
	}
}

func TestEncodeSaysWhatItWrote(t *testing.T) {
	for _, v := range []Verdict{{}, {Allow: true}, {Allow: true, Reason: Policy}, {Reason: Own}, {Allow: true, Reason: Own, Remove: []string{"host"}}} {
		if _, said := Encode(v); said.Allow || said.Reason != Unavailable || said.Answer.Status != 503 || said.Cause == nil {
			t.Errorf("%+v became %+v", v, said)
		}
	}
	if _, said := Encode(Verdict{Allow: true, Reason: Own}); !said.Allow || said.Cause != nil {
		t.Errorf("a pass became %+v", said)
	}
}
