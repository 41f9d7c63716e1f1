package signin

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"isogate/extauthz/keys"
	"isogate/extauthz/session"
)

// hostile is what an isolated cloud does at the token endpoint, and what becomes of the sign-in.
var hostile = []struct {
	name, want string
	does       func(t *testing.T, r *outside, c *cloud)
}{
	{"honest", "", func(*testing.T, *outside, *cloud) {}},
	{"another issuer", resultUnavailable, lies("iss", "https://auth.evil.test")},
	{"the other cloud's issuer", resultUnavailable, func(_ *testing.T, r *outside, c *cloud) { c.lie = map[string]any{"iss": r.clouds["zeta"].URL} }},
	{"no issuer", resultUnavailable, lies("iss", nil)},
	{"the other cloud's id", resultUnavailable, lies("isolated_cloud_id", "zeta-0123456789abcdef")},
	{"no cloud id", resultUnavailable, lies("isolated_cloud_id", nil)},
	{"a list of cloud ids", resultUnavailable, lies("isolated_cloud_id", []string{"acme-0123456789abcdef", "zeta-0123456789abcdef"})},
	{"another nonce", resultStartAgain, lies("nonce", "another")},
	{"no nonce", resultStartAgain, lies("nonce", nil)},
	{"another audience", resultUnavailable, lies("aud", "another")},
	{"a list of audiences", resultUnavailable, lies("aud", []string{federatedClient})},
	{"expired", resultUnavailable, lies("exp", 1)},
	{"no expiry", resultUnavailable, lies("exp", nil)},
	{"from tomorrow", resultUnavailable, lies("iat", time.Now().Add(24*time.Hour).Unix())},
	{"nobody", resultUnavailable, lies("sub", nil)},
	{"an empty sub", resultUnavailable, lies("sub", "")},
	{"a long sub", resultUnavailable, lies("sub", strings.Repeat("s", 256))},
	{"no grant", resultUnavailable, lies("sid", nil)},
	{"a long grant", resultUnavailable, lies("sid", strings.Repeat("s", 256))},
	{"no end", resultStartAgain, lies("session_expiry", nil)},
	{"an end that is over", resultStartAgain, lies("session_expiry", 1)},
	{"an end that no clock has", resultStartAgain, lies("session_expiry", int64(1<<63-1))},
	{"an end that is a text", resultUnavailable, lies("session_expiry", "tomorrow")},
	{"another spelling of nonce", resultUnavailable, func(_ *testing.T, _ *outside, c *cloud) { c.lie = map[string]any{"nonce": nil, "NONCE": "x"} }},

	{"the key of another issuer", resultUnavailable, func(_ *testing.T, r *outside, c *cloud) { c.idToken = signedBy(r.clouds["zeta"].signers, "JWT") }},
	{"an access token's type", resultUnavailable, func(_ *testing.T, _ *outside, c *cloud) { c.idToken = signedBy(c.signers, "at+jwt") }},
	{"an assertion's type", resultUnavailable, func(_ *testing.T, _ *outside, c *cloud) { c.idToken = signedBy(c.signers, "client-authentication+jwt") }},
	{"alg none", resultUnavailable, func(_ *testing.T, _ *outside, c *cloud) {
		c.idToken = func(typ string, raw []byte) string {
			return jws(map[string]any{"alg": "none", "typ": typ, "kid": "k"}, raw, unsigned)
		}
	}},
	{"alg none without a signature", resultUnavailable, func(_ *testing.T, _ *outside, c *cloud) {
		c.idToken = func(_ string, raw []byte) string { return "eyJhbGciOiJub25lIn0." + b64.EncodeToString(raw) + "." }
	}},
	{"HS256 with the public keys", resultUnavailable, func(_ *testing.T, _ *outside, c *cloud) {
		c.idToken = func(typ string, raw []byte) string {
			return jws(map[string]any{"alg": "HS256", "typ": typ, "kid": "k"}, raw, hs256(c.signers.JWKS()))
		}
	}},
	{"no token", resultUnavailable, func(_ *testing.T, _ *outside, c *cloud) { c.tokens = map[string]any{"id_token": nil} }},
	{"a huge token", resultUnavailable, func(_ *testing.T, _ *outside, c *cloud) {
		c.tokens = map[string]any{"id_token": strings.Repeat("a.", 10_000)}
	}},

	{"a bearer token", resultUnavailable, func(_ *testing.T, _ *outside, c *cloud) { c.tokens = map[string]any{"token_type": "Bearer"} }},
	{"no type of token", resultUnavailable, func(_ *testing.T, _ *outside, c *cloud) { c.tokens = map[string]any{"token_type": nil} }},
	{"a type in other letters", "", func(_ *testing.T, _ *outside, c *cloud) { c.tokens = map[string]any{"token_type": "dpop"} }},
	{"no access token", resultUnavailable, func(_ *testing.T, _ *outside, c *cloud) { c.tokens = map[string]any{"access_token": nil} }},
	{"an access token with a line break", resultUnavailable, func(_ *testing.T, _ *outside, c *cloud) { c.tokens = map[string]any{"access_token": "a\r\nx: y"} }},
	{"an access token that fits into no cookie", resultUnavailable, func(_ *testing.T, _ *outside, c *cloud) {
		c.tokens = map[string]any{"access_token": strings.Repeat("a", 5000)}
	}},
	{"two spellings of a member", resultUnavailable, func(_ *testing.T, _ *outside, c *cloud) { c.tokens = map[string]any{"ACCESS_TOKEN": "x"} }},

	{"a huge body", resultUnavailable, instead(cloudToken, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(strings.Repeat(" ", 1<<20))) })},
	{"HTML", resultUnavailable, instead(cloudToken, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) })},
	{"another status", resultUnavailable, instead(cloudToken, func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusAccepted, map[string]any{}) })},
	{"a used code", resultStartAgain, instead(cloudToken, func(w http.ResponseWriter, _ *http.Request) { refuse(w, http.StatusBadRequest, "invalid_grant") })},
	{"another refusal", resultUnavailable, instead(cloudToken, func(w http.ResponseWriter, _ *http.Request) { refuse(w, http.StatusBadRequest, "invalid_request") })},
	{"a redirect", resultUnavailable, redirects(cloudToken)},
	{"keys that are elsewhere", resultUnavailable, redirects(cloudJWKS)},
	{"keys that nobody can read", resultUnavailable, instead(cloudJWKS, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"keys":[{"kty":"oct","k":"AA"}]}`))
	})},
	{"slow", resultUnavailable, slow(cloudToken)},
	{"slow keys", resultUnavailable, slow(cloudJWKS)},
	{"dead", resultUnavailable, func(_ *testing.T, _ *outside, c *cloud) {
		go c.CloseClientConnections()
		c.instead[cloudToken] = hangUp
	}},
}

func lies(claim string, value any) func(*testing.T, *outside, *cloud) {
	return func(_ *testing.T, _ *outside, c *cloud) { c.lie = map[string]any{claim: value} }
}

func instead(path string, answer http.HandlerFunc) func(*testing.T, *outside, *cloud) {
	return func(_ *testing.T, _ *outside, c *cloud) { c.instead[path] = answer }
}

// redirects leads to what would be an honest answer, at another path: only a redirect that is not followed keeps it out.
func redirects(path string) func(*testing.T, *outside, *cloud) {
	return func(_ *testing.T, _ *outside, c *cloud) {
		honest := map[string]http.HandlerFunc{cloudToken: c.redeem, cloudJWKS: c.jwks}[path]
		c.instead[path] = func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}
		c.instead["/elsewhere"] = honest
	}
}

func slow(path string) func(*testing.T, *outside, *cloud) {
	return func(_ *testing.T, r *outside, c *cloud) {
		r.federation("acme").client.Timeout = 50 * time.Millisecond
		c.instead[path] = never
	}
}

// never answers. It reads the form first: only then does a server notice that the other side has gone.
func never(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

func hangUp(w http.ResponseWriter, _ *http.Request) {
	if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
		_ = c.Close()
	}
}

func signedBy(signers *keys.Signers, typ string) func(string, []byte) string {
	return func(_ string, raw []byte) string {
		token, err := signers.Sign(typ, raw)
		if err != nil {
			return ""
		}
		return token
	}
}

// Whatever a hostile cloud answers, it signs in nobody but its own people, for its own sign-in, and its words are repeated nowhere.
func TestHostileCloud(t *testing.T) {
	for _, tt := range hostile {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel() // one of them waits
			r := newOutside(t)
			p := r.person()
			at := p.begins(supportHost, "/x", "", "kim@acme.example")
			answer := r.clouds["acme"].authorize(at, "sub-of-kim")
			r.clouds["acme"].change(func(c *cloud) { tt.does(t, r, c) })
			got := p.get(callbackOf(answer))
			if tt.want == "" {
				if p.at(identityHost).Subject != "sub-of-kim" {
					t.Errorf("not signed in: %d %s\n%s", got.status, got.reason(), r.log)
				}
				return
			}
			if p.at(identityHost).Cloud != "" || r.count(resultOK) != 0 || r.count(tt.want) != 1 {
				t.Errorf("%d %s, signed in at %q, counted: %d\n%s", got.status, got.reason(), p.at(identityHost).Cloud, r.count(tt.want), r.log)
			}
			if want := map[string]int{resultUnavailable: 503, resultStartAgain: 400}[tt.want]; got.status != want {
				t.Errorf("status %d, want %d", got.status, want)
			}
			for _, secret := range []string{answer.Get("code"), answer.Get("state"), "secret-of-the-cloud", "at-", "sub-of-kim"} {
				if strings.Contains(r.log.String(), secret) || strings.Contains(got.body, secret) {
					t.Errorf("%q is repeated", secret)
				}
			}
		})
	}
}

// A cloud that cannot be asked to begin gives a clear page, and leaves nothing behind.
func TestBeginAtACloudThatDoesNotAnswer(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	for name, answer := range map[string]http.HandlerFunc{
		"dead": hangUp, "slow": never,
		"refuses us": func(w http.ResponseWriter, _ *http.Request) { refuse(w, http.StatusUnauthorized, "invalid_client") },
		"huge": func(w http.ResponseWriter, _ *http.Request) {
			reply(w, http.StatusCreated, map[string]any{"request_uri": "urn:x", "x": long})
		},
		"huge request_uri": func(w http.ResponseWriter, _ *http.Request) {
			reply(w, http.StatusCreated, map[string]any{"request_uri": "urn:" + long[:600]})
		},
		"no request_uri": func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusCreated, map[string]any{}) },
		"control": func(w http.ResponseWriter, _ *http.Request) {
			reply(w, http.StatusCreated, map[string]any{"request_uri": "urn:\r\nx"})
		},
		"another status": func(w http.ResponseWriter, _ *http.Request) {
			reply(w, http.StatusOK, map[string]any{"request_uri": "urn:x"})
		},
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/oauth2/token", http.StatusTemporaryRedirect)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newOutside(t)
			r.federation("acme").client.Timeout = time.Second
			if name == "slow" {
				r.federation("acme").client.Timeout = 50 * time.Millisecond
			}
			r.clouds["acme"].change(func(c *cloud) { c.instead[cloudPAR] = answer })
			p := r.person()
			ways := p.types(p.get(p.visit(supportHost, "/x", "a=b")), "kim@acme.example")
			got := p.post(atIdentity+PathFederatedStart, buttons(ways)[PathFederatedStart])
			if got.status != http.StatusServiceUnavailable || got.reason() != "cloud-unavailable" || !strings.Contains(got.body, `href="https://support.commercial.test/x?a=b"`) {
				t.Errorf("%d %s", got.status, got.reason())
			}
			if len(got.header.Values("set-cookie")) > 0 || r.count(resultUnavailable) != 1 {
				t.Errorf("%v, counted %d", got.header, r.count(resultUnavailable))
			}
		})
	}
}

// What a request_uri holds becomes one parameter of the address at the cloud's own host.
func TestRequestURIStaysOneParameter(t *testing.T) {
	r := newOutside(t)
	r.clouds["acme"].change(func(c *cloud) {
		c.instead[cloudPAR] = func(w http.ResponseWriter, _ *http.Request) {
			reply(w, http.StatusCreated, map[string]any{"request_uri": `https://evil.example/?a=b&client_id=evil#"><script>`})
		}
	})
	p := r.person()
	at := p.begins(supportHost, "/", "", "kim@acme.example")
	if q := at.Query(); !strings.HasPrefix(at.String(), r.clouds["acme"].URL+"/oauth2/authorize?") || len(q) != 2 || len(q["client_id"]) != 1 || q.Get("client_id") != federatedClient || at.Fragment != "" {
		t.Errorf("leads to %s", at)
	}
}

// The session resource: only the cloud's own word, about this very session, ends it; a token that it does not take is told from an outage.
func TestCheck(t *testing.T) {
	says := func(status int, body map[string]any) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { reply(w, status, body) }
	}
	alive := func(change map[string]any) map[string]any {
		body := map[string]any{"active": true, "sub": "kim", "isolated_cloud_id": "acme-0123456789abcdef", "session_expiry": 4_000_000_000}
		say(change)(body)
		return body
	}
	unknown, refused := errors.New("anything but these"), ErrRefused
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		want   error
	}{
		{"alive", nil, nil},
		{"alive, by hand", says(200, alive(nil)), nil},
		{"over", says(401, map[string]any{"active": false}), session.ErrNone},
		{"401 alone", says(401, map[string]any{}), unknown},
		{"401, active null", says(401, map[string]any{"active": nil}), unknown},
		{"401, active true", says(401, map[string]any{"active": true}), unknown},
		{"401, active a text", says(401, map[string]any{"active": "false"}), unknown},
		{"401, active in another spelling", says(401, map[string]any{"Active": false}), unknown},
		{"401, a proof that is refused", says(401, map[string]any{"error": "invalid_dpop_proof"}), unknown},
		{"401 and HTML", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401); _, _ = w.Write([]byte("<html>")) }, unknown},
		{"401, the token is refused", says(401, map[string]any{"error": "invalid_token"}), refused},
		{"403 and inactive", says(403, map[string]any{"active": false}), unknown},
		{"200 and inactive", says(200, alive(map[string]any{"active": false})), unknown},
		{"200 and nothing", says(200, map[string]any{}), unknown},
		{"another person", says(200, alive(map[string]any{"sub": "eve"})), unknown},
		{"another cloud", says(200, alive(map[string]any{"isolated_cloud_id": "zeta-0123456789abcdef"})), unknown},
		{"503", says(503, map[string]any{"active": false}), unknown},
		{"redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }, unknown},
		{"huge", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(401)
			_, _ = w.Write([]byte(`{"active":false,"x":"` + strings.Repeat("x", 1<<20) + `"}`))
		}, unknown},
		{"huge, and readable at its beginning", func(w http.ResponseWriter, _ *http.Request) {
			reply(w, 200, alive(nil))
			_, _ = w.Write([]byte(strings.Repeat(" ", 1<<20)))
		}, unknown},
		{"dead", hangUp, unknown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newOutside(t)
			p := r.person()
			p.signsIn(supportHost, "kim")
			r.clouds["acme"].change(func(c *cloud) {
				if tt.answer != nil {
					c.instead[cloudSession] = tt.answer
				}
			})
			expiry, err := r.Clouds.Check(t.Context(), p.at(supportHost))
			if tt.want == nil && (err != nil || !expiry.After(r.clock.now())) || tt.want != nil && err == nil || errors.Is(err, session.ErrNone) != (tt.want == session.ErrNone) || errors.Is(err, ErrRefused) != (tt.want == ErrRefused) {
				t.Errorf("%s, %v", expiry, err)
			}
			if err != nil && strings.Contains(err.Error(), p.at(supportHost).Token) {
				t.Errorf("the error holds the token: %v", err)
			}
		})
	}
}

// A session of a cloud that left the directory is over; one grant that ended says nothing about another.
func TestCheckOfWhatIsGone(t *testing.T) {
	r := newOutside(t)
	p, other := r.person(), r.person()
	p.signsIn(supportHost, "kim")
	other.signsIn(supportHost, "eve")
	if err := r.Clouds.Revoke(t.Context(), p.at(supportHost)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Clouds.Check(t.Context(), p.at(supportHost)); !errors.Is(err, session.ErrNone) {
		t.Errorf("revoked: %v", err)
	}
	if _, err := r.Clouds.Check(t.Context(), other.at(supportHost)); err != nil {
		t.Errorf("another's: %v", err)
	}
	if _, err := NewFederations(nil).Check(t.Context(), other.at(supportHost)); !errors.Is(err, session.ErrNone) {
		t.Errorf("of a cloud that is gone: %v", err)
	}
	if _, err := (Federations{}).Check(t.Context(), other.at(supportHost)); !errors.Is(err, session.ErrNone) {
		t.Errorf("of no directory: %v", err)
	}
}

// Strangers who press the button while a cloud is slow do not pile up.
func TestSignInsWaitForACloudUpToABound(t *testing.T) {
	r := newOutside(t)
	f := r.federation("acme")
	for range maxTurns {
		f.turns <- struct{}{}
	}
	begun, err := newAttempt()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Begin(t.Context(), begun, "s"); !errors.Is(err, errCloud) || r.clouds["acme"].times(cloudPAR) != 0 {
		t.Errorf("one more: %v, pushed %d", err, r.clouds["acme"].times(cloudPAR))
	}
	<-f.turns
	if _, err := f.Begin(t.Context(), begun, "s"); err != nil {
		t.Errorf("with a free turn: %v", err)
	}
	if _, err := f.Finish(t.Context(), flat(url.Values{"iss": {f.Entry.Issuer}, "error": {"access_denied"}}), begun); !errors.As(err, new(Refusal)) {
		t.Errorf("an answer that asks nothing of the cloud: %v", err)
	}
}
