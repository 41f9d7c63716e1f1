package profile

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"isogate/extauthz/check"
	"isogate/extauthz/dpop"
	"isogate/extauthz/keys"
	"isogate/extauthz/session"
	"isogate/extauthz/usercontext"
)

// CVE-2024-47616: whatever else somebody may hold, signed or sealed by whom it may be, is no access token of this cloud.
func TestNoOtherTokenPassesForAnAccessToken(t *testing.T) {
	type made func(*outpost) string
	typed := func(typ string, claims map[string]any) made {
		return func(o *outpost) string {
			for name, value := range claims {
				o.claims[name] = value
			}
			return o.sign(typ)
		}
	}
	foreign := func(typ string, claims map[string]any) made {
		return func(o *outpost) string {
			o.signer = must(keys.OpenSigners(o.t.TempDir(), o.Access.Now))(o.t)
			return typed(typ, claims)(o)
		}
	}
	tests := []struct {
		name string
		made made
	}{
		{"a User Context Token", func(o *outpost) string { return set(o.gateway.Decide(o.t.Context(), o.read()), usercontext.Header) }},
		{"a User Context Token that says it is for us", typed("uct+jwt", nil)},
		{"an ID token", typed("JWT", map[string]any{"aud": "commercial"})},
		{"an ID token for this audience", typed("JWT", nil)},
		{"another spelling of the type", typed("AT+JWT", nil)},
		{"the type with its prefix", typed("application/at+jwt", nil)},
		{"a client assertion", typed("client-authentication+jwt", map[string]any{"aud": "https://auth.acme.example:8443"})},
		{"a logout token", typed("logout+jwt", nil)},
		{"a proof", func(o *outpost) string { return o.prove(o.read()) }},
		{"a provider's", foreign("at+jwt", map[string]any{"iss": "https://login.acme.example"})},
		{"a provider's that claims to be ours", foreign("at+jwt", nil)},
		{"another cloud's", foreign("at+jwt", map[string]any{"iss": "https://auth.globex.example:8443", "aud": "urn:isogate:cloud:c-fedcba9876543210"})},
		{"ours for another cloud", typed("at+jwt", map[string]any{"aud": "urn:isogate:cloud:c-fedcba9876543210"})},
		{"ours for a product", typed("at+jwt", map[string]any{"aud": "issues"})},
		{"ours for several", typed("at+jwt", map[string]any{"aud": []string{"urn:isogate:cloud:c-0123456789abcdef"}})},
		{"ours of yesterday", typed("at+jwt", map[string]any{"exp": start.Add(-10 * time.Second).Unix()})},
		{"ours without an end", typed("at+jwt", map[string]any{"exp": nil})},
		{"a sealed cookie", func(o *outpost) string {
			return must(session.Sealed{Keys: sealersOf(o), Now: o.Access.Now}.Seal(issuesHost, outside(o)))(o.t)
		}},
		{"what a service carries", func(o *outpost) string {
			return must(session.Carrier{Service: "support", Keys: sealersOf(o), Now: o.Access.Now}.Seal(outside(o)))(o.t)
		}},
		{"a session's handle", func(o *outpost) string {
			return string(must(o.keeper.Handle(o.t.Context(), o.person, issuesHost, limits))(o.t))
		}},
		{"the grant's id", func(o *outpost) string { return o.claims["sid"].(string) }},
		{"a changed byte", func(o *outpost) string { return flip(o.token, len(o.token)-10) }},
		{"changed claims", func(o *outpost) string { return flip(o.token, strings.IndexByte(o.token, '.')+20) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := newOutpost(t)
			token := tt.made(o)
			if token == "" {
				t.Fatal("nothing was made")
			}
			o.store.reads = 0
			before := marked(o.Proofs)
			o.expect(o.bring(token, o.read()), deny(401, check.Token))
			if o.store.reads > 0 || marked(o.Proofs) > before {
				t.Error("a session was asked, or a proof used up")
			}
		})
	}
}

func sealersOf(o *outpost) *keys.Sealers {
	return must(keys.OpenSealers(o.t.TempDir(), o.Access.Now))(o.t)
}

// outside is the person's session at a service.
func outside(o *outpost) session.Outside {
	return session.Outside{
		Cloud: "c-0123456789abcdef", Subject: "pairwise", Grant: o.claims["sid"].(string), Token: o.token, Key: o.key.Marshal(),
		Start: start, Ends: start.Add(time.Hour), Checked: start,
	}
}

func flip(token string, at int) string {
	other := byte('A')
	if token[at] == other {
		other = 'B'
	}
	return token[:at] + string(other) + token[at+1:]
}

// What is malformed, or names a key or a method of its own, is refused before any key is looked at.
func TestMalformedTokensAskNobody(t *testing.T) {
	b64 := base64.RawURLEncoding
	for name, header := range map[string]string{
		"alg none": `{"alg":"none","typ":"at+jwt","kid":"k"}`, "alg HS256": `{"alg":"HS256","typ":"at+jwt","kid":"k"}`, "RS256": `{"alg":"RS256","typ":"at+jwt","kid":"k"}`,
		"crit": `{"alg":"ES256","typ":"at+jwt","kid":"k","crit":["exp"]}`, "jku": `{"alg":"ES256","typ":"at+jwt","kid":"k","jku":"https://evil.example/"}`,
		"x5u":  `{"alg":"ES256","typ":"at+jwt","kid":"k","x5u":"https://evil.example/"}`,
		"jwk":  `{"alg":"ES256","typ":"at+jwt","kid":"k","jwk":{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}}`,
		"p2c":  `{"alg":"PBES2-HS256+A128KW","typ":"at+jwt","kid":"k","p2c":2147483647}`,
		"zip":  `{"alg":"ES256","typ":"at+jwt","kid":"k","zip":"DEF"}`,
		"twin": `{"alg":"ES256","alg":"none","typ":"at+jwt","kid":"k"}`, "no kid": `{"alg":"ES256","typ":"at+jwt"}`, "no JSON": `{`,
	} {
		o := newOutpost(t)
		parts := strings.Split(o.token, ".")
		o.expect(o.bring(b64.EncodeToString([]byte(header))+"."+parts[1]+"."+parts[2], o.read()), deny(401, check.Token))
		if o.depth() != asNothing {
			t.Errorf("%s: %s", name, o.depth())
		}
	}
	for name, change := range map[string]func(string) string{
		"over 8 KB": func(s string) string { return s + strings.Repeat("A", 8<<10) }, "many dots": func(s string) string { return s + strings.Repeat(".", 1000) },
		"a JWE": func(s string) string { return s + ".AAAA.AAAA" }, "two segments": func(s string) string { return s[:strings.LastIndexByte(s, '.')] },
		"no signature": func(s string) string { return s[:strings.LastIndexByte(s, '.')+1] }, "padding": func(s string) string { return s + "==" },
		"a space behind": func(s string) string { return s + " " }, "two, joined": func(s string) string { return s + ", DPoP " + s },
		"a quote": func(s string) string { return `"` + s + `"` }, "a tab": func(s string) string { return "\t" + s },
	} {
		o := newOutpost(t)
		r := o.read()
		r.Header["authorization"] = []string{"DPoP " + change(o.token)}
		o.expect(r, deny(401, check.Token))
		if o.depth() != asNothing {
			t.Errorf("%s: %s", name, o.depth())
		}
	}
}

// A proof is for one request, one token, one key and one minute.
func TestWhichProofsAreRefused(t *testing.T) {
	made := func(change func(*outpost, *dpop.Proof)) func(*outpost, *check.Request) {
		return func(o *outpost, r *check.Request) {
			p := dpop.Proof{Method: r.Method, URL: "https://" + r.Host + r.Path, AccessToken: o.token, Now: o.now}
			change(o, &p)
			r.Header["dpop"] = []string{must(o.key.Make(p))(o.t)}
		}
	}
	tests := []struct {
		name   string
		change func(*outpost, *check.Request)
		want   outcome
	}{
		{"a good one", made(func(*outpost, *dpop.Proof) {}), exposed},
		{"with a query, which does not count", made(func(_ *outpost, p *dpop.Proof) { p.URL += "?fields=other" }), exposed},
		{"for another method", made(func(_ *outpost, p *dpop.Proof) { p.Method = "POST" }), deny(401, check.Proof)},
		{"for another path", made(func(_ *outpost, p *dpop.Proof) { p.URL = strings.Replace(p.URL, "ACME-1", "ACME-2", 1) }), deny(401, check.Proof)},
		{"for another product", made(func(_ *outpost, p *dpop.Proof) { p.URL = strings.Replace(p.URL, "issues.", "wiki.", 1) }), deny(401, check.Proof)},
		{"for another cloud", made(func(_ *outpost, p *dpop.Proof) { p.URL = strings.Replace(p.URL, "acme", "globex", 1) }), deny(401, check.Proof)},
		{"for the gateway", made(func(_ *outpost, p *dpop.Proof) { p.URL = strings.Replace(p.URL, "issues.", "", 1) }), deny(401, check.Proof)},
		{"for the product's own host", made(func(_ *outpost, p *dpop.Proof) { p.URL = strings.Replace(p.URL, "gateway.", "", 1) }), deny(401, check.Proof)},
		{"for a port", made(func(_ *outpost, p *dpop.Proof) { p.URL = strings.Replace(p.URL, ".example/", ".example:8443/", 1) }), deny(401, check.Proof)},
		{"for plain HTTP", made(func(_ *outpost, p *dpop.Proof) { p.URL = strings.Replace(p.URL, "https", "http", 1) }), deny(401, check.Proof)},
		{"of a minute ago", made(func(o *outpost, p *dpop.Proof) { p.Now = o.now.Add(-time.Minute) }), exposed},
		{"of more than a minute ago", made(func(o *outpost, p *dpop.Proof) { p.Now = o.now.Add(-61 * time.Second) }), deny(401, check.Proof)},
		{"of ten seconds ahead", made(func(o *outpost, p *dpop.Proof) { p.Now = o.now.Add(10 * time.Second) }), exposed},
		{"of more than ten seconds ahead", made(func(o *outpost, p *dpop.Proof) { p.Now = o.now.Add(11 * time.Second) }), deny(401, check.Proof)},
		{"of another key", made(func(o *outpost, _ *dpop.Proof) { o.key = must(dpop.Generate())(o.t) }), deny(401, check.Proof)},
		{"without the token", made(func(_ *outpost, p *dpop.Proof) { p.AccessToken = "" }), deny(401, check.Proof)},
		{"with another token", made(func(_ *outpost, p *dpop.Proof) { p.AccessToken += "x" }), deny(401, check.Proof)},
		{"two", func(o *outpost, r *check.Request) { r.Header["dpop"] = append(r.Header["dpop"], o.prove(*r)) }, deny(401, check.Proof)},
		{"two, joined", func(o *outpost, r *check.Request) { r.Header["dpop"][0] += "," + o.prove(*r) }, deny(401, check.Proof)},
		{"the token itself", func(o *outpost, r *check.Request) { r.Header["dpop"] = []string{o.token} }, deny(401, check.Proof)},
		{"a changed byte", func(_ *outpost, r *check.Request) {
			r.Header["dpop"][0] = flip(r.Header["dpop"][0], len(r.Header["dpop"][0])-10)
		}, deny(401, check.Proof)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := newOutpost(t)
			r := o.read()
			tt.change(o, &r)
			v := o.expect(r, tt.want)
			if !v.Allow && (marked(o.Proofs) > 0 || !strings.Contains(answered(v, "www-authenticate")[0], `error="invalid_dpop_proof"`)) {
				t.Errorf("%d marks, %q", marked(o.Proofs), answered(v, "www-authenticate"))
			}
		})
	}
}

// A proof works once; Envoy's repetition of one check, whose connection broke, is no second use.
func TestACallWorksOnce(t *testing.T) {
	o := newOutpost(t)
	r := o.read()
	first := o.expect(r, exposed)
	if again := o.expect(r, exposed); set(again, usercontext.Header) != set(first, usercontext.Header) {
		t.Error("a check that is repeated gives something else")
	}
	r.ID = "18"
	o.expect(r, deny(401, check.Proof))
	r.ID = ""
	o.expect(r, deny(401, check.Proof))
	o.expect(o.read(), exposed)

	o = newOutpost(t)
	r = o.read()
	r.ID = ""
	o.expect(r, exposed)
	o.expect(r, deny(401, check.Proof))
}

// What became of the person, the client or the organisation's word counts with the very next call.
func TestWhenASessionIsOver(t *testing.T) {
	tests := []struct {
		name   string
		change func(*outpost)
		want   outcome
	}{
		{"it lives", func(*outpost) {}, exposed},
		{"signed out", func(o *outpost) { _ = o.keeper.End(o.t.Context(), o.person.ID) }, deny(401, check.SessionEnded)},
		{"the grant was revoked", func(o *outpost) { _ = o.keeper.EndGrant(o.t.Context(), o.claims["sid"].(string), "commercial") }, deny(401, check.SessionEnded)},
		{"idle", func(o *outpost) { o.now = start.Add(limits.Idle) }, deny(401, check.SessionEnded)},
		{"a limit was shortened", func(o *outpost) { o.now, o.Policies.Default.Absolute = start.Add(time.Minute), 30*time.Second }, deny(401, check.SessionEnded)},
		{"the limit for services has come", func(o *outpost) { o.now, o.Policies.Default.Federated = start.Add(time.Minute), time.Minute }, deny(401, check.SessionEnded)},
		{"just before that", func(o *outpost) {
			o.now, o.Policies.Default.Federated = start.Add(time.Minute-time.Millisecond), time.Minute
		}, exposed},
		{"the client is gone", func(o *outpost) { o.Policies.Clients, o.cloud.Clients = nil, nil }, deny(401, check.SessionEnded)},
		{"the client has another caller now", func(o *outpost) { o.cloud.Clients[0].Callers = []string{"spiffe://commercial.example/market"} }, deny(403, check.Caller)},
		{"the domain is verified no more", func(o *outpost) { o.Policies.Managed = nil }, deny(401, check.SessionEnded)},
		{"a domain below is another", func(o *outpost) { o.Policies.Managed = []string{"sub.acme.example", "example"} }, deny(401, check.SessionEnded)},
		{"the provider is believed no more", func(o *outpost) { o.Policies.Believed = nil }, deny(401, check.SessionEnded)},
		{"the product is gone", func(o *outpost) { o.cloud.Products = o.cloud.Products[1:] }, deny(403, check.NotExposed)},
		{"the trust domain is another", func(o *outpost) { o.cloud.Gateway.TrustDomain = "partner.example" }, deny(403, check.Caller)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := newOutpost(t)
			o.expect(o.read(), exposed)
			tt.change(o)
			o.renew()
			v := o.expect(o.read(), tt.want)
			if v.Reason == check.SessionEnded && answered(v, "www-authenticate")[0] != `DPoP error="invalid_token", algs="ES256 PS256"` {
				t.Errorf("%q", answered(v, "www-authenticate"))
			}
		})
	}
}

// However often a service calls, a person who has left is idle; activity at the ingress moves the end.
func TestCallsKeepNoSessionAlive(t *testing.T) {
	o := newOutpost(t)
	for range 29 {
		o.now = o.now.Add(time.Minute)
		o.expect(o.read(), exposed)
	}
	o.now = start.Add(limits.Idle)
	o.expect(o.read(), deny(401, check.SessionEnded))

	o = newOutpost(t)
	o.now = start.Add(20 * time.Minute)
	o.keeper.Touch(o.person, limits)
	o.now = start.Add(limits.Idle)
	o.expect(o.read(), exposed)
}

// A token that was believed once is looked at again wherever that could matter.
func TestWhatIsRememberedOfATokenEndsWithIt(t *testing.T) {
	other := func(o *outpost) keys.KeySource { return must(keys.OpenSigners(o.t.TempDir(), o.Access.Now))(o.t) }
	tests := []struct {
		name   string
		change func(*outpost)
		want   outcome
	}{
		{"nothing has changed", func(*outpost) {}, exposed},
		{"its key was removed", func(o *outpost) { o.asked.KeySource = other(o) }, deny(401, check.Token)},
		{"the keys cannot be had", func(o *outpost) { o.asked.KeySource = noKeys{} }, deny(503, check.Unavailable)},
		{"another key has its id", func(o *outpost) { o.asked.KeySource = renamed{other(o)} }, deny(401, check.Token)},
		{"it has expired", func(o *outpost) { o.now = start.Add(46 * time.Second) }, deny(401, check.Token)},
		{"just before, where clocks may differ", func(o *outpost) { o.now = start.Add(44 * time.Second) }, exposed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := newOutpost(t)
			o.claims["exp"] = start.Add(40 * time.Second).Unix()
			o.token = o.sign("at+jwt")
			o.expect(o.read(), exposed)
			tt.change(o)
			o.expect(o.read(), tt.want)
		})
	}
}

// renamed gives its one key for whatever id.
type renamed struct{ keys.KeySource }

func (r renamed) Key(t context.Context, _ string) (keys.Key, error) {
	var kid struct {
		Keys []struct {
			ID string `json:"kid"`
		} `json:"keys"`
	}
	signers := r.KeySource.(*keys.Signers)
	if err := json.Unmarshal(signers.JWKS(), &kid); err != nil {
		return keys.Key{}, err
	}
	return signers.Key(t, kid.Keys[0].ID)
}

func TestFewTokensAreRemembered(t *testing.T) {
	o := newOutpost(t)
	for i := range 5 * maxTokens {
		o.Tokens.keep([32]byte{byte(i), byte(i >> 8), byte(i >> 16)}, verified{until: start.Add(time.Hour)})
	}
	if n := len(o.Tokens.recent) + len(o.Tokens.older); n > 2*maxTokens {
		t.Errorf("%d are remembered", n)
	}
	o.expect(o.read(), exposed)
	o.asked.asked = 0
	o.expect(o.read(), exposed)
	if o.asked.asked != 1 {
		t.Errorf("the key was asked for %d times", o.asked.asked)
	}
	o.expect(o.bring(flip(o.token, len(o.token)-10), o.read()), deny(401, check.Token))
	if len(o.Tokens.recent) > maxTokens {
		t.Error("a refused token is remembered")
	}
}
