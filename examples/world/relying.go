package world

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"isogate/envoy/daemon"
	"isogate/extauthz/dpop"
	"isogate/extauthz/keys"
)

// RelyingParty is an OAuth client as a commercial platform has one, made of the libraries that such platforms use: golang.org/x/oauth2 and
// go-oidc. It pushes its requests (RFC 9126), authenticates by private_key_jwt (RFC 7523) and proves possession of one key (RFC 9449).
type RelyingParty struct {
	ID          string // client_id
	RedirectURI string

	oauth    oauth2.Config
	verifier *oidc.IDTokenVerifier
	issuer   string
	own      struct { // endpoints that the libraries do not know
		PAR        string `json:"pushed_authorization_request_endpoint"`
		Revocation string `json:"revocation_endpoint"`
	}
	plain, bound *http.Client // without and with proofs
}

// Visit is a sign-in that was begun: a browser has to open its URL.
type Visit struct {
	URL                    string
	state, nonce, verifier string
}

// SignedIn is what a relying party knows of a person.
type SignedIn struct {
	Claims  map[string]any // of the ID token
	IDToken string
	Token   *oauth2.Token // the access token, bound to the relying party's key
}

// SessionState is an answer of the session resource.
type SessionState struct {
	Active  bool   `json:"active"`
	Subject string `json:"sub"`
	CloudID string `json:"isolated_cloud_id"`
	Expiry  int64  `json:"session_expiry"` // Unix seconds
}

// OAuthError is a refusal: at an endpoint with its status (RFC 6749 section 5.2), or brought back by the browser with status 0 (4.1.2.1).
type OAuthError struct {
	Status      int
	Code        string `json:"error"`
	Description string `json:"error_description"`
}

func (e *OAuthError) Error() string {
	return fmt.Sprintf("world: the OAuth server says %d %s %s", e.Status, e.Code, e.Description)
}

// RelyingParty is the commercial side's client, written anew, with a new key for its proofs.
func (w *World) RelyingParty(ctx context.Context) (*RelyingParty, error) {
	return w.relyingParty(ctx, Client, w.callback(), w.Platform.secret(clientFolder(w.Cloud)))
}

// relyingParty is a client whose signing keys are in a folder.
func (w *World) relyingParty(ctx context.Context, id, redirect, folder string) (*RelyingParty, error) {
	signers, err := keys.OpenSigners(folder, time.Now)
	if err != nil {
		return nil, err
	}
	key, err := dpop.Generate()
	if err != nil {
		return nil, err
	}
	plain, bound := daemon.Connect(w.Connect()).Client(w.CA.Pool()), daemon.Connect(w.Connect()).Client(w.CA.Pool())
	discovered, err := oidc.NewProvider(oidc.ClientContext(ctx, plain), w.URL("auth", ""))
	if err != nil {
		return nil, err
	}
	r := &RelyingParty{ID: id, RedirectURI: redirect, issuer: w.URL("auth", ""), plain: plain, bound: bound}
	if err := discovered.Claims(&r.own); err != nil {
		return nil, err
	}
	bound.Transport = &asserting{
		assert: func() (string, error) { return assertion(signers, id, r.issuer) },
		next:   &dpop.Transport{Base: bound.Transport, Key: key},
	}
	r.oauth = oauth2.Config{ClientID: id, RedirectURL: redirect, Endpoint: discovered.Endpoint(), Scopes: []string{oidc.ScopeOpenID}}
	r.oauth.Endpoint.AuthStyle = oauth2.AuthStyleInParams
	r.verifier = discovered.Verifier(&oidc.Config{ClientID: id})
	return r, nil
}

// assertion is one client authentication (RFC 7523 section 3).
func assertion(signers *keys.Signers, id, issuer string) (string, error) {
	now := time.Now().Unix()
	claims, err := json.Marshal(map[string]any{"iss": id, "sub": id, "aud": issuer, "iat": now, "exp": now + 60, "jti": rand.Text()})
	if err != nil {
		return "", err
	}
	return signers.Sign("client-authentication+jwt", claims)
}

// asserting authenticates the client in each form. An assertion works once, so a form that is sent again gets another.
type asserting struct {
	assert func() (string, error)
	next   http.RoundTripper
}

func (a *asserting) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodPost {
		return a.next.RoundTrip(r)
	}
	form, err := io.ReadAll(r.Body)
	r.Body.Close()
	if err != nil {
		return nil, err
	}
	body := func() (io.ReadCloser, error) {
		made, err := a.assert()
		if err != nil {
			return nil, err
		}
		return io.NopCloser(strings.NewReader(string(form) + "&" + url.Values{
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {made},
		}.Encode())), nil
	}
	own := r.Clone(r.Context())
	own.GetBody, own.ContentLength = body, -1
	if own.Body, err = body(); err != nil {
		return nil, err
	}
	return a.next.RoundTrip(own)
}

// Begin pushes an authorization request (RFC 9126 section 2.1). Wishes are parameters beside the usual ones, such as prompt; an empty one
// leaves a usual one out.
func (r *RelyingParty) Begin(ctx context.Context, wishes map[string]string) (Visit, error) {
	v := Visit{state: rand.Text(), nonce: rand.Text(), verifier: oauth2.GenerateVerifier()}
	usual, err := url.Parse(r.oauth.AuthCodeURL(v.state, oidc.Nonce(v.nonce), oauth2.S256ChallengeOption(v.verifier)))
	if err != nil {
		return v, err
	}
	form := usual.Query()
	for name, value := range wishes {
		if form.Set(name, value); value == "" {
			form.Del(name)
		}
	}
	var pushed struct {
		RequestURI string `json:"request_uri"`
	}
	if err := r.post(ctx, r.own.PAR, form, http.StatusCreated, &pushed); err != nil {
		return v, err
	}
	v.URL = r.oauth.Endpoint.AuthURL + "?" + url.Values{"client_id": {r.ID}, "request_uri": {pushed.RequestURI}}.Encode()
	return v, nil
}

// Finish takes the address to which the browser was led back, and exchanges the code. An error of the OAuth server is an *OAuthError.
func (r *RelyingParty) Finish(ctx context.Context, v Visit, callback string) (SignedIn, error) {
	code, err := r.answer(v, callback)
	if err != nil {
		return SignedIn{}, err
	}
	return r.Exchange(ctx, v, code)
}

// answer checks who answers, and to what (RFC 9207 section 2.4).
func (r *RelyingParty) answer(v Visit, callback string) (code string, err error) {
	query, ok := strings.CutPrefix(callback, r.RedirectURI)
	answer, err := url.ParseQuery(strings.TrimLeft(query, "?&")) // the redirect URI may have a query of its own (RFC 6749 section 3.1.2)
	switch {
	case !ok || err != nil:
		return "", fmt.Errorf("world: %q is no answer for %s", callback, r.RedirectURI)
	case answer.Get("iss") != r.issuer || len(answer["iss"]) != 1:
		return "", fmt.Errorf("world: the answer is of the issuers %q", answer["iss"])
	case answer.Get("state") != v.state || len(answer["state"]) != 1:
		return "", errors.New("world: the answer is to another request")
	case answer.Has("error"):
		return "", &OAuthError{Code: answer.Get("error"), Description: answer.Get("error_description")}
	}
	return answer.Get("code"), nil
}

// Exchange takes a code to the token endpoint and verifies the ID token (OpenID Connect Core 1.0 section 3.1.3.7).
func (r *RelyingParty) Exchange(ctx context.Context, v Visit, code string) (s SignedIn, err error) {
	s.Token, err = r.oauth.Exchange(oidc.ClientContext(ctx, r.bound), code, oauth2.VerifierOption(v.verifier))
	if refused := new(oauth2.RetrieveError); errors.As(err, &refused) {
		return s, &OAuthError{refused.Response.StatusCode, refused.ErrorCode, refused.ErrorDescription}
	} else if err != nil {
		return s, err
	}
	s.IDToken, _ = s.Token.Extra("id_token").(string)
	verified, err := r.verifier.Verify(oidc.ClientContext(ctx, r.plain), s.IDToken)
	if err != nil {
		return s, err
	}
	if verified.Nonce != v.nonce {
		return s, errors.New("world: the ID token is for another request")
	}
	return s, verified.Claims(&s.Claims)
}

// Session asks the session resource what has become of a session.
func (r *RelyingParty) Session(ctx context.Context, token *oauth2.Token) (state SessionState, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.issuer+"/oauth2/session", nil)
	if err != nil {
		return state, err
	}
	token.SetAuthHeader(request)
	return state, r.do(request, http.StatusOK, &state)
}

// Revoke ends the grant of a token (RFC 7009).
func (r *RelyingParty) Revoke(ctx context.Context, token *oauth2.Token) error {
	return r.post(ctx, r.own.Revocation, url.Values{"token": {token.AccessToken}}, http.StatusOK, nil)
}

func (r *RelyingParty) post(ctx context.Context, address string, form url.Values, want int, into any) error {
	form.Set("client_id", r.ID)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r.do(request, want, into)
}

// do sends a request with a proof and reads the answer, or the error that it is.
func (r *RelyingParty) do(request *http.Request, want int, into any) error {
	answer, err := r.bound.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return err
	}
	if answer.StatusCode != want {
		refused := &OAuthError{}
		_ = json.Unmarshal(body, refused) // an answer that is none of ours has no code
		refused.Status = answer.StatusCode
		return refused
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(body, into)
}
