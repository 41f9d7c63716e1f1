package provider

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"isogate/extauthz/dpop"
	"isogate/extauthz/grant"
	"isogate/extauthz/keys"
	"isogate/extauthz/kv"
	"isogate/extauthz/page"
	"isogate/oidcprovider/code"
)

// kit is a provider over a real store file, and what clients need to talk to it: the endpoints for programs, without HTTP between.
type kit struct {
	*Provider
	t       testing.TB
	grants  *kitGrants
	records *faulty
	acme    partner // ES256
	beta    partner // PS256, and another sector

	mu sync.Mutex
	at time.Time
}

var kitStart = time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)

const kitIssuer = "https://auth.acme.example"

func newKit(t testing.TB) *kit {
	t.Helper()
	k := &kit{t: t, at: kitStart, grants: &kitGrants{expiry: kitStart.Add(time.Hour)}}
	bolt := demand[*kv.Bolt](t)(kv.OpenBolt(filepath.Join(t.TempDir(), "codes"), k.now))
	t.Cleanup(func() { _ = bolt.Close() })
	k.records = &faulty{Records: bolt}
	k.acme = newPartner(t, "acme", demand[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)))
	k.beta = newPartner(t, "beta", demand[*rsa.PrivateKey](t)(kitRSA()))
	k.Provider = &Provider{
		Issuer: kitIssuer, CloudID: "cloud-0123456789abcdef", Audience: "urn:isogate:cloud:cloud-0123456789abcdef",
		Clients: map[string]*Client{
			"acme": {ID: "acme", RedirectURIs: []string{acmeRedirect, acmeRedirect + "/2"}, Sector: "client.example", Keys: k.acme.set},
			"beta": {ID: "beta", RedirectURIs: []string{"https://beta.example/cb"}, Sector: "beta.example", Keys: k.beta.set},
			"down": {ID: "down", RedirectURIs: []string{acmeRedirect}, Sector: "down.example", Keys: noKeys{}},
		},
		Signer:   demand[*keys.Signers](t)(keys.OpenSigners(t.TempDir(), k.now)),
		Seal:     demand[*keys.Sealers](t)(keys.OpenSealers(t.TempDir(), k.now)),
		Pairwise: []byte("0123456789abcdef0123456789abcdef"),
		Grants:   k.grants,
		Codes:    code.New(k.records, k.now),
		Now:      k.now,
	}
	return k
}

const acmeRedirect = "https://client.example/cb?a=1"

func demand[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func (k *kit) now() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.at
}

func (k *kit) add(d time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.at = k.at.Add(d)
}

// kitRSA is made once: it is the slow part of these tests.
var kitRSA = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

var errDown = errors.New("it is down")

type noKeys struct{}

func (noKeys) Key(context.Context, string) (keys.Key, error) { return keys.Key{}, errDown }

// faulty is a store that fails when a test says so.
type faulty struct {
	code.Records
	put, add, take error
}

func (f *faulty) Put(ctx context.Context, items ...kv.Item) error {
	if f.put != nil {
		return f.put
	}
	return f.Records.Put(ctx, items...)
}

func (f *faulty) Add(ctx context.Context, item kv.Item) error {
	if f.add != nil {
		return f.add
	}
	return f.Records.Add(ctx, item)
}

func (f *faulty) Take(ctx context.Context, keys ...string) ([]byte, error) {
	if f.take != nil {
		return nil, f.take
	}
	return f.Records.Take(ctx, keys...)
}

// kitGrants is extauthz, as good as a test wants it.
type kitGrants struct {
	mu          sync.Mutex
	expiry      time.Time
	redeem, end error
	slow        time.Duration // of Redeem
	calls       []string
}

func (g *kitGrants) call(what, id, client string, err error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.calls = append(g.calls, what+" "+id+" of "+client)
	return err
}

func (g *kitGrants) Open(context.Context, string, string) (grant.Opened, error) {
	return grant.Opened{}, errors.New("no program opens a grant")
}

func (g *kitGrants) Redeem(_ context.Context, id, client string) (grant.Opened, error) {
	time.Sleep(g.slow)
	return grant.Opened{Grant: id, Expiry: g.expiry}, g.call("redeem", id, client, g.redeem)
}

func (g *kitGrants) End(ctx context.Context, id, client string) error {
	if ctx.Err() != nil { // a client that hangs up must not keep a grant alive
		return ctx.Err()
	}
	return g.call("end", id, client, g.end)
}

// partner is a client's side.
type partner struct {
	id   string
	key  crypto.Signer // for its assertions
	set  keys.Set
	dpop dpop.Key
}

func newPartner(t testing.TB, id string, key crypto.Signer) partner {
	t.Helper()
	jwk := map[string]string{"kid": id + "-key", "use": "sig"}
	number := func(n []byte) string { return base64.RawURLEncoding.EncodeToString(n) }
	switch public := key.Public().(type) {
	case *ecdsa.PublicKey:
		point := demand[[]byte](t)(public.Bytes())
		jwk["kty"], jwk["crv"], jwk["x"], jwk["y"] = "EC", "P-256", number(point[1:33]), number(point[33:])
	case *rsa.PublicKey:
		jwk["kty"], jwk["n"], jwk["e"] = "RSA", number(public.N.Bytes()), number(big.NewInt(int64(public.E)).Bytes())
	}
	body := demand[[]byte](t)(json.Marshal(map[string]any{"keys": []any{jwk}}))
	return partner{id: id, key: key, set: demand[keys.Set](t)(keys.ParseJWKS(body)), dpop: demand[dpop.Key](t)(dpop.Generate())}
}

func algOf(key crypto.Signer) string {
	if _, isRSA := key.(*rsa.PrivateKey); isRSA {
		return "PS256"
	}
	return "ES256"
}

// compact signs any header and claims, however wrong.
func compact(t testing.TB, header, claims any, key crypto.Signer) string {
	t.Helper()
	part := func(v any) string {
		return base64.RawURLEncoding.EncodeToString(demand[[]byte](t)(json.Marshal(v)))
	}
	input := part(header) + "." + part(claims)
	digest := sha256.Sum256([]byte(input))
	var signature []byte
	switch private := key.(type) {
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, private, digest[:])
		if err != nil {
			t.Fatal(err)
		}
		signature = slices.Concat(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32)))
	case *rsa.PrivateKey:
		signature = demand[[]byte](t)(rsa.SignPSS(rand.Reader, private, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}))
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// ask is a request to an endpoint for programs, for a test to spoil.
type ask struct {
	path         string
	query        string
	form         url.Values
	header       http.Header
	jose, claims map[string]any // of the assertion, which is made last unless form has one already
	key          crypto.Signer  // that signs it
	proof        *dpop.Proof    // nil: no DPoP header is made
	prover       dpop.Key
}

func (k *kit) ask(path string, who partner) *ask {
	now := k.now().Unix()
	return &ask{
		path: path, key: who.key, prover: who.dpop,
		form:   url.Values{"client_assertion_type": {assertionType}},
		header: http.Header{"Content-Type": {formType}},
		jose:   map[string]any{"alg": algOf(who.key), "kid": who.id + "-key"},
		claims: map[string]any{"iss": who.id, "sub": who.id, "aud": kitIssuer, "jti": rand.Text(), "iat": now, "nbf": now, "exp": now + 60},
	}
}

func (k *kit) request(a *ask) *http.Request {
	k.t.Helper()
	if !a.form.Has("client_assertion") {
		a.form.Set("client_assertion", compact(k.t, a.jose, a.claims, a.key))
	}
	if a.proof != nil {
		a.header["Dpop"] = append(a.header["Dpop"], demand[string](k.t)(a.prover.Make(*a.proof)))
	}
	r := httptest.NewRequest(http.MethodPost, a.path+a.query, strings.NewReader(a.form.Encode()))
	r.Header = a.header
	return r.WithContext(k.t.Context())
}

// send asks the endpoint, as the door does.
func (k *kit) send(a *ask) reply {
	k.t.Helper()
	return k.do(k.request(a))
}

func (k *kit) do(r *http.Request) reply {
	answer, err := map[string]handler{PathPAR: (*Provider).push, PathToken: (*Provider).exchange, PathRevoke: (*Provider).revoke}[r.URL.Path](k.Provider, r)
	if err != nil {
		answer = k.refuse(err)
	}
	out := reply{Answer: answer, cause: err}
	_ = json.Unmarshal(answer.Body, &out) // a body that is none has no members
	return out
}

// reply is an answer, and what its body says.
type reply struct {
	page.Answer
	cause       error
	Code        string `json:"error"`
	Description string `json:"error_description"`
	URI         string `json:"request_uri"`
	Access      string `json:"access_token"`
	ID          string `json:"id_token"`
}

func (r reply) header(name string) (values []string) {
	for _, f := range r.Header {
		if f.Name == name {
			values = append(values, f.Value)
		}
	}
	return values
}

// verifierText is 128 characters, all that RFC 7636 section 4.1 allows.
var verifierText = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~" + strings.Repeat("v", 62)

func challengeOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// pushAsk is a good pushed request.
func (k *kit) pushAsk(who partner) *ask {
	a := k.ask(PathPAR, who)
	for name, value := range map[string]string{
		"client_id": who.id, "response_type": "code", "redirect_uri": k.Clients[who.id].RedirectURIs[0], "scope": "openid profile",
		"state": "a-state", "nonce": "a-nonce", "code_challenge": challengeOf(verifierText), "code_challenge_method": "S256",
	} {
		a.form.Set(name, value)
	}
	return a
}

// codeFor is a code of ada's, as the authorization endpoint issues one.
func (k *kit) codeFor(who partner, change func(*code.Code)) string {
	k.t.Helper()
	c := code.Code{
		Request: code.Request{Client: who.id, RedirectURI: k.Clients[who.id].RedirectURIs[0], Nonce: "a-nonce", Challenge: challengeOf(verifierText)},
		Grant:   "grant-1", User: "ada", AuthTime: kitStart.Unix() - 5, ACR: "urn:mfa",
	}
	if change != nil {
		change(&c)
	}
	return demand[string](k.t)(k.Codes.Issue(k.t.Context(), c))
}

// tokenAsk is a good token request.
func (k *kit) tokenAsk(who partner, authorizationCode string) *ask {
	a := k.ask(PathToken, who)
	for name, value := range map[string]string{
		"grant_type": "authorization_code", "code": authorizationCode, "redirect_uri": k.Clients[who.id].RedirectURIs[0], "code_verifier": verifierText,
	} {
		a.form.Set(name, value)
	}
	a.proof = &dpop.Proof{Method: http.MethodPost, URL: kitIssuer + PathToken, Nonce: k.nonce(), Now: k.now()}
	return a
}

// tokens redeems a good code.
func (k *kit) tokens(who partner) reply {
	k.t.Helper()
	got := k.send(k.tokenAsk(who, k.codeFor(who, nil)))
	if got.Status != http.StatusOK || got.cause != nil {
		k.t.Fatalf("no tokens: %d, %v", got.Status, got.cause)
	}
	return got
}

func (k *kit) revokeAsk(who partner, token string) *ask {
	a := k.ask(PathRevoke, who)
	a.form.Set("token", token)
	return a
}
