package profile

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"isogate/extauthz/check"
	"isogate/extauthz/session"
	"isogate/extauthz/usercontext"
)

var exposed = pass(check.Exposed)

func TestWhatAProductGetsOfACall(t *testing.T) {
	o := newOutpost(t)
	v := o.expect(o.read(), exposed)
	got := o.given(v, "issues")
	if got.ID == "" {
		t.Error("no jti")
	}
	got.ID = ""
	want := usercontext.Claims{
		Issuer: "https://auth.acme.example:8443", Subject: "opaque-user", Audience: "issues", IssuedAt: start.Unix(), Expires: start.Add(5 * time.Minute).Unix(),
		Session: o.person.ID, AuthTime: start.Unix(), ACR: "mfa", AMR: []string{"pwd", "otp"}, CloudID: "c-0123456789abcdef",
		Act: &usercontext.Actor{Subject: support}, Email: "ada@acme.example",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if v.Caller != support || v.Policy != o.rules.Digest() || v.Rule != "exposed" || len(v.Set) != 1 || len(v.Respond) != 0 {
		t.Errorf("%+v", v)
	}
	wiki := o.given(o.expect(o.call("page.read", "GET", "/page"), exposed), "wiki")
	if wiki.Audience != "wiki" || wiki.Email != "" || wiki.Name != "Ada" || !slices.Equal(wiki.Groups, []string{"staff"}) || wiki.Act.Subject != support {
		t.Errorf("%+v", wiki)
	}
}

// Of the header lines only those of the list reach a product; what frames the body and Envoy's own are not the check's to change.
func TestWhichHeadersReachAProduct(t *testing.T) {
	o := newOutpost(t)
	kept := []string{
		":authority", "issues.gateway.acme.example", ":method", "GET", ":path", "/", ":scheme", "https", "accept", "application/json", "content-type", "a/b",
		"if-none-match", `"x"`, "x-request-id", "1", "content-length", "0", "x-envoy-attempt-count", "1", "x-user-context-token", "forged", "host", "x",
	}
	removed := []string{
		"cookie", "a=1", "traceparent", "00-0-0-00", "user-agent", "x", "accept-encoding", "gzip", "accept-language", "de", "x-forwarded-for", "1", "x-real-ip", "1",
		"x-forwarded-client-cert", "x", "forwarded", "x", "x_user_context_token", "x", "x-isolated-cloud-id", "x", "x-isolated-cloud-token", "x", "x-isogate-x", "x",
		"origin", "x", "referer", "x", "range", "bytes=0-1", "if-match", "x", "te", "trailers", "expect", "100-continue", "x-http-method-override", "DELETE", "connection", "close",
		"proxy-authorization", "x", "accept ", "x", "accept_", "x",
	}
	v := o.gateway.Decide(t.Context(), o.read(append(kept, removed...)...))
	want := []string{"authorization", "dpop"}
	for i := 0; i < len(removed); i += 2 {
		want = append(want, removed[i])
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, v.Remove); !v.Allow || diff != "" {
		t.Errorf("%v: %s", v.Reason, diff)
	}
}

// ruleOf is which rule a refusal's record names.
var ruleOf = map[string]string{"a caller that is shut out": "closed", "a rule that says no": "no-staff"}

// Each refusal has its own reason, and nothing is asked or used up that a call has no claim to.
func TestRefusalsInTheirOrder(t *testing.T) {
	gone := errors.New("gone")
	type change func(*outpost, *check.Request)
	header := func(name string, values ...string) change {
		return func(_ *outpost, r *check.Request) { r.Header[name] = values }
	}
	narrow := func(then change) change {
		return func(o *outpost, r *check.Request) {
			o.rules = loadCrossing(o.t, narrowRules)
			then(o, r)
		}
	}
	as := func(name string) change {
		return func(o *outpost, r *check.Request) {
			r.Certificate = certify(o.t, nil, uri("spiffe://commercial.example/"+name))
		}
	}
	tests := []struct {
		name   string
		change change
		want   outcome
		depth  string
	}{
		{"another server name", func(_ *outpost, r *check.Request) { r.SNI = r.Host }, deny(421, check.Misdirected), asNothing},
		{"no server name", func(_ *outpost, r *check.Request) { r.SNI = "" }, deny(421, check.Misdirected), asNothing},
		{"no certificate", func(_ *outpost, r *check.Request) { r.Certificate = "" }, deny(403, check.Caller), asNothing},
		{"another trust domain", func(o *outpost, r *check.Request) {
			r.Certificate = certify(o.t, nil, uri("spiffe://evil.example/support"))
		}, deny(403, check.Caller), asNothing},
		{"a certificate that is over", func(o *outpost, _ *check.Request) { o.now = o.now.Add(2 * time.Hour) }, deny(403, check.Caller), asNothing},
		{"no policies", func(o *outpost, _ *check.Request) { o.rules = nil }, deny(503, check.Unavailable), asNothing},
		{"the gateway's own name", func(_ *outpost, r *check.Request) { r.Host = "gateway.acme.example" }, deny(403, check.NotExposed), asNothing},
		{"a product that is none", func(_ *outpost, r *check.Request) { r.Host = "payroll.gateway.acme.example" }, deny(403, check.NotExposed), asNothing},
		{"a product's public host", func(_ *outpost, r *check.Request) { r.Host = issuesHost }, deny(403, check.NotExposed), asNothing},
		{"another cloud's product", func(_ *outpost, r *check.Request) { r.Host = "issues.gateway.globex.example" }, deny(403, check.NotExposed), asNothing},
		{"a product without an endpoint", func(_ *outpost, r *check.Request) { r.Host = "plain.gateway.acme.example" }, deny(403, check.NotExposed), asNothing},
		{"a route that exposes nothing", func(_ *outpost, r *check.Request) { r.Route.Endpoint = "" }, deny(403, check.NotExposed), asNothing},
		{"another method", func(_ *outpost, r *check.Request) { r.Method = "HEAD" }, deny(403, check.NotExposed), asNothing},
		{"another path", func(_ *outpost, r *check.Request) { r.Path += "/x" }, deny(403, check.NotExposed), asNothing},
		{"a slash too many", func(_ *outpost, r *check.Request) { r.Path += "/" }, deny(403, check.NotExposed), asNothing},
		{"a route to another endpoint", func(_ *outpost, r *check.Request) { r.Route.Endpoint = "issue.move" }, deny(503, check.Skew), asNothing},
		{"a route to another product", func(_ *outpost, r *check.Request) { r.Route.Product = "wiki" }, deny(503, check.Skew), asNothing},
		{"a query that is not listed", func(_ *outpost, r *check.Request) { r.Query = "fields=a&jql=x" }, deny(403, check.NotExposed), asNothing},
		{"a caller that is not listed", as("nobody"), deny(403, check.NotExposed), asNothing},
		{"a body", func(_ *outpost, r *check.Request) { r.Body = true }, deny(403, check.NotExposed), asNothing},
		{"two accepts", header("accept", "a/b", "c/d"), deny(400, check.BadRequest), asNothing},
		{"two types", header("content-type", "a/b", "a/b"), deny(400, check.BadRequest), asNothing},
		{"two types that Envoy joined", header("content-type", "a/b,a/b"), deny(400, check.BadRequest), asNothing},
		{"two conditions", header("if-none-match", `"a"`, `"b"`), deny(400, check.BadRequest), asNothing},
		{"an upgrade", header("upgrade", "websocket"), deny(400, check.BadRequest), asNothing},
		{"no token", header("authorization"), deny(401, check.Token), asNothing},
		{"two tokens", func(_ *outpost, r *check.Request) {
			r.Header["authorization"] = append(r.Header["authorization"], "DPoP x")
		}, deny(401, check.Token), asNothing},
		{"a token of bytes", header("authorization", "DPoP x"), deny(401, check.Token), asNothing},
		{"a key that is unknown", func(o *outpost, r *check.Request) {
			o.signer = newService(o.t).signer
			*r = o.bring(o.sign("at+jwt"), *r)
		}, deny(401, check.Token), asKeys},
		{"keys that cannot be had", func(o *outpost, _ *check.Request) { o.asked.KeySource = noKeys{} }, deny(503, check.Unavailable), asKeys},
		{"no proof", header("dpop"), deny(401, check.Proof), asKeys},
		{"marks that cannot be made", func(o *outpost, _ *check.Request) { o.marks.fault = gone }, deny(503, check.Unavailable), asKeys},
		{"a session that was ended", func(o *outpost, _ *check.Request) { _ = o.keeper.End(o.t.Context(), o.person.ID) }, deny(401, check.SessionEnded), asSession},
		{"a store that is gone", func(o *outpost, _ *check.Request) { o.store.fault = gone }, deny(503, check.Unavailable), asSession},
		{"a caller that is not the client's", as("stranger"), deny(403, check.Caller), asSession},
		{"a caller that is shut out", narrow(as("market")), deny(403, check.Policy), asSession},
		{"rules that contradict themselves", narrow(func(o *outpost, r *check.Request) { *r = o.call("issue.read", "GET", "/rest/api/issue/BROKEN") }), deny(503, check.Unavailable), asSession},
		{"a rule that says no", narrow(func(o *outpost, r *check.Request) { *r = o.call("issue.move", "POST", "/rest/api/issue/A-1/move") }), deny(403, check.Policy), asSession},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := newOutpost(t)
			r := o.read()
			tt.change(o, &r)
			v := o.expect(r, tt.want)
			if rule := ruleOf[tt.name]; v.Rule != rule {
				t.Errorf("the record says %q, want %q", v.Rule, rule)
			}
			if got := o.depth(); got != tt.depth {
				t.Errorf("%s, want %s", got, tt.depth)
			}
			if challenged := len(answered(v, "www-authenticate")) == 1; challenged != (tt.want.Status == 401) {
				t.Errorf("challenge: %q", answered(v, "www-authenticate"))
			}
			if hasCause := v.Cause != nil; hasCause && tt.want.Status != 503 {
				t.Errorf("a refusal would fill the log: %v", v.Cause)
			}
		})
	}
}

// Whatever is not exposed gets the same bytes: nobody learns what else there is.
func TestNotExposedIsOneAnswer(t *testing.T) {
	o := newOutpost(t)
	want := check.Deny(403, check.NotExposed, false, "").Answer
	for name, change := range map[string]func(*check.Request){
		"product": func(r *check.Request) { r.Host = "x.gateway.acme.example" }, "path": func(r *check.Request) { r.Path = "/admin" }, "query": func(r *check.Request) { r.Query = "x" },
		"body": func(r *check.Request) { r.Body = true }, "route": func(r *check.Request) { r.Route = check.Route{} },
		"a browser": func(r *check.Request) { r.Path = "/x"; *r = with(*r, navigation...) },
	} {
		r := o.read()
		change(&r)
		v := o.expect(r, deny(403, check.NotExposed))
		if !bytes.Equal(v.Answer.Body, want.Body) || !slices.Equal(v.Answer.Header, want.Header) {
			t.Errorf("%s: %s", name, v.Answer.Body)
		}
		if v.Caller != support || v.Policy == "" {
			t.Errorf("%s: the record lacks who or what: %+v", name, v)
		}
	}
}

// Envoy's route is a hint: without one nothing passes, and with one our own policies decide.
func TestSkewFailsSafe(t *testing.T) {
	tests := []struct {
		name, route, path string
		want              outcome
	}{
		{"both have it", "issue.read", "/rest/api/issue/A-1", exposed},
		{"a literal wins over a variable, for both", "issue.mine", "/rest/api/issue/mine", exposed},
		{"Envoy has it no more", "", "/rest/api/issue/A-1", deny(403, check.NotExposed)},
		{"Envoy has another", "issue.add", "/rest/api/issue/A-1", deny(503, check.Skew)},
		{"Envoy has one that is gone here", "issue.old", "/rest/api/old", deny(403, check.NotExposed)},
		{"Envoy knows the literal not yet", "issue.read", "/rest/api/issue/mine", deny(503, check.Skew)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := newOutpost(t)
			o.expect(o.call(tt.route, "GET", tt.path), tt.want)
		})
	}
}

func TestWhichBodiesPass(t *testing.T) {
	tests := []struct {
		name, endpoint, method, path string
		body                         bool
		want                         outcome
	}{
		{"none where none may be", "issue.read", "GET", "/rest/api/issue/A-1", false, exposed},
		{"one where none may be", "issue.read", "GET", "/rest/api/issue/A-1", true, deny(403, check.NotExposed)},
		{"none with a POST", "issue.poke", "POST", "/rest/api/poke", false, exposed},
		{"one with a POST where none may be", "issue.poke", "POST", "/rest/api/poke", true, deny(403, check.NotExposed)},
		{"any, and there is one", "issue.add", "POST", "/rest/api/issue", true, exposed},
		{"any, and there is none", "issue.add", "POST", "/rest/api/issue", false, exposed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := newOutpost(t)
			r := o.call(tt.endpoint, tt.method, tt.path)
			r.Body = tt.body
			o.expect(r, tt.want)
		})
	}
}

// An endpoint ends by the clock, without an edit.
func TestAnEndpointEnds(t *testing.T) {
	o := newOutpost(t)
	o.claims["exp"] = start.Add(48 * time.Hour).Unix()
	o.token = o.sign("at+jwt")
	o.shown = certify(t, nil, uri(support))
	end := time.Date(2027, 1, 3, 0, 0, 0, 0, time.UTC)
	o.now = end.Add(-time.Second)
	r := o.call("issue.mine", "GET", "/rest/api/issue/mine")
	o.gateway.callers.keep(o.shown, caller{id: support, until: end.Add(time.Hour)})
	if v := o.gateway.Decide(t.Context(), r); v.Reason != check.SessionEnded { // it came as far as the session, which is long over
		t.Errorf("%s", v.Reason)
	}
	o.now = end
	if v := o.gateway.Decide(t.Context(), o.call("issue.mine", "GET", "/rest/api/issue/mine")); v.Reason != check.Skew { // the template beside it matches now
		t.Errorf("%s", v.Reason)
	}
}

// A call lasts no longer than a minute, and no longer than the session.
func TestACallEndsWithTheSession(t *testing.T) {
	for after, want := range map[time.Duration]time.Duration{
		0: time.Minute, 29 * time.Minute: time.Minute, 29*time.Minute + 20*time.Second: 40 * time.Second, 30*time.Minute - time.Millisecond: time.Second,
	} {
		o := newOutpost(t)
		o.now = start.Add(after)
		if v := o.expect(o.read(), exposed); v.Stream != want {
			t.Errorf("after %s: %s", after, v.Stream)
		}
	}
}

// Many services and people have their tokens, each its own.
func TestTheTokenNamesWhoActs(t *testing.T) {
	o := newOutpost(t)
	first := o.given(o.expect(o.read(), exposed), "issues")
	o.shown = certify(t, nil, uri("spiffe://commercial.example/market"))
	second := o.given(o.expect(o.read(), exposed), "issues")
	if first.Act.Subject != support || second.Act.Subject != "spiffe://commercial.example/market" || first.ID == second.ID {
		t.Errorf("%+v, %+v", first.Act, second.Act)
	}
	again := o.given(o.expect(o.read(), exposed), "issues")
	if again.ID != second.ID {
		t.Error("it is made anew for each call")
	}
}

// A person whose token could not name the longest caller is told at sign-in, and not with each call.
func TestATokenForACallFits(t *testing.T) {
	w := newWorld(t)
	long := "spiffe://commercial.example/" + strings.Repeat("a", 1500)
	ada := session.Session{Identity: ada}
	ada.Groups = []string{strings.Repeat("g", 1500)}
	for name, want := range map[string]bool{"without a gateway": true, "with a short name": true, "with a long one": false} {
		c := cloud()
		if name != "without a gateway" {
			c = gatewayCloud()
		}
		if name == "with a long one" {
			c.Clients[0].Callers = append(c.Clients[0].Callers, long)
		}
		w.cloud = c
		if err := w.Fits(ada); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
}
