package profile

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"isogate/envoy/topology"
	"isogate/extauthz/check"
	"isogate/extauthz/dpop"
	"isogate/extauthz/keys"
	"isogate/extauthz/session"
)

const (
	supportSPIFFE = "spiffe://commercial.example/support"
	supportRealm  = `Isogate realm="` + supportHost + `"`
)

// outbound is the sidecar of the support over real keys, and a person of Acme who is there.
type outbound struct {
	*Egress
	t       testing.TB
	now     time.Time
	sealers *keys.Sealers
	carrier session.Carrier
	key     dpop.Key
	person  session.Outside
}

func newOutbound(t testing.TB) *outbound {
	t.Helper()
	o := &outbound{t: t, now: start, key: must(dpop.Generate())(t)}
	clock := func() time.Time { return o.now }
	o.sealers = must(keys.OpenSealers(t.TempDir(), clock))(t)
	o.carrier = session.Carrier{Service: "support", Keys: o.sealers, Now: clock}
	o.person = session.Outside{
		Cloud: acmeID, Subject: "subject-at-acme", Grant: "grant-at-acme", Token: "an.access.token", Key: o.key.Marshal(), Start: start, Checked: start,
	}.Until(start.Add(24 * time.Hour))
	o.reload(callable(acmeID, globexID))
	return o
}

// reload is another state of the file.
func (o *outbound) reload(all []topology.Directory) {
	o.Egress = NewEgress(topology.Service{ID: "support", Host: supportHost, Egress: &topology.Egress{SPIFFE: supportSPIFFE}}, all, o.carrier)
}

// callable are entries of clouds that take calls.
func callable(ids ...string) (all []topology.Directory) {
	for i, id := range ids {
		all = append(all, topology.Directory{ID: id, Domain: []string{"acme.example", "globex.example"}[i], Gateway: "10.0.0.3:8444"})
	}
	return all
}

func (o *outbound) carried() string { return must(o.carrier.Seal(o.person))(o.t) }

// call is what the support sends for the person. Header lines are name, value, name, value.
func (o *outbound) call(method, target string, lines ...string) check.Request {
	path, query, _ := strings.Cut(target, "?")
	r := check.Request{Method: method, Host: "127.0.0.1", Path: path, Query: query, Header: check.Header{}}
	return with(with(r, HeaderCloud, acmeID, HeaderToken, o.carried(), HeaderProduct, "issues"), lines...)
}

// instead is a call with another value of a header, or without it.
func (o *outbound) instead(name string, values ...string) check.Request {
	r := o.call("GET", "/x")
	delete(r.Header, name)
	for _, value := range values {
		r = with(r, name, value)
	}
	return r
}

func (o *outbound) expect(r check.Request, want outcome) check.Verdict {
	o.t.Helper()
	v := o.Decide(o.t.Context(), r)
	if got := (outcome{v.Allow, v.Answer.Status, v.Reason}); got != want {
		o.t.Errorf("%s %s: %+v, want %+v (cause %v)", r.Method, r.Path, got, want, v.Cause)
	}
	if v.Caller != supportSPIFFE {
		o.t.Errorf("the caller is %q", v.Caller)
	}
	if _, said := check.Encode(v); said.Allow != v.Allow || said.Reason != v.Reason {
		o.t.Errorf("Envoy would be told %s (%v)", said.Reason, said.Cause)
	}
	if !v.Allow {
		o.checkDenial(v)
	}
	return v
}

// checkDenial holds a refusal against what each must be: a problem, with a challenge where it is a 401, and without a trace of the person.
func (o *outbound) checkDenial(v check.Verdict) {
	o.t.Helper()
	if len(v.Set)+len(v.Remove)+len(v.Respond) > 0 || v.Stream != 0 {
		o.t.Error("a denial changes the request")
	}
	if got := answered(v, "content-type"); len(got) != 1 || got[0] != "application/problem+json" {
		o.t.Errorf("a program is answered with %q", got)
	}
	if got := answered(v, "www-authenticate"); (v.Answer.Status == 401) != slices.Equal(got, []string{supportRealm}) {
		o.t.Errorf("a %d with the challenge %q", v.Answer.Status, got)
	}
	if len(answered(v, "set-cookie")) > 0 || bytes.Contains(v.Answer.Body, []byte(o.person.Token)) || bytes.Contains(v.Answer.Body, []byte(acmeID)) {
		o.t.Errorf("the answer says too much: %s", v.Answer.Body)
	}
}

func TestWhatACallCarries(t *testing.T) {
	o := newOutbound(t)
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
		t.Run(method, func(t *testing.T) {
			o.t = t
			v := o.expect(o.call(method, "/rest/api/issue/X%201?fields=summary", "authorization", "Bearer of-the-service"), pass(check.Sent))
			token, isDPoP := strings.CutPrefix(set(v, "authorization"), "DPoP ")
			if !isDPoP || token != o.person.Token || len(v.Set) != 2 {
				t.Errorf("set: %v", v.Set)
			}
			marks := &marks{seen: map[string]bool{}}
			gateway := dpop.Verifier{Ahead: 10 * time.Second, Behind: time.Minute, Now: o.carrier.Now, Replay: marks}
			address := "https://issues.gateway.acme.example/rest/api/issue/X%201"
			want := dpop.Want{Method: method, URL: address, AccessToken: token, Thumbprint: o.key.Thumbprint()}
			if _, err := gateway.Verify(t.Context(), []string{set(v, "dpop")}, want); err != nil {
				t.Error(err)
			}
			for name, other := range map[string]func(*dpop.Want){
				"another product": func(w *dpop.Want) { w.URL = strings.Replace(w.URL, "issues", "wiki", 1) },
				"another cloud":   func(w *dpop.Want) { w.URL = strings.Replace(w.URL, "acme", "globex", 1) },
				"another path":    func(w *dpop.Want) { w.URL += "/y" },
				"another method":  func(w *dpop.Want) { w.Method = "TRACE" },
				"another token":   func(w *dpop.Want) { w.AccessToken = "x" },
			} {
				marks.seen = map[string]bool{}
				spoilt := want
				other(&spoilt)
				if _, err := gateway.Verify(t.Context(), []string{set(v, "dpop")}, spoilt); err == nil {
					t.Errorf("the proof is good for %s", name)
				}
			}
		})
	}
}

// Every call has a proof of its own: Envoy may repeat a check, and the gateway takes each proof once.
func TestEachCallHasItsOwnProof(t *testing.T) {
	o := newOutbound(t)
	r := o.call("GET", "/x")
	if first, second := o.expect(r, pass(check.Sent)), o.expect(r, pass(check.Sent)); set(first, "dpop") == set(second, "dpop") {
		t.Error("two calls have one proof")
	}
}

// Of what the service sent, three headers leave, and two more as far as Envoy.
func TestWhatLeaves(t *testing.T) {
	o := newOutbound(t)
	r := o.call("POST", "/x",
		":method", "POST", ":path", "/x", ":authority", "127.0.0.1:9801", ":scheme", "http", "content-length", "2", "x-envoy-expected-rq-timeout-ms", "5",
		"accept", "application/json", "content-type", "application/json", "if-none-match", `"v1"`,
		"authorization", "Bearer of-the-service", "dpop", "a.made-up.proof", "cookie", "sid=of-the-service", "cookie", "theme=dark",
		"proxy-authorization", "Basic x",
		HeaderUser, "opaque", "x-user-context-token", "a.made-up.token", "x-isogate-authority", "evil.example", "x_isolated_cloud_id", globexID,
		"traceparent", "00-1-2-01", "tracestate", "a=b", "baggage", "user=ada", "b3", "1", "x-request-id", "7", "x-forwarded-for", "192.0.2.1",
		"x-forwarded-proto", "http",
		"forwarded", "for=192.0.2.1", "x-forwarded-client-cert", "Hash=1", "user-agent", "curl", "referer", "https://x", "origin", "https://x",
		"accept-language", "de", "accept-encoding", "gzip", "if-match", "1", "if-modified-since", "x", "range", "bytes=0-1", "te", "trailers",
		"expect", "100-continue",
		"connection", "keep-alive", "x-user", "ada@acme.example", "from", "ada@acme.example")
	v := o.expect(r, pass(check.Sent))
	left := []string{}
	for name := range r.Header {
		if !slices.Contains(v.Remove, name) {
			left = append(left, name)
		}
	}
	slices.Sort(left)
	want := []string{
		":authority", ":method", ":path", ":scheme", "accept", "authorization", "content-length", "content-type", "dpop", "if-none-match",
		"x-envoy-expected-rq-timeout-ms", HeaderCloud, HeaderProduct,
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, left); diff != "" {
		t.Error(diff)
	}
	if set(v, "authorization") != "DPoP "+o.person.Token || set(v, "dpop") == "a.made-up.proof" || len(v.Respond) != 0 {
		t.Errorf("set: %v", v.Set)
	}
	for _, f := range v.Set {
		if slices.Contains(v.Remove, f.Name) {
			t.Errorf("%s is set and then removed", f.Name)
		}
	}
}

func TestCallsThatAreNotCalls(t *testing.T) {
	o := newOutbound(t)
	bad := deny(400, check.BadRequest)
	tests := []struct {
		name string
		in   check.Request
		want outcome
	}{
		{"no cloud", o.instead(HeaderCloud), bad},
		{"no token", o.instead(HeaderToken), bad},
		{"no product", o.instead(HeaderProduct), bad},
		{"two clouds", o.instead(HeaderCloud, acmeID, globexID), bad},
		{"one cloud twice", o.instead(HeaderCloud, acmeID, acmeID), bad},
		{"two tokens", o.instead(HeaderToken, o.carried(), o.carried()), bad},
		{"two products", o.instead(HeaderProduct, "issues", "wiki"), bad},
		{"one product twice", o.instead(HeaderProduct, "issues", "issues"), bad},
		{"an empty product", o.instead(HeaderProduct, ""), bad},
		{"a product in capitals", o.instead(HeaderProduct, "Issues"), bad},
		{"a product with a dot", o.instead(HeaderProduct, "issues.evil"), bad},
		{"a product with a port", o.instead(HeaderProduct, "issues:1"), bad},
		{"a product with a slash", o.instead(HeaderProduct, "evil.example/"), bad},
		{"two products in one", o.instead(HeaderProduct, "issues,wiki"), bad},
		{"a product and a space", o.instead(HeaderProduct, "issues "), bad},
		{"a product that is too long", o.instead(HeaderProduct, strings.Repeat("i", 33)), bad},
		{"two of accept", o.call("GET", "/x", "accept", "a/b", "accept", "c/d"), bad},
		{"two of content-type", o.call("POST", "/x", "content-type", "a/b", "content-type", "a/b"), bad},
		{"two of content-type that Envoy joined", o.call("POST", "/x", "content-type", "a/b,a/b"), bad},
		{"two of if-none-match", o.call("GET", "/x", "if-none-match", "1", "if-none-match", "2"), bad},
		{"an upgrade", o.call("GET", "/x", "upgrade", "websocket", "connection", "Upgrade"), bad},
		{"a path that no proof can name", o.call("GET", "/"+strings.Repeat("x", maxCalled)), bad},
		{"the longest path", o.call("GET", "/"+strings.Repeat("x", maxCalled-1)), pass(check.Sent)},
		{"the longest path of escapes", o.call("GET", "/"+strings.Repeat("%20", maxCalled/3-1)), pass(check.Sent)},
		{"two of a header that does not leave", o.call("GET", "/x", "cookie", "a=1", "cookie", "b=2"), pass(check.Sent)},
		{"an unknown product", o.instead(HeaderProduct, "unknown"), pass(check.Sent)}, // the cloud alone says what it has
		{"a navigation", o.call("GET", "/x", navigation...), pass(check.Sent)},
		{"a navigation that is refused", with(o.instead(HeaderToken), navigation...), bad},
		{"a form that is refused", with(o.instead(HeaderToken, "x"), form...), deny(401, check.Token)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o.t = t
			o.expect(tt.in, tt.want)
		})
	}
}

// A program's developer reads why a request is no call. Nothing of the request stands there.
func TestWhatIsWrongWithACall(t *testing.T) {
	o := newOutbound(t)
	const once = "x-isolated-cloud-id, x-isolated-cloud-token and x-isolated-cloud-product must each be there once."
	for _, tt := range []struct {
		name   string
		in     check.Request
		detail string
	}{
		{"no cloud", o.instead(HeaderCloud), once},
		{"two tokens", o.instead(HeaderToken, o.carried(), o.carried()), once},
		{"one product twice", o.instead(HeaderProduct, "issues", "issues"), once},
		{"two products in one", o.instead(HeaderProduct, "issues,wiki"), "x-isolated-cloud-product must be the id of one product."},
		{"an upgrade", o.call("GET", "/x", "upgrade", "websocket", "connection", "Upgrade"), "A call cannot be upgraded."},
		{"two of accept", o.call("GET", "/x", "accept", "a/b", "accept", "c/d"), "accept, content-type and if-none-match may each be there only once."},
		{"a long path", o.call("GET", "/"+strings.Repeat("x", maxCalled)), "The path must not be longer than 4096 bytes."},
		{"a navigation", with(o.instead(HeaderToken), navigation...), once},
	} {
		want := `{"type":"about:blank","title":"Bad Request","status":400,"detail":"` + tt.detail + `","reason":"bad-request"}` + "\n"
		if v := o.expect(tt.in, deny(400, check.BadRequest)); string(v.Answer.Body) != want {
			t.Errorf("%s: %s", tt.name, v.Answer.Body)
		}
	}
}

// A token that leaked from one service is useless at another's sidecar, without the sidecar's key, after five minutes, and for another cloud.
// CVE-2024-47616: so is everything else that we seal.
func TestTokensThatDoNotCall(t *testing.T) {
	o := newOutbound(t)
	good := o.carried()
	strange := must(keys.OpenSealers(t.TempDir(), o.carrier.Now))(t)
	market := session.Carrier{Service: "market", Keys: o.sealers, Now: o.carrier.Now}
	inside := must(o.sealers.Open("carried", "support", good))(t)
	refused := map[string]string{
		"empty": "", "the access token itself": o.person.Token, "a made-up one": strings.Repeat("A", 200), "the User Context Token": "ey.ey.x",
		"of another service":             must(market.Seal(o.person))(t),
		"without the sidecar's key":      must(session.Carrier{Service: "support", Keys: strange, Now: o.carrier.Now}.Seal(o.person))(t),
		"the cookie of the session":      must(session.Sealed{Keys: o.sealers, Now: o.carrier.Now}.Seal(supportHost, o.person))(t),
		"that cookie, under the service": must(session.Sealed{Keys: o.sealers, Now: o.carrier.Now}.Seal("support", o.person))(t),
		"one flipped bit":                good[:40] + string(good[40]^1) + good[41:],
		"larger than any":                strings.Repeat("A", 5000),
		"in quotes":                      `"` + good + `"`,
	}
	for _, purpose := range []string{"federated", "flow", "state", "ticket", "id_token", "leave", "token", ""} {
		refused["sealed as "+purpose] = o.sealers.Seal(purpose, "support", inside)
	}
	for name, value := range refused {
		t.Run(name, func(t *testing.T) {
			o.t = t
			o.expect(o.instead(HeaderToken, value), deny(401, check.Token))
		})
	}
	o.t = t
	r := o.instead(HeaderToken, good)
	o.expect(r, pass(check.Sent))
	o.now = start.Add(5*time.Minute - time.Second)
	o.expect(r, pass(check.Sent))
	o.now = start.Add(5 * time.Minute)
	o.expect(r, deny(401, check.Token))
	o.now = start
	o.person = o.person.Until(start.Add(time.Minute))
	r = o.call("GET", "/x")
	o.now = start.Add(time.Minute)
	o.expect(r, deny(401, check.Token))
}

func TestCloudsThatAreNotCalled(t *testing.T) {
	o := newOutbound(t)
	no := deny(403, check.Cloud)
	for _, id := range []string{globexID, "", strings.ToUpper(acmeID), acmeID + ",", acmeID + " ", "initech-0123456789abcdef"} {
		o.expect(o.instead(HeaderCloud, id), no)
	}
	o.expect(o.call("GET", "/x"), pass(check.Sent))
	for name, all := range map[string][]topology.Directory{
		"without a gateway":       {{ID: acmeID, Domain: "acme.example"}},
		"that left the directory": callable(globexID),
		"of an empty directory":   nil,
	} {
		t.Log(name)
		o.reload(all)
		o.expect(o.call("GET", "/x"), no)
	}
	o.reload(callable(acmeID))
	o.expect(o.call("GET", "/x"), pass(check.Sent))
}

// What cannot be decided is our own 503, and its cause holds nothing of the person.
func TestCallsWithoutAUsableKey(t *testing.T) {
	o := newOutbound(t)
	o.person.Key = []byte("no scalar of P-256")
	v := o.expect(o.call("GET", "/x", navigation...), deny(503, check.Unavailable))
	if v.Cause == nil || strings.Contains(v.Cause.Error(), "scalar of") || strings.Contains(v.Cause.Error(), o.person.Token) {
		t.Errorf("the cause: %v", v.Cause)
	}
}

// An access token that would end the header stops at the encoder: whatever a cloud handed out, it is one header's value or a 503.
func TestATokenThatIsNoHeaderValue(t *testing.T) {
	o := newOutbound(t)
	o.person.Token = "x\r\ncookie: a=1"
	v := o.Decide(t.Context(), o.call("GET", "/x"))
	if _, said := check.Encode(v); said.Allow || said.Reason != check.Unavailable {
		t.Errorf("Envoy would be told %s", said.Reason)
	}
}
