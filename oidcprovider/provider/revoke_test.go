package provider

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestRevoke(t *testing.T) {
	k, other := newKit(t), newKit(t)
	tokens, elsewhere := k.tokens(k.acme), other.tokens(other.acme)
	mine := func(spoil func(*accessClaims)) string {
		claims := accessClaims{Issuer: k.Issuer, Audience: k.Audience, Expires: kitStart.Unix() + 60, IssuedAt: kitStart.Unix(), Client: "acme", Session: "grant-2"}
		spoil(&claims)
		return demand[string](t)(k.sign(accessTokenType, claims))
	}
	tests := []struct {
		name, token, code string
		ends              string
	}{
		{"a token", tokens.Access, "", "end grant-1 of acme"},
		{"the token again", tokens.Access, "", "end grant-1 of acme"}, // RFC 7009 section 2.2: no error
		{"another of ours", mine(func(*accessClaims) {}), "", "end grant-2 of acme"},
		{"expired", mine(func(c *accessClaims) { c.Expires = kitStart.Unix() }), "", ""},
		{"of another issuer", mine(func(c *accessClaims) { c.Issuer = "https://auth.other.example" }), "", ""},
		{"of another audience", mine(func(c *accessClaims) { c.Audience = "urn:isogate:cloud:other" }), "", ""},
		{"of another client", mine(func(c *accessClaims) { c.Client = "beta" }), invalidGrant, ""}, // RFC 7009 section 2.1
		{"of nobody", mine(func(c *accessClaims) { c.Client = "" }), invalidGrant, ""},
		{"of another cloud, under other keys", elsewhere.Access, "", ""},
		{"of another type", demand[string](t)(k.sign(idTokenType, accessClaims{
			Issuer: k.Issuer, Audience: k.Audience, Expires: kitStart.Unix() + 60, Client: "acme", Session: "grant-2",
		})), "", ""},
		{"an ID token", tokens.ID, "", ""},
		{"nonsense", "nonsense", "", ""},
		{"signed otherwise", tokens.Access[:strings.LastIndexByte(tokens.Access, '.')] + tokens.ID[strings.LastIndexByte(tokens.ID, '.'):], "", ""},
		{"long", strings.Repeat("a.", 4<<10), "", ""},
		{"nothing", "", invalidRequest, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			k.grants.calls = nil
			a := k.revokeAsk(k.acme, test.token)
			a.form.Set("token_type_hint", "refresh_token") // section 2.1: only a hint
			got := k.send(a)
			wantCode(t, got, test.code)
			if test.code == "" && (got.Status != http.StatusOK || len(got.Body) != 0 || len(got.header("cache-control")) != 1) {
				t.Errorf("%d %s %v", got.Status, got.Body, got.Header)
			}
			if test.ends == "" {
				wantCalls(t, k)
			} else {
				wantCalls(t, k, test.ends)
			}
		})
	}
}

// RFC 7009 section 2.2.1: 503 says that the token is taken to live on.
func TestRevokeWhileGrantsAreDown(t *testing.T) {
	k := newKit(t)
	access := k.tokens(k.acme).Access
	k.grants.end = errDown
	got := k.send(k.revokeAsk(k.acme, access))
	wantCode(t, got, temporarilyDown)
	if !errors.Is(got.cause, errDown) || strings.Contains(string(got.Body), errDown.Error()) {
		t.Errorf("%v, %s", got.cause, got.Body)
	}
}

func TestRevokeAfterADay(t *testing.T) {
	k := newKit(t)
	access := k.tokens(k.acme).Access
	k.grants.calls = nil
	k.add(24 * time.Hour)
	wantCode(t, k.send(k.revokeAsk(k.acme, access)), "")
	wantCalls(t, k) // its session is over before that
}

// FuzzAssertion: no panic, and nobody is let in by what only looks like an assertion.
func FuzzAssertion(f *testing.F) {
	k := newKit(f)
	a := k.revokeAsk(k.acme, "x")
	k.request(a)
	for _, seed := range []string{a.form.Get("client_assertion"), "..", "e30.e30.e30", "", k.nonce()} {
		f.Add(seed, "acme")
		f.Add(seed, "")
	}
	f.Fuzz(func(t *testing.T, assertion, id string) {
		client, _, err := k.assert(t.Context(), assertion, id)
		if (client == nil) != (err != nil) || client != nil && client.ID != "acme" {
			t.Errorf("%q, %q: %v, %v", assertion, id, client, err)
		}
	})
}
