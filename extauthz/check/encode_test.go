package check

import (
	"errors"
	"math/rand"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/quick"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"isogate/extauthz/page"
)

// wire is what Envoy reads out of an answer.
type wire struct {
	allow  bool
	status int
	reason string
}

// answered is an answer as the generated code reads it.
func answered(t *testing.T, message []byte) *auth.CheckResponse {
	t.Helper()
	r := &auth.CheckResponse{}
	if err := proto.Unmarshal(message, r); err != nil {
		t.Fatalf("Envoy could not read that: %v", err)
	}
	return r
}

// encoded is what Envoy reads where a verdict was written.
func encoded(t *testing.T, v Verdict) *auth.CheckResponse {
	t.Helper()
	answer, _ := Encode(v)
	return answered(t, answer)
}

// read holds an answer against what Envoy makes of it: an empty one, or OK with a denial inside, is an ALLOW there (envoy#14001's kin).
func read(t *testing.T, r *auth.CheckResponse) wire {
	t.Helper()
	if r.GetStatus() == nil || r.GetHttpResponse() == nil || r.GetDynamicMetadata() == nil {
		t.Errorf("a part is missing: %v", r)
	}
	w := wire{allow: r.GetStatus().GetCode() == int32(codes.OK), reason: r.GetDynamicMetadata().GetFields()["reason"].GetStringValue()}
	switch answer := r.GetHttpResponse().(type) {
	case *auth.CheckResponse_OkResponse:
		if !w.allow {
			t.Error("a denial with a pass inside")
		}
	case *auth.CheckResponse_DeniedResponse:
		if w.allow {
			t.Error("a pass with a denial inside: Envoy lets it through")
		}
		w.status = int(answer.DeniedResponse.GetStatus().GetCode())
	}
	return w
}

func TestOnlyAPlainPassPasses(t *testing.T) {
	denial := page.Denial(http.StatusForbidden, string(Policy), false, "")
	unavailable := wire{false, 503, "unavailable"}
	tests := []struct {
		name string
		in   Verdict
		want wire
	}{
		{"the zero verdict", Verdict{}, unavailable},
		{"a pass", Verdict{Allow: true, Reason: Session}, wire{true, 0, "session"}},
		{"a pass of nobody", Verdict{Allow: true, Reason: Anonymous}, wire{true, 0, "anonymous"}},
		{"a pass to our own", Verdict{Allow: true, Reason: Own}, wire{true, 0, "own"}},
		{"a pass without a reason", Verdict{Allow: true}, unavailable},
		{"a pass with a denial's reason", Verdict{Allow: true, Reason: Policy}, unavailable},
		{"a pass with a denial's reason and answer", Verdict{Allow: true, Reason: Policy, Answer: denial}, unavailable},
		{"a pass with an unknown reason", Verdict{Allow: true, Reason: "Session"}, unavailable},
		{"a denial", Verdict{Reason: Policy, Answer: denial}, wire{false, 403, "policy"}},
		{"a denial with a pass's reason", Verdict{Reason: Session, Answer: denial}, unavailable},
		{"a denial without a reason", Verdict{Answer: denial}, unavailable},
		{"a denial without an answer", Verdict{Reason: Policy}, unavailable},
		{"status 200 in the answer", Verdict{Reason: Policy, Answer: page.Answer{Status: 200}}, unavailable},
		{"status 100 in the answer", Verdict{Reason: Policy, Answer: page.Answer{Status: 100}}, unavailable},
		{"a status that is none", Verdict{Reason: Policy, Answer: page.Answer{Status: 599}}, unavailable},
		{"a negative status", Verdict{Reason: Policy, Answer: page.Answer{Status: -1}}, unavailable},
		{"a redirect", Verdict{Reason: SignIn, Answer: page.Redirect(302, "https://auth.acme.example/")}, wire{false, 302, "sign-in"}},
		{"a body that is no text", Verdict{Reason: Policy, Answer: page.Answer{Status: 403, Body: []byte("\xff")}}, unavailable},
		{"an answer that frames its body", Verdict{Reason: Policy, Answer: page.Answer{Status: 403, Header: []page.Field{{Name: "content-length", Value: "1"}}}}, unavailable},
		{"an answer that splits", Verdict{Reason: Policy, Answer: page.Answer{Status: 403, Header: []page.Field{{Name: "x", Value: "a\r\nb"}}}}, unavailable},
		{"misdirected", Deny(421, Misdirected, false, ""), wire{false, 421, "misdirected"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := read(t, encoded(t, tt.in)); got != tt.want {
				t.Errorf("%+v", got)
			}
		})
	}
}

// A pass may change no path, method or host, no framing and no control of Envoy's: each would send the request elsewhere, or hang it.
func TestAPassChangesOnlyWhatItMay(t *testing.T) {
	forbidden := []string{
		":path", ":method", ":authority", ":scheme", "host", "Host", "content-length", "Content-Length", "transfer-encoding", "x-envoy-original-path",
		"x-envoy-upstream-stream-duration-ms", "", "a b", "a\r\nb", "a:", "é", "\xff",
	}
	for _, name := range forbidden {
		for kind, v := range map[string]Verdict{
			"set":     {Allow: true, Reason: Session, Set: []page.Field{{Name: "cookie", Value: "a=1"}, {Name: name, Value: "1"}}},
			"remove":  {Allow: true, Reason: Session, Remove: []string{"cookie", name}},
			"respond": {Allow: true, Reason: Session, Respond: []page.Field{{Name: "set-cookie", Value: aCookie}, {Name: name, Value: aCookie}}},
			"answer":  {Reason: Policy, Answer: page.Answer{Status: 403, Header: []page.Field{{Name: name, Value: "1"}}}},
		} {
			if kind == "answer" && (name == "host" || strings.HasPrefix(name, "x-envoy-")) {
				continue // of no meaning in an answer
			}
			if got := read(t, encoded(t, v)); got != (wire{false, 503, "unavailable"}) {
				t.Errorf("%s %q: %+v", kind, name, got)
			}
		}
	}
	for _, value := range []string{"a\r\nb", "\x00", "\xff", "\x7f"} {
		if got := read(t, encoded(t, Verdict{Allow: true, Reason: Session, Set: []page.Field{{Name: "cookie", Value: value}}})); got.allow {
			t.Errorf("the value %q passes", value)
		}
	}
}

// aCookie is one of our own, as it is set.
const aCookie = "__Host-isogate_federated=v; Max-Age=60; Path=/; Secure; HttpOnly; SameSite=Lax"

// What a pass adds to the backend's answer is a cookie of ours: with anything else a check could rewrite what a service says.
func TestAPassAddsOnlyOurOwnCookiesToTheAnswer(t *testing.T) {
	for _, f := range []page.Field{
		{Name: "set-cookie", Value: "a=1"}, {Name: "set-cookie", Value: " " + aCookie}, {Name: "set-cookie", Value: ""}, {Name: "set-cookie", Value: "__host-isogate_federated=v"},
		{Name: "set-cookie", Value: "__Host-isogate=v"}, {Name: "set-cookie", Value: "__Host-isogateX=v"}, {Name: "set-cookie", Value: aCookie + "\r\na: b"},
		{Name: "set-cookie", Value: aCookie + "\xff"}, {Name: "Set-Cookie", Value: aCookie}, {Name: "set-cookie2", Value: aCookie}, {Name: "location", Value: aCookie},
		{Name: "cache-control", Value: "public"}, {Name: "", Value: aCookie}, {Name: "content-type", Value: aCookie}, {Name: "x-isogate", Value: aCookie},
	} {
		for _, respond := range [][]page.Field{{f}, {{Name: "set-cookie", Value: aCookie}, f}, {f, {Name: "set-cookie", Value: aCookie}}} {
			if got := read(t, encoded(t, Verdict{Allow: true, Reason: Session, Respond: respond})); got != (wire{false, 503, "unavailable"}) {
				t.Errorf("%q: %+v", respond, got)
			}
		}
	}
}

// A backend's own cookies stay: ours stand beside them, each on its line.
func TestWhatAPassAddsToTheAnswer(t *testing.T) {
	respond := []page.Field{{Name: "set-cookie", Value: aCookie}, {Name: "set-cookie", Value: "__Host-isogate_flow_1=; Max-Age=0; Path=/"}}
	r := encoded(t, Verdict{Allow: true, Reason: Session, Respond: respond})
	var got []page.Field
	for _, o := range r.GetOkResponse().GetResponseHeadersToAdd() {
		got = append(got, page.Field{Name: o.GetHeader().GetKey(), Value: o.GetHeader().GetValue()})
		if o.GetAppendAction() != core.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD {
			t.Error("it would replace the backend's")
		}
	}
	if !slices.Equal(got, respond) || len(r.GetOkResponse().GetHeaders()) != 0 {
		t.Errorf("%q, and to the request %v", got, r.GetOkResponse().GetHeaders())
	}
	denied := encoded(t, Verdict{Reason: Policy, Answer: page.Denial(403, "policy", false, ""), Respond: respond})
	if strings.Contains(denied.String(), "set-cookie") {
		t.Error("a denial adds what only a pass may")
	}
}

func TestWhatAPassSets(t *testing.T) {
	v := Verdict{
		Allow: true, Reason: Session, Set: []page.Field{{Name: "x-user-context-token", Value: "t"}, {Name: "cookie", Value: "ä=1"}},
		Remove: []string{"x_user_context_token"}, Stream: 90 * time.Second, Policy: "digest", Rule: "rule", Cause: errors.New("secret cause"),
	}
	r := encoded(t, v)
	ok := r.GetOkResponse()
	var got []string
	for _, o := range ok.GetHeaders() {
		got = append(got, o.GetHeader().GetKey()+"="+o.GetHeader().GetValue())
		if o.GetAppendAction() != core.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD {
			t.Errorf("%s is not written over what stood there", o.GetHeader().GetKey())
		}
	}
	if want := []string{"x-user-context-token=t", "cookie=ä=1", "x-envoy-upstream-stream-duration-ms=90000"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if !slices.Equal(ok.GetHeadersToRemove(), v.Remove) {
		t.Errorf("removed: %q", ok.GetHeadersToRemove())
	}
	fields := r.GetDynamicMetadata().GetFields()
	if len(fields) != 3 || fields["policy"].GetStringValue() != "digest" || fields["rule"].GetStringValue() != "rule" {
		t.Errorf("metadata: %v", fields)
	}
	if strings.Contains(r.String(), "secret cause") {
		t.Error("the cause is answered")
	}
}

// To Envoy zero means no limit at all.
func TestAStreamIsNeverUnlimitedByRounding(t *testing.T) {
	for in, want := range map[time.Duration]string{1: "1", time.Millisecond - 1: "1", 1500 * time.Microsecond: "1", time.Hour: "3600000", 0: "", -time.Second: ""} {
		got := ""
		for _, o := range encoded(t, Verdict{Allow: true, Reason: Session, Stream: in}).GetOkResponse().GetHeaders() {
			got = o.GetHeader().GetValue()
		}
		if got != want {
			t.Errorf("%s: %q", in, got)
		}
	}
}

// An answer's lines are all kept: two cookies are two.
func TestADenialKeepsEachCookie(t *testing.T) {
	a := page.Redirect(302, "https://auth.acme.example/").With("set-cookie", "a=1").With("set-cookie", "b=2")
	var got []string
	for _, o := range encoded(t, Verdict{Reason: SignIn, Answer: a}).GetDeniedResponse().GetHeaders() {
		if o.GetAppendAction() != core.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD {
			t.Errorf("%s would replace another line", o.GetHeader().GetKey())
		}
		if o.GetHeader().GetKey() == "set-cookie" {
			got = append(got, o.GetHeader().GetValue())
		}
	}
	if !slices.Equal(got, []string{"a=1", "b=2"}) {
		t.Errorf("%q", got)
	}
}

// any verdict, however absurd; the words that mean something come often.
type anyVerdict struct{ Verdict }

func (anyVerdict) Generate(r *rand.Rand, size int) reflect.Value {
	text := func(known ...string) string {
		if i := r.Intn(len(known) + 1); i < len(known) {
			return known[i]
		}
		v, _ := quick.Value(reflect.TypeFor[string](), r)
		return v.String()
	}
	name := func() string {
		return text("cookie", "x-user-context-token", "host", ":path", ":method", "content-length", "transfer-encoding", "set-cookie", "x\xff")
	}
	var fields [3][]page.Field
	for i := range fields {
		for range r.Intn(3) {
			fields[i] = append(fields[i], page.Field{Name: name(), Value: text("1", "a\r\nb", "\xff")})
		}
	}
	for i := range fields[2] { // most would make a verdict unsound
		if r.Intn(4) > 0 {
			fields[2][i] = page.Field{Name: "set-cookie", Value: aCookie}
		}
	}
	v := Verdict{
		Allow: r.Intn(2) == 0, Reason: Reason(text("session", "anonymous", "own", "exposed", "sent", "policy", "")), Set: fields[0], Respond: fields[2], Stream: time.Duration(r.Int63() - r.Int63()),
		Answer: page.Answer{Status: []int{0, 100, 200, 204, 302, 403, 503, 507, 999, r.Int()}[r.Intn(10)], Header: fields[1], Body: []byte(text("x", "\xff"))},
		Method: text("GET"), Caller: text("spiffe://commercial.example/support", "\xff"), Policy: text("digest", "\xff"), Rule: text("rule", "\xff"),
	}
	for range r.Intn(3) {
		v.Remove = append(v.Remove, name())
	}
	return reflect.ValueOf(anyVerdict{v})
}

func TestNoVerdictPassesByMistake(t *testing.T) {
	passed, denied := 0, 0
	property := func(v anyVerdict) bool {
		r := encoded(t, v.Verdict)
		w := read(t, r)
		if w.allow {
			passed++
		} else {
			denied++
		}
		options := append(r.GetOkResponse().GetHeaders(), r.GetDeniedResponse().GetHeaders()...)
		for _, o := range options {
			key := o.GetHeader().GetKey()
			if key == "content-length" || key == "transfer-encoding" || strings.HasPrefix(key, ":") || w.allow && key == "host" {
				return false
			}
		}
		for _, o := range r.GetOkResponse().GetResponseHeadersToAdd() {
			if o.GetHeader().GetKey() != "set-cookie" || !strings.HasPrefix(o.GetHeader().GetValue(), "__Host-isogate_") {
				return false
			}
		}
		return (!w.allow || v.Allow && passes[v.Reason]) && (w.allow || 300 <= w.status && w.status <= 599)
	}
	if err := quick.Check(property, &quick.Config{MaxCount: 5000}); err != nil {
		t.Error(err)
	}
	if passed == 0 || denied == 0 {
		t.Errorf("%d passed and %d were denied: that proves nothing", passed, denied)
	}
}
