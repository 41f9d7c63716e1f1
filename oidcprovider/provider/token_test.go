package provider

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"isogate/extauthz/dpop"
	"isogate/extauthz/grant"
	"isogate/oidcprovider/code"
)

var ended = []string{"end grant-1 of acme"}

// tokenTests spoil one thing each of a token request with a good code of acme's. What is refused before the code is taken leaves it good;
// after that the grant has ended.
var tokenTests = []struct {
	name   string
	change func(*kit, *ask)
	code   string
	ends   bool
}{
	{"no grant_type", drop("grant_type"), invalidRequest, false},
	{"refresh_token", param("grant_type", "refresh_token"), unsupportedGrantType, false},
	{"client_credentials", param("grant_type", "client_credentials"), unsupportedGrantType, false},
	{"password", param("grant_type", "password"), unsupportedGrantType, false},
	{"grant_type in capitals", param("grant_type", "AUTHORIZATION_CODE"), unsupportedGrantType, false},
	{"a query", func(_ *kit, a *ask) { a.query = "?code=a" }, invalidRequest, false},
	{"two codes", func(_ *kit, a *ask) { a.form.Add("code", "b") }, invalidRequest, false},
	{"no assertion", param("client_assertion", ""), invalidClient, false},
	{"no code", drop("code"), invalidRequest, false},
	{"another code", param("code", challengeOf("x")), invalidGrant, false},
	{"a long code", param("code", strings.Repeat("x", 32<<10)), invalidGrant, false},
	{"no redirect_uri", drop("redirect_uri"), invalidRequest, false}, // RFC 6749 section 4.1.3

	{"no proof", func(_ *kit, a *ask) { a.proof = nil }, invalidDPoPProof, false}, // RFC 9449 section 5
	{"two proofs", head("Dpop", "a.b.c"), invalidDPoPProof, false},
	{"a proof for another endpoint", change(func(p *dpop.Proof) { p.URL = kitIssuer + PathPAR }), invalidDPoPProof, false},
	{"a proof for another host", change(func(p *dpop.Proof) { p.URL = "https://attacker.example" + PathToken }), invalidDPoPProof, false},
	{"a proof for a GET", change(func(p *dpop.Proof) { p.Method = http.MethodGet }), invalidDPoPProof, false},
	{"a proof for a token", change(func(p *dpop.Proof) { p.AccessToken = "x" }), invalidDPoPProof, false},
	{"an old proof", change(func(p *dpop.Proof) { p.Now = p.Now.Add(-61 * time.Second) }), invalidDPoPProof, false},
	{"a proof from the future", change(func(p *dpop.Proof) { p.Now = p.Now.Add(11 * time.Second) }), invalidDPoPProof, false},
	{"no nonce", change(func(p *dpop.Proof) { p.Nonce = "" }), useDPoPNonce, false}, // RFC 9449 section 8
	{"another nonce", change(func(p *dpop.Proof) { p.Nonce = "made-up" }), useDPoPNonce, false},
	{"a value sealed for something else", func(k *kit, a *ask) { a.proof.Nonce = k.Seal.Seal("returned", k.Issuer, make([]byte, 8)) }, useDPoPNonce, false},
	{"a nonce of another issuer", func(k *kit, a *ask) {
		a.proof.Nonce = k.Seal.Seal(noncePurpose, "https://auth.other.example", make([]byte, 8))
	}, useDPoPNonce, false},
	{"a nonce of the year 1970", func(k *kit, a *ask) { a.proof.Nonce = k.Seal.Seal(noncePurpose, k.Issuer, make([]byte, 8)) }, useDPoPNonce, false},
	{"a nonce of the far future", func(k *kit, a *ask) {
		a.proof.Nonce = k.Seal.Seal(noncePurpose, k.Issuer, []byte{0, 0, 0, 255, 0, 0, 0, 0})
	}, useDPoPNonce, false},

	{"another redirect_uri", param("redirect_uri", acmeRedirect+"/2"), invalidGrant, true},
	{"no code_verifier", drop("code_verifier"), invalidGrant, true}, // RFC 7636 section 4.6
	{"another code_verifier", param("code_verifier", strings.Repeat("w", 128)), invalidGrant, true},
	{"the challenge as code_verifier", param("code_verifier", challengeOf(verifierText)), invalidGrant, true},
	{"code_verifier in another case", param("code_verifier", strings.ToLower(verifierText)), invalidGrant, true},
}

func change(f func(*dpop.Proof)) func(*kit, *ask) {
	return func(_ *kit, a *ask) { f(a.proof) }
}

func TestExchange(t *testing.T) {
	for _, test := range tokenTests {
		t.Run(test.name, func(t *testing.T) {
			k := newKit(t)
			authorizationCode := k.codeFor(k.acme, nil)
			a := k.tokenAsk(k.acme, authorizationCode)
			test.change(k, a)
			got := k.send(a)
			wantCode(t, got, test.code)
			if strings.Contains(string(got.Body), "token\"") || len(got.header("dpop-nonce")) != 1 || !k.fresh(got.header("dpop-nonce")[0]) {
				t.Errorf("%s, %v", got.Body, got.Header)
			}
			again := k.send(k.tokenAsk(k.acme, authorizationCode))
			if !test.ends {
				wantCode(t, again, "")
				wantCalls(t, k, "redeem grant-1 of acme")
				return
			}
			wantCode(t, again, invalidGrant)
			wantCalls(t, k, ended[0], ended[0])
		})
	}
}

func wantCalls(t *testing.T, k *kit, want ...string) {
	t.Helper()
	k.grants.mu.Lock()
	defer k.grants.mu.Unlock()
	if diff := cmp.Diff(want, k.grants.calls); diff != "" {
		t.Errorf("what extauthz was asked: %s", diff)
	}
}

func TestVerifiers(t *testing.T) {
	for text, want := range map[string]bool{
		verifierText: true, verifierText[:43]: true, verifierText[:42]: false, verifierText + "v": false, "": false,
		strings.Repeat("é", 43): false, strings.Repeat("v", 43) + "\n": false, strings.Repeat("v", 43) + "+": false, strings.Repeat("v", 43) + " ": false,
	} {
		if got := verifies(text, challengeOf(text)); got != want { // RFC 7636 section 4.1
			t.Errorf("%q: %v", text, got)
		}
	}
}

// zitadel/oidc#902: a code of another client is refused, and what it could have become has ended.
func TestCodeOfAnotherClient(t *testing.T) {
	k := newKit(t)
	authorizationCode := k.codeFor(k.acme, nil)
	a := k.tokenAsk(k.beta, authorizationCode)
	a.form.Set("redirect_uri", acmeRedirect)
	wantCode(t, k.send(a), invalidGrant)
	wantCode(t, k.send(k.tokenAsk(k.acme, authorizationCode)), invalidGrant)
	wantCalls(t, k, ended[0], ended[0])
}

// RFC 6749 section 4.1.2: a second use is refused, and what came of the first has ended.
func TestCodeTwice(t *testing.T) {
	k := newKit(t)
	authorizationCode := k.codeFor(k.acme, nil)
	wantCode(t, k.send(k.tokenAsk(k.acme, authorizationCode)), "")
	wantCode(t, k.send(k.tokenAsk(k.acme, authorizationCode)), invalidGrant)
	wantCode(t, k.send(k.tokenAsk(k.beta, authorizationCode)), invalidGrant) // whoever brings it
	wantCalls(t, k, "redeem grant-1 of acme", ended[0], ended[0])
}

func TestCodeTooLate(t *testing.T) {
	k := newKit(t)
	authorizationCode := k.codeFor(k.acme, nil)
	k.add(time.Minute)
	wantCode(t, k.send(k.tokenAsk(k.acme, authorizationCode)), invalidGrant)
	wantCalls(t, k, ended[0]) // it has ended by itself already, and that does no harm
}

// One succeeds, and the grant ends after it was redeemed, however the two cross.
func TestParallelExchange(t *testing.T) {
	k := newKit(t)
	k.grants.slow = 50 * time.Millisecond
	authorizationCode := k.codeFor(k.acme, nil)
	var requests []*http.Request
	for range 6 {
		requests = append(requests, k.request(k.tokenAsk(k.acme, authorizationCode)))
	}
	var wg sync.WaitGroup
	got := make([]string, len(requests))
	for i, r := range requests {
		wg.Go(func() { got[i] = k.do(r).Code })
	}
	wg.Wait()
	counts := map[string]int{}
	for _, word := range got {
		counts[word]++
	}
	if diff := cmp.Diff(map[string]int{"": 1, invalidGrant: 5}, counts); diff != "" {
		t.Error(diff)
	}
	wantCalls(t, k, "redeem grant-1 of acme", ended[0], ended[0], ended[0], ended[0], ended[0])
}

// RFC 9449 section 10: the key that the code is bound to.
func TestBoundCode(t *testing.T) {
	k := newKit(t)
	bound := func(c *code.Code) { c.Request.Thumbprint = k.acme.dpop.Thumbprint() }
	wantCode(t, k.send(k.tokenAsk(k.acme, k.codeFor(k.acme, bound))), "")
	a := k.tokenAsk(k.acme, k.codeFor(k.acme, bound))
	a.prover = k.beta.dpop
	wantCode(t, k.send(a), invalidGrant)
	wantCalls(t, k, "redeem grant-1 of acme", ended[0])
}

// RFC 9449 section 11.1: a proof works once, whatever came of it.
func TestExchangeProofWorksOnce(t *testing.T) {
	k := newKit(t)
	first := k.tokenAsk(k.acme, "no code")
	wantCode(t, k.send(first), invalidGrant)
	authorizationCode := k.codeFor(k.acme, nil)
	second := k.tokenAsk(k.acme, authorizationCode)
	second.proof, second.header["Dpop"] = nil, first.header["Dpop"]
	wantCode(t, k.send(second), invalidDPoPProof)
	wantCode(t, k.send(k.tokenAsk(k.acme, authorizationCode)), "")
}

func TestNonce(t *testing.T) {
	k := newKit(t)
	nonce := k.nonce()
	for _, test := range []struct {
		after time.Duration
		want  bool
	}{{-11 * time.Second, false}, {-10 * time.Second, true}, {0, true}, {nonceLifetime - time.Second, true}, {nonceLifetime, false}, {24 * time.Hour, false}} {
		k.mu.Lock()
		k.at = kitStart.Add(test.after)
		k.mu.Unlock()
		if got := k.fresh(nonce); got != test.want {
			t.Errorf("after %v: %v", test.after, got)
		}
	}
}

// A client that follows the answers comes through: no nonce, the nonce of the refusal, then the nonce of the success.
func TestNonceGoesOn(t *testing.T) {
	k := newKit(t)
	nonce := ""
	for _, want := range []string{useDPoPNonce, "", ""} {
		a := k.tokenAsk(k.acme, k.codeFor(k.acme, nil))
		a.proof.Nonce = nonce
		got := k.send(a)
		wantCode(t, got, want)
		nonce = got.header("dpop-nonce")[0]
		k.add(nonceLifetime - time.Second)
	}
}

// A client that repeats its request with the nonce may bring the same assertion: nothing was used up by the first. Then it is.
func TestTheNonceIsAskedForFirst(t *testing.T) {
	k := newKit(t)
	a := k.tokenAsk(k.acme, k.codeFor(k.acme, nil))
	for _, step := range []struct{ nonce, want string }{{"", useDPoPNonce}, {"made-up", useDPoPNonce}, {k.nonce(), ""}, {k.nonce(), invalidClient}} {
		a.header.Del("Dpop")
		a.proof.Nonce = step.nonce
		wantCode(t, k.send(a), step.want)
	}
}

// What extauthz does wrong gives no tokens.
func TestMisbehavingGrants(t *testing.T) {
	later := kitStart.Add(time.Hour)
	tests := []struct {
		name        string
		expiry      time.Time
		redeem, end error
		code        string
	}{
		{"no such grant", later, grant.ErrNone, nil, invalidGrant},
		{"down", later, errDown, nil, temporarilyDown},
		{"down altogether", later, errDown, errDown, temporarilyDown},
		{"down between the two", later, grant.ErrNone, errDown, temporarilyDown},
		{"no expiry", time.Time{}, nil, nil, invalidGrant},
		{"an expiry that has come", kitStart, nil, nil, invalidGrant},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			k := newKit(t)
			k.grants.expiry, k.grants.redeem, k.grants.end = test.expiry, test.redeem, test.end
			authorizationCode := k.codeFor(k.acme, nil)
			got := k.send(k.tokenAsk(k.acme, authorizationCode))
			wantCode(t, got, test.code)
			if got.Access != "" || got.ID != "" || strings.Contains(string(got.Body), errDown.Error()) {
				t.Errorf("%s", got.Body)
			}
			wantCalls(t, k, "redeem grant-1 of acme", ended[0])
			k.grants.redeem, k.grants.end, k.grants.expiry = nil, nil, later
			wantCode(t, k.send(k.tokenAsk(k.acme, authorizationCode)), invalidGrant) // the code is gone
		})
	}
}

// A second use whose grant cannot be ended is not told as ended: the client comes again, and then it is.
func TestReplayWhileGrantsAreDown(t *testing.T) {
	k := newKit(t)
	authorizationCode := k.codeFor(k.acme, nil)
	wantCode(t, k.send(k.tokenAsk(k.acme, authorizationCode)), "")
	k.grants.end = errDown
	got := k.send(k.tokenAsk(k.acme, authorizationCode))
	wantCode(t, got, temporarilyDown)
	if !errors.Is(got.cause, errDown) {
		t.Error(got.cause)
	}
	k.grants.end = nil
	wantCode(t, k.send(k.tokenAsk(k.acme, authorizationCode)), invalidGrant)
	wantCalls(t, k, "redeem grant-1 of acme", ended[0], ended[0])
}

// hangsUp ends the request's context as soon as the code was looked for.
type hangsUp struct {
	code.Records
	cancel context.CancelFunc
}

func (h hangsUp) Get(ctx context.Context, key string) ([]byte, error) {
	value, err := h.Records.Get(ctx, key)
	h.cancel()
	return value, err
}

// Whoever brings a stolen code and hangs up must not keep the grant alive by it.
func TestHangingUpEndsTheGrantAllTheSame(t *testing.T) {
	k := newKit(t)
	authorizationCode := k.codeFor(k.acme, nil)
	wantCode(t, k.send(k.tokenAsk(k.acme, authorizationCode)), "")
	ctx, cancel := context.WithCancel(t.Context())
	k.Codes = code.New(hangsUp{k.records, cancel}, k.now)
	got := k.do(k.request(k.tokenAsk(k.acme, authorizationCode)).WithContext(ctx))
	if wantCode(t, got, invalidGrant); ctx.Err() == nil {
		t.Error("the client did not hang up: the test proves nothing")
	}
	wantCalls(t, k, "redeem grant-1 of acme", ended[0])
}

func TestExchangeWithoutAStore(t *testing.T) {
	k := newKit(t)
	authorizationCode := k.codeFor(k.acme, nil)
	k.records.take = errDown
	wantCode(t, k.send(k.tokenAsk(k.acme, authorizationCode)), temporarilyDown)
	wantCalls(t, k)
	k.records.take = nil
	wantCode(t, k.send(k.tokenAsk(k.acme, authorizationCode)), "")
}
