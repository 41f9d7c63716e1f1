package keys

import (
	"errors"
	"strings"
	"testing"
)

func TestParseJWKS(t *testing.T) {
	good, other, rsa := newES256(t, "good"), newES256(t, "other"), newPS256(t, "rsa")
	var many []map[string]any
	for range maxKeys + 1 {
		many = append(many, good.jwk)
	}
	private := good.with("d", b64.EncodeToString(make([]byte, 32)))
	symmetric := map[string]any{"kty": "oct", "kid": "s", "alg": "HS256", "k": "c2VjcmV0"}
	tests := []struct {
		name string
		body []byte
		want string // the usable key ids, or "" for a refused set
	}{
		{"both kinds", jwksOf(t, good.jwk, rsa.jwk), "good rsa"},
		{"named algorithm and use", jwksOf(t, good.with("alg", "ES256"), other.with("use", "sig")), "good other"},
		{"verify among the operations", jwksOf(t, good.with("key_ops", []string{"verify"})), "good"},
		{"with an encryption key of the same id", jwksOf(t, good.jwk, other.with("use", "enc"), rsa.with("use", "enc")), "good"},
		{"useless keys are passed over", jwksOf(t, good.jwk, symmetric, other.with("kty", "new"), other.with("x", nil), rsa.with("n", nil)), "good"},
		{"other algorithms", jwksOf(t, good.jwk, other.with("alg", "ES384"), rsa.with("alg", "RS256")), "good"},
		{"other operations", jwksOf(t, good.jwk, other.with("key_ops", []string{"sign"})), "good"},
		{"no id", jwksOf(t, good.jwk, other.with("kid", nil), other.with("kid", "")), "good"},
		{"a private key", jwksOf(t, private, other.jwk), "other"},
		{"off the curve", jwksOf(t, good.with("x", b64.EncodeToString(make([]byte, 32))), other.jwk), "other"},
		{"a small RSA key", jwksOf(t, good.jwk, rsa.with("n", b64.EncodeToString([]byte(strings.Repeat("\xff", 128))))), "good"},
		{"a giant RSA key", jwksOf(t, good.jwk, rsa.with("n", b64.EncodeToString([]byte(strings.Repeat("\xff", 1025))))), "good"},
		{"an even exponent", jwksOf(t, good.jwk, rsa.with("e", "Ag")), "good"},

		{"empty set", jwksOf(t), ""},
		{"nothing usable", jwksOf(t, symmetric), ""},
		{"one id twice", jwksOf(t, good.jwk, other.with("kid", "good")), ""},
		{"too many", jwksOf(t, many...), ""},
		{"too long", append(jwksOf(t, good.jwk), strings.Repeat(" ", maxJWKS)...), ""},
		{"one bare key", []byte(`{"kty":"EC"}`), ""},
		{"keys is no array", []byte(`{"keys":{}}`), ""},
		{"null", []byte("null"), ""},
		{"HTML", []byte("<html>sign in</html>"), ""},
		{"cut", jwksOf(t, good.jwk)[:50], ""},
		{"more after it", append(jwksOf(t, good.jwk), "{}"...), ""},
		{"nothing", nil, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			set, err := ParseJWKS(test.body)
			if (err != nil) != (test.want == "") {
				t.Fatalf("error %v, want keys %q", err, test.want)
			}
			for _, kid := range []string{"good", "other", "rsa", "s", ""} {
				_, err := set.Key(t.Context(), kid)
				wanted := kid != "" && strings.Contains(test.want, kid) && kid != "s"
				if (err == nil) != wanted || err != nil && !errors.Is(err, ErrNoKey) {
					t.Errorf("key %q: %v, want it: %v", kid, err, wanted)
				}
			}
		})
	}
}
