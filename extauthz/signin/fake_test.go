package signin

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var b64 = base64.RawURLEncoding

// conduct is how a fake provider behaves; the zero value is honest and says no more than it must.
type conduct struct {
	names   bool                        // it names itself in its answers, and announces that (RFC 9207)
	end     string                      // path and query of its end_session_endpoint
	claims  func(m map[string]any)      // what it says of a person beside the truth
	members string                      // JSON members after all others, as they are: a map holds no name twice
	token   func(payload []byte) string // makes the ID token; nil signs rightly
	hang    *hang                       // it takes a request for its metadata and says nothing
}

// hang holds requests back until it is released.
type hang struct {
	release chan struct{}
	during  func() // called once for each request that it holds
}

// idp is an identity provider over TLS: discovery, keys, an authorization endpoint that knows its redirect URIs, and a token endpoint that
// demands the client's secret and PKCE.
type idp struct {
	*httptest.Server
	id  string
	key *ecdsa.PrivateKey
	now func() time.Time

	mu         sync.Mutex
	conduct    conduct
	registered []string // redirect URIs
	grants     map[string]grant
	asked      int          // how often for its metadata
	handed     []url.Values // what the token endpoint was sent
	issued     []string     // ID tokens
}

// grant is what a code stands for.
type grant struct{ sub, nonce, challenge, redirect string }

const (
	clientID     = "isogate"
	clientSecret = "s3cret of the client"
)

func newIDP(t *testing.T, id string, now func() time.Time) *idp {
	t.Helper()
	f := &idp{id: id, key: newKey(t), now: now, grants: map[string]grant{}, registered: []string{plainURI, ownURI(id)}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", f.discovery)
	mux.HandleFunc("GET /jwks", f.jwks)
	mux.HandleFunc("POST /token", f.redeem)
	f.Server = httptest.NewTLSServer(mux)
	f.Client().Timeout = 10 * time.Second
	t.Cleanup(f.Close)
	return f
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// behave changes how the provider behaves from now on.
func (f *idp) behave(c conduct) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.conduct = c
}

func (f *idp) timesAsked() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked
}

// codes are the codes that the token endpoint was sent, whosesoever they were.
func (f *idp) codes() (codes []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, form := range f.handed {
		codes = append(codes, form.Get("code"))
	}
	return codes
}

// lastToken is the ID token that was issued last.
func (f *idp) lastToken(t *testing.T) string {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.issued) == 0 {
		t.Fatal("no ID token was issued")
	}
	return f.issued[len(f.issued)-1]
}

func (f *idp) discovery(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.asked++
	c := f.conduct
	f.mu.Unlock()
	if c.hang != nil {
		c.hang.during()
		select {
		case <-c.hang.release:
		case <-r.Context().Done():
			return
		}
	}
	metadata := map[string]any{
		"issuer": f.URL, "authorization_endpoint": f.URL + "/authorize", "token_endpoint": f.URL + "/token", "jwks_uri": f.URL + "/jwks",
		"id_token_signing_alg_values_supported": []string{"ES256", "HS256", "none"},
	}
	if c.names {
		metadata["authorization_response_iss_parameter_supported"] = true
	}
	if c.end != "" {
		metadata["end_session_endpoint"] = f.URL + c.end
	}
	reply(w, http.StatusOK, metadata)
}

// octKey is published beside the signing key: a provider may do so by mistake, and must not thereby make symmetric signatures valid.
const octKey = "a symmetric key that everybody can read"

// edKey is published too, for an algorithm that we do not take.
var edKey = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))

func (f *idp) jwks(w http.ResponseWriter, _ *http.Request) {
	ed, _ := edKey.Public().(ed25519.PublicKey)
	reply(w, http.StatusOK, map[string]any{"keys": []any{
		jwk(&f.key.PublicKey, "k"),
		map[string]string{"kty": "oct", "kid": "oct", "alg": "HS256", "k": b64.EncodeToString([]byte(octKey))},
		map[string]string{"kty": "OKP", "kid": "ed", "alg": "EdDSA", "crv": "Ed25519", "x": b64.EncodeToString(ed)},
	}})
}

func jwk(key *ecdsa.PublicKey, kid string) map[string]string {
	point, _ := key.Bytes() // of P-256: 4, x, y
	return map[string]string{"kty": "EC", "crv": "P-256", "use": "sig", "kid": kid, "alg": "ES256", "x": b64.EncodeToString(point[1:33]), "y": b64.EncodeToString(point[33:])}
}

var errRedirectURI = errors.New("the redirect URI is not registered")

// authorize is a person, sub, who signs in at the address that a browser was led to. It gives the address of the answer.
func (f *idp) authorize(address *url.URL, sub string) (answer string, err error) {
	q := address.Query()
	if !strings.HasPrefix(address.String(), f.URL+"/authorize?") || q.Get("client_id") != clientID || q.Get("response_type") != "code" ||
		q.Get("code_challenge_method") != "S256" || q.Get("code_challenge") == "" || q.Get("nonce") == "" {
		return "", fmt.Errorf("no authorization request for %s: %s", f.id, address)
	}
	redirect := q.Get("redirect_uri")
	if !slices.Contains(f.registered, redirect) {
		return "", errRedirectURI
	}
	back, err := url.Parse(redirect)
	if err != nil {
		return "", err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	code := "code-" + rand.Text()
	f.grants[code] = grant{sub: sub, nonce: q.Get("nonce"), challenge: q.Get("code_challenge"), redirect: redirect}
	params := back.Query()
	params.Set("code", code)
	params.Set("state", q.Get("state"))
	if f.conduct.names {
		params.Set("iss", f.URL)
	}
	back.RawQuery = params.Encode()
	return back.String(), nil
}

// redeem is the token endpoint. A code works once, for the client that has the verifier (RFC 7636 section 4.6) and the redirect URI of the
// request (RFC 6749 section 4.1.3).
func (f *idp) redeem(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		reply(w, http.StatusBadRequest, map[string]string{"error": "invalid_request"})
		return
	}
	id, secret, _ := r.BasicAuth()
	if secret, err := url.QueryUnescape(secret); err != nil || id != clientID || secret != clientSecret {
		reply(w, http.StatusUnauthorized, map[string]string{"error": "invalid_client"})
		return
	}
	sum := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
	f.mu.Lock()
	defer f.mu.Unlock()
	f.handed = append(f.handed, r.PostForm)
	g, ok := f.grants[r.PostForm.Get("code")]
	delete(f.grants, r.PostForm.Get("code"))
	if !ok || b64.EncodeToString(sum[:]) != g.challenge || r.PostForm.Get("redirect_uri") != g.redirect {
		reply(w, http.StatusBadRequest, map[string]string{"error": "invalid_grant"})
		return
	}
	token := f.idToken(g)
	f.issued = append(f.issued, token)
	reply(w, http.StatusOK, map[string]any{"access_token": "opaque", "token_type": "Bearer", "expires_in": 60, "id_token": token})
}

// idToken says who a grant's person is, with the conduct's lies. The lock is held.
func (f *idp) idToken(g grant) string {
	now := f.now().Unix()
	claims := map[string]any{
		"iss": f.URL, "aud": clientID, "sub": g.sub, "nonce": g.nonce, "iat": now, "exp": now + 300,
		"email": g.sub + "@" + f.id + ".example", "email_verified": true,
	}
	if f.conduct.claims != nil {
		f.conduct.claims(claims)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return ""
	}
	if f.conduct.members != "" {
		payload = []byte(strings.TrimSuffix(string(payload), "}") + "," + f.conduct.members + "}")
	}
	if f.conduct.token != nil {
		return f.conduct.token(payload)
	}
	return jws(map[string]any{"alg": "ES256", "kid": "k"}, payload, es256(f.key))
}

// jws signs in the compact form (RFC 7515 section 3.1).
func jws(header map[string]any, payload []byte, sign func(input string) []byte) string {
	head, err := json.Marshal(header)
	if err != nil {
		return ""
	}
	input := b64.EncodeToString(head) + "." + b64.EncodeToString(payload)
	return input + "." + b64.EncodeToString(sign(input))
}

func es256(key *ecdsa.PrivateKey) func(string) []byte {
	return func(input string) []byte {
		hash := sha256.Sum256([]byte(input))
		r, s, err := ecdsa.Sign(rand.Reader, key, hash[:])
		if err != nil {
			return nil
		}
		return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	}
}

func hs256(key []byte) func(string) []byte {
	return func(input string) []byte {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(input))
		return mac.Sum(nil)
	}
}

func eddsa(input string) []byte { return ed25519.Sign(edKey, []byte(input)) }

func unsigned(string) []byte { return nil }

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("content-type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// say gives a conduct's claims that override the truth; a nil value leaves a claim out.
func say(change map[string]any) func(map[string]any) {
	return func(m map[string]any) {
		maps.Copy(m, change)
		maps.DeleteFunc(m, func(_ string, value any) bool { return value == nil })
	}
}
