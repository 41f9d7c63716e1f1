package usercontext

import (
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"isogate/extauthz/keys"
)

// sign makes a token of any type and claims.
func sign(t testing.TB, s *keys.Signers, typ string, claims map[string]any) string {
	t.Helper()
	raw, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	token, err := s.Sign(typ, raw)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// good is the payload of a valid token, with changes; nil removes.
func good(changes map[string]any) map[string]any {
	claims := map[string]any{
		"iss": issuer, "sub": "user", "aud": product, "iat": start.Unix(), "exp": start.Add(Lifetime).Unix(), "jti": "j", "sid": "s",
		"auth_time": start.Unix(), "isolated_cloud_id": "cloud",
	}
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	return claims
}

// CVE-2024-47616: no other kind of token is a UCT, whoever signed it and whatever it says.
func TestEveryOtherKindOfTokenIsRefused(t *testing.T) {
	_, s, _, v := newWorld(t)
	if _, err := v.Verify(t.Context(), sign(t, s, Type, good(nil))); err != nil {
		t.Fatal(err)
	}
	for _, typ := range []string{
		"JWT", "jwt", "at+jwt", "application/at+jwt", "dpop+jwt", "logout+jwt", "secevent+jwt", "client-authentication+jwt", "oauth-authz-req+jwt",
		"UCT+JWT", "application/uct+jwt", "uct+jwt ", "uct", "JWS",
	} {
		t.Run(typ, func(t *testing.T) {
			if _, err := v.Verify(t.Context(), sign(t, s, typ, good(nil))); !errors.Is(err, ErrInvalid) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestClaimsThatAreNotForUsAreRefused(t *testing.T) {
	_, s, _, v := newWorld(t)
	tests := []struct {
		name string
		in   map[string]any
	}{
		{"another issuer", map[string]any{"iss": "https://auth.other.example"}},
		{"the issuer with a slash", map[string]any{"iss": issuer + "/"}},
		{"no issuer", map[string]any{"iss": nil}},
		{"another product", map[string]any{"aud": "wiki"}},
		{"a list of audiences", map[string]any{"aud": []string{product}}},
		{"no audience", map[string]any{"aud": nil}},
		{"expired", map[string]any{"exp": start.Add(-5 * time.Second).Unix()}},
		{"no expiry", map[string]any{"exp": nil}},
		{"an expiry as text", map[string]any{"exp": "4102444800"}},
		{"from the future", map[string]any{"iat": start.Add(6 * time.Second).Unix()}},
		{"not yet", map[string]any{"nbf": start.Add(6 * time.Second).Unix()}},
		{"no subject", map[string]any{"sub": nil}},
		{"an empty subject", map[string]any{"sub": ""}},
		{"a subject that is no text", map[string]any{"sub": 7}},
		{"no cloud", map[string]any{"isolated_cloud_id": nil}},
		{"groups that are no list", map[string]any{"groups": "admins"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			claims, err := v.Verify(t.Context(), sign(t, s, Type, good(tt.in)))
			if !errors.Is(err, ErrInvalid) || errors.Is(err, ErrUnavailable) || claims.Subject != "" {
				t.Errorf("%+v, %v", claims, err)
			}
		})
	}
}

func TestATokenEndsWithinTheClockSkew(t *testing.T) {
	c, s, _, v := newWorld(t)
	token := sign(t, s, Type, good(nil))
	for _, tt := range []struct {
		after time.Duration
		want  bool
	}{{-5 * time.Second, true}, {-6 * time.Second, false}, {Lifetime, true}, {Lifetime + 4*time.Second, true}, {Lifetime + 5*time.Second, false}} {
		c.set(start.Add(tt.after))
		if _, err := v.Verify(t.Context(), token); (err == nil) != tt.want {
			t.Errorf("after %s: %v", tt.after, err)
		}
	}
}

func TestWhatIsNotOursIsRefused(t *testing.T) {
	c, s, _, v := newWorld(t)
	token := sign(t, s, Type, good(nil))
	foreign := sign(t, newSigners(t, c), Type, good(nil))
	for name, in := range map[string]string{
		"another key": foreign, "empty": "", "no signature": token[:strings.LastIndexByte(token, '.')+1], "two tokens": token + "," + token,
		"bearer": "Bearer " + token, "spaced": " " + token, "dots": strings.Repeat(".", 9000), "long": token + strings.Repeat("A", 9000),
		"unsigned": "eyJhbGciOiJub25lIiwidHlwIjoidWN0K2p3dCJ9." + strings.Split(token, ".")[1] + ".",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := v.Verify(t.Context(), in); !errors.Is(err, ErrInvalid) {
				t.Errorf("%v", err)
			}
		})
	}
}

// A verifier that was not told what to expect believes nothing.
func TestAnUnfinishedVerifierBelievesNothing(t *testing.T) {
	c, s, _, _ := newWorld(t)
	token := sign(t, s, Type, good(map[string]any{"iss": "", "aud": ""}))
	for name, v := range map[string]Verifier{
		"no issuer": {Audience: product, Keys: s, Now: c.now}, "no audience": {Issuer: issuer, Keys: s, Now: c.now}, "neither": {Keys: s, Now: c.now},
	} {
		if _, err := v.Verify(t.Context(), token); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestKeysThatCannotBeHadAreNoRefusal(t *testing.T) {
	_, s, _, v := newWorld(t)
	v.Keys = noKeys{}
	if _, err := v.Verify(t.Context(), sign(t, s, Type, good(nil))); !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrInvalid) {
		t.Errorf("%v", err)
	}
}

func TestTheClockIsTheSystemsIfNoneIsGiven(t *testing.T) {
	_, s, _, v := newWorld(t)
	v.Now = nil
	now := map[string]any{"iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix()}
	if _, err := v.Verify(t.Context(), sign(t, s, Type, good(now))); err != nil {
		t.Error(err)
	}
	old := map[string]any{"iat": int64(1), "exp": time.Now().Add(-time.Minute).Unix()}
	if _, err := v.Verify(t.Context(), sign(t, s, Type, good(old))); !errors.Is(err, ErrInvalid) {
		t.Errorf("expired: %v", err)
	}
}
