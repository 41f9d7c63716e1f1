package provider

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"isogate/extauthz/keys"
	"isogate/oidcprovider/code"
)

// claimsIn verifies a token against the published keys, as a client does, and gives its claims.
func claimsIn(t *testing.T, k *kit, token, typ, audience string) map[string]any {
	t.Helper()
	published := demand[keys.Set](t)(keys.ParseJWKS(k.Signer.JWKS()))
	raw := demand[[]byte](t)(keys.Verify(t.Context(), token, published, keys.Expect{Type: typ, Issuer: kitIssuer, Audience: audience, Now: k.now}))
	var claims map[string]any
	if err := json.Unmarshal(raw, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

func TestTokenAnswer(t *testing.T) {
	k := newKit(t)
	got := k.tokens(k.acme)
	var body map[string]any
	if err := json.Unmarshal(got.Body, &body); err != nil {
		t.Fatal(err)
	}
	// RFC 6749 section 5.1, RFC 9449 section 5.
	want := map[string]any{"access_token": got.Access, "id_token": got.ID, "token_type": "DPoP", "expires_in": 86400.0, "scope": "openid"}
	if diff := cmp.Diff(want, body); diff != "" || got.Status != http.StatusOK {
		t.Errorf("%d, %s", got.Status, diff)
	}
	if cmp.Diff(got.header("cache-control"), []string{"no-store"}) != "" || len(got.header("dpop-nonce")) != 1 {
		t.Errorf("header %v", got.Header)
	}
}

func TestAccessToken(t *testing.T) {
	k := newKit(t)
	claims := claimsIn(t, k, k.tokens(k.acme).Access, "at+jwt", k.Audience)
	other := claimsIn(t, k, k.tokens(k.acme).Access, "at+jwt", k.Audience)
	if id, _ := claims["jti"].(string); len(id) < 22 || id == other["jti"] {
		t.Errorf("jti %v, %v", id, other["jti"])
	}
	delete(claims, "jti")
	now := float64(kitStart.Unix())
	want := map[string]any{ // RFC 9068 section 2.2
		"iss": kitIssuer, "sub": pairwise(k.Pairwise, "client.example", "ada"), "aud": k.Audience, "exp": now + 86400, "iat": now,
		"client_id": "acme", "sid": "grant-1", "scope": "openid", "cnf": map[string]any{"jkt": k.acme.dpop.Thumbprint()},
	}
	if diff := cmp.Diff(want, claims); diff != "" {
		t.Error(diff)
	}
}

// Each claim that a client does not ask for stays inside.
func TestIDToken(t *testing.T) {
	zero := int64(0)
	tests := []struct {
		name   string
		change func(*code.Code)
		more   map[string]any
	}{
		{"as asked by most", nil, map[string]any{"nonce": "a-nonce"}},
		{"no nonce", func(c *code.Code) { c.Request.Nonce = "" }, nil},
		{"max_age", func(c *code.Code) { c.Request.MaxAge = &zero }, map[string]any{"nonce": "a-nonce", "auth_time": float64(kitStart.Unix() - 5)}},
		{"acr_values", func(c *code.Code) { c.Request.ACRs = []string{"urn:mfa"} }, map[string]any{"nonce": "a-nonce", "acr": "urn:mfa"}},
		{"acr_values, none known", func(c *code.Code) { c.Request.ACRs, c.ACR = []string{"urn:mfa"}, "" }, map[string]any{"nonce": "a-nonce"}},
		{"a login_hint", func(c *code.Code) { c.Request.LoginHint = "ada@acme.example" }, map[string]any{"nonce": "a-nonce"}},
	}
	for _, test := range tests {
		k := newKit(t)
		got := k.send(k.tokenAsk(k.acme, k.codeFor(k.acme, test.change)))
		now := float64(kitStart.Unix())
		want := map[string]any{
			"iss": kitIssuer, "sub": pairwise(k.Pairwise, "client.example", "ada"), "aud": "acme", "exp": now + 300, "iat": now,
			"isolated_cloud_id": k.CloudID, "sid": "grant-1", "session_expiry": float64(kitStart.Add(time.Hour).Unix()),
		}
		for name, value := range test.more {
			want[name] = value
		}
		if diff := cmp.Diff(want, claimsIn(t, k, got.ID, "JWT", "acme")); diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
	}
}

// OpenID Connect Core 1.0 section 8.1. The values are computed here in another way: they must never change.
func TestPairwise(t *testing.T) {
	key := []byte("0123456789abcdef0123456789abcdef")
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("\x00\x00\x00\x00\x00\x00\x00\x06sector\x00\x00\x00\x00\x00\x00\x00\x04user"))
	if got, want := pairwise(key, "sector", "user"), base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16]); got != want || len(got) != 22 {
		t.Errorf("%s, want %s", got, want)
	}
	subs := map[string]bool{}
	for _, of := range [][3]string{
		{string(key), "a", "bc"}, {string(key), "ab", "c"}, {string(key), "abc", ""}, {string(key), "a", "bd"}, {string(key) + "x", "a", "bc"},
	} {
		subs[pairwise([]byte(of[0]), of[1], of[2])] = true
	}
	if len(subs) != 5 {
		t.Error("two people, or one at two sectors, are the same")
	}
}
