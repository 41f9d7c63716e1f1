package signin

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"isogate/envoy/topology"
	"isogate/extauthz/dpop"
	"isogate/extauthz/keys"
)

const federatedClient = "commercial"

// cloud is an isolated cloud's OAuth server over TLS. It is as strict as a real one: an assertion, a proof and a code work once, the token
// endpoint wants a fresh nonce, and a code and a token are bound to a key. instead makes it hostile, path by path.
type cloud struct {
	*httptest.Server
	t       *testing.T
	entry   topology.Directory
	signers *keys.Signers // its own
	client  keys.KeySource
	now     func() time.Time

	mu       sync.Mutex
	instead  map[string]http.HandlerFunc
	lie      map[string]any                    // claims of the ID token that are not true; nil leaves one out
	idToken  func(typ string, c []byte) string // makes the ID token; nil signs rightly
	tokens   map[string]any                    // members of the token endpoint's answer that are not true
	lasts    time.Duration                     // of its sessions, from now
	used     map[string]bool                   // assertions, proofs
	requests map[string]url.Values             // pushed
	codes    map[string]url.Values             // a request and its sub
	sessions map[string]*federated             // by access token
	asked    map[string]int                    // by path
}

// federated is what an access token stands for.
type federated struct {
	sub, grant, jkt string
	dead            bool
}

func newCloud(t *testing.T, id, domain string, client keys.KeySource, now func() time.Time) *cloud {
	t.Helper()
	signers, err := keys.OpenSigners(filepath.Join(t.TempDir(), id), now)
	if err != nil {
		t.Fatal(err)
	}
	c := &cloud{
		t: t, signers: signers, client: client, now: now, lasts: 8 * time.Hour, instead: map[string]http.HandlerFunc{}, used: map[string]bool{},
		requests: map[string]url.Values{}, codes: map[string]url.Values{}, sessions: map[string]*federated{}, asked: map[string]int{},
	}
	honest := map[string]http.HandlerFunc{cloudPAR: c.push, cloudToken: c.redeem, cloudSession: c.session, cloudRevoke: c.revoke, cloudJWKS: c.jwks}
	c.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		c.asked[r.URL.Path]++
		answer := c.instead[r.URL.Path]
		c.mu.Unlock()
		if answer == nil {
			answer = honest[r.URL.Path]
		}
		answer(w, r)
	}))
	t.Cleanup(c.Close)
	c.entry = topology.Directory{
		ID: id, Name: strings.ToUpper(domain[:1]) + domain[1:], Domains: []string{domain + ".example"}, Issuer: c.URL, Client: topology.DirectoryClient{ID: federatedClient},
	}
	return c
}

// times says how often a path was asked for.
func (c *cloud) times(path string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked[path]
}

// change changes how the cloud behaves from now on.
func (c *cloud) change(how func(*cloud)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	how(c)
}

// living are the grants that are alive.
func (c *cloud) living() (grants []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.sessions {
		if !s.dead {
			grants = append(grants, s.grant)
		}
	}
	return grants
}

func refuse(w http.ResponseWriter, status int, word string) {
	reply(w, status, map[string]string{"error": word, "error_description": "what was sent: secret-of-the-cloud"})
}

// Add makes the cloud its own memory of proofs.
func (c *cloud) Add(_ context.Context, key string, _ time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.used[key] {
		return dpop.ErrSeen
	}
	c.used[key] = true
	return nil
}

// authenticated tells whether a form is our client's (RFC 7523 section 3).
func (c *cloud) authenticated(r *http.Request) bool {
	form := r.PostForm
	raw, err := keys.Verify(r.Context(), form.Get("client_assertion"), c.client, keys.Expect{
		Type: "client-authentication+jwt", Issuer: federatedClient, Audience: c.URL, Now: c.now,
	})
	var claims struct {
		Sub, Jti string
		Iat, Exp int64
	}
	return err == nil && json.Unmarshal(raw, &claims) == nil && claims.Sub == federatedClient && claims.Exp-claims.Iat <= 60 && claims.Jti != "" &&
		form.Get("client_id") == federatedClient && form.Get("client_assertion_type") == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" &&
		c.Add(r.Context(), "assertion/"+claims.Jti, time.Time{}) == nil
}

func (c *cloud) push(w http.ResponseWriter, r *http.Request) {
	if r.ParseForm() != nil || !c.authenticated(r) {
		refuse(w, http.StatusUnauthorized, "invalid_client")
		return
	}
	f := r.PostForm
	if f.Get("response_type") != "code" || f.Get("scope") != "openid" || f.Get("redirect_uri") != atIdentity+PathFederatedCallback ||
		f.Get("code_challenge_method") != "S256" || len(f.Get("code_challenge")) != 43 || len(f.Get("dpop_jkt")) != 43 || f.Get("nonce") == "" ||
		f.Get("state") == "" || len(f.Get("state")) > 4<<10 {
		refuse(w, http.StatusBadRequest, "invalid_request")
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	uri := "urn:ietf:params:oauth:request_uri:" + rand.Text()
	c.requests[uri] = f
	reply(w, http.StatusCreated, map[string]any{"request_uri": uri, "expires_in": 590})
}

// authorize is a person, sub, who signs in at the address that a browser was led to. It gives the parameters of the answer.
func (c *cloud) authorize(address *url.URL, sub string) url.Values {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	uri := address.Query().Get("request_uri")
	request, ok := c.requests[uri]
	if !ok || !strings.HasPrefix(address.String(), c.URL+"/oauth2/authorize?") || address.Query().Get("client_id") != federatedClient || len(address.Query()) != 2 {
		c.t.Fatalf("no authorization request: %s", address)
	}
	delete(c.requests, uri)
	code := "code-" + rand.Text()
	request.Set("sub", sub)
	c.codes[code] = request
	return url.Values{"code": {code}, "state": {request.Get("state")}, "iss": {c.URL}}
}

// nonces are good for as long as the server likes; this one takes the one that it always gives.
const proofNonce = "nonce-of-the-cloud"

func (c *cloud) prove(r *http.Request, path, token, jkt string) (dpop.Verified, error) {
	v := dpop.Verifier{Ahead: 10 * time.Second, Behind: time.Minute, Now: c.now, Replay: c}
	return v.Verify(r.Context(), r.Header["Dpop"], dpop.Want{Method: r.Method, URL: c.URL + path, AccessToken: token, Thumbprint: jkt})
}

func (c *cloud) redeem(w http.ResponseWriter, r *http.Request) {
	if r.ParseForm() != nil || !c.authenticated(r) {
		refuse(w, http.StatusUnauthorized, "invalid_client")
		return
	}
	proof, err := c.prove(r, cloudToken, "", "")
	w.Header().Set("dpop-nonce", proofNonce)
	if err == nil && proof.Nonce != proofNonce {
		refuse(w, http.StatusBadRequest, "use_dpop_nonce")
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	f := r.PostForm
	request, ok := c.codes[f.Get("code")]
	delete(c.codes, f.Get("code"))
	if err != nil || !ok || f.Get("grant_type") != "authorization_code" || f.Get("redirect_uri") != request.Get("redirect_uri") ||
		oauth2.S256ChallengeFromVerifier(f.Get("code_verifier")) != request.Get("code_challenge") || proof.Thumbprint != request.Get("dpop_jkt") {
		refuse(w, http.StatusBadRequest, "invalid_grant")
		return
	}
	access, grant := "at-"+rand.Text(), "grant-"+rand.Text()
	c.sessions[access] = &federated{sub: request.Get("sub"), grant: grant, jkt: proof.Thumbprint}
	body := map[string]any{"access_token": access, "token_type": "DPoP", "expires_in": 86400, "scope": "openid", "id_token": c.sayWho(request, grant)}
	say(c.tokens)(body)
	reply(w, http.StatusOK, body)
}

// sayWho is an ID token, with the lies of the moment. The lock is held.
func (c *cloud) sayWho(request url.Values, grant string) string {
	now := c.now()
	claims := map[string]any{
		"iss": c.URL, "sub": request.Get("sub"), "aud": federatedClient, "exp": now.Unix() + 300, "iat": now.Unix(), "nonce": request.Get("nonce"),
		"isolated_cloud_id": c.entry.ID, "sid": grant, "session_expiry": now.Add(c.lasts).Unix(),
	}
	say(c.lie)(claims)
	raw, err := json.Marshal(claims)
	if err != nil {
		return ""
	}
	if c.idToken != nil {
		return c.idToken("JWT", raw)
	}
	token, err := c.signers.Sign("JWT", raw)
	if err != nil {
		return ""
	}
	return token
}

func (c *cloud) session(w http.ResponseWriter, r *http.Request) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "DPoP ")
	c.mu.Lock()
	found, lasts := c.sessions[token], c.lasts
	c.mu.Unlock()
	if found == nil {
		refuse(w, http.StatusUnauthorized, "invalid_token")
		return
	}
	if _, err := c.prove(r, cloudSession, token, found.jkt); err != nil {
		refuse(w, http.StatusUnauthorized, "invalid_dpop_proof")
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if found.dead {
		reply(w, http.StatusUnauthorized, map[string]any{"active": false, "error": "invalid_token"})
		return
	}
	reply(w, http.StatusOK, map[string]any{"active": true, "sub": found.sub, "isolated_cloud_id": c.entry.ID, "session_expiry": c.now().Add(lasts).Unix()})
}

func (c *cloud) revoke(w http.ResponseWriter, r *http.Request) {
	if r.ParseForm() != nil || !c.authenticated(r) {
		refuse(w, http.StatusUnauthorized, "invalid_client")
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if found := c.sessions[r.PostForm.Get("token")]; found != nil {
		found.dead = true
	}
}

func (c *cloud) jwks(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("content-type", "application/jwk-set+json")
	_, _ = w.Write(c.signers.JWKS())
}

// The fake refuses what a real one does; without that, the tests would prove little.
func TestFakeCloudIsStrict(t *testing.T) {
	r := newOutside(t)
	begun, err := newAttempt()
	if err != nil {
		t.Fatal(err)
	}
	other, err := newAttempt()
	if err != nil {
		t.Fatal(err)
	}
	for name, with := range map[string]attempt{
		"another verifier": {begun.Nonce, other.Verifier, begun.Key}, "another key": {begun.Nonce, begun.Verifier, other.Key}, "another nonce": {other.Nonce, begun.Verifier, begun.Key},
	} {
		address, err := r.federation("acme").Begin(t.Context(), begun, "state")
		if err != nil {
			t.Fatal(err)
		}
		at, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		answer := r.clouds["acme"].authorize(at, "bob")
		if _, err := r.federation("acme").Finish(t.Context(), flat(answer), with); !errors.Is(err, errAnswer) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := r.federation("acme").Finish(t.Context(), flat(answer), begun); !errors.Is(err, errAnswer) {
			t.Errorf("%s: the code works twice: %v", name, err)
		}
	}
}

// flat is a query as an endpoint sees it.
func flat(query url.Values) map[string]string {
	out := map[string]string{}
	for name, values := range query {
		out[name] = fmt.Sprint(strings.Join(values, ","))
	}
	return out
}
