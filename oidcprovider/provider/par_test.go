package provider

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"isogate/extauthz/dpop"
	"isogate/oidcprovider/code"
)

var otherThumbprint = challengeOf("another key")

// pushTests spoil or add one thing each.
var pushTests = []struct {
	name   string
	change func(*kit, *ask)
	code   string
}{
	{"as it should be", func(*kit, *ask) {}, ""},
	{"no client_id", drop("client_id"), ""}, // the assertion says it
	{"another client_id", param("client_id", "beta"), invalidClient},

	{"no response_type", drop("response_type"), invalidRequest}, // RFC 6749 section 4.1.1
	{"response_type token", param("response_type", "token"), unsupportedResponse},
	{"response_type code id_token", param("response_type", "code id_token"), unsupportedResponse},
	{"response_type none", param("response_type", "none"), unsupportedResponse},
	{"response_type in capitals", param("response_type", "CODE"), unsupportedResponse},
	{"response_mode query", param("response_mode", "query"), ""},
	{"response_mode fragment", param("response_mode", "fragment"), invalidRequest},
	{"response_mode form_post", param("response_mode", "form_post"), invalidRequest},
	{"response_mode jwt", param("response_mode", "jwt"), invalidRequest},

	{"the other redirect_uri", param("redirect_uri", acmeRedirect+"/2"), ""},
	{"no redirect_uri", drop("redirect_uri"), invalidRequest},
	{"another redirect_uri", param("redirect_uri", "https://attacker.example/cb"), invalidRequest},
	{"another client's redirect_uri", param("redirect_uri", "https://beta.example/cb"), invalidRequest},
	{"redirect_uri in another case", param("redirect_uri", "https://CLIENT.example/cb?a=1"), invalidRequest},
	{"redirect_uri with its port", param("redirect_uri", "https://client.example:443/cb?a=1"), invalidRequest},
	{"redirect_uri with a slash", param("redirect_uri", "https://client.example/cb/?a=1"), invalidRequest},
	{"redirect_uri with a fragment", param("redirect_uri", acmeRedirect+"#x"), invalidRequest},
	{"redirect_uri with more query", param("redirect_uri", acmeRedirect+"&b=2"), invalidRequest},
	{"redirect_uri escaped twice", param("redirect_uri", "https%3A%2F%2Fclient.example%2Fcb%3Fa%3D1"), invalidRequest},
	{"redirect_uri without its query", param("redirect_uri", "https://client.example/cb"), invalidRequest},

	{"no code_challenge", drop("code_challenge"), invalidRequest}, // FAPI 2.0 section 5.3.2.2
	{"code_challenge of 42", param("code_challenge", challengeOf("x")[:42]), invalidRequest},
	{"code_challenge of 44", param("code_challenge", challengeOf("x")+"A"), invalidRequest},
	{"code_challenge padded", param("code_challenge", challengeOf("x")+"="), invalidRequest},
	{"code_challenge with stray bits", param("code_challenge", strings.Repeat("A", 42)+"B"), invalidRequest},
	{"code_challenge in the other alphabet", param("code_challenge", strings.Repeat("+", 43)), invalidRequest},
	{"code_challenge with a line end", param("code_challenge", challengeOf("x")+"\n"), invalidRequest},
	{"no code_challenge_method", drop("code_challenge_method"), invalidRequest},
	{"plain", param("code_challenge_method", "plain"), invalidRequest},
	{"s256", param("code_challenge_method", "s256"), invalidRequest},

	{"openid alone", param("scope", "openid"), ""},
	{"openid last", param("scope", "profile openid"), ""},
	{"no scope", drop("scope"), invalidScope},
	{"another scope", param("scope", "profile"), invalidScope},
	{"openid in another word", param("scope", "openid2 xopenid"), invalidScope},
	{"openid in capitals", param("scope", "OPENID"), invalidScope},
	{"openid behind a tab", param("scope", "profile\topenid"), invalidScope}, // RFC 6749 section 3.3: spaces

	{"request", param("request", "e30.e30.e30"), requestUnsupported},
	{"request_uri", param("request_uri", "urn:ietf:params:oauth:request_uri:x"), invalidRequest}, // RFC 9126 section 2.1

	{"prompt none", param("prompt", "none"), ""},
	{"prompt login", param("prompt", "login"), ""},
	{"prompt none login", param("prompt", "none login"), invalidRequest},
	{"prompt login consent", param("prompt", "login consent"), ""},
	{"prompt consent", param("prompt", "consent"), ""},
	{"prompt none consent", param("prompt", "none consent"), invalidRequest},
	{"prompt login login", param("prompt", "login login"), invalidRequest},
	{"prompt select_account", param("prompt", "select_account"), invalidRequest},
	{"prompt create", param("prompt", "create"), invalidRequest},
	{"prompt LOGIN", param("prompt", "LOGIN"), invalidRequest},
	{"max_age 0", param("max_age", "0"), ""},
	{"max_age at its bound", param("max_age", "999999999"), ""},
	{"max_age beyond", param("max_age", "1000000000"), invalidRequest},
	{"max_age negative", param("max_age", "-1"), invalidRequest},
	{"max_age with a sign", param("max_age", "+1"), invalidRequest},
	{"max_age a fraction", param("max_age", "1.5"), invalidRequest},
	{"max_age a word", param("max_age", "never"), invalidRequest},
	{"max_age in other digits", param("max_age", "١"), invalidRequest},
	{"acr_values long", param("acr_values", strings.Repeat("a ", maxACRs/2)), ""},
	{"acr_values too long", param("acr_values", strings.Repeat("a", maxACRs+1)), invalidRequest},
	{"acr_values beyond ASCII", param("acr_values", "urn:é"), invalidRequest},
	{"id_token_hint", param("id_token_hint", "e30.e30.e30"), invalidRequest},
	{"acr_values with a line end", param("acr_values", "a\nb"), invalidRequest},

	{"no state and no nonce", both(drop("state"), drop("nonce")), ""},
	{"state of 4 KB", param("state", strings.Repeat("s", maxState)), ""},
	{"state longer", param("state", strings.Repeat("s", maxState+1)), invalidRequest},
	{"state with a line end", param("state", "a\r\nset-cookie: b"), invalidRequest},
	{"state with NUL", param("state", "a\x00"), invalidRequest},
	{"state with a C1 control", param("state", "a\u0085"), invalidRequest},
	{"nonce of 1 KB", param("nonce", strings.Repeat("n", maxNonce)), ""},
	{"nonce longer", param("nonce", strings.Repeat("n", maxNonce+1)), invalidRequest},
	{"nonce with an escape", param("nonce", "\x1b[1m"), invalidRequest},
	{"login_hint", param("login_hint", "ada@acme.example"), ""},
	{"login_hint too long", param("login_hint", strings.Repeat("a", maxLoginHint+1)), invalidRequest},
	{"login_hint with DEL", param("login_hint", "a\x7f"), invalidRequest},
	{"unknown parameters", both(param("display", "page"), param("claims", "{"), param("ui_locales", "de"), param("code", "x")), ""},
	{"a doubled state", func(_ *kit, a *ask) { a.form.Add("state", "b") }, invalidRequest},
	{"a query", func(_ *kit, a *ask) { a.query = "?state=a" }, invalidRequest},

	{"dpop_jkt", param("dpop_jkt", otherThumbprint), ""},
	{"dpop_jkt cut", param("dpop_jkt", otherThumbprint[:42]), invalidRequest},
	{"dpop_jkt padded", param("dpop_jkt", otherThumbprint+"="), invalidRequest},
	{"a proof", proof(nil), ""},
	{"a proof with a nonce", proof(func(p *dpop.Proof) { p.Nonce = "whatever" }), ""}, // none was demanded
	{"a proof and its dpop_jkt", both(proof(nil), func(_ *kit, a *ask) { a.form.Set("dpop_jkt", a.prover.Thumbprint()) }), ""},
	{"a proof and another dpop_jkt", both(proof(nil), param("dpop_jkt", otherThumbprint)), invalidRequest}, // RFC 9449 section 10.1
	{"a proof for the token endpoint", proof(func(p *dpop.Proof) { p.URL = kitIssuer + PathToken }), invalidDPoPProof},
	{"a proof for a GET", proof(func(p *dpop.Proof) { p.Method = http.MethodGet }), invalidDPoPProof},
	{"a proof for a token", proof(func(p *dpop.Proof) { p.AccessToken = "x" }), invalidDPoPProof},
	{"an old proof", proof(func(p *dpop.Proof) { p.Now = p.Now.Add(-61 * time.Second) }), invalidDPoPProof},
	{"a proof 10 s ago", proof(func(p *dpop.Proof) { p.Now = p.Now.Add(-10 * time.Second) }), ""},
	{"a proof in 10 s", proof(func(p *dpop.Proof) { p.Now = p.Now.Add(10 * time.Second) }), ""},
	{"a proof in 11 s", proof(func(p *dpop.Proof) { p.Now = p.Now.Add(11 * time.Second) }), invalidDPoPProof},
	{"an empty proof", head("Dpop", ""), invalidDPoPProof},
	{"two proofs", both(proof(nil), head("Dpop", "a.b.c")), invalidDPoPProof},
}

func drop(name string) func(*kit, *ask) {
	return func(_ *kit, a *ask) { a.form.Del(name) }
}

// proof adds a DPoP header.
func proof(change func(*dpop.Proof)) func(*kit, *ask) {
	return func(k *kit, a *ask) {
		a.proof = &dpop.Proof{Method: http.MethodPost, URL: kitIssuer + a.path, Now: k.now()}
		if change != nil {
			change(a.proof)
		}
	}
}

func TestPush(t *testing.T) {
	k := newKit(t)
	for _, test := range pushTests {
		t.Run(test.name, func(t *testing.T) {
			a := k.pushAsk(k.acme)
			test.change(k, a)
			got := k.send(a)
			wantCode(t, got, test.code)
			if (got.Status == http.StatusCreated) != (test.code == "") || (got.URI != "") != (test.code == "") {
				t.Errorf("%d, %q", got.Status, got.URI)
			}
		})
	}
}

// What was accepted is what the authorization endpoint finds.
func TestPushed(t *testing.T) {
	k := newKit(t)
	full := k.pushAsk(k.acme)
	for name, value := range map[string]string{
		"prompt": "login", "max_age": "0", "acr_values": "urn:b  urn:a", "login_hint": "ada@acme.example", "dpop_jkt": otherThumbprint,
	} {
		full.form.Set(name, value)
	}
	bare := k.pushAsk(k.beta)
	bare.form.Del("state")
	bare.form.Del("nonce")
	bare.proof = &dpop.Proof{Method: http.MethodPost, URL: kitIssuer + PathPAR, Now: k.now()}
	zero := int64(0)
	for name, test := range map[string]struct {
		ask  *ask
		want code.Request
	}{
		"all of it": {full, code.Request{
			Client: "acme", RedirectURI: acmeRedirect, State: "a-state", Nonce: "a-nonce", Challenge: challengeOf(verifierText), Thumbprint: otherThumbprint,
			Prompt: "login", MaxAge: &zero, ACRs: []string{"urn:b", "urn:a"}, LoginHint: "ada@acme.example", Pushed: kitStart,
		}},
		"little, and a proof": {bare, code.Request{
			Client: "beta", RedirectURI: "https://beta.example/cb", Challenge: challengeOf(verifierText), Thumbprint: k.beta.dpop.Thumbprint(), Pushed: kitStart,
		}},
	} {
		got := k.send(test.ask)
		if want := `{"request_uri":"` + got.URI + `","expires_in":590}`; got.Status != http.StatusCreated || string(got.Body) != want { // RFC 9126 section 2.2
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
		request, err := k.Codes.Pushed(t.Context(), got.URI)
		if diff := cmp.Diff(test.want, request); err != nil || diff != "" {
			t.Errorf("%s: %v, %s", name, err, diff)
		}
	}
}

func TestPushProofWorksOnce(t *testing.T) {
	k := newKit(t)
	first := k.pushAsk(k.acme)
	proof(nil)(k, first)
	wantCode(t, k.send(first), "")
	second := k.pushAsk(k.acme)
	second.header["Dpop"] = first.header["Dpop"]
	wantCode(t, k.send(second), invalidDPoPProof)
}

func TestPushWithoutAStore(t *testing.T) {
	k := newKit(t)
	k.records.put = errDown
	got := k.send(k.pushAsk(k.acme))
	wantCode(t, got, temporarilyDown)
	if !errors.Is(got.cause, errDown) || strings.Contains(string(got.Body), errDown.Error()) {
		t.Errorf("%v, %s", got.cause, got.Body)
	}
}

// FuzzPush: no panic, and what passes is bounded and registered.
func FuzzPush(f *testing.F) {
	k := newKit(f)
	good := k.pushAsk(k.acme).form.Encode()
	for _, seed := range []string{good, good + "&prompt=login&max_age=0&acr_values=a+b&login_hint=x", good + "&request=x", "scope=openid&response_type=code", "max_age=-0", ""} {
		f.Add(seed)
	}
	client := k.Clients["acme"]
	f.Fuzz(func(t *testing.T, body string) {
		parsed, err := readForm(body)
		if err != nil {
			return
		}
		got, err := readRequest(client, parsed)
		if err != nil {
			if _, is := err.(fault); !is {
				t.Errorf("%v", err)
			}
			return
		}
		if got.RedirectURI != acmeRedirect && got.RedirectURI != acmeRedirect+"/2" || len(got.Challenge) != 43 || len(got.ACRs) > maxACRs ||
			len(got.State) > maxState || len(got.Nonce) > maxNonce || len(got.LoginHint) > maxLoginHint || got.MaxAge != nil && *got.MaxAge < 0 {
			t.Errorf("%+v passed", got)
		}
	})
}
