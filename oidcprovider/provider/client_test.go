package provider

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// assertionTests spoil one thing each of an assertion of acme's; code "" means that it passes.
var assertionTests = []struct {
	name   string
	change func(*kit, *ask)
	code   string
}{
	{"no typ", func(*kit, *ask) {}, ""},
	{"typ JWT", jose("typ", "JWT"), ""},
	{"typ of its own", jose("typ", "client-authentication+jwt"), ""},
	{"typ in another case", jose("typ", "jwt"), invalidClient},
	{"typ empty", jose("typ", ""), invalidClient},
	{"typ of a proof", jose("typ", "dpop+jwt"), invalidClient}, // RFC 8725 section 3.11
	{"typ of an access token", jose("typ", "at+jwt"), invalidClient},
	{"no kid", jose("kid", nil), invalidClient},
	{"another kid", jose("kid", "other"), invalidClient},
	{"alg none", jose("alg", "none"), invalidClient},
	{"alg HS256", jose("alg", "HS256"), invalidClient},
	{"alg RS256", jose("alg", "RS256"), invalidClient},
	{"alg of another key", jose("alg", "PS256"), invalidClient},
	{"crit", jose("crit", []string{"exp"}), invalidClient},
	{"jku", jose("jku", "https://attacker.example/jwks"), invalidClient},
	{"x5u", jose("x5u", "https://attacker.example/cert"), invalidClient},
	{"jwk", jose("jwk", map[string]string{"kty": "EC"}), invalidClient},
	{"p2c", jose("p2c", 1<<31), invalidClient},

	{"no iss", claim("iss", nil), invalidClient}, // RFC 7523 section 3, point 1
	{"another iss", claim("iss", "beta"), invalidClient},
	{"no sub", claim("sub", nil), invalidClient}, // point 2
	{"another sub", claim("sub", "beta"), invalidClient},
	{"another sub, the right client_id", both(claim("sub", "beta"), param("client_id", "acme")), invalidClient},
	{"sub a list", claim("sub", []string{"acme"}), invalidClient},
	{"sub in another case", claim("SUB", "beta"), invalidClient},
	{"no aud", claim("aud", nil), invalidClient},                     // point 3
	{"aud a list", claim("aud", []string{kitIssuer}), invalidClient}, // FAPI 2.0 section 5.3.2.1: one string
	{"aud a list of two", claim("aud", []string{kitIssuer, kitIssuer + PathToken}), invalidClient},
	{"aud the token endpoint", claim("aud", kitIssuer+PathToken), invalidClient},
	{"aud the PAR endpoint", claim("aud", kitIssuer+PathPAR), invalidClient},
	{"aud the called endpoint", claim("aud", kitIssuer+PathRevoke), invalidClient},
	{"aud with a slash", claim("aud", kitIssuer+"/"), invalidClient},
	{"aud of a token", claim("aud", "urn:isogate:cloud:cloud-0123456789abcdef"), invalidClient},
	{"no exp", claim("exp", nil), invalidClient}, // point 4
	{"exp a text", claim("exp", "1798859145"), invalidClient},
	{"expired within the skew", dates(-100, -100, -9), ""},
	{"expired", dates(-100, -100, -10), invalidClient},
	{"expired five minutes ago", dates(-360, -360, -300), invalidClient},
	{"exp in ten minutes", dates(0, 0, 610), ""},
	{"exp in more", dates(0, 0, 611), invalidClient},
	{"exp with a fraction too far", dates(0, 0, 610.5), invalidClient},
	{"exp in milliseconds", dates(0, 0, float64(kitStart.Unix()*1000)), invalidClient},
	{"iat and nbf in 8 s", dates(8, 8, 68), ""}, // FAPI 2.0 section 5.3.2.1: up to 10 s
	{"iat and nbf in 10 s", dates(10, 10, 70), ""},
	{"iat in 11 s", dates(11, 0, 70), invalidClient},
	{"nbf in 11 s", dates(0, 11, 70), invalidClient}, // point 5
	{"iat and nbf in 60 s", dates(60, 60, 120), invalidClient},
	{"no iat and no nbf", both(claim("iat", nil), claim("nbf", nil)), ""},
	{"iat a text", claim("iat", "now"), invalidClient},
	{"no jti", claim("jti", nil), invalidClient}, // point 7
	{"jti empty", claim("jti", ""), invalidClient},
	{"jti a number", claim("jti", 1), invalidClient},
	{"jti of 256 bytes", claim("jti", strings.Repeat("j", 256)), ""},
	{"jti of 257 bytes", claim("jti", strings.Repeat("j", 257)), invalidClient},
	{"other claims", claim("azp", "x"), ""},
	{"huge", claim("x", strings.Repeat("x", 8<<10)), invalidClient},

	{"client_id", param("client_id", "acme"), ""},
	{"another client_id", param("client_id", "beta"), invalidClient},
	{"an unknown client_id", param("client_id", "nobody"), invalidClient},
	{"an unknown client", both(claim("iss", "nobody"), claim("sub", "nobody")), invalidClient},
	{"another client's name", both(claim("iss", "beta"), claim("sub", "beta")), invalidClient},
	{"the name of a client without keys now", both(claim("iss", "down"), claim("sub", "down")), temporarilyDown},
	{"client_id of a client without keys now", param("client_id", "down"), temporarilyDown},
	{"a key of nobody's", func(k *kit, a *ask) {
		a.key = demand[*ecdsa.PrivateKey](k.t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	}, invalidClient},

	{"no assertion", param("client_assertion", ""), invalidClient},
	{"client_id alone", func(_ *kit, a *ask) {
		a.form.Set("client_id", "acme")
		a.form.Set("client_assertion", "")
		a.form.Del("client_assertion_type")
	}, invalidClient},
	{"no type of assertion", func(_ *kit, a *ask) { a.form.Del("client_assertion_type") }, invalidClient},
	{"another type", param("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"), invalidClient},
	{"the type in capitals", param("client_assertion_type", strings.ToUpper(assertionType)), invalidClient},
	{"dots", param("client_assertion", strings.Repeat(".", 8<<10)), invalidClient},

	// zitadel/oidc#858, RFC 6749 section 2.3: one authentication.
	{"Basic too", head("Authorization", "Basic YWNtZTpzZWNyZXQ="), invalidClient},
	{"Bearer too", head("Authorization", "Bearer x"), invalidClient},
	{"an empty Authorization too", head("Authorization", ""), invalidClient},
	{"a client_secret too", param("client_secret", "secret"), invalidClient},
	{"two assertions", func(k *kit, a *ask) { a.form.Set("client_assertion", "a"); a.form.Add("client_assertion", "b") }, invalidClient},
	{"two types", func(k *kit, a *ask) { a.form.Add("client_assertion_type", assertionType) }, invalidClient},
	{"two secrets", func(k *kit, a *ask) { a.form["client_secret"] = []string{"a", "b"} }, invalidClient},
	{"two assertions and another doubled parameter", func(k *kit, a *ask) {
		a.form["client_assertion"], a.form["token"] = []string{"a", "b"}, []string{"a", "b"}
	}, invalidClient},
}

func jose(name string, value any) func(*kit, *ask) {
	return func(_ *kit, a *ask) { set(a.jose, name, value) }
}

func claim(name string, value any) func(*kit, *ask) {
	return func(_ *kit, a *ask) { set(a.claims, name, value) }
}

func set(members map[string]any, name string, value any) {
	members[name] = value
	if value == nil {
		delete(members, name)
	}
}

func param(name, value string) func(*kit, *ask) {
	return func(_ *kit, a *ask) { a.form.Set(name, value) }
}

func head(name, value string) func(*kit, *ask) {
	return func(_ *kit, a *ask) { a.header[name] = append(a.header[name], value) }
}

func dates(iat, nbf int64, exp float64) func(*kit, *ask) {
	return func(k *kit, a *ask) {
		now := k.now().Unix()
		a.claims["iat"], a.claims["nbf"], a.claims["exp"] = now+iat, now+nbf, float64(now)+exp
	}
}

func both(changes ...func(*kit, *ask)) func(*kit, *ask) {
	return func(k *kit, a *ask) {
		for _, change := range changes {
			change(k, a)
		}
	}
}

func TestAssertions(t *testing.T) {
	k := newKit(t)
	for _, test := range assertionTests {
		t.Run(test.name, func(t *testing.T) {
			a := k.revokeAsk(k.acme, "no token of ours")
			test.change(k, a)
			wantCode(t, k.send(a), test.code)
		})
	}
	if len(k.grants.calls) != 0 {
		t.Error(k.grants.calls)
	}
}

// wantCode checks the status, the code and the form of an answer that refuses; "" wants one that does not.
func wantCode(t *testing.T, got reply, want string) {
	t.Helper()
	status := map[string]int{invalidClient: 401, temporarilyDown: 503}[want]
	if status == 0 {
		status = http.StatusBadRequest
	}
	if want == "" {
		if got.Code != "" || got.cause != nil || got.Status >= 300 {
			t.Errorf("refused: %d %s, %v", got.Status, got.Code, got.cause)
		}
		return
	}
	if got.Code != want || got.Status != status {
		t.Errorf("%d %s (%v), want %d %s", got.Status, got.Code, got.cause, status, want)
	}
	// RFC 6749 section 5.2: which characters a description may hold.
	if got.Description == "" || strings.ContainsFunc(got.Description, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) {
		t.Errorf("description %q", got.Description)
	}
	if cmp.Diff(got.header("cache-control"), []string{"no-store"}) != "" || cmp.Diff(got.header("content-type"), []string{"application/json"}) != "" {
		t.Errorf("header %v", got.Header)
	}
}

// PS256, and that each endpoint authenticates before it does anything.
func TestAssertionsEverywhere(t *testing.T) {
	k := newKit(t)
	wantCode(t, k.send(k.revokeAsk(k.beta, "x")), "")
	access := k.tokens(k.acme).Access
	k.grants.calls = nil
	authorizationCode := k.codeFor(k.acme, nil)
	for name, a := range map[string]*ask{"par": k.pushAsk(k.acme), "token": k.tokenAsk(k.acme, authorizationCode), "revoke": k.revokeAsk(k.acme, access)} {
		a.key = demand[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
		if got := k.send(a); got.Code != invalidClient {
			t.Errorf("%s: %d %s", name, got.Status, got.Code)
		}
	}
	if len(k.grants.calls) != 0 {
		t.Errorf("grants were touched: %v", k.grants.calls)
	}
	wantCode(t, k.send(k.tokenAsk(k.acme, authorizationCode)), "") // nobody took it
}

// An unknown client, another's key and a used assertion are told in one text, so that nobody can list clients.
func TestOneText(t *testing.T) {
	k := newKit(t)
	texts := map[string]bool{}
	for _, test := range assertionTests {
		a := k.revokeAsk(k.acme, "x")
		test.change(k, a)
		if _, there := a.header["Authorization"]; test.code != invalidClient || there || a.form.Has("client_assertion") || !a.form.Has("client_assertion_type") ||
			a.form.Get("client_assertion_type") != assertionType || a.form.Has("client_secret") || len(a.form["client_assertion_type"]) > 1 {
			continue
		}
		texts[k.send(a).Description] = true
	}
	if len(texts) != 1 || !texts[badAssertion] {
		t.Error(texts)
	}
}

// RFC 7523 section 3, point 7: once until it has expired everywhere, for each client by itself.
func TestAssertionReplay(t *testing.T) {
	k := newKit(t)
	first := k.revokeAsk(k.acme, "x")
	first.claims["jti"] = "one"
	wantCode(t, k.send(first), "")
	another := k.revokeAsk(k.beta, "x")
	another.claims["jti"] = "one"
	wantCode(t, k.send(another), "")
	again := k.revokeAsk(k.acme, "x")
	again.form.Set("client_assertion", first.form.Get("client_assertion"))
	for range 7 { // the assertion passes until 10 s after its 60 s
		wantCode(t, k.send(again), invalidClient)
		if got := k.send(again); !strings.Contains(got.cause.Error(), "used before") {
			t.Errorf("after %v: %v", k.now().Sub(kitStart), got.cause)
		}
		k.add(11 * time.Second)
	}
	if got := k.send(again); !strings.Contains(got.cause.Error(), "expired") {
		t.Errorf("after %v: %v", k.now().Sub(kitStart), got.cause)
	}
	elsewhere := k.pushAsk(k.acme) // one assertion is not good for two endpoints either
	other := k.revokeAsk(k.acme, "x")
	wantCode(t, k.send(other), "")
	elsewhere.form.Set("client_assertion", other.form.Get("client_assertion"))
	wantCode(t, k.send(elsewhere), invalidClient)
}

// The mark is set last: an assertion that was refused does not use up its jti.
func TestRefusedAssertionLeavesNoMark(t *testing.T) {
	k := newKit(t)
	for _, spoil := range []func(*kit, *ask){claim("sub", "beta"), claim("aud", "x"), dates(0, 0, 900), dates(60, 0, 60)} {
		a := k.revokeAsk(k.acme, "x")
		claims := maps.Clone(a.claims)
		spoil(k, a)
		wantCode(t, k.send(a), invalidClient)
		good := k.revokeAsk(k.acme, "x")
		good.claims = claims
		wantCode(t, k.send(good), "")
	}
}

func TestChallengeOfAnAuthorizationHeader(t *testing.T) {
	k := newKit(t)
	a := k.revokeAsk(k.acme, "x")
	a.header["Authorization"] = []string{"Basic eDp4"}
	if got := k.send(a).header("www-authenticate"); len(got) != 1 || !strings.HasPrefix(got[0], "Basic ") { // RFC 6749 section 5.2
		t.Error(got)
	}
}

// Where the store cannot say whether an assertion was used, nobody is let in.
func TestAssertionWithoutAStore(t *testing.T) {
	k := newKit(t)
	k.records.add = errDown
	got := k.send(k.revokeAsk(k.acme, "x"))
	wantCode(t, got, temporarilyDown)
	if !errors.Is(got.cause, errDown) || len(got.header("retry-after")) != 1 {
		t.Errorf("%v, %v", got.cause, got.Header)
	}
}
