package idp

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"
)

func TestDiscovery(t *testing.T) {
	w := newWorld(t)
	var got map[string]any
	if err := json.Unmarshal([]byte(w.browser().open(w.issuer+discoveryPath).text), &got); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{
		"issuer": w.issuer,
		"authorization_response_iss_parameter_supported": true,
		"response_types_supported":                       []any{"code"},
		"grant_types_supported":                          []any{"authorization_code"},
		"code_challenge_methods_supported":               []any{"S256"},
		"token_endpoint_auth_methods_supported":          []any{"client_secret_basic"},
		"id_token_signing_alg_values_supported":          []any{"ES256"},
		"end_session_endpoint":                           w.issuer + endSessionPath,
	} {
		if diff := cmp.Diff(want, got[name]); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// What cannot be trusted is answered with a page, what a known client got wrong goes back to it, with the issuer.
func TestAuthorizationRefused(t *testing.T) {
	w := newWorld(t)
	tests := []struct {
		name   string
		params []string
		want   string // an error word for the client, or "page"
	}{
		{"unknown client", []string{"client_id", "nobody"}, "page"},
		{"no client", []string{"client_id", ""}, "page"},
		{"unregistered redirect", []string{"redirect_uri", "https://evil.example/callback"}, "page"},
		{"redirect with a suffix", []string{"redirect_uri", rpCallback + "/x"}, "page"},
		{"redirect with a query", []string{"redirect_uri", rpCallback + "?x=1"}, "page"},
		{"no redirect", []string{"redirect_uri", ""}, "page"},
		{"no PKCE", []string{"code_challenge", "", "code_challenge_method", ""}, "invalid_request"},
		{"PKCE without a method", []string{"code_challenge_method", ""}, "invalid_request"},
		{"PKCE plain", []string{"code_challenge_method", "plain"}, "invalid_request"},
		{"implicit flow", []string{"response_type", "id_token", "response_mode", "query"}, "unauthorized_client"},
		{"fragment", []string{"response_mode", "form_post"}, "invalid_request"},
		{"no openid", []string{"scope", "email"}, "invalid_scope"},
		{"request object", []string{"request", "e30.e30."}, "request_not_supported"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := w.browser().open(w.start(tt.params...))
			if tt.want == "page" {
				if p.answer != nil || p.status != http.StatusBadRequest || !strings.Contains(p.text, "<h1>") {
					t.Errorf("%d %v %s", p.status, p.answer, p.text)
				}
				return
			}
			if p.answer == nil {
				t.Fatalf("%d %s", p.status, p.text)
			}
			if q := p.answer.Query(); q.Get("error") != tt.want || q.Get("iss") != w.issuer || q.Has("code") {
				t.Errorf("answer = %v", q)
			}
		})
	}
}

func TestRedemptionRefused(t *testing.T) {
	w := newWorld(t)
	tests := []struct {
		name   string
		change func(*world)
		option oauth2.AuthCodeOption
		want   string
	}{
		{"wrong verifier", nil, oauth2.VerifierOption(strings.Repeat("x", 43)), "invalid_grant"},
		{"no verifier", nil, nil, "invalid_request"},
		{"wrong secret", func(w *world) { w.rp.ClientSecret = "wrong" }, oauth2.VerifierOption(verifierText), "invalid_client"},
		{"another client's code", func(w *world) { w.rp.ClientID, w.rp.ClientSecret = "other", "other secret" }, oauth2.VerifierOption(verifierText), "invalid_grant"},
		{"secret in the body", func(w *world) { w.rp.Endpoint.AuthStyle = oauth2.AuthStyleInParams }, oauth2.VerifierOption(verifierText), "invalid_client"},
		{"another redirect URI", func(w *world) { w.rp.RedirectURL += "x" }, oauth2.VerifierOption(verifierText), "invalid_grant"},
		{"code too old", func(w *world) { w.advance(codeLife) }, oauth2.VerifierOption(verifierText), "invalid_grant"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			answer := w.signIn(w.browser(), bob).answer.Query()
			changed := *w
			if tt.change != nil {
				tt.change(&changed)
			}
			var options []oauth2.AuthCodeOption
			if tt.option != nil {
				options = append(options, tt.option)
			}
			token, err := changed.rp.Exchange(w.ctx(), answer.Get("code"), options...)
			if got := errorWord(err); got != tt.want {
				t.Errorf("error %q (%v), token %v, want %q", got, err, token, tt.want)
			}
		})
	}
}

func errorWord(err error) string {
	if e := new(oauth2.RetrieveError); errors.As(err, &e) {
		return e.ErrorCode
	}
	return ""
}

func TestCodeWorksOnce(t *testing.T) {
	w := newWorld(t)
	code := w.signIn(w.browser(), bob).answer.Query().Get("code")
	var passed atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			_, err := w.exchange(code)
			switch {
			case err == nil:
				passed.Add(1)
			case errorWord(err) != "invalid_grant":
				t.Errorf("error = %v", err)
			}
		})
	}
	wg.Wait()
	if passed.Load() != 1 {
		t.Errorf("%d of 8 redemptions passed, want 1", passed.Load())
	}
}

// The callback makes one code: the link in the browser's history makes no second one.
func TestCallbackWorksOnce(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	first := b.open(w.start())
	w.wantCode(b.submit(first, password(bob)))
	if p := b.open(w.issuer + callbackPath + "?id=" + first.inputs["request"]); p.answer != nil || p.status != http.StatusBadRequest {
		t.Errorf("%d %v", p.status, p.answer)
	}
}

func TestOtherGrantsRefused(t *testing.T) {
	w := newWorld(t)
	for _, grant := range []string{"", "refresh_token", "client_credentials", "urn:ietf:params:oauth:grant-type:jwt-bearer",
		"urn:ietf:params:oauth:grant-type:token-exchange", "urn:ietf:params:oauth:grant-type:device_code"} {
		r, err := http.NewRequest("POST", w.issuer+tokenPath+"?grant_type="+url.QueryEscape(grant), strings.NewReader(url.Values{"grant_type": {grant}}.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth("rp", url.QueryEscape("s3cr:t%"))
		p := w.browser()
		res, err := p.client.Do(r)
		if got := p.read(res, err); got.status != 400 || !strings.Contains(got.text, "unsupported_grant_type") {
			t.Errorf("%q: %d %s", grant, got.status, got.text)
		}
	}
	for _, path := range []string{"/device_authorization", "/oauth/introspect", "/revoke", "/ready", "/"} {
		if p := w.browser().open(w.issuer + path); p.status != http.StatusNotFound {
			t.Errorf("%s: %d", path, p.status)
		}
	}
}

func TestUserinfo(t *testing.T) {
	w := newWorld(t)
	token, _, _ := w.redeem(w.signIn(w.browser(), bob))
	ask := func() page {
		b := w.browser()
		b.client.Transport = &oauth2.Transport{Source: oauth2.StaticTokenSource(token), Base: w.http.Transport}
		return b.open(w.issuer + userinfoPath)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(ask().text), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"sub": Subject("bob"), "name": "Bob Example", "email": "bob@corp.example", "email_verified": false, "groups": []any{}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	w.advance(tokenLife)
	if p := ask(); p.status != http.StatusForbidden {
		t.Errorf("expired token: %d", p.status)
	}
}

// The lies that a relying party under test must refuse are really told, under a signature that holds.
func TestMutate(t *testing.T) {
	w := newWorld(t)
	tests := []struct {
		name   string
		lie    func(map[string]any)
		reject string // what go-oidc says; "" = it passes and the claim is as told
		claim  string
		want   any
	}{
		{"e-mail", func(c map[string]any) { c["email"] = "ceo@corp.example" }, "", "email", "ceo@corp.example"},
		{"not verified", func(c map[string]any) { c["email_verified"] = false }, "", "email_verified", false},
		{"signed in long ago", func(c map[string]any) { c["auth_time"] = 86400 }, "", "auth_time", 86400.0},
		{"no time of sign-in", func(c map[string]any) { delete(c, "auth_time") }, "", "auth_time", nil},
		{"weaker sign-in", func(c map[string]any) { c["acr"] = ACRPassword }, "", "acr", ACRPassword},
		{"nonce", func(c map[string]any) { c["nonce"] = "other" }, "", "nonce", "other"},
		{"no sub", func(c map[string]any) { delete(c, "sub") }, "", "sub", nil},
		{"audience", func(c map[string]any) { c["aud"] = "other" }, "expected audience", "", nil},
		{"issuer", func(c map[string]any) { c["iss"] = "https://evil.example" }, "different provider", "", nil},
		{"expired", func(c map[string]any) { c["exp"] = time.Now().Add(-time.Hour).Unix() }, "expired", "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			answer := w.signIn(w.browser(), alice).answer.Query()
			w.p.Mutate(tt.lie)
			defer w.p.Mutate(nil)
			token, err := w.exchange(answer.Get("code"))
			if err != nil {
				t.Fatal(err)
			}
			id, err := w.verifier.Verify(w.ctx(), token.Extra("id_token").(string))
			if tt.reject != "" {
				if err == nil || !strings.Contains(err.Error(), tt.reject) {
					t.Errorf("error = %v, want %q", err, tt.reject)
				}
				return
			}
			claims := map[string]any{}
			if err != nil || id.Claims(&claims) != nil || claims[tt.claim] != tt.want {
				t.Errorf("%s = %v, error %v", tt.claim, claims[tt.claim], err)
			}
		})
	}
	w.redeem(w.signIn(w.browser(), alice)) // and the truth again
}
